//! `--via s3://BUCKET/PREFIX`: what every host would be sent is kept once, as an object that the hosts fetch.
//!
//! Must not know hosts.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fleet_core::cli::{Failure, object_store};
use fleet_core::fanout::Signals;
use fleet_core::outcome::ExitStatus;
use fleet_core::provider::{Problem, Provider, ProviderError, Upload, Watch};
use fleet_core::settings::Settings;
use fleet_core::size;
use fleet_core::ssh::Secret;
use fleet_core::ssh::remote::Token;
use fleet_transfer::digest::Digester;
use fleet_transfer::push::{Push, Sent, Share, Uplink};
use tempfile::NamedTempFile;
use tokio::runtime::Handle;

use crate::say;

/// For how long hosts may begin to fetch: longer than the copies of a day take, and no longer than a leaked URL may hold.
const EXPIRES: Duration = Duration::from_secs(6 * 60 * 60);
/// How long removing the object may take, at the end of a run or after Ctrl-C.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(30);
/// S3's limit for the name of an object is 1024 bytes; the rest is for our part of it.
const PREFIX_MAX_BYTES: usize = 900;

/// Where the object is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    bucket: String,
    /// Empty, or with a slash at its end.
    prefix: String,
}

/// Why a text is no such place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--via: found {found:?}; expected {expected}")]
pub(crate) struct PlaceError {
    found: String,
    expected: &'static str,
}

impl FromStr for Place {
    type Err = PlaceError;

    /// The rules of names are S3's (Bucket naming rules, Object key naming guidelines).
    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let refused = |expected| Err(PlaceError { found: text.to_owned(), expected });
        let Some(rest) = text.strip_prefix("s3://") else { return refused("s3://BUCKET or s3://BUCKET/PREFIX") };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let of_bucket = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(of_bucket) {
            return refused("a bucket of 3 to 63 lower-case letters, digits, points and hyphens");
        }
        let prefix = prefix.trim_end_matches('/');
        if prefix.len() > PREFIX_MAX_BYTES || prefix.contains(char::is_control) {
            return refused("a prefix of at most 900 bytes, without control characters");
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self { bucket: bucket.to_owned(), prefix })
    }
}

/// An object that holds what every host is sent.
pub(crate) struct Via {
    provider: Provider,
    bucket: String,
    key: String,
    url: Secret,
    /// What it was made of.
    sent: Sent,
    afterwards: Afterwards,
}

/// What becomes of the object after the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// It is removed.
    Removed,
    /// It stays, and is named.
    Kept,
}

impl fmt::Debug for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Via").field(&self.name()).finish()
    }
}

impl Via {
    /// Makes the stream that all hosts are to be sent, and has it uploaded. Blocks, on a thread of the runtime. Nothing is
    /// left of it when it fails.
    ///
    /// # Errors
    /// When hosts are sent different things, or the stream cannot be made or kept.
    pub(crate) fn upload(
        place: &Place,
        afterwards: Afterwards,
        push: &Push,
        shares: &[Share],
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let Some((share, others)) = shares.split_first() else {
            return Err(Failure::usage_text("--via: there is no host"));
        };
        if others.iter().any(|other| other != share) {
            return Err(Failure::usage_text("--via is for what is the same for all hosts, and the sources differ")
                .hint("leave the placeholders out of the sources, or copy without --via; DEST may have them"));
        }
        let provider = object_store(settings)?;
        let interrupted = Arc::new(AtomicBool::new(false));
        let listening = Handle::current().spawn(interrupt(Arc::clone(&interrupted)));
        let uploaded = Spooled::of(push, share, &interrupted).and_then(|spooled| {
            let key = format!("{}pcp-{}.tar", place.prefix, Token::random().as_str());
            spooled.upload(provider, place.bucket.clone(), key, afterwards, &interrupted)
        });
        listening.abort();
        uploaded
    }

    /// The name of the object, which lets nobody in: `s3://bucket/prefix/pcp-0123456789abcdef.tar`.
    pub(crate) fn name(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }

    /// What lets whoever has it fetch the object.
    pub(crate) fn url(&self) -> &Secret {
        &self.url
    }

    /// What it was made of.
    pub(crate) fn sent(&self) -> &Sent {
        &self.sent
    }

    /// The same words without what lets somebody in.
    pub(crate) fn redacted(&self, said: &[u8]) -> Vec<u8> {
        let url = self.url.expose();
        let secret = url.split_once('?').map_or(url, |(_, query)| query);
        String::from_utf8_lossy(said).replace(secret, "...").into_bytes()
    }

    /// Removes the object, or says that it is kept, after the run.
    pub(crate) fn end(&self) -> ExitStatus {
        match self.afterwards {
            Afterwards::Kept => {
                say(&format!("kept {}", self.name()));
                ExitStatus::Success
            }
            Afterwards::Removed => discard(&self.provider, &self.bucket, &self.key, Parts::None),
        }
    }
}

/// Whether there may be parts of an object that is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parts {
    None,
    Perhaps,
}

/// Removes an object, and says so when that fails. Nothing interrupts it but its time-out: whoever is asked to go now leaves
/// no object behind.
fn discard(provider: &Provider, bucket: &str, key: &str, parts: Parts) -> ExitStatus {
    let going_on = AtomicBool::new(false);
    let watch = Watch { said: &|_| (), interrupted: &going_on };
    let name = format!("s3://{bucket}/{key}");
    let reason = match provider.clone().within(DISCARD_TIMEOUT).discard(bucket, &[key.to_owned()], watch) {
        Ok(discarded) => {
            if parts == Parts::Perhaps {
                discarded.warnings.iter().for_each(|warning| say(warning));
            }
            match discarded.left.is_empty() {
                true => return ExitStatus::Success,
                false => "it was not said to be gone".to_owned(),
            }
        }
        Err(error) => error.to_string(),
    };
    say(&format!("{name} may be left: {reason}; aws s3 rm {name} removes it"));
    ExitStatus::OurFailure
}

/// Says so when the user wants no more.
async fn interrupt(interrupted: Arc<AtomicBool>) {
    let Ok(mut signals) = Signals::of_process() else { return };
    signals.next().await;
    interrupted.store(true, Ordering::SeqCst);
}

/// The stream in a file, for a program that reads it.
struct Spooled {
    file: NamedTempFile,
    size: u64,
    sha256: String,
    sent: Sent,
}

impl Spooled {
    fn of(push: &Push, share: &Share, interrupted: &AtomicBool) -> Result<Self, Failure> {
        let file = NamedTempFile::with_prefix("pcp-").map_err(|error| no_spool(&error))?;
        let writer = file.reopen().map_err(|error| no_spool(&error))?;
        let spool = Spool {
            stream: Mutex::new(Stream { file: writer, digester: Digester::new() }),
            failed: Mutex::default(),
            interrupted,
        };
        let sent = tokio::task::block_in_place(|| Handle::current().block_on(push.send(share, &spool)));
        let sent = sent.map_err(|error| Failure::ours(&error))?;
        if let Some(error) = lock(&spool.failed).take() {
            return Err(no_spool(&error));
        }
        let Some(sent) = sent else {
            return Err(Failure::usage_text("interrupted before the upload"));
        };
        let digest = lock(&spool.stream).digester.clone().finish();
        Ok(Self { file, size: digest.len, sha256: digest.sha256_hex(), sent })
    }

    fn upload(
        self,
        provider: Provider,
        bucket: String,
        key: String,
        afterwards: Afterwards,
        interrupted: &AtomicBool,
    ) -> Result<Via, Failure> {
        say(&format!("uploading {} to s3://{bucket}/{key}", size::shown(self.size)));
        let said = |line: &str| {
            // Nobody is left to tell.
            let _ = writeln!(io::stderr(), "{line}");
        };
        let Self { file, size, sha256, sent } = self;
        let upload = Upload { bucket: &bucket, key: &key, path: file.path(), size, sha256: &sha256, expires: EXPIRES };
        match provider.upload(&upload, Watch { said: &said, interrupted }) {
            Ok(uploaded) => Ok(Via { url: Secret::new(uploaded.url), provider, bucket, key, sent, afterwards }),
            Err(error) => {
                if may_have_left_something(&error) {
                    discard(&provider, &bucket, &key, Parts::Perhaps);
                }
                Err(error.into())
            }
        }
    }
}

/// A provider that says what is wrong has cleaned up; one that was ended has not.
fn may_have_left_something(error: &ProviderError) -> bool {
    !matches!(error.problem, Problem::Refused { .. } | Problem::Start { .. } | Problem::Name)
}

fn no_spool(error: &io::Error) -> Failure {
    let folder = std::env::temp_dir();
    Failure::usage_text(format!("cannot keep what is to be uploaded in {}: {error}", folder.display()))
        .hint("--via needs room there for all that is sent; TMPDIR names another folder")
}

/// Writes a stream into a file.
struct Spool<'a> {
    stream: Mutex<Stream>,
    failed: Mutex<Option<io::Error>>,
    interrupted: &'a AtomicBool,
}

struct Stream {
    file: File,
    digester: Digester,
}

impl Uplink for Spool<'_> {
    async fn send(&self, bytes: Bytes) -> bool {
        if self.interrupted.load(Ordering::SeqCst) {
            return false;
        }
        let mut stream = lock(&self.stream);
        stream.digester.update(&bytes);
        let written = stream.file.write_all(&bytes);
        drop(stream);
        written.map_err(|error| *lock(&self.failed) = Some(error)).is_ok()
    }

    async fn progress(&self, _: u64) {}
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bucket_and_perhaps_a_prefix() {
        for (text, bucket, prefix) in [
            ("s3://my-bucket", "my-bucket", ""),
            ("s3://my-bucket/", "my-bucket", ""),
            ("s3://my.bucket.1/a", "my.bucket.1", "a/"),
            ("s3://abc/a/b c/", "abc", "a/b c/"),
        ] {
            let place = Place { bucket: bucket.to_owned(), prefix: prefix.to_owned() };
            assert_eq!(text.parse(), Ok(place), "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_was_expected() {
        let long = format!("s3://abc/{}", "x".repeat(901));
        for (text, expected) in [
            ("", "s3://BUCKET"),
            ("my-bucket/x", "s3://BUCKET"),
            ("https://my-bucket/x", "s3://BUCKET"),
            ("s3://", "a bucket"),
            ("s3:///x", "a bucket"),
            ("s3://ab/x", "a bucket"),
            ("s3://My_Bucket/x", "a bucket"),
            ("s3://abc/x\ny", "a prefix"),
            (&long, "a prefix"),
        ] {
            let error = text.parse::<Place>().unwrap_err();
            assert!(error.expected.starts_with(expected), "{error}");
        }
    }
}
