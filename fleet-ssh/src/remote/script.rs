//! A script of ours that runs on a host without being a file there.
//!
//! Its text goes over standard input, ahead of the script's own input, into a file that has lost its name before the
//! first byte arrives: however the host's processes end, nothing stays behind. The interpreter opens it as `/dev/fd/9`,
//! which is also the script's `$0`: scripts that read themselves find what they look for. Only a file that stays could
//! give it another name in every interpreter.
//!
//! Must not know where the script comes from.

use std::sync::LazyLock;

use super::quote::sh_quote;
use super::{Program, Token, WrapError, push_all, refuse_nul, without_comments};

static RECEIVE: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("receive.sh")));

/// What the kernel reads of an interpreter line (`BINPRM_BUF_SIZE`).
const MAX_INTERPRETER_LINE_LEN: usize = 255;

/// The first bytes of programs: ELF, and Mach-O in its byte orders and as several in one.
const PROGRAM_MAGICS: [&[u8]; 4] = [b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe"];

/// A script and what runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    len: usize,
    interpreter: Vec<u8>,
    argument: Option<Vec<u8>>,
}

/// Why a file is no script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// It holds nothing.
    #[error("the script is empty")]
    Empty,
    /// The host would look for an interpreter with that name and a carriage return.
    #[error("the first line of the script ends with a carriage return, as in files of DOS: expected a line feed alone")]
    CarriageReturn,
    /// It is machine code.
    #[error("this is a binary program, and a script is expected")]
    Binary,
    /// No system reads so long a line.
    #[error("the interpreter line is {len} bytes long: at most {MAX_INTERPRETER_LINE_LEN} are read")]
    LongInterpreterLine {
        /// Its bytes.
        len: usize,
    },
}

impl ScriptError {
    /// What to do next.
    #[must_use]
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::CarriageReturn => Some("remove them: sed -i 's/\\r$//' FILE"),
            Self::Binary => Some("copy it to the hosts (pcp) and run it there"),
            Self::Empty | Self::LongInterpreterLine { .. } => None,
        }
    }
}

impl Script {
    /// Reads the interpreter line of the script `text`, as Linux does: the rest of the line behind the interpreter is
    /// one argument. Without such a line it is for `/bin/sh`.
    ///
    /// # Errors
    /// When no host could run it.
    pub fn parse(text: &[u8]) -> Result<Self, ScriptError> {
        let line = text.split(|&b| b == b'\n').next().unwrap_or_default();
        if text.is_empty() {
            return Err(ScriptError::Empty);
        }
        if PROGRAM_MAGICS.iter().any(|magic| text.starts_with(magic)) || line.contains(&0) {
            return Err(ScriptError::Binary);
        }
        if line.ends_with(b"\r") {
            return Err(ScriptError::CarriageReturn);
        }
        let len = text.len();
        let Some(words) = line.strip_prefix(b"#!").map(<[u8]>::trim_ascii).filter(|words| !words.is_empty()) else {
            return Ok(Self { len, interpreter: b"/bin/sh".to_vec(), argument: None });
        };
        if line.len() > MAX_INTERPRETER_LINE_LEN {
            return Err(ScriptError::LongInterpreterLine { len: line.len() });
        }
        let end = words.iter().position(|b| b" \t".contains(b)).unwrap_or(words.len());
        let argument = words[end..].trim_ascii();
        let argument = (!argument.is_empty()).then(|| argument.to_vec());
        Ok(Self { len, interpreter: words[..end].to_vec(), argument })
    }

    /// The command, for any login shell, that reads the script's text from its standard input and runs it with
    /// `arguments`. `mark` names the file for the moment that it has a name: it should differ from run to run.
    ///
    /// # Errors
    /// When a NUL is in an argument.
    pub fn command(&self, arguments: &[Vec<u8>], mark: &Token) -> Result<Vec<u8>, WrapError> {
        let mut program = format!("set -- .fleet-{}-$$ {}\n{}", mark.as_str(), self.len, *RECEIVE).into_bytes();
        push_all(&mut program, &[b"exec ", &sh_quote(&self.interpreter)]);
        if let Some(argument) = &self.argument {
            push_all(&mut program, &[b" ", &sh_quote(argument)]);
        }
        program.extend_from_slice(b" \"$1\"");
        for argument in arguments {
            refuse_nul(argument, || "an argument of the script".to_owned())?;
            push_all(&mut program, &[b" ", &sh_quote(argument)]);
        }
        // Named here, as some shells let a command inherit only what is named.
        program.extend_from_slice(b" 9<&9\n");
        Ok(Program(program).command_line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &[u8]) -> (String, Option<String>) {
        let script = Script::parse(text).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(script.interpreter), script.argument.map(text))
    }

    #[test]
    fn the_interpreter_line_is_read_as_the_kernel_reads_it() {
        for (text, interpreter, argument) in [
            (&b"#!/bin/bash -e\nx"[..], "/bin/bash", Some("-e")),
            (b"#! /usr/bin/env  -S python3 -u \n", "/usr/bin/env", Some("-S python3 -u")),
            (b"#!/usr/bin/awk\t-f\n", "/usr/bin/awk", Some("-f")),
            (b"#!/bin/sh", "/bin/sh", None),
            (b"#!\necho", "/bin/sh", None),
            (b"echo\n\x00", "/bin/sh", None),
            (b"\n#!/bin/bash\n", "/bin/sh", None),
        ] {
            assert_eq!(parsed(text), (interpreter.to_owned(), argument.map(str::to_owned)), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn what_no_host_can_run_is_refused() {
        let long = [b"#!/".as_slice(), &b"x".repeat(300), b"\n"].concat();
        for (text, error) in [
            (&b""[..], ScriptError::Empty),
            (b"#!/usr/bin/env python3\r\nprint()\r\n", ScriptError::CarriageReturn),
            (b"echo\r\n", ScriptError::CarriageReturn),
            (b"\x7fELF\x02\x01\x01", ScriptError::Binary),
            (b"\xcf\xfa\xed\xfe\x07", ScriptError::Binary),
            (b"echo \x00\n", ScriptError::Binary),
            (&long, ScriptError::LongInterpreterLine { len: 303 }),
        ] {
            assert_eq!(Script::parse(text), Err(error), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_nul_in_an_argument_is_refused() {
        let script = Script::parse(b"true").unwrap();
        let error = script.command(&[b"a\0".to_vec()], &Token::new(1)).unwrap_err().to_string();
        assert!(error.starts_with("an argument of the script holds a NUL"), "{error}");
    }
}
