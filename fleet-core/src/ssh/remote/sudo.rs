//! A host's `sudo` around our programs: the command line that starts it, what it asks and says, and what its refusal means.
//!
//! The program itself is no argument of `sudo`: arguments are seen by all on the host, stand in `sudo`'s log, and would
//! be found by the command's own `pkill -f`. It follows as one line of standard input, once a shell runs as the other
//! user and has said so ([`Mark::Ready`]). Until then that input is the one thing that `sudo` may read a password from,
//! so nothing is sent unless it asks ([`Mark::Asked`]). A command whose line is never sent never runs.
//!
//! Bytes to bytes: must not know the password, nor what is done about a mark.

use super::{RemoteCommand, Token, WrapError, program};

/// The shell that runs the command: that of the account may be no shell, as it is of many that only own a service.
const SHELL: &[u8] = b"/bin/sh";

/// Bytes of what is said before the command runs that are kept; of more, the last.
const SAID_LIMIT: usize = 64 * 1024;

/// The account that a command runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SudoUser(String);

/// Not the name of an account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{name}\" is not the name of a user: expected letters, digits and ._@$+-, no - first; or # and a number")]
pub struct SudoUserError {
    name: String,
}

impl SudoUser {
    /// The account `name`, or `#` and a number.
    ///
    /// # Errors
    /// When it could be taken for anything else by some shell or by `sudo`.
    pub fn new(name: &str) -> Result<Self, SudoUserError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._@$+-#".contains(c);
        if name.is_empty() || name.starts_with('-') || !name.chars().all(plain) {
            return Err(SudoUserError { name: name.to_owned() });
        }
        Ok(Self(name.to_owned()))
    }

    /// The superuser.
    #[must_use]
    pub fn root() -> Self {
        Self("root".to_owned())
    }
}

/// What `sudo` may do about a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SudoAsks {
    /// Fail.
    Never,
    /// Ask on the channel, by [`Mark::Asked`].
    OverChannel,
}

/// What the channel is on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// Pipes: a line of any length passes.
    Pipes,
    /// A terminal, opened without echo and without line editing, which cuts long lines off. Both are turned on for the
    /// command.
    Terminal,
}

/// The command line of an exec request that waits, as `user`, for the line of a program ([`wrap_for_sudo`]).
///
/// Any login shell takes it. `sudo` speaks English, so that [`SudoRefusal`] understands it.
#[must_use]
pub fn sudo_command(user: &SudoUser, asks: SudoAsks, channel: ChannelKind, token: &Token) -> Vec<u8> {
    let asks = match asks {
        SudoAsks::Never => "-n".to_owned(),
        SudoAsks::OverChannel => format!("-S -p '{}'", prompt_text(token)),
    };
    let terminal = match channel {
        ChannelKind::Pipes => "",
        ChannelKind::Terminal => "stty echo icanon; ",
    };
    let token = token.as_str();
    // Ready, in words that do not stand in the command line itself: sudo shows that when it refuses it.
    format!(
        "exec env LANGUAGE=en sudo {asks} -H -u '{}' -- /bin/sh -c '\
         echo \"[fleet\" {token} \"ready]\" >&2; IFS= read -r FLEET_PROGRAM || exit; \
         unset LANGUAGE; {terminal}eval \"$(printf %b \"$FLEET_PROGRAM\")\"'",
        user.0
    )
    .into_bytes()
}

/// The line that makes what [`sudo_command`] has started run `command`, as [`wrap`](super::wrap) does; but in `/bin/sh`.
///
/// # Errors
/// As those of [`wrap`](super::wrap).
pub fn wrap_for_sudo(command: &RemoteCommand, token: &Token) -> Result<Vec<u8>, WrapError> {
    super::checked_len(program(command, token, SHELL)?.input_line())
}

fn prompt_text(token: &Token) -> String {
    format!("[fleet {} asks]", token.as_str())
}

fn ready_text(token: &Token) -> String {
    format!("[fleet {} ready]", token.as_str())
}

/// Something that is waited for before the program may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// `sudo` waits for a line with the password.
    Asked,
    /// The other user's shell waits for the line of the program.
    Ready,
}

/// What is said on the channel until the program may be sent, with the marks taken out.
#[derive(Debug)]
pub struct SudoDialogue {
    prompt: Vec<u8>,
    ready: Vec<u8>,
    said: Vec<u8>,
    /// Where in `said` the line end belongs to a password that was typed unseen, on a terminal.
    asked_at: Option<usize>,
}

impl SudoDialogue {
    /// The dialogue that is marked with `token`.
    #[must_use]
    pub fn new(token: &Token) -> Self {
        let (prompt, ready) = (prompt_text(token).into_bytes(), ready_text(token).into_bytes());
        Self { prompt, ready, said: Vec::new(), asked_at: None }
    }

    /// Takes the next bytes of standard error (of the output, on a terminal), split anywhere. What is read after a mark
    /// is the answer to what we do about it, so there is at most one in them.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Mark> {
        self.said.extend_from_slice(bytes);
        if let Some(at) = find(&self.said, &self.prompt) {
            self.said.drain(at..at + self.prompt.len());
            self.asked_at = Some(at);
            return Some(Mark::Asked);
        }
        if let Some(at) = find(&self.said, &self.ready)
            && let Some(line) = self.said[at..].iter().position(|&b| b == b'\n')
        {
            self.said.drain(at..=at + line);
            return Some(Mark::Ready);
        }
        let excess = self.said.len().saturating_sub(SAID_LIMIT);
        self.said.drain(..excess);
        None
    }

    /// All that was said beside the marks: a lecture, the words of a refusal.
    #[must_use]
    pub fn into_said(mut self) -> Vec<u8> {
        let typed = self.asked_at.and_then(|at| self.said.get(at..)).map_or(0, |rest| match rest {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            _ => 0,
        });
        if let Some(at) = self.asked_at.filter(|_| typed > 0) {
            self.said.drain(at..at + typed);
        }
        self.said
    }
}

/// Why `sudo` did not run the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SudoRefusal {
    /// It wants a password.
    NeedsPassword,
    /// It did not take the password.
    WrongPassword,
    /// Its rules do not let this user do it.
    NotAllowed,
    /// It wants a terminal (`requiretty`).
    NeedsTerminal,
    /// There is no such account to run as.
    UnknownUser,
    /// It is not there.
    NotInstalled,
}

impl SudoRefusal {
    /// The refusal in what `sudo` (or `env`, for it) `said` before it ended with `code`; `None` when only its own words
    /// tell.
    #[must_use]
    pub fn find(said: &[u8], code: u32) -> Option<Self> {
        const WORDS: [(&str, SudoRefusal); 12] = [
            ("must have a tty", SudoRefusal::NeedsTerminal),
            ("incorrect password attempt", SudoRefusal::WrongPassword),
            ("incorrect authentication attempt", SudoRefusal::WrongPassword),
            ("is not in the sudoers file", SudoRefusal::NotAllowed),
            ("is not allowed to", SudoRefusal::NotAllowed),
            ("may not run sudo", SudoRefusal::NotAllowed),
            // sudo-rs
            ("I'm afraid I can't do that", SudoRefusal::NotAllowed),
            ("unknown user", SudoRefusal::UnknownUser),
            ("user not found", SudoRefusal::UnknownUser),
            ("a password is required", SudoRefusal::NeedsPassword),
            ("a terminal is required to", SudoRefusal::NeedsPassword),
            ("interactive authentication is required", SudoRefusal::NeedsPassword),
        ];
        // env's exit code for a program that is not there (POSIX.1-2017, env).
        if code == 127 {
            return Some(Self::NotInstalled);
        }
        WORDS.iter().find(|(words, _)| find(said, words.as_bytes()).is_some()).map(|&(_, refusal)| refusal)
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
