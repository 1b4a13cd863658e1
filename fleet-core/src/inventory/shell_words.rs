//! Words as a POSIX shell splits them, for files whose values are written so.
//!
//! Must not know what the words mean. Nothing is expanded.

/// The words of `text`, without their quotes and backslashes.
///
/// # Errors
/// What was expected, when a quote is not closed or nothing follows a backslash.
pub(super) fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, quote) {
            (_, Some(open)) if c == open => quote = None,
            ('\\', Some('"')) if !matches!(characters.peek(), Some('"' | '\\')) => word.get_or_insert_default().push(c),
            ('\\', None | Some('"')) => {
                word.get_or_insert_default().push(characters.next().ok_or("a character behind the backslash")?);
            }
            (_, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            _ if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if quote.is_some() { Err("a closing quote") } else { Ok(words) }
}

/// `text` up to the first `#` outside quotes.
pub(super) fn without_comment(text: &str) -> &str {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (c, quote) {
            (_, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            ('#', None) => return &text[..at],
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        for (text, words) in [
            ("", &[][..]),
            (" a  b\t", &["a", "b"]),
            ("a='b c' d", &["a=b c", "d"]),
            (r#"a="-o X=\"y z\" \w""#, &[r#"a=-o X="y z" \w"#]),
            (r#"a='{"k": [1, 2]}'"#, &[r#"a={"k": [1, 2]}"#]),
            (r"a\ b 'c\d'", &["a b", r"c\d"]),
            ("''", &[""]),
        ] {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
        for (text, expected) in [("a 'b", "a closing quote"), ("\"", "a closing quote"), ("a\\", "a character")] {
            assert!(split(text).unwrap_err().contains(expected), "{text}");
        }
    }

    #[test]
    fn a_comment_starts_outside_quotes() {
        for (text, rest) in
            [("a # it's b", "a "), ("a#b", "a"), ("a='# b' c # d", "a='# b' c "), ("#", ""), ("a \"#", "a \"#")]
        {
            assert_eq!(without_comment(text), rest, "{text}");
        }
    }
}
