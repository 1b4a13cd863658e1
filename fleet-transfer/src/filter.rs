//! `--exclude` and `--include`: which of the names below a source are copied.
//!
//! The rules are rsync's where rsync's are simple. Names to a verdict: must not know files.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{Candidate, GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};

/// What becomes of a name that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is copied.
    Include,
    /// It is not; of a folder, nothing that is in it either.
    Exclude,
}

/// A pattern as it was typed, which is also how it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    /// Of `--exclude`.
    Exclude(String),
    /// Of `--include`.
    Include(String),
}

/// What a name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A folder.
    Folder,
    /// Anything else.
    Other,
}

/// Rules in the order in which they were given: the first that matches decides, and what none matches is copied.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    action: Action,
    matcher: GlobMatcher,
    compared: Compared,
    applies_to: AppliesTo,
}

/// What of a path a pattern is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    LastComponent,
    WholePath,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AppliesTo {
    Everything,
    Folders,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// There is nothing to match.
    #[error("the pattern \"{pattern}\" names nothing; expected a name, as in *.tmp or /cache/")]
    Empty {
        /// As typed.
        pattern: String,
    },
    /// `**` next to something else.
    #[error(
        "\"**\" stands for whole folders in the pattern \"{pattern}\"; expected it alone between slashes, as in a/**/b"
    )]
    Stars {
        /// As typed.
        pattern: String,
    },
    /// It is malformed.
    #[error("{problem} in the pattern \"{pattern}\"; expected *, ?, [a-c], {{a,b}} or **/")]
    Glob {
        /// As typed.
        pattern: String,
        /// What is wrong.
        problem: String,
    },
}

impl Pattern {
    /// What it asks of [`Filter::new`].
    #[must_use]
    pub fn rule(&self) -> (Action, &str) {
        match self {
            Self::Exclude(text) => (Action::Exclude, text),
            Self::Include(text) => (Action::Include, text),
        }
    }

    /// What it excludes, if it is of that kind.
    #[must_use]
    pub fn excluded(&self) -> Option<&str> {
        match self {
            Self::Exclude(text) => Some(text),
            Self::Include(_) => None,
        }
    }
}

impl Filter {
    /// Reads the patterns.
    ///
    /// Without a slash, a pattern is compared with the last component of a path, wherever that is; with one, with the
    /// end of the path, in whole components; with a leading slash, with the whole path from the top of what is copied.
    /// A trailing slash means folders only. `*` and `?` match no slash, `**` as a component any number of components.
    ///
    /// # Errors
    /// At the first pattern that is none.
    pub fn new<'a>(rules: impl IntoIterator<Item = (Action, &'a str)>) -> Result<Self, FilterError> {
        let rules = rules.into_iter().map(|(action, pattern)| Rule::read(action, pattern));
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    /// What becomes of `path`, relative to the top of what is copied.
    #[must_use]
    pub fn verdict(&self, path: &Path, named: Named) -> Action {
        let whole = Candidate::from_bytes(path.as_os_str().as_bytes());
        let last = Candidate::from_bytes(path.file_name().unwrap_or_default().as_bytes());
        let decides = |rule: &&Rule| {
            let candidate = match rule.compared {
                Compared::LastComponent => &last,
                Compared::WholePath => &whole,
            };
            (rule.applies_to == AppliesTo::Everything || named == Named::Folder)
                && rule.matcher.is_match_candidate(candidate)
        };
        self.rules.iter().find(decides).map_or(Action::Include, |rule| rule.action)
    }
}

impl Rule {
    fn read(action: Action, text: &str) -> Result<Self, FilterError> {
        let (pattern, applies_to) = match text.strip_suffix('/') {
            Some(pattern) => (pattern, AppliesTo::Folders),
            None => (text, AppliesTo::Everything),
        };
        let (pattern, compared) = match pattern.strip_prefix('/') {
            Some(anchored) => (anchored.to_owned(), Compared::WholePath),
            None if pattern.contains('/') => (format!("**/{pattern}"), Compared::WholePath),
            None => (pattern.to_owned(), Compared::LastComponent),
        };
        if pattern.split('/').any(str::is_empty) {
            return Err(FilterError::Empty { pattern: text.to_owned() });
        }
        if pattern.split('/').any(|component| component != "**" && component.contains("**")) {
            return Err(FilterError::Stars { pattern: text.to_owned() });
        }
        let glob = GlobBuilder::new(&pattern).literal_separator(true).backslash_escape(true).build();
        let glob =
            glob.map_err(|error| FilterError::Glob { pattern: text.to_owned(), problem: error.kind().to_string() })?;
        Ok(Self { action, matcher: glob.compile_matcher(), compared, applies_to })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn excluded(rules: &[(Action, &str)], path: &Path) -> bool {
        let named = if path.as_os_str().as_bytes().ends_with(b"/") { Named::Folder } else { Named::Other };
        let path: std::path::PathBuf = path.components().collect();
        Filter::new(rules.iter().copied()).unwrap().verdict(&path, named) == Action::Exclude
    }

    /// Paths that end in a slash are folders.
    #[test]
    fn a_pattern_excludes_what_it_describes() {
        for (pattern, out, kept) in [
            ("*.tmp", "x.tmp a/b/x.tmp x.tmp/ .tmp", "x.tmpl a.tmp/x"),
            ("cache", "cache a/cache cache/", "cache2 a/cache/x"),
            ("cache/", "cache/ a/cache/", "cache a/cache"),
            ("/cache", "cache cache/", "a/cache"),
            ("/conf/*.d/", "conf/x.d/", "conf/x.d a/conf/x.d/ conf/y/x.d/"),
            ("a/b", "a/b x/a/b", "a/b/c xa/b a/x/b b"),
            ("a/*", "a/b x/a/b", "a/b/c a"),
            ("/a/**", "a/b a/b/c", "a x/a/b"),
            ("/a/**/z", "a/z a/b/c/z", "z a/z/b"),
            ("**/z", "z a/z a/b/z", "az"),
            ("**", "a a/b", ""),
            ("x?", "x1 a/xy", "x x12"),
            ("[a-c].[!o]", "a.x c.y", "d.x a.o"),
            ("*.{o,a}", "x.o y/z.a", "x.c"),
            ("a\\*", "a*", "ab"),
            ("x.", "x. a/x.", "x"),
        ] {
            for (paths, expected) in [(out, true), (kept, false)] {
                for path in paths.split_whitespace() {
                    assert_eq!(
                        excluded(&[(Action::Exclude, pattern)], Path::new(path)),
                        expected,
                        "{pattern} on {path}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        use Action::{Exclude, Include};
        for (rules, path, expected) in [
            (&[][..], "a", false),
            (&[(Include, "*.conf"), (Exclude, "*")][..], "a.conf", false),
            (&[(Include, "*.conf"), (Exclude, "*")], "a.txt", true),
            (&[(Exclude, "*"), (Include, "*.conf")], "a.conf", true),
            (&[(Include, "*/"), (Include, "*.conf"), (Exclude, "*")], "d/", false),
            (&[(Include, "*/"), (Include, "*.conf"), (Exclude, "*")], "d", true),
        ] {
            assert_eq!(excluded(rules, Path::new(path)), expected, "{rules:?} on {path}");
        }
    }

    #[test]
    fn names_may_be_any_bytes() {
        let name = Path::new(OsStr::from_bytes(b"d\xff/x\xfe\n.tmp"));
        assert!(excluded(&[(Action::Exclude, "*.tmp")], name));
        assert!(excluded(&[(Action::Exclude, "/d?/x*")], name));
        assert!(!excluded(&[(Action::Exclude, "*.tm")], name));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_what_was_expected() {
        for (pattern, message) in [
            ("", "the pattern \"\" names nothing; expected a name, as in *.tmp or /cache/"),
            ("/", "the pattern \"/\" names nothing; expected a name, as in *.tmp or /cache/"),
            ("a//b", "the pattern \"a//b\" names nothing; expected a name, as in *.tmp or /cache/"),
            (
                "a**",
                "\"**\" stands for whole folders in the pattern \"a**\"; expected it alone between slashes, as in a/**/b",
            ),
            ("[a", "unclosed character class; missing ']' in the pattern \"[a\"; expected *, ?, [a-c], {a,b} or **/"),
        ] {
            let error = Filter::new([(Action::Exclude, pattern)]).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
