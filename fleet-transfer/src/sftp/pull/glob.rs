//! Patterns of names, as the shell has them (POSIX.1-2017, XCU 2.13): `*`, `?`, `[a-z]`, `[!a]`, and `\` before any of them.
//!
//! Bytes to bytes: must not know folders.

/// Whether a part of a path is a pattern.
pub(super) fn is_pattern(part: &[u8]) -> bool {
    part.iter().any(|b| matches!(b, b'*' | b'?' | b'['))
}

/// A part of a path that is no pattern, without its backslashes.
pub(super) fn literal(part: &[u8]) -> Vec<u8> {
    let mut bytes = part.iter();
    let mut plain = Vec::with_capacity(part.len());
    while let Some(&byte) = bytes.next() {
        plain.push(if byte == b'\\' { *bytes.next().unwrap_or(&byte) } else { byte });
    }
    plain
}

/// Whether `name`, which holds no slash, is one of those that `pattern` means. A point at its start must be written.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && !literal(pattern).starts_with(b".") {
        return false;
    }
    let (mut at, mut from) = (0, 0);
    // Behind the last star, and how much of the name it has taken: only that one can have to take more.
    let mut star: Option<(usize, usize)> = None;
    while from < name.len() {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            star = Some((at, from));
            continue;
        }
        match one(&pattern[at..], name[from]) {
            Some(len) => (at, from) = (at + len, from + 1),
            None => match &mut star {
                Some((behind, taken)) => {
                    *taken += 1;
                    (at, from) = (*behind, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|b| *b == b'*')
}

/// How long the beginning of `pattern` is that means `byte`.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (escaped == byte).then_some(2),
        [b'[', ref rest @ ..] => match set(rest, byte) {
            Some((holds, len)) => holds.then_some(1 + len),
            None => (byte == b'[').then_some(1),
        },
        [first, ..] => (first == byte).then_some(1),
    }
}

/// Whether a set holds `byte`, and how long it is; `None` when it has no end, and so is none.
fn set(rest: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    let start = usize::from(negated);
    let mut at = start;
    let mut holds = false;
    loop {
        let first = match *rest.get(at)? {
            b']' if at > start => return Some((holds != negated, at + 1)),
            b'\\' => {
                at += 1;
                *rest.get(at)?
            }
            first => first,
        };
        at += 1;
        let last = match rest.get(at..at + 2) {
            Some([b'-', last]) if *last != b']' => {
                at += 2;
                *last
            }
            _ => first,
        };
        holds |= (first..=last).contains(&byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_to_a_shell() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("*", ".a", false),
            (".*", ".a", true),
            ("\\.*", ".a", true),
            ("[.]a", ".a", false),
            ("*.log", "a.log", true),
            ("*.log", "a.log.1", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?", "ab", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[!a-c]x", "dx", true),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            ("[\\]]", "]", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a", "a", true),
            ("", "", true),
            ("**", "", true),
            ("a", "", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
        assert!(matches(b"a?c", b"a\xffc"));
        assert_eq!(literal(b"a\\*b\\"), b"a*b\\");
        assert!(is_pattern(b"a[1]") && !is_pattern(b"a.b"));
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = b"*a".repeat(50);
        assert!(!matches(&pattern, &[b'b'; 4000]) && !matches(&[&pattern[..], b"c"].concat(), &[b'a'; 4000]));
    }
}
