//! The patterns of ssh_config(5) and known_hosts: `*`, `?`, and comma-separated lists with `!`.
//!
//! Must not know what is matched: host names, users and algorithm names all look the same here.

/// Whether `text` matches `pattern`, where `*` stands for any text and `?` for one byte. Case counts. Linear in the
/// text for each `*`: after a mismatch only the last one can take a byte more.
pub(super) fn matches(text: &str, pattern: &str) -> bool {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let (mut at, mut next) = (0, 0);
    // Where to go on when a later byte does not fit: the last star, and the text it has swallowed so far.
    let mut star = None;
    while at < text.len() {
        match pattern.get(next) {
            Some(b'*') => {
                star = Some((next, at));
                next += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[at] => {
                at += 1;
                next += 1;
            }
            _ => match star {
                Some((star_at, swallowed)) => {
                    star = Some((star_at, swallowed + 1));
                    at = swallowed + 1;
                    next = star_at + 1;
                }
                None => return false,
            },
        }
    }
    pattern[next..].iter().all(|&byte| byte == b'*')
}

/// Patterns of which one must match and, of the negated ones, none may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PatternList {
    patterns: Vec<(Sign, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Plain,
    Negated,
}

impl PatternList {
    /// One pattern per word, as after `Host`.
    pub(super) fn from_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let signed = |word: &str| match word.strip_prefix('!') {
            Some(rest) => (Sign::Negated, rest.to_owned()),
            None => (Sign::Plain, word.to_owned()),
        };
        Self { patterns: words.into_iter().map(signed).collect() }
    }

    /// A comma-separated list, as after `Match host`.
    pub(super) fn from_commas(text: &str) -> Self {
        Self::from_words(text.split(',').filter(|word| !word.is_empty()))
    }

    /// The texts in the list that stand for themselves: no stars, question marks or negations.
    pub(super) fn plain_texts(&self) -> impl Iterator<Item = &str> {
        let is_plain = |(sign, pattern): &&(Sign, String)| *sign == Sign::Plain && !pattern.contains(['*', '?']);
        self.patterns.iter().filter(is_plain).map(|(_, pattern)| pattern.as_str())
    }

    /// The only texts that match, where the list names them: no stars, question marks or negations.
    pub(super) fn exact_texts(&self) -> Option<Vec<&str>> {
        let is_exact = |sign: Sign, pattern: &str| sign == Sign::Plain && !pattern.contains(['*', '?']);
        self.patterns.iter().map(|(sign, pattern)| is_exact(*sign, pattern).then_some(pattern.as_str())).collect()
    }

    /// Whether `text` matches a pattern and no negated one. Case counts.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut positive = false;
        for (sign, pattern) in &self.patterns {
            if matches(text, pattern) {
                match sign {
                    Sign::Negated => return false,
                    Sign::Plain => positive = true,
                }
            }
        }
        positive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_heavy_pattern_ends_quickly() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches(&"a".repeat(5_000), &pattern));
    }

    #[test]
    fn star_and_question_mark_stand_for_text_and_for_one_byte() {
        for (text, pattern, expected) in [
            ("web01", "web01", true),
            ("web01", "Web01", false),
            ("web01", "web0", false),
            ("web01", "web??", true),
            ("web01", "web???", false),
            ("", "*", true),
            ("", "", true),
            ("", "?", false),
            ("a.b.example.com", "*.example.com", true),
            ("aXbXc", "a*X*c", true),
            ("mississippi", "m*iss*ip*", true),
            ("mississippi", "m*iss*ipx", false),
            ("abc", "*?c*", true),
            ("abc", "abc**", true),
            ("bab", "**a**", true),
            ("[web]:2222", "[web]:*", true),
            ("[a]", "[a]", true),
            ("a", "[a]", false),
        ] {
            assert_eq!(matches(text, pattern), expected, "{text} {pattern}");
        }
    }

    #[test]
    fn many_stars_do_not_make_matching_exponential() {
        assert!(!matches(&"a".repeat(2_000), &format!("{}b", "*a".repeat(200))));
    }

    #[test]
    fn texts_are_exact_only_without_wildcards_and_negations() {
        for (list, expected) in [
            ("a,b", Some(vec!["a", "b"])),
            ("a,b*", None),
            ("a?", None),
            ("a,!b", None),
            ("!a", None),
            ("", Some(vec![])),
        ] {
            assert_eq!(PatternList::from_commas(list).exact_texts(), expected, "{list}");
        }
    }

    #[test]
    fn one_negated_pattern_that_matches_decides() {
        for (text, list, expected) in [
            ("web", "web,db", true),
            ("web", "!web,*", false),
            ("web", "*,!web", false),
            ("web", "!db", false),
            ("web", "!db,*", true),
            ("web", "", false),
            ("web", ",,web", true),
        ] {
            assert_eq!(PatternList::from_commas(list).matches(text), expected, "{text} {list}");
        }
    }
}
