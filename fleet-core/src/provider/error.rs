//! Why a provider gives no hosts.
//!
//! What a provider said is part of these texts only after it was made harmless. Must not know who asked it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::protocol::VERSION;
use super::validate::HOST_LIMIT;
use crate::sanitize::sanitized_line;

/// Why a provider gives no hosts.
#[derive(Debug, thiserror::Error)]
#[error("provider {provider}: {problem}")]
pub struct ProviderError {
    /// Its name.
    pub provider: String,
    /// What is wrong. Said in full by this error, and so not its source.
    pub problem: Problem,
}

/// What is wrong with a provider or its answer.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A name that cannot stand in `@NAME:group` and `fleet-NAME`.
    #[error("the name cannot be used; expected lower-case letters, digits, \"-\" and \"_\", a letter first")]
    Name,
    /// An empty list as command.
    #[error("its command is empty; expected a program and its arguments")]
    NoCommand,
    /// No such program.
    #[error("there is no program {program}; looked {looked}")]
    NotFound {
        /// Its name.
        program: String,
        /// Where: `in PATH`.
        looked: &'static str,
    },
    /// A program that does not start.
    #[error("cannot run {}: {reason}", program.display())]
    Start {
        /// Where it is.
        program: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// A pipe to or from it broke on our side.
    #[error("cannot read the answer: {0}")]
    Read(io::Error),
    /// No answer in time.
    #[error("no answer within {}; it was killed", humantime::format_duration(*.0))]
    TimedOut(Duration),
    /// Ctrl-C.
    #[error("interrupted; it was killed")]
    Interrupted,
    /// More output than any answer has.
    #[error("the answer is longer than {} MiB; it was killed", .0 >> 20)]
    TooLong(usize),
    /// Ended by a signal.
    #[error("its program was ended by signal {0}")]
    Killed(i32),
    /// Ended with an exit status other than 0, and told no reason on its output.
    #[error("its program ended with exit status {0} and without an answer")]
    Exit(i32),
    /// Nothing on its output.
    #[error("its program printed no answer; expected a JSON object on standard output")]
    Empty,
    /// Output that is no JSON object, or more than one.
    #[error("the answer is not JSON: {reason}; it begins with {beginning}")]
    NotJson {
        /// The parser's words.
        reason: String,
        /// Its first characters, quoted.
        beginning: String,
    },
    /// Another protocol.
    #[error("the answer is of protocol {found}; expected {VERSION}")]
    Version {
        /// What it says of itself.
        found: String,
    },
    /// JSON with something else in it.
    #[error("the answer cannot be understood: {0}")]
    Shape(String),
    /// A record that cannot be told from others, or not be named.
    #[error("record {number} of the answer has {found} as its id; expected {expected}")]
    Id {
        /// Counted from 1.
        number: usize,
        /// What stands there, quoted.
        found: String,
        /// What an id is.
        expected: &'static str,
    },
    /// Two records with one id.
    #[error("two records of the answer have the id {0}; expected each id once")]
    RepeatedId(String),
    /// More hosts than anyone has.
    #[error("the answer has more than {HOST_LIMIT} hosts")]
    TooManyHosts,
    /// It says itself what is wrong.
    #[error("{message} ({code})")]
    Refused {
        /// One of [`ERROR_CODES`](super::protocol::ERROR_CODES), or what it made up.
        code: String,
        /// One line.
        message: String,
        /// What to do, if it knows.
        hint: Option<String>,
    },
}

impl ProviderError {
    /// What to do next, where the error does not say it all.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let provider = &self.provider;
        match &self.problem {
            Problem::Name | Problem::NoCommand => Some(format!("see [provider.{provider}] in fleet.toml")),
            Problem::NotFound { program, .. } => Some(format!(
                "install {program}, or name another program: command = [\"/path/to/program\"] in [provider.{provider}]"
            )),
            Problem::Start { reason, .. } if reason.kind() == io::ErrorKind::PermissionDenied => {
                Some("make it executable: chmod +x".to_owned())
            }
            Problem::Start { .. } => Some("a script begins with a line such as #!/bin/sh".to_owned()),
            Problem::TimedOut(_) => Some(format!("give it more time with timeout = \"5m\" in [provider.{provider}]")),
            Problem::Killed(_) | Problem::Exit(_) => Some("its own words, if any, are above".to_owned()),
            Problem::Empty
            | Problem::NotJson { .. }
            | Problem::Version { .. }
            | Problem::Shape(_)
            | Problem::Id { .. }
            | Problem::RepeatedId(_) => Some(
                "docs/provider.md describes the answer; \"fleet provider check\" tells what is wrong with a provider"
                    .to_owned(),
            ),
            Problem::TooLong(_) | Problem::TooManyHosts => Some("narrow its settings: regions, accounts".to_owned()),
            Problem::Refused { hint, .. } => hint.clone(),
            Problem::Read(_) | Problem::Interrupted => None,
        }
    }
}

impl Problem {
    /// The error of the provider of this name.
    pub(super) fn of(self, provider: &str) -> ProviderError {
        ProviderError { provider: sanitized_line(provider), problem: self }
    }
}
