//! The values of settings: how each kind is read from the words of a line.
//!
//! Must not know which setting has which kind, nor what tokens in a value stand for.

use std::time::Duration;

use fleet_core::host::Host;

use super::algorithms::AlgorithmList;
use super::line::Line;

/// How a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `yes`, `no`, `true` or `false`.
    Flag,
    /// `yes` or `no`.
    YesNo,
    /// A flag, or one of the two protocol variants of public keys.
    PubkeyFlag,
    /// A number from 0.
    Number,
    /// A number from 1.
    Count,
    /// A number from 1 to 65535.
    Port,
    /// Seconds or a time such as `1h30m`, or `none`.
    Time,
    /// One word.
    Text,
    /// File names, or `none`.
    Files,
    /// Names and patterns of variables.
    EnvNames,
    /// Words `NAME=VALUE`.
    EnvValues,
    /// A list of algorithms, or a change to the default list.
    Algorithms,
    /// The rest of the line as it is, or `none`.
    Command,
    /// Jump hosts, first to last, or `none`.
    Jump,
    /// `any`, `inet` or `inet6`.
    AddressFamily,
    /// A flag, `ask`, `off` or `accept-new`.
    StrictHostKey,
}

/// What a line says, before tokens are expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Flag(bool),
    Number(u32),
    /// `None` leaves the setting to later lines, as in ssh(1).
    Time(Option<Duration>),
    Text(String),
    /// Empty for `none`.
    Words(Vec<String>),
    Algorithms(AlgorithmList),
    /// `None` for `none`.
    Command(Option<String>),
    /// Empty for `none`.
    Jump(Vec<Host>),
    AddressFamily(AddressFamily),
    StrictHostKey(StrictHostKey),
}

/// Which addresses of a name are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AddressFamily {
    /// IPv4 and IPv6.
    #[default]
    Any,
    /// IPv4 only.
    Inet,
    /// IPv6 only.
    Inet6,
}

/// What to do with a host key that is not in known_hosts. A changed key is always refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StrictHostKey {
    /// Refuse it.
    Yes,
    /// Ask, where somebody can be asked; ssh(1)'s default.
    #[default]
    Ask,
    /// Take it and remember it.
    AcceptNew,
    /// Take any key.
    Off,
}

/// What was expected of a value and what stood there; nothing when that is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) expected: &'static str,
    pub(super) found: String,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadLine {
    Quote(&'static str),
    Value(Mismatch),
}

impl Value {
    /// Reads the argument of `line`.
    pub(super) fn read(kind: Kind, line: Line<'_>) -> Result<Self, BadLine> {
        let words = line.words().map_err(BadLine::Quote)?;
        Self::from_words(kind, line, words).map_err(BadLine::Value)
    }

    fn from_words(kind: Kind, line: Line<'_>, words: Vec<String>) -> Result<Self, Mismatch> {
        Ok(match kind {
            Kind::Command => return command(line.argument),
            Kind::Jump => return jump(line.argument),
            Kind::Files => return files(words),
            Kind::EnvNames => {
                Self::Words(each(words, "names of variables, without values", |word| !word.contains('='))?)
            }
            Kind::EnvValues => Self::Words(each(words, "NAME=VALUE", |word| word.contains('='))?),
            Kind::Text => Self::Text(one(words, "one word")?),
            Kind::Time => time(&one(words, TIME)?)?,
            Kind::Number => Self::Number(number(&one(words, "a number")?, 0..=i32::MAX as u32, "a number")?),
            Kind::Count => Self::Number(number(&one(words, COUNT)?, 1..=i32::MAX as u32, COUNT)?),
            Kind::Port => Self::Number(number(&one(words, PORT)?, 1..=65_535, PORT)?),
            Kind::Algorithms => Self::Algorithms(AlgorithmList::new(&one(words, "names of algorithms")?)),
            Kind::Flag => Self::Flag(choice(words, "yes or no", &FLAGS)?),
            Kind::YesNo => Self::Flag(choice(words, "yes or no", &FLAGS[..2])?),
            Kind::PubkeyFlag => Self::Flag(choice(words, "yes, no, unbound or host-bound", &PUBKEY_FLAGS)?),
            Kind::AddressFamily => Self::AddressFamily(choice(words, "any, inet or inet6", &ADDRESS_FAMILIES)?),
            Kind::StrictHostKey => {
                Self::StrictHostKey(choice(words, "yes, no, off, ask or accept-new", &STRICT_HOST_KEYS)?)
            }
        })
    }
}

const TIME: &str = "a time such as 30, 90s or 1h30m";
const PORT: &str = "a port from 1 to 65535";
const COUNT: &str = "a number from 1";
const JUMP: &str = "[user@]host[:port] between commas, or none";

const FLAGS: [(&str, bool); 4] = [("yes", true), ("no", false), ("true", true), ("false", false)];

const PUBKEY_FLAGS: [(&str, bool); 6] =
    [("yes", true), ("no", false), ("true", true), ("false", false), ("unbound", true), ("host-bound", true)];

const ADDRESS_FAMILIES: [(&str, AddressFamily); 3] =
    [("any", AddressFamily::Any), ("inet", AddressFamily::Inet), ("inet6", AddressFamily::Inet6)];

const STRICT_HOST_KEYS: [(&str, StrictHostKey); 7] = [
    ("yes", StrictHostKey::Yes),
    ("true", StrictHostKey::Yes),
    ("no", StrictHostKey::Off),
    ("false", StrictHostKey::Off),
    ("off", StrictHostKey::Off),
    ("ask", StrictHostKey::Ask),
    ("accept-new", StrictHostKey::AcceptNew),
];

/// The only word of a line.
fn one(words: Vec<String>, expected: &'static str) -> Result<String, Mismatch> {
    match <[String; 1]>::try_from(words) {
        Ok([word]) if !word.is_empty() => Ok(word),
        Ok(_) => Err(Mismatch { expected, found: String::new() }),
        Err(words) => Err(Mismatch { expected, found: words.join(" ") }),
    }
}

fn each(words: Vec<String>, expected: &'static str, fits: impl Fn(&str) -> bool) -> Result<Vec<String>, Mismatch> {
    match words.iter().find(|word| word.is_empty() || !fits(word)) {
        Some(word) => Err(Mismatch { expected, found: word.clone() }),
        None => Ok(words),
    }
}

fn choice<T: Copy>(words: Vec<String>, expected: &'static str, choices: &[(&str, T)]) -> Result<T, Mismatch> {
    let word = one(words, expected)?;
    let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(&word));
    found.map(|&(_, value)| value).ok_or(Mismatch { expected, found: word })
}

fn number(word: &str, range: std::ops::RangeInclusive<u32>, expected: &'static str) -> Result<u32, Mismatch> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    let number = word.parse().ok().filter(|number| digits && range.contains(number));
    number.ok_or_else(|| Mismatch { expected, found: word.to_owned() })
}

/// Reads a time of sshd_config(5), TIME FORMATS: numbers of seconds or with one of the units `s m h d w`, added up.
fn time(word: &str) -> Result<Value, Mismatch> {
    if word == "none" {
        return Ok(Value::Time(None));
    }
    let mismatch = || Mismatch { expected: TIME, found: word.to_owned() };
    let (mut total, mut rest) = (0_u32, word);
    while !rest.is_empty() {
        let (digits, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let (unit, tail) = match tail.chars().next().map(|unit| unit.to_ascii_lowercase()) {
            None => (1, tail),
            Some('s') => (1, &tail[1..]),
            Some('m') => (60, &tail[1..]),
            Some('h') => (3_600, &tail[1..]),
            Some('d') => (86_400, &tail[1..]),
            Some('w') => (604_800, &tail[1..]),
            Some(_) => return Err(mismatch()),
        };
        let seconds = digits.parse::<u32>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(mismatch)?;
        total = total.checked_add(seconds).filter(|&total| i32::try_from(total).is_ok()).ok_or_else(mismatch)?;
        rest = tail;
    }
    Ok(Value::Time(Some(Duration::from_secs(total.into()))))
}

fn files(words: Vec<String>) -> Result<Value, Mismatch> {
    const EXPECTED: &str = "file names, or none alone";
    let none = words.iter().any(|word| word.eq_ignore_ascii_case("none"));
    if words.is_empty() || (none && words.len() > 1) {
        return Err(Mismatch { expected: EXPECTED, found: words.join(" ") });
    }
    Ok(Value::Words(if none { Vec::new() } else { each(words, EXPECTED, |_| true)? }))
}

fn command(argument: &str) -> Result<Value, Mismatch> {
    let command = argument.trim_start_matches([' ', '\t', '=']);
    if command.is_empty() {
        return Err(Mismatch { expected: "a command, or none", found: String::new() });
    }
    Ok(Value::Command((!command.eq_ignore_ascii_case("none")).then(|| command.to_owned())))
}

/// Reads jump hosts, an IPv6 address among them in brackets. Quotes around the whole are dropped: ssh(1) hands the text
/// to a shell, which drops them too.
fn jump(argument: &str) -> Result<Value, Mismatch> {
    let text = argument.trim_start_matches([' ', '\t', '=']);
    let text = text.split_once('#').map_or(text, |(before, _)| before).trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if text.eq_ignore_ascii_case("none") {
        return Ok(Value::Jump(Vec::new()));
    }
    let hop = |hop: &str| {
        let hop = hop.trim();
        let bare = hop.strip_prefix("ssh://").map_or(hop, |uri| uri.trim_end_matches('/'));
        let name = bare.rsplit_once('@').map_or(bare, |(_, name)| name);
        let bare_address = !name.starts_with('[') && name.matches(':').count() > 1;
        let host = bare.parse::<Host>().ok().filter(|_| !bare_address);
        host.ok_or_else(|| Mismatch { expected: JUMP, found: hop.to_owned() })
    };
    Ok(Value::Jump(text.split(',').map(hop).collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, argument: &str) -> Result<Value, BadLine> {
        Value::read(kind, Line { keyword: "Keyword", argument })
    }

    #[test]
    fn times_are_seconds_or_units_added_up() {
        for (text, seconds) in [
            ("30", Some(30)),
            ("0", Some(0)),
            ("1m", Some(60)),
            ("1h30m", Some(5_400)),
            ("1H30", Some(3_630)),
            ("1w2d", Some(777_600)),
            ("none", None),
        ] {
            assert_eq!(read(Kind::Time, text), Ok(Value::Time(seconds.map(Duration::from_secs))), "{text}");
        }
        for text in ["", "m", "1x", "-1", "1.5", "9999999999", "99999w", "1m 2s"] {
            assert!(matches!(read(Kind::Time, text), Err(BadLine::Value(_))), "{text}");
        }
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_with_what_was_expected() {
        for (kind, argument, found) in [
            (Kind::Port, "0", "0"),
            (Kind::Port, "65536", "65536"),
            (Kind::Port, "+22", "+22"),
            (Kind::Port, "22 23", "22 23"),
            (Kind::Port, "\"\"", ""),
            (Kind::Count, "0", "0"),
            (Kind::Flag, "maybe", "maybe"),
            (Kind::YesNo, "true", "true"),
            (Kind::StrictHostKey, "sure", "sure"),
            (Kind::AddressFamily, "ipv4", "ipv4"),
            (Kind::Text, "a b", "a b"),
            (Kind::Text, "# none", ""),
            (Kind::Files, "a none", "a none"),
            (Kind::EnvNames, "A=1", "A=1"),
            (Kind::EnvValues, "A", "A"),
            (Kind::Jump, "a,,b", ""),
            (Kind::Jump, "a:ssh", "a:ssh"),
            (Kind::Jump, "@a", "@a"),
            (Kind::Jump, "::1", "::1"),
            (Kind::Command, "=", ""),
        ] {
            match read(kind, argument) {
                Err(BadLine::Value(mismatch)) => assert_eq!(mismatch.found, found, "{argument}"),
                other => panic!("{argument}: {other:?}"),
            }
        }
        assert!(matches!(read(Kind::Text, "\"a"), Err(BadLine::Quote(_))));
    }

    #[test]
    fn jump_hosts_are_read_in_every_form() {
        for (argument, hops) in [
            ("a", "a"),
            ("me@a:2222,b", "me@a:2222 b"),
            ("ssh://me@a:22/", "me@a:22"),
            ("[::1]:22", "[::1]:22"),
            ("a, b # through both", "a b"),
            ("\"a,b\"", "a b"),
            ("none", ""),
            ("NONE # direct", ""),
        ] {
            let Ok(Value::Jump(found)) = read(Kind::Jump, argument) else { panic!("{argument}") };
            let found: Vec<String> = found.iter().map(Host::to_string).collect();
            assert_eq!(found.join(" "), hops, "{argument}");
        }
    }

    #[test]
    fn a_command_is_the_rest_of_the_line_as_it_is() {
        let command = "nc  -X 5 \"%h\" '%p' # all of it";
        assert_eq!(read(Kind::Command, command), Ok(Value::Command(Some(command.to_owned()))));
        assert_eq!(read(Kind::Command, "None"), Ok(Value::Command(None)));
        assert!(matches!(read(Kind::Command, "nc \"%h"), Err(BadLine::Quote(_))));
    }
}
