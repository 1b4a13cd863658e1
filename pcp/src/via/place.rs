//! Where `--via` keeps its object: `s3://BUCKET/PREFIX`.
//!
//! Must not know what is kept.

use std::str::FromStr;

/// S3's limit for the name of an object is 1024 bytes; the rest is for our part of it.
const PREFIX_MAX_BYTES: usize = 900;

/// Where the object is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) bucket: String,
    /// Empty, or with a slash at its end.
    pub(super) prefix: String,
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
