//! The conditions of `Match`: how they are written. Whether they hold for a host is for the evaluation to say.
//!
//! Must not know any host.

use super::error::Place;
use super::line::Line;
use super::notice::{Notice, NoticeKind, Origin};
use super::value::{BadLine, Mismatch};
use crate::pattern::PatternList;

/// One condition.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Criterion {
    pub(super) expected: Expected,
    pub(super) test: Test,
}

/// Which result of the test fulfils a condition; `!` in front asks for the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    True,
    False,
}

/// What is tested.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Test {
    All,
    Final,
    Canonical,
    Host(PatternList),
    OriginalHost(PatternList),
    User(PatternList),
    LocalUser(PatternList),
    /// `None` asks for no tag.
    Tagged(Option<PatternList>),
    Exec(String),
    Unsupported(Box<Notice>),
}

const EXPECTED: &str =
    "conditions: all, final, canonical, or one of host, originalhost, user, localuser, tagged and exec with its value";

impl Criterion {
    /// Whether its mere presence makes ssh(1) read the files a second time.
    pub(super) fn wants_final_pass(&self) -> bool {
        self.test == Test::Final && self.expected == Expected::True
    }
}

/// Reads the conditions of a `Match` line.
pub(super) fn read_criteria(line: Line<'_>, place: &Place, origin: Origin) -> Result<Vec<Criterion>, BadLine> {
    let words = line.words().map_err(BadLine::Quote)?;
    let mismatch = |found: &str| BadLine::Value(Mismatch { expected: EXPECTED, found: found.to_owned() });
    let mut criteria = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (expected, attribute) = match word.strip_prefix('!') {
            Some(attribute) => (Expected::False, attribute),
            None => (Expected::True, word.as_str()),
        };
        let (name, value) = match attribute.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (attribute, None),
        };
        let name = name.to_ascii_lowercase();
        let test = match (name.as_str(), value) {
            ("all", None) if criteria.len() > 1 || words.len() > 0 => return Err(mismatch(line.argument)),
            ("all", None) => Test::All,
            ("final", None) => Test::Final,
            ("canonical", None) => Test::Canonical,
            _ => {
                let value = value.or_else(|| words.next().map(String::as_str)).ok_or_else(|| mismatch(word))?;
                let notice = || Notice {
                    keyword: name.clone(),
                    kind: NoticeKind::UnsupportedMatch,
                    place: place.clone(),
                    origin,
                };
                test_with_value(&name, value, notice).ok_or_else(|| mismatch(word))?
            }
        };
        criteria.push(Criterion { expected, test });
    }
    if criteria.is_empty() { Err(mismatch("")) } else { Ok(criteria) }
}

fn test_with_value(name: &str, value: &str, notice: impl FnOnce() -> Notice) -> Option<Test> {
    // Host names are compared without regard to case.
    let host_names = || PatternList::from_commas(&value.to_ascii_lowercase());
    let names = || PatternList::from_commas(value);
    Some(match name {
        "tagged" => Test::Tagged((!value.is_empty()).then(names)),
        "command" | "localnetwork" | "sessiontype" | "version" => Test::Unsupported(Box::new(notice())),
        _ if value.is_empty() => return None,
        "host" => Test::Host(host_names()),
        "originalhost" => Test::OriginalHost(host_names()),
        "user" => Test::User(names()),
        "localuser" => Test::LocalUser(names()),
        "exec" => Test::Exec(value.to_owned()),
        _ => return None,
    })
}
