//! The actions `upload` and `discard`: files kept as objects of S3, for hosts to fetch by a URL.
//!
//! Must not know who fetches them, nor what is in them.

use std::fs::File;
use std::io::{self, Read as _};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, Region, StalledStreamProtectionConfig};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use crate::access::{NoRegion, SignedIn};
use crate::failure::{Call, Code, Failure, Service};
use crate::machine::Machine;
use crate::progress::Progress;
use crate::protocol::{Body, Discard, Upload, Uploaded};

/// The least length of a part, unless it is the last: more than S3's least of 5 MiB.
const PART_BYTES: u64 = 8 << 20;
/// How many parts an object may have.
const PARTS_MAX: u64 = 10_000;
/// How many parts are sent at once.
const PARTS_AT_ONCE: usize = 4;
/// How long a part may take at least: one on a slow line is no failure.
const PART_TIMEOUT: Duration = Duration::from_secs(600);

/// A bucket, as it is reached with the user's settings.
struct Bucket {
    name: String,
    region: String,
    client: Client,
    timeout: Duration,
}

/// Keeps a file as an object, and says by which URL it is fetched.
pub(crate) async fn upload(request: &Upload, machine: Machine) -> Result<Body, Failure> {
    let expires = PresigningConfig::expires_in(Duration::from_secs(request.expires_seconds))
        .map_err(|error| Failure::new(Code::BadRequest, format!("expires_seconds: {error}")))?;
    let source = Source::open(request)?;
    let by = SignedIn::new(&request.settings, machine, NoRegion::AsksFirst).await?;
    let is_region_assumed = by.is_region_assumed;
    uploaded(request, expires, source, by).await.map_err(|failure| match failure.code {
        Code::Unauthorized if is_region_assumed => {
            let hint = failure.hint.clone().unwrap_or_default();
            failure.with_hint(format!(
                "{hint}; no region is set: set AWS_REGION if the account is in another part of AWS (China, GovCloud)"
            ))
        }
        _ => failure,
    })
}

async fn uploaded(request: &Upload, expires: PresigningConfig, source: Source, by: SignedIn) -> Result<Body, Failure> {
    let bucket = Bucket::find(&request.bucket, by).await?;
    let size = source.len;
    match source.part_len < size {
        true => bucket.put_in_parts(&request.key, source).await?,
        false => bucket.put(&request.key, source).await?,
    }
    let object = bucket.client.get_object().bucket(&bucket.name).key(&request.key);
    let signed = object.presigned(expires).await.map_err(|error| bucket.call("GetObject").failure(&error))?;
    Ok(Body::Uploaded { uploaded: Uploaded { url: signed.uri().to_owned(), key: request.key.clone(), size } })
}

/// Removes objects, and the parts of those whose upload was killed.
pub(crate) async fn discard(request: &Discard, machine: Machine) -> Result<Body, Failure> {
    let (mut discarded, mut warnings, mut failed) = (Vec::new(), Vec::new(), None);
    if request.keys.is_empty() {
        return Ok(Body::Discarded { discarded, warnings });
    }
    let bucket =
        Bucket::find(&request.bucket, SignedIn::new(&request.settings, machine, NoRegion::AsksFirst).await?).await?;
    for key in &request.keys {
        if let Err(failure) = bucket.abort_all(key).await {
            warnings.push(format!("parts of {key} may be left, if its upload was killed: {}", failure.message));
        }
        match bucket.client.delete_object().bucket(&bucket.name).key(key).send().await {
            Ok(_) => discarded.push(key.clone()),
            Err(error) => failed = Some(bucket.call("DeleteObject").failure(&error)),
        }
    }
    failed.map_or(Ok(Body::Discarded { discarded, warnings }), Err)
}

impl Bucket {
    /// Finds out in which region it is, which need not be one of the settings.
    async fn find(name: &str, by: SignedIn) -> Result<Self, Failure> {
        let first = by.regions[0].clone();
        let at =
            |region: String| Self { name: name.to_owned(), client: client(&by, &region), region, timeout: by.timeout };
        let bucket = at(first);
        let found = match bucket.client.head_bucket().bucket(name).send().await {
            Ok(found) => found.bucket_region().map(str::to_owned),
            Err(SdkError::ServiceError(refused)) => {
                let (raw, error) = (refused.raw(), refused.err());
                if error.is_not_found() || raw.status().as_u16() == 404 {
                    return Err(bucket.call("HeadBucket").no_bucket(name));
                }
                // It may be enough to be allowed to write; else the next call is refused, and has words for it.
                raw.headers().get("x-amz-bucket-region").map(str::to_owned)
            }
            Err(error) => return Err(bucket.call("HeadBucket").failure(&error)),
        };
        Ok(match found {
            Some(region) if region != bucket.region => at(region),
            _ => bucket,
        })
    }

    fn call(&self, action: &'static str) -> Call<'_> {
        Call { service: Service::S3, action, region: &self.region, timeout: self.timeout }
    }

    async fn put(&self, key: &str, mut source: Source) -> Result<(), Failure> {
        let part = source.part(1)?;
        source.check()?;
        let put = self.client.put_object().bucket(&self.name).key(key);
        let put = put.checksum_sha256(part.sha256).body(ByteStream::from(part.bytes)).customize();
        let put = put.config_override(patient(self.timeout)).interceptor(Progress::default().of_call()).send().await;
        put.map(drop).map_err(|error| self.call("PutObject").failure(&error))
    }

    /// Puts an object in parts, of which nothing is left when that fails.
    async fn put_in_parts(&self, key: &str, source: Source) -> Result<(), Failure> {
        let created = self.client.create_multipart_upload().bucket(&self.name).key(key);
        let created = created.checksum_algorithm(ChecksumAlgorithm::Sha256).send().await;
        let created = created.map_err(|error| self.call("PutObject").failure(&error))?;
        let id = created.upload_id().unwrap_or_default();
        let put = self.put_parts(key, id, source).await;
        let Err(failure) = put else { return Ok(()) };
        match self.abort(key, id).await {
            Ok(()) => Err(failure),
            Err(abort) => {
                let message = format!("{}; parts of {key} are left: {}", failure.message, abort.message);
                Err(Failure { message, ..failure })
            }
        }
    }

    async fn put_parts(&self, key: &str, id: &str, mut source: Source) -> Result<(), Failure> {
        let (numbers, progress) = (1..=source.len.div_ceil(source.part_len), Progress::default());
        let mut sent = Vec::new();
        {
            let parts = stream::iter(numbers).map(|number| {
                let (part, progress) = (source.part(number), &progress);
                async move { self.put_part(key, id, part?, progress).await }
            });
            let mut parts = parts.buffered(PARTS_AT_ONCE);
            while let Some(part) = parts.try_next().await? {
                sent.push(part);
            }
        }
        source.check()?;
        let done = self.client.complete_multipart_upload().bucket(&self.name).key(key).upload_id(id);
        let done = done.multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(sent)).build());
        let done = done.customize().config_override(patient(self.timeout)).send().await;
        done.map(drop).map_err(|error| self.call("PutObject").failure(&error))
    }

    async fn put_part(&self, key: &str, id: &str, part: Part, progress: &Progress) -> Result<CompletedPart, Failure> {
        let Part { number, bytes, sha256 } = part;
        let put = self.client.upload_part().bucket(&self.name).key(key).upload_id(id).part_number(number);
        let put = put.checksum_sha256(&sha256).body(ByteStream::from(bytes)).customize();
        let put = put.config_override(patient(self.timeout)).interceptor(progress.of_call()).send().await;
        let put = put.map_err(|error| self.call("PutObject").failure(&error))?;
        let done = CompletedPart::builder().part_number(number).set_e_tag(put.e_tag).checksum_sha256(sha256);
        Ok(done.build())
    }

    async fn abort(&self, key: &str, id: &str) -> Result<(), Failure> {
        let abort = self.client.abort_multipart_upload().bucket(&self.name).key(key).upload_id(id).send().await;
        abort.map(drop).map_err(|error| self.call("AbortMultipartUpload").failure(&error))
    }

    /// Ends all uploads of an object that nobody ended.
    async fn abort_all(&self, key: &str) -> Result<(), Failure> {
        let uploads = self.client.list_multipart_uploads().bucket(&self.name).prefix(key).send().await;
        let uploads = uploads.map_err(|error| self.call("ListBucketMultipartUploads").failure(&error))?;
        for upload in uploads.uploads().iter().filter(|upload| upload.key() == Some(key)) {
            self.abort(key, upload.upload_id().unwrap_or_default()).await?;
        }
        Ok(())
    }
}

/// Where an endpoint is named, buckets have no names of their own in DNS.
fn client(by: &SignedIn, region: &str) -> Client {
    let is_named = by.config.endpoint_url().is_some() || Service::S3.endpoint().is_some();
    let config = Builder::from(&by.config).region(Region::new(region.to_owned())).force_path_style(is_named);
    Client::from_conf(config.build())
}

/// The settings of a call that sends much. A slow line takes a piece seldom enough to be thought stalled.
fn patient(timeout: Duration) -> Builder {
    let timeout = TimeoutConfig::builder().operation_timeout(timeout.max(PART_TIMEOUT)).build();
    Builder::default().timeout_config(timeout).stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

/// A file that is read once, from its start to its end.
struct Source {
    file: File,
    path: String,
    len: u64,
    part_len: u64,
    digest: Sha256,
    /// What it has to come to, in hexadecimal.
    expected: String,
}

struct Part {
    /// From 1.
    number: i32,
    bytes: Vec<u8>,
    /// In base64.
    sha256: String,
}

impl Source {
    fn open(request: &Upload) -> Result<Self, Failure> {
        let path = request.path.clone();
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = opened.map_err(|error| unreadable(&path, &error))?;
        if !metadata.is_file() {
            return Err(Failure::new(Code::BadRequest, format!("{path} is no file")));
        }
        let (len, expected) = (metadata.len(), request.sha256.to_lowercase());
        Ok(Self { file, path, len, part_len: part_len(len), digest: Sha256::new(), expected })
    }

    /// The next part: the one of this number.
    fn part(&mut self, number: u64) -> Result<Part, Failure> {
        let mut bytes = Vec::new();
        let read = (&self.file).take(self.part_len).read_to_end(&mut bytes);
        read.map_err(|error| unreadable(&self.path, &error))?;
        self.digest.update(&bytes);
        let sha256 = STANDARD.encode(Sha256::digest(&bytes));
        let number = i32::try_from(number).map_err(|_| Failure::new(Code::Internal, "there are too many parts"))?;
        Ok(Part { number, bytes, sha256 })
    }

    /// Whether all that was read is what was to be.
    fn check(&self) -> Result<(), Failure> {
        let digest = self.digest.clone().finalize();
        let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if found == self.expected {
            return Ok(());
        }
        let message = format!("{} has the SHA-256 {found}; expected {}", self.path, self.expected);
        Err(Failure::new(Code::BadRequest, message).with_hint("it was changed while it was read"))
    }
}

fn unreadable(path: &str, error: &io::Error) -> Failure {
    Failure::new(Code::BadRequest, format!("cannot read {path}: {error}"))
}

/// The length of all parts of an object but the last.
fn part_len(len: u64) -> u64 {
    PART_BYTES.max(len.div_ceil(PARTS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_object_has_more_parts_than_s3_takes() {
        for (len, expected) in
            [(0, PART_BYTES), (PART_BYTES, PART_BYTES), (PART_BYTES * PARTS_MAX, PART_BYTES), (5 << 40, 549_755_814)]
        {
            assert_eq!(part_len(len), expected);
            assert!(len.div_ceil(part_len(len)) <= PARTS_MAX, "{len}");
        }
    }
}
