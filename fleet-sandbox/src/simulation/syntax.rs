//! The part of the shell's language that a simulated host reads: simple commands joined by `;`, `&&`, `||` and line
//! ends, quotes, `$NAME`, `$?`, `$$` and `>&2`. Anything else is refused, never guessed.
//!
//! Must not know which commands there are.

use std::collections::HashMap;

/// Names of variables and what they hold.
pub(super) type Variables = HashMap<String, Vec<u8>>;

/// A simple command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) link: Link,
    pub(super) words: Vec<Word>,
    pub(super) target: Target,
}

/// When a command is run, by how the one before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Always,
    IfSucceeded,
    IfFailed,
}

/// Where its standard output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Stdout,
    Stderr,
}

/// A word before expansion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Variable { name: String, quotes: Quotes },
}

/// Whether a variable's value stays one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quotes {
    Double,
    None,
}

/// Why a text is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SyntaxError {
    #[error("a simulated host knows no \"{0}\" in a command")]
    Unknown(String),
    #[error("a quote or a brace is not closed")]
    Open,
    #[error("a command is missing beside \"{0}\"")]
    NoCommand(&'static str),
}

impl Word {
    /// The word's text, when it needs no expansion.
    pub(super) fn literal(&self) -> Option<Vec<u8>> {
        let text = |part: &Part| match part {
            Part::Text(text) => Some(text.clone()),
            Part::Variable { .. } => None,
        };
        self.0.iter().map(text).collect::<Option<Vec<_>>>().map(|parts| parts.concat())
    }

    /// Appends what the word expands to: none, one or several words.
    pub(super) fn expand(&self, variables: &Variables, words: &mut Vec<Vec<u8>>) {
        let mut current: Option<Vec<u8>> = None;
        for part in &self.0 {
            match part {
                Part::Text(text) => current.get_or_insert_default().extend_from_slice(text),
                Part::Variable { name, quotes } => {
                    let value = variables.get(name).map_or(&[][..], Vec::as_slice);
                    match quotes {
                        Quotes::Double => current.get_or_insert_default().extend_from_slice(value),
                        Quotes::None => split_into(value, &mut current, words),
                    }
                }
            }
        }
        words.extend(current);
    }
}

/// Field splitting (POSIX.1-2024, XCU 2.6.5) with the usual separators.
fn split_into(value: &[u8], current: &mut Option<Vec<u8>>, words: &mut Vec<Vec<u8>>) {
    for &byte in value {
        if b" \t\n".contains(&byte) {
            words.extend(current.take());
        } else {
            current.get_or_insert_default().push(byte);
        }
    }
}

/// Reads all of `text`.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Command>, SyntaxError> {
    Reader(text).commands()
}

/// Reads one word off `text`, with the blanks before it; `None` at the end of a command.
pub(super) fn take_word(text: &mut &[u8]) -> Result<Option<Word>, SyntaxError> {
    let mut reader = Reader(text);
    let word = reader.word();
    *text = reader.0;
    word
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn commands(mut self) -> Result<Vec<Command>, SyntaxError> {
        let mut commands = Vec::new();
        let (mut link, mut waiting) = (Link::Always, None);
        loop {
            let (words, target) = self.simple_command()?;
            let is_empty = words.is_empty();
            if !is_empty {
                commands.push(Command { link, words, target });
                waiting = None;
            }
            let (symbol, next) = match self.0 {
                [] => break,
                [b'\n', ..] => ("\n", Link::Always),
                [b';', ..] => (";", Link::Always),
                [b'&', b'&', ..] => ("&&", Link::IfSucceeded),
                [b'|', b'|', ..] => ("||", Link::IfFailed),
                [other, ..] => return Err(unknown(&[*other])),
            };
            self.0 = &self.0[symbol.len()..];
            match (symbol, is_empty) {
                // Lines may be empty, and what comes before them may wait for the next.
                ("\n", true) => continue,
                (_, true) => return Err(SyntaxError::NoCommand(symbol)),
                (_, false) => {}
            }
            link = next;
            waiting = (next != Link::Always).then_some(symbol);
        }
        waiting.map_or(Ok(commands), |symbol| Err(SyntaxError::NoCommand(symbol)))
    }

    fn simple_command(&mut self) -> Result<(Vec<Word>, Target), SyntaxError> {
        let (mut words, mut target) = (Vec::new(), Target::Stdout);
        loop {
            self.skip_blanks();
            if let Some(rest) = self.0.strip_prefix(b">&2").or_else(|| self.0.strip_prefix(b"1>&2")) {
                (self.0, target) = (rest, Target::Stderr);
                continue;
            }
            match self.word()? {
                Some(word) => words.push(word),
                None => return Ok((words, target)),
            }
        }
    }

    fn word(&mut self) -> Result<Option<Word>, SyntaxError> {
        self.skip_blanks();
        if let [special @ (b'#' | b'~'), ..] = self.0 {
            return Err(unknown(&[*special]));
        }
        let mut word = Word::default();
        while let [byte, rest @ ..] = self.0 {
            match byte {
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' => break,
                b'>' if word.literal().is_some_and(|text| !text.iter().all(u8::is_ascii_digit)) => break,
                b'<' | b'>' | b'(' | b')' | b'`' | b'*' | b'?' | b'[' => return Err(unknown(&[*byte])),
                b'\'' => {
                    let end = rest.iter().position(|byte| *byte == b'\'').ok_or(SyntaxError::Open)?;
                    word.0.push(Part::Text(rest[..end].to_vec()));
                    self.0 = &rest[end + 1..];
                }
                b'"' => {
                    self.0 = rest;
                    self.double_quoted(&mut word)?;
                }
                b'$' => self.variable(Quotes::None, &mut word)?,
                b'\\' => {
                    let (escaped, rest) = rest.split_first().ok_or(SyntaxError::Open)?;
                    // A line that is continued.
                    if *escaped != b'\n' {
                        word.0.push(Part::Text(vec![*escaped]));
                    }
                    self.0 = rest;
                }
                _ => {
                    let is_special = |byte: &u8| b" \t\n;&|<>()`*?['\"$\\".contains(byte);
                    let end = self.0.iter().position(is_special).unwrap_or(self.0.len());
                    word.0.push(Part::Text(self.0[..end].to_vec()));
                    self.0 = &self.0[end..];
                }
            }
        }
        Ok((!word.0.is_empty()).then_some(word))
    }

    /// Up to the closing quote; the opening one is read.
    fn double_quoted(&mut self, word: &mut Word) -> Result<(), SyntaxError> {
        word.0.push(Part::Text(Vec::new()));
        loop {
            match self.0 {
                [] => return Err(SyntaxError::Open),
                [b'"', rest @ ..] => {
                    self.0 = rest;
                    return Ok(());
                }
                [b'`', ..] => return Err(unknown(b"`")),
                [b'$', ..] => self.variable(Quotes::Double, word)?,
                [b'\\', b'\n', rest @ ..] => self.0 = rest,
                [b'\\', escaped @ (b'$' | b'`' | b'"' | b'\\'), rest @ ..] => {
                    word.0.push(Part::Text(vec![*escaped]));
                    self.0 = rest;
                }
                [byte, rest @ ..] => {
                    word.0.push(Part::Text(vec![*byte]));
                    self.0 = rest;
                }
            }
        }
    }

    /// `$NAME`, `${NAME}`, `$?`, `$$`, or a `$` that is only one.
    fn variable(&mut self, quotes: Quotes, word: &mut Word) -> Result<(), SyntaxError> {
        let rest = &self.0[1..];
        let (name, rest) = match rest {
            [b'?' | b'$', ..] => rest.split_at(1),
            [b'{', inner @ ..] => {
                let end = inner.iter().position(|byte| *byte == b'}').ok_or(SyntaxError::Open)?;
                let name = &inner[..end];
                if name_length(name) != end || end == 0 {
                    return Err(unknown(&self.0[..end + 3]));
                }
                (name, &inner[end + 1..])
            }
            [special @ (b'(' | b'0'..=b'9' | b'@' | b'*' | b'#' | b'!' | b'-'), ..] => {
                return Err(unknown(&[b'$', *special]));
            }
            _ => rest.split_at(name_length(rest)),
        };
        self.0 = rest;
        let name = String::from_utf8_lossy(name).into_owned();
        word.0.push(if name.is_empty() { Part::Text(b"$".to_vec()) } else { Part::Variable { name, quotes } });
        Ok(())
    }

    fn skip_blanks(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }
}

/// How many bytes of a variable's name `text` begins with.
fn name_length(text: &[u8]) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    text.iter().position(|byte| !is_part(byte)).unwrap_or(text.len())
}

fn unknown(symbol: &[u8]) -> SyntaxError {
    SyntaxError::Unknown(String::from_utf8_lossy(symbol).into_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command as Shell;

    use super::*;

    fn expanded(text: &str) -> Vec<Vec<String>> {
        let values = [("HOST", "web 01"), ("EMPTY", ""), ("?", "3")];
        let variables = values.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into();
        let expand = |command: &Command| {
            let mut words = Vec::new();
            command.words.iter().for_each(|word| word.expand(&variables, &mut words));
            words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect()
        };
        parse(text.as_bytes()).unwrap().iter().map(expand).collect()
    }

    /// The shell of this machine says the same.
    #[test]
    fn words_are_read_and_expanded_as_a_shell_does() {
        for text in [
            "a b  c\t d",
            "'a  b'c\"d 'e'\" ''",
            "$HOST ${HOST}x \"$HOST\" '$HOST'",
            "x$EMPTY $EMPTY \"$EMPTY\" $NONE$EMPTY",
            "\\$HOST \"\\$ \\a \\\\\" a\\\nb \\  $",
            "a$HOST\"b\"$HOST'c'",
        ] {
            let script = format!("printf '<%s>' {text}");
            let mut shell = Shell::new("/bin/sh");
            shell.args(["-c", &script]).env_clear().env("HOST", "web 01").env("EMPTY", "");
            let shell = shell.output().unwrap();
            let ours: String = expanded(text).concat().iter().map(|word| format!("<{word}>")).collect();
            assert_eq!(ours, String::from_utf8(shell.stdout).unwrap(), "{text}");
        }
    }

    #[test]
    fn commands_are_joined_by_how_the_one_before_ended() {
        let commands = parse(b"\na;b && c ||\n\nd >&2\ne 1>&2 f\n").unwrap();
        let links: Vec<_> = commands.iter().map(|command| (command.link, command.target)).collect();
        assert_eq!(
            links,
            [
                (Link::Always, Target::Stdout),
                (Link::Always, Target::Stdout),
                (Link::IfSucceeded, Target::Stdout),
                (Link::IfFailed, Target::Stderr),
                (Link::Always, Target::Stderr)
            ]
        );
        assert_eq!(expanded("exit $?; e 1>&2 f")[..], [["exit", "3"], ["e", "f"]]);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (text, message) in [
            ("a | b", "no \"|\""),
            ("a & b", "no \"&\""),
            ("a > b", "no \">\""),
            ("a 2>&2", "no \">\""),
            ("a < b", "no \"<\""),
            ("echo $(a)", "no \"$(\""),
            ("echo \"$(a)\"", "no \"$(\""),
            ("echo `a`", "no \"`\""),
            ("echo ${a:-b}", "no \"${a:-b}\""),
            ("echo *", "no \"*\""),
            ("echo ~ x", "no \"~\""),
            ("a # b", "no \"#\""),
            ("(a)", "no \"(\""),
            ("echo 'a", "not closed"),
            ("echo \"a", "not closed"),
            ("a &&", "missing beside \"&&\""),
            ("a ||\n", "missing beside \"||\""),
            ("a;;b", "missing beside \";\""),
            ("; a", "missing beside \";\""),
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
