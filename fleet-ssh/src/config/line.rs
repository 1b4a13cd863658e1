//! One line of the configuration: its keyword, its argument as written, and the words of it.
//!
//! Must not know any keyword.

/// A line with a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The keyword as written.
    pub(super) keyword: &'a str,
    /// All after it, without the blanks around and without the one `=` that may stand between.
    pub(super) argument: &'a str,
}

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

/// What is wrong with a quote that never ends.
pub(super) const OPEN_QUOTE: &str = "expected a closing quote";

impl<'a> Line<'a> {
    /// Reads `text`; `None` for a blank line or a comment.
    pub(super) fn read(text: &'a str) -> Result<Option<Self>, &'static str> {
        let text = text.trim_end_matches([' ', '\t', '\r', '\n', '\x0c']).trim_start_matches(BLANK);
        if text.is_empty() || text.starts_with('#') {
            return Ok(None);
        }
        let (keyword, rest) = match text.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or(OPEN_QUOTE)?,
            None => text.split_at(text.find([' ', '\t', '\r', '\n', '=', '"']).unwrap_or(text.len())),
        };
        let rest = rest.trim_start_matches(BLANK);
        let argument = rest.strip_prefix('=').unwrap_or(rest).trim_start_matches(BLANK);
        Ok(Some(Self { keyword, argument }))
    }

    /// The words of the argument up to a comment.
    ///
    /// Quotes of both kinds group, also in mid-word. A backslash takes the meaning from a quote, from itself and,
    /// outside quotes, from a space; before anything else it is an ordinary character.
    pub(super) fn words(&self) -> Result<Vec<String>, &'static str> {
        let mut words = Vec::new();
        let mut rest = self.argument.trim_start_matches([' ', '\t']);
        while !rest.is_empty() && !rest.starts_with('#') {
            let (word, length) = take_word(rest)?;
            words.push(word);
            rest = rest[length..].trim_start_matches([' ', '\t']);
        }
        Ok(words)
    }
}

/// The first word of `text`, and how many bytes it takes up there.
fn take_word(text: &str) -> Result<(String, usize), &'static str> {
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match (character, quote) {
            ('\\', _) => {
                let next = characters.peek().map(|&(_, next)| next);
                let escaped =
                    next.filter(|&next| matches!(next, '\'' | '"' | '\\') || (next == ' ' && quote.is_none()));
                if escaped.is_some() {
                    characters.next();
                }
                word.push(escaped.unwrap_or('\\'));
            }
            (' ' | '\t', None) => return Ok((word, at)),
            ('"' | '\'', None) => quote = Some(character),
            (_, Some(open)) if open == character => quote = None,
            _ => word.push(character),
        }
    }
    if quote.is_some() { Err(OPEN_QUOTE) } else { Ok((word, text.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyword_and_argument_are_split_as_ssh_does() {
        for (text, keyword, argument) in [
            ("Port 22", "Port", "22"),
            ("Port=22", "Port", "22"),
            ("Port = 22", "Port", "22"),
            ("\tPort\t22\r\n", "Port", "22"),
            ("  Port   22  \x0c", "Port", "22"),
            ("\"Port\" 22", "Port", "22"),
            ("Port", "Port", ""),
            ("Port =", "Port", ""),
            ("Port == 22", "Port", "= 22"),
            ("User \"a b\" # c", "User", "\"a b\" # c"),
        ] {
            assert_eq!(Line::read(text), Ok(Some(Line { keyword, argument })), "{text:?}");
        }
        for text in ["", "   ", "\r\n", "# Port 22", "\t#"] {
            assert_eq!(Line::read(text), Ok(None), "{text:?}");
        }
    }

    #[test]
    fn words_are_unquoted_and_end_at_a_comment() {
        for (argument, words) in [
            ("a b", &["a", "b"][..]),
            ("a\tb # c", &["a", "b"]),
            ("a#b", &["a#b"]),
            ("\"a b\" 'c d'", &["a b", "c d"]),
            ("a\" \"b", &["a b"]),
            (r#""say \"hi\"""#, &["say \"hi\""]),
            (r"a\ b", &["a b"]),
            (r"C:\dir", &[r"C:\dir"]),
            (r#""a\ b""#, &[r"a\ b"]),
            ("\"\"", &[""]),
            ("'\"'", &["\""]),
            ("", &[]),
        ] {
            assert_eq!(Line { keyword: "", argument }.words().unwrap(), words, "{argument}");
        }
        for argument in ["\"a", "a 'b", r#""a\""#] {
            assert_eq!(Line { keyword: "", argument }.words(), Err(OPEN_QUOTE), "{argument}");
        }
    }
}
