//! The one program that clients send to a simulated host and that it cannot run: the wrapper in which a fleet tool puts a
//! command, so that it can be stopped. It is recognised, and what matters is read out of it.
//!
//! Read is what the wrapper cannot do without, each at the start of a line, so that its scripts may change around it:
//!
//! | text | meaning |
//! | --- | --- |
//! | `exec env 'FLEET_PROGRAM=`*program*`'` | the whole program, for `printf %b` |
//! | `token=`*T*` grace=`... | the mark of all lines that are said: record separator, `fleet`, the mark, the words |
//! | `pid=`*P*` keeper=`... | this is not a command, it stops process *P* |
//! | `watch` | ... when its input ends, and unless the process has ended by then |
//! | `control=3` | the input of the channel is a line that is watched, and not the command's |
//! | `set -- "${SHELL:-/bin/sh}" `*command* | the command |
//! | `export `*NAME=value*... | its variables; behind the command |
//!
//! Must not know what is done with it.

use super::syntax::take_word;

const BEGINNING: &[u8] = b"exec env 'FLEET_PROGRAM=";

/// A command line as a client sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A command as it is.
    Plain(Vec<u8>),
    /// A command that can be stopped.
    Wrapped(Wrapped),
    /// The end of another command.
    Stopper(Stopper),
}

/// A command with its wrapper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrapped {
    pub(super) token: Vec<u8>,
    pub(super) command: Vec<u8>,
    pub(super) variables: Vec<(String, Vec<u8>)>,
    pub(super) input: WrappedInput,
}

/// What comes through the channel of a wrapped command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrappedInput {
    /// Nothing: its end stops the command, which has no input.
    Control,
    /// The command's input.
    Command,
}

/// What ends the process of a wrapped command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stopper {
    pub(super) token: Vec<u8>,
    pub(super) pid: u32,
    pub(super) when: StopWhen,
}

/// When the process is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopWhen {
    AtOnce,
    InputEnds,
}

/// A wrapper without this part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a simulated host does not know this wrapper: expected a line that begins with \"{0}\"")]
pub(super) struct UnknownWrapper(&'static str);

impl Line {
    /// Reads the command line of an exec request.
    pub(super) fn read(line: &[u8]) -> Result<Self, UnknownWrapper> {
        let Some(text) = line.strip_prefix(BEGINNING) else { return Ok(Self::Plain(line.to_vec())) };
        let end = text.iter().position(|byte| *byte == b'\'').unwrap_or(text.len());
        let program = decoded(&text[..end]);
        let token = after_line_start(&program, "token=")?;
        let token = token[..token.iter().position(|byte| *byte == b' ').unwrap_or(token.len())].to_vec();
        // The wrapper of a command has such a line too, but with no number yet.
        if let Some(pid) = after_line_start(&program, "pid=").ok().and_then(first_number) {
            let when = match after_line_start(&program, "watch\n") {
                Ok(_) => StopWhen::InputEnds,
                Err(_) => StopWhen::AtOnce,
            };
            return Ok(Self::Stopper(Stopper { token, pid, when }));
        }
        Self::read_wrapped(&program, token)
    }

    fn read_wrapped(program: &[u8], token: Vec<u8>) -> Result<Self, UnknownWrapper> {
        const SET: &str = "set -- \"${SHELL:-/bin/sh}\" ";
        let mut rest = after_line_start(program, SET)?;
        let head = &program[..program.len() - rest.len()];
        let command = next_literal(&mut rest).ok_or(UnknownWrapper(SET))?;
        let mut rest = after_line_start(rest, "export ")?;
        let mut variables = Vec::new();
        while let Some(word) = next_literal(&mut rest) {
            let equals = word.iter().position(|byte| *byte == b'=').ok_or(UnknownWrapper("export "))?;
            variables.push((String::from_utf8_lossy(&word[..equals]).into_owned(), word[equals + 1..].to_vec()));
        }
        let input = match after_line_start(head, "control=3\n") {
            Ok(_) => WrappedInput::Control,
            Err(_) => WrappedInput::Command,
        };
        Ok(Self::Wrapped(Wrapped { token, command, variables, input }))
    }
}

fn next_literal(text: &mut &[u8]) -> Option<Vec<u8>> {
    take_word(text).ok().flatten()?.literal()
}

fn first_number(text: &[u8]) -> Option<u32> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

/// What follows the first line that begins with `start`, behind that.
fn after_line_start<'a>(program: &'a [u8], start: &'static str) -> Result<&'a [u8], UnknownWrapper> {
    let begins_line = |at: usize| at == 0 || program[at - 1] == b'\n';
    let at = (0..program.len()).find(|at| begins_line(*at) && program[*at..].starts_with(start.as_bytes()));
    at.map(|at| &program[at + start.len()..]).ok_or(UnknownWrapper(start))
}

/// What `printf %b` makes of `text`: `\n`, and `\0` with up to three octal digits; another byte after a backslash stays.
fn decoded(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    while let [byte, rest @ ..] = text {
        text = rest;
        match (byte, rest) {
            (b'\\', [b'n', rest @ ..]) => {
                bytes.push(b'\n');
                text = rest;
            }
            (b'\\', [b'0', rest @ ..]) => {
                let digits = rest.iter().take(3).take_while(|digit| (b'0'..=b'7').contains(digit)).count();
                bytes.push(rest[..digits].iter().fold(0, |value: u8, digit| (value << 3) | (digit - b'0')));
                text = &rest[digits..];
            }
            _ => bytes.push(*byte),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(program: &str) -> Vec<u8> {
        let text = program.replace('\\', r"\0134").replace('\'', r"\0047").replace('\n', r"\n");
        [BEGINNING, text.as_bytes(), br#"' /bin/sh -c 'eval "$(printf %b "$FLEET_PROGRAM")"'"#].concat()
    }

    fn wrapped(input: &str) -> String {
        format!(
            "unset FLEET_PROGRAM\nkeep() {{\ntoken=00ff grace=50\n{input}\npid=$$\nborn() {{\n}}\n}}\n\
             set -- \"${{SHELL:-/bin/sh}}\" 'echo '\\''a\nexport X=no' \"$(keep)\"\nmore\n\
             export HOST='web '\\''01' N=1\nbecome\n"
        )
    }

    #[test]
    fn the_command_its_variables_and_its_mark_are_read_out_of_the_wrapper() {
        for (input, expected) in [("control=3", WrappedInput::Control), ("control=", WrappedInput::Command)] {
            let expected = Wrapped {
                token: b"00ff".to_vec(),
                command: b"echo 'a\nexport X=no".to_vec(),
                variables: vec![("HOST".into(), b"web '01".to_vec()), ("N".into(), b"1".to_vec())],
                input: expected,
            };
            assert_eq!(Line::read(&line(&wrapped(input))), Ok(Line::Wrapped(expected)));
        }
    }

    #[test]
    fn stoppers_act_at_once_or_when_their_input_ends() {
        for (work, when) in [("stop", StopWhen::AtOnce), ("watch() {\n}\nwatch\nstop", StopWhen::InputEnds)] {
            let program = format!("token=1 grace=5\npid=71 keeper=- start=9\n{work}\nverdict\n");
            let expected = Stopper { token: b"1".to_vec(), pid: 71, when };
            assert_eq!(Line::read(&line(&program)), Ok(Line::Stopper(expected)), "{work}");
        }
    }

    #[test]
    fn a_command_without_the_wrapper_is_taken_as_it_is_and_a_wrapper_that_changed_is_not() {
        assert_eq!(Line::read(b"echo a"), Ok(Line::Plain(b"echo a".to_vec())));
        for part in ["token=", "set --", "export HOST"] {
            let program = wrapped("").replace(part, "other");
            assert!(Line::read(&line(&program)).is_err(), "{part}");
        }
    }
}
