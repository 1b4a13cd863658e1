//! An error and what it was caused by.
//!
//! Must not know which errors there are.

use std::error::Error;
use std::iter::successors;

/// The causes of `error`, the nearest first.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(error.source(), |&cause| cause.source())
}

/// `error` and its causes in one line, as a fragment of a host's failure.
#[must_use]
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    causes(error).fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer {
        source: Inner,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("inner")]
    struct Inner {
        source: std::fmt::Error,
    }

    #[test]
    fn all_causes_come_the_nearest_first() {
        let error = Outer { source: Inner { source: std::fmt::Error } };
        assert_eq!(in_one_line(&error), format!("outer: inner: {}", std::fmt::Error));
        assert_eq!(in_one_line(&std::fmt::Error), std::fmt::Error.to_string());
    }
}
