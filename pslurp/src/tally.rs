//! What the work on a host came to, in words: equal for hosts with an equal result.
//!
//! Must not know hosts.

use fleet_core::outcome::{FailureClass, HostError, Stage};
use fleet_core::size;
use fleet_transfer::pull::Problem;

/// How many problems are told in the reason of a host's failure.
const TOLD: usize = 3;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) symlinks: u64,
    pub(crate) bytes: u64,
    /// Files that were here already.
    pub(crate) same: u64,
    /// Files that were removed on the host.
    pub(crate) removed: u64,
}

impl Tally {
    /// `12 files, 3.4 MB; 2 the same already`
    pub(crate) fn words(&self) -> String {
        let mut parts = Vec::new();
        if self.files > 0 {
            parts.push(plural(self.files, "file"));
        }
        if self.symlinks > 0 {
            parts.push(plural(self.symlinks, "symlink"));
        }
        if self.files > 0 {
            parts.push(size::shown(self.bytes));
        }
        let mut words = match (parts.is_empty(), self.same) {
            (false, 0) => parts.join(", "),
            (false, same) => format!("{}; {same} the same already", parts.join(", ")),
            (true, 0) => "nothing to fetch".to_owned(),
            (true, same) => format!("{} the same already", plural(same, "file")),
        };
        if self.removed > 0 {
            words.push_str(&format!("; {} removed there", self.removed));
        }
        words
    }
}

/// Why a host of which not all is here has failed; `None` when all that was asked for is.
pub(crate) fn incomplete(problems: &[Problem]) -> Option<HostError> {
    let failures: Vec<String> =
        problems.iter().filter(|problem| problem.is_failure()).map(ToString::to_string).collect();
    let message = match &failures[..] {
        [] => return None,
        [only] => only.clone(),
        many => {
            let told = many[..many.len().min(TOLD)].join("; ");
            let more = if many.len() > TOLD { "; ..." } else { "" };
            format!("{}: {told}{more}", plural(many.len() as u64, "problem"))
        }
    };
    Some(HostError::new(Stage::Command, FailureClass::Incomplete, message))
}

/// `1 file`, `2 files`
pub(crate) fn plural(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use fleet_transfer::pull::Matter;

    use super::*;

    #[test]
    fn a_result_counts_what_came_and_what_was_there() {
        for (tally, expected) in [
            (Tally::default(), "nothing to fetch"),
            (Tally { files: 1, bytes: 1, ..Tally::default() }, "1 file, 1 B"),
            (
                Tally { files: 2, symlinks: 1, bytes: 1500, same: 3, removed: 0 },
                "2 files, 1 symlink, 1.5 kB; 3 the same already",
            ),
            (Tally { symlinks: 2, ..Tally::default() }, "2 symlinks"),
            (Tally { same: 1, removed: 1, ..Tally::default() }, "1 file the same already; 1 removed there"),
        ] {
            assert_eq!(tally.words(), expected);
        }
    }

    #[test]
    fn only_what_was_asked_for_and_is_missing_is_a_failure() {
        let problem = |path: &str, matter| Problem { path: path.into(), matter };
        assert_eq!(incomplete(&[problem("/a", Matter::Grew { len: 1 }), problem("/b", Matter::NoFile)]), None);
        let many: Vec<Problem> = ["/a", "/b", "/c", "/d"].map(|path| problem(path, Matter::Unreadable)).into();
        let error = incomplete(&many).unwrap();
        assert_eq!(
            error.message,
            "4 problems: /a: it may not be read; /b: it may not be read; /c: it may not be read; ..."
        );
        assert_eq!(incomplete(&many[..1]).unwrap().message, "/a: it may not be read");
    }
}
