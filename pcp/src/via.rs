//! `--via s3://BUCKET/PREFIX`: what every host would be sent is kept once, as an object that the hosts fetch.
//!
//! Must not know hosts.

mod place;
mod spooled;

use std::fmt;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fleet_core::fanout::Signals;
use fleet_core::outcome::ExitStatus;
use fleet_core::provider::{Discarded, Problem, Provider, ProviderError, Upload, Watch};
use fleet_core::render::{Layout, RenderError, UploadDisplay, UploadStep};
use fleet_ssh::Secret;
use fleet_ssh::remote::Token;
use fleet_tool::cli::{Failure, Prepared, object_store};
use fleet_transfer::push::{Push, Sent, Share};
use fleet_transfer::source_cache::Packing;
use tokio::runtime::{self, Handle};

pub(crate) use self::place::{Place, PlaceError};
use self::spooled::Spooled;
use crate::{PROGRAM, say};

/// For how long hosts may begin to fetch: longer than the copies of a day take, and no longer than a leaked URL may hold.
const EXPIRES: Duration = Duration::from_secs(6 * 60 * 60);
/// How long removing the object may take, unless the user has it end earlier.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(60);
/// After what time it is said that it takes long.
const SAY_DISCARD_AFTER: Duration = Duration::from_secs(1);
/// How often what is shown of the upload is looked at.
const TICK: Duration = Duration::from_millis(250);

/// What is to be kept where, and for how long.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) place: Place,
    pub(crate) afterwards: Afterwards,
    /// The form of the stream.
    pub(crate) packing: Packing,
}

/// An object that holds what every host is sent.
pub(crate) struct Via {
    object: Object,
    url: Secret,
    /// What it was made of.
    sent: Sent,
    afterwards: Afterwards,
    layout: Layout,
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
        f.debug_tuple("Via").field(&self.object.to_string()).finish()
    }
}

impl Wanted {
    /// Makes the stream that all hosts are to be sent, and has it uploaded. Blocks, on a thread of the runtime. Nothing is
    /// left of it when it fails.
    ///
    /// # Errors
    /// When hosts are sent different things, or the stream cannot be made or kept.
    pub(crate) fn upload(&self, push: &Push, shares: &[Share], prepared: &Prepared) -> Result<Via, Failure> {
        let Some((share, others)) = shares.split_first() else {
            return Err(Failure::usage_text("--via: there is no host"));
        };
        if others.iter().any(|other| other != share) {
            return Err(Failure::usage_text("--via is for what is the same for all hosts, and the sources differ")
                .hint("leave the placeholders out of the sources, or copy without --via; DEST may have them"));
        }
        let object = self.object(object_store(&prepared.settings)?);
        let display = UploadDisplay::new(&prepared.render, &object.to_string());
        let screen = Screen { display: Mutex::new(display), start: Instant::now() };
        // The first signal ends the upload, the second the removal of what is left of it.
        let (interrupted, given_up) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let listening = Handle::current().spawn(listen(vec![Arc::clone(&interrupted), Arc::clone(&given_up)]));
        let uploaded = uploaded(&object, push, share, &screen, &interrupted);
        screen.end();
        let uploaded = uploaded.inspect_err(|failed| {
            if failed.left == Left::Perhaps {
                object.discard(Left::Perhaps, &given_up);
            }
        });
        listening.abort();
        let (url, sent) = uploaded.map_err(|failed| failed.failure)?;
        Ok(Via { object, url, sent, afterwards: self.afterwards, layout: prepared.render.layout })
    }

    /// An object of a new name.
    fn object(&self, provider: Provider) -> Object {
        let Place { bucket, prefix } = self.place.clone();
        let packed = if self.packing == Packing::Gzip { ".gz" } else { "" };
        Object { provider, bucket, key: format!("{prefix}pcp-{}.tar{packed}", Token::random().as_str()) }
    }
}

/// Why there is no object, and whether there is something of it.
struct Failed {
    failure: Failure,
    left: Left,
}

/// Whether there may be an object, or parts of one that is not whole, though its upload has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    Perhaps,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, left: Left::Nothing }
    }
}

impl From<ProviderError> for Failed {
    /// A provider that says what is wrong has cleaned up; one that was ended has not.
    fn from(error: ProviderError) -> Self {
        let left = match error.problem {
            Problem::Refused { .. } | Problem::Start { .. } | Problem::Name => Left::Nothing,
            _ => Left::Perhaps,
        };
        let failure = match error.problem {
            Problem::Interrupted => Failure::usage_text("interrupted during the upload; no host was contacted"),
            _ => error.into(),
        };
        Self { failure, left }
    }
}

fn uploaded(
    object: &Object,
    push: &Push,
    share: &Share,
    screen: &Screen,
    interrupted: &AtomicBool,
) -> Result<(Secret, Sent), Failed> {
    screen.show(|display, at| display.begin(UploadStep::Packing, push.manifest().totals(&share.selection).bytes, at));
    let progress = |bytes| screen.show(|display, at| display.progress(bytes, at));
    let spooled = Spooled::of(push, share, interrupted, &progress)?;
    screen.show(|display, at| display.begin(UploadStep::Uploading, spooled.size, at));
    let said = |line: &str| screen.show(|display, _| display.say(line));
    let upload = Upload {
        bucket: &object.bucket,
        key: &object.key,
        path: spooled.path(),
        size: spooled.size,
        sha256: &spooled.sha256,
        expires: EXPIRES,
    };
    let watch = Watch { said: &said, interrupted };
    let uploaded =
        meanwhile(TICK, || screen.show(UploadDisplay::tick), || object.provider.upload(&upload, watch, &progress))?;
    screen.show(UploadDisplay::done);
    Ok((Secret::new(uploaded.url), spooled.sent))
}

/// What is shown, by whoever has something to show.
struct Screen {
    display: Mutex<UploadDisplay>,
    start: Instant,
}

impl Screen {
    fn show(&self, what: impl FnOnce(&mut UploadDisplay, Duration) -> Result<(), RenderError>) {
        // If nobody reads it any more, the run finds that out.
        let _ = what(&mut lock(&self.display), self.start.elapsed());
    }

    fn end(self) {
        let display = self.display.into_inner().unwrap_or_else(PoisonError::into_inner);
        let _ = display.end();
    }
}

/// With each signal that comes, the next of these becomes true.
async fn listen(stops: Vec<Arc<AtomicBool>>) {
    let Ok(mut signals) = Signals::of_process() else { return };
    for stop in stops {
        signals.next().await;
        stop.store(true, Ordering::SeqCst);
    }
}

impl Via {
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

    /// Removes the object, or says that it is kept, after the run. A signal now makes it give up.
    pub(crate) fn end(&self) -> ExitStatus {
        if self.afterwards == Afterwards::Kept {
            // In JSON the upload has told its name.
            if !matches!(self.layout, Layout::Json | Layout::Quiet) {
                say(PROGRAM, &format!("kept {}", self.object));
            }
            return ExitStatus::Success;
        }
        let given_up = Arc::<AtomicBool>::default();
        // The runtime of the run is gone. Without one, only the time-out ends the removal.
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        if let Ok(runtime) = &runtime {
            runtime.spawn(listen(vec![Arc::clone(&given_up)]));
        }
        self.object.discard(Left::Nothing, &given_up)
    }
}

/// Where it is kept, and by whom.
struct Object {
    provider: Provider,
    bucket: String,
    key: String,
}

/// The name, which lets nobody in: `s3://bucket/prefix/pcp-0123456789abcdef.tar`.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

impl Object {
    /// Removes it, and says so when that fails.
    fn discard(&self, left: Left, given_up: &AtomicBool) -> ExitStatus {
        let reason = match self.discarded(given_up) {
            Ok(Discarded { left: names, warnings }) => {
                if left == Left::Perhaps {
                    warnings.iter().for_each(|warning| say(PROGRAM, warning));
                }
                match names.is_empty() {
                    true => return ExitStatus::Success,
                    false => "it was not said to be gone".to_owned(),
                }
            }
            Err(error) => error.to_string(),
        };
        say(PROGRAM, &format!("{self} may be left: {reason}; aws s3 rm {self} removes it"));
        ExitStatus::OurFailure
    }

    /// Says what is done when it takes long.
    fn discarded(&self, given_up: &AtomicBool) -> Result<Discarded, ProviderError> {
        let mut words = Some(format!("removing {self}"));
        let tell = || words.take().into_iter().for_each(|words| say(PROGRAM, &words));
        meanwhile(SAY_DISCARD_AFTER, tell, || {
            let watch = Watch { said: &|_| (), interrupted: given_up };
            let provider = self.provider.clone().within(DISCARD_TIMEOUT);
            provider.discard(&self.bucket, slice::from_ref(&self.key), watch)
        })
    }
}

/// Does `work`, and meanwhile, after every so long a time, `tick`.
fn meanwhile<T>(every: Duration, mut tick: impl FnMut() + Send, work: impl FnOnce() -> T) -> T {
    let (working, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                tick();
            }
        });
        let done = work();
        drop(working);
        done
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
