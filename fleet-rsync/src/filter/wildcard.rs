//! Wildcards of patterns.
//!
//! | in a pattern | matches |
//! | --- | --- |
//! | `?` | one byte, but no `/` |
//! | `*` | any bytes, but no `/` |
//! | `**` (or more) | any bytes |
//! | `[a-c_]`, `[!a-c]`, `[^a-c]`, `[[:digit:]]` | one byte of a set or not of it, but no `/` |
//! | `\` and a byte | that byte |
//!
//! A set that is not closed, or that has a class nobody knows, matches nothing, and so does the whole.
//!
//! Time is bounded by pattern × text²: no pattern is exponential. Bytes, not characters.
//!
//! Knows nothing of rules.

/// A pattern, read.
#[derive(Clone, Debug)]
pub(super) struct Wildcard(Box<[Token]>);

#[derive(Clone, Debug)]
enum Token {
    Byte(u8),
    /// Any byte but `/`.
    One,
    /// `*`
    Some,
    /// `**`
    All,
    Set(Box<Set>),
    Never,
}

/// Bytes, one bit each.
#[derive(Clone, Debug, Default)]
struct Set([u64; 4]);

impl Set {
    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn remove(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] &= !(1 << (byte & 63));
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }
}

impl Wildcard {
    /// Reads a pattern.
    pub(super) fn new(mut pattern: &[u8]) -> Self {
        let mut tokens = Vec::new();
        while let Some((&first, rest)) = pattern.split_first() {
            pattern = rest;
            tokens.push(match first {
                b'?' => Token::One,
                b'*' => {
                    let more = pattern.iter().take_while(|&&byte| byte == b'*').count();
                    pattern = &pattern[more..];
                    if more == 0 { Token::Some } else { Token::All }
                }
                b'[' => match set(pattern) {
                    Some((set, rest)) => {
                        pattern = rest;
                        Token::Set(Box::new(set))
                    }
                    None => Token::Never,
                },
                b'\\' => match pattern.split_first() {
                    Some((&escaped, rest)) => {
                        pattern = rest;
                        Token::Byte(escaped)
                    }
                    None => Token::Never,
                },
                byte => Token::Byte(byte),
            });
        }
        Self(tokens.into())
    }

    /// Whether the whole of `text` matches.
    ///
    /// The first match of what stands behind a star is as good as any other that reaches as far, so only the last `*` and
    /// the last `**` can have to take more.
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        let (mut token, mut at) = (0, 0);
        // Behind which token and at which byte to go on, if the last star takes one byte more.
        let mut some: Option<(usize, usize)> = None;
        let mut all: Option<(usize, usize)> = None;
        loop {
            match self.0.get(token) {
                Some(Token::Some) => {
                    token += 1;
                    some = Some((token, at));
                    continue;
                }
                Some(Token::All) => {
                    token += 1;
                    (some, all) = (None, Some((token, at)));
                    continue;
                }
                Some(single) if text.get(at).is_some_and(|&byte| single.is(byte)) => {
                    (token, at) = (token + 1, at + 1);
                    continue;
                }
                None if at == text.len() => return true,
                _ => {}
            }
            if let Some((behind, from)) = some.filter(|&(_, from)| text.get(from).is_some_and(|&byte| byte != b'/')) {
                (token, at) = (behind, from + 1);
                some = Some((token, at));
            } else if let Some((behind, from)) = all.filter(|&(_, from)| from < text.len()) {
                (token, at) = (behind, from + 1);
                (some, all) = (None, Some((token, at)));
            } else {
                return false;
            }
        }
    }
}

impl Token {
    fn is(&self, byte: u8) -> bool {
        match self {
            Self::Byte(own) => *own == byte,
            Self::One => byte != b'/',
            Self::Set(set) => set.has(byte),
            Self::Some | Self::All | Self::Never => false,
        }
    }
}

/// A set up to its `]`, and what is behind it.
fn set(mut pattern: &[u8]) -> Option<(Set, &[u8])> {
    let mut set = Set::default();
    let others = matches!(pattern.first(), Some(b'!' | b'^'));
    if others {
        pattern = &pattern[1..];
    }
    let mut previous = None;
    let mut begins = true;
    loop {
        let (&first, rest) = pattern.split_first()?;
        pattern = rest;
        let is_first = std::mem::replace(&mut begins, false);
        match (first, previous) {
            (b']', _) if !is_first => break,
            (b'-', Some(low)) if pattern.first().is_some_and(|&next| next != b']') => {
                let high = byte(&mut pattern)?;
                (low..=high).for_each(|byte| set.add(byte));
                previous = None;
            }
            (b'[', _) if pattern.first() == Some(&b':') => match class(pattern) {
                Some((name, rest)) => {
                    let class = class_of(name)?;
                    (0..=u8::MAX).filter(class).for_each(|byte| set.add(byte));
                    pattern = rest;
                    previous = None;
                }
                None => {
                    set.add(b'[');
                    previous = Some(b'[');
                }
            },
            _ => {
                let byte = if first == b'\\' { byte_escaped(&mut pattern)? } else { first };
                set.add(byte);
                previous = Some(byte);
            }
        }
    }
    if others {
        set.0.iter_mut().for_each(|bits| *bits = !*bits);
    }
    set.remove(b'/');
    Some((set, pattern))
}

/// The end of a range.
fn byte(pattern: &mut &[u8]) -> Option<u8> {
    let (&first, rest) = pattern.split_first()?;
    *pattern = rest;
    if first == b'\\' { byte_escaped(pattern) } else { Some(first) }
}

fn byte_escaped(pattern: &mut &[u8]) -> Option<u8> {
    let (&escaped, rest) = pattern.split_first()?;
    *pattern = rest;
    Some(escaped)
}

/// The name in `:name:]`, and what is behind it.
fn class(pattern: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = pattern.iter().position(|&byte| byte == b']')?;
    let name = pattern[..end].strip_prefix(b":")?.strip_suffix(b":")?;
    Some((name, &pattern[end + 1..]))
}

fn class_of(name: &[u8]) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |byte| matches!(byte, b' ' | b'\t'..=b'\r'),
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wildcards_match_as_the_table_says() {
        let cases: [(&str, &[&str], &[&str]); 14] = [
            ("a?c", &["abc", "a]c"], &["ac", "a/c", "abbc"]),
            ("a*c", &["ac", "abbc", "acc"], &["a/c", "acb", "xac"]),
            ("a**c", &["ac", "a/c", "a/b/c", "abcc"], &["a/b", "b/c"]),
            ("a***c", &["ac", "a/b/c"], &["a/b"]),
            ("*a**b*", &["ab", "xa/y/zb", "a/b/bb"], &["a/bx/", "x/ab"]),
            ("[a-c]x", &["ax", "cx"], &["dx", "-x", "x"]),
            ("[!a-c]x", &["dx"], &["ax", "/x"]),
            ("[]x-]", &["]", "x", "-"], &["y", "[]x-]"]),
            ("[[:digit:]a]", &["5", "a"], &["b", "5]"]),
            ("[[:none:]a]", &[], &["a", "[", ":"]),
            ("[[:alpha]", &["[", ":", "h"], &["z"]),
            ("[a", &[], &["[a", "a"]),
            ("\\*\\a\\", &[], &["*a", "*a\\"]),
            ("\\*\\a", &["*a"], &["xa", "\\*\\a"]),
        ];
        for (pattern, matching, others) in cases {
            let wildcard = Wildcard::new(pattern.as_bytes());
            matching.iter().for_each(|text| assert!(wildcard.matches(text.as_bytes()), "{pattern} and {text}"));
            others.iter().for_each(|text| assert!(!wildcard.matches(text.as_bytes()), "{pattern} and {text}"));
        }
    }

    /// The definition, tried in all ways.
    fn slow(pattern: &[Token], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((Token::All, rest)) => (0..=text.len()).any(|taken| slow(rest, &text[taken..])),
            Some((Token::Some, rest)) => {
                (0..=text.len()).take_while(|&n| !text[..n].contains(&b'/')).any(|taken| slow(rest, &text[taken..]))
            }
            Some((token, rest)) => text.split_first().is_some_and(|(&byte, text)| token.is(byte) && slow(rest, text)),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn stars_take_what_lets_the_rest_match(pattern in "[ab/*]{0,8}", text in "[ab/]{0,10}") {
            let wildcard = Wildcard::new(pattern.as_bytes());
            prop_assert_eq!(wildcard.matches(text.as_bytes()), slow(&wildcard.0, text.as_bytes()));
        }
    }

    #[test]
    fn many_stars_are_not_exponential() {
        let pattern = b"a**".repeat(200);
        assert!(!Wildcard::new(&[&pattern[..], b"b"].concat()).matches(&b"a".repeat(1000)));
    }
}
