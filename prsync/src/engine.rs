//! By what a host is synced.
//!
//! Must not know how any of them works.

use std::fmt;

/// By what hosts are synced: `--engine`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Engine {
    /// As [`Self::Native`], and hosts without an rsync that we can talk to as [`Self::Tar`].
    #[default]
    Auto,
    /// This program is the sender, the host's own rsync receives.
    Native,
    /// What differs goes to the host's `tar` as one stream.
    Tar,
    /// The local rsync sends, one process for each host.
    Rsync,
}

impl Engine {
    /// As it is typed.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let all = [Self::Auto, Self::Native, Self::Tar, Self::Rsync];
        all.into_iter()
            .find(|engine| engine.to_string() == text)
            .ok_or_else(|| "expected auto, native, tar or rsync".to_owned())
    }

    /// What is left of it where this is started as the hosts' rsync: of several words (`sudo rsync`) nobody knows what they
    /// do, and nothing is done without them.
    pub(crate) fn with_program(self, program: &str) -> Self {
        if self == Self::Auto && program.contains(char::is_whitespace) { Self::Native } else { self }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Tar => "tar",
            Self::Rsync => "rsync",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_shell_are_not_gone_around() {
        for (text, program, engine) in [
            ("auto", "rsync", Engine::Auto),
            ("auto", "/opt/bin/rsync", Engine::Auto),
            ("auto", "sudo -n rsync", Engine::Native),
            ("tar", "sudo -n rsync", Engine::Tar),
            ("rsync", "sudo -n rsync", Engine::Rsync),
        ] {
            assert_eq!(Engine::parse(text).unwrap().with_program(program), engine, "{text} {program}");
        }
        assert!(Engine::parse("sftp").is_err());
    }
}
