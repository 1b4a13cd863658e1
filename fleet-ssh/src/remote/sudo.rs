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
        // Collapsed by sudo(8) into one: a shell that shows what it runs does not show the prompt.
        SudoAsks::OverChannel => format!("-S -p '{}'", prompt_text(token).replace('%', "%%")),
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
    format!("[fleet {} asks%]", token.as_str())
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
    /// Where in `said` `sudo` asked last.
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
        if let Some(excess) = self.said.len().checked_sub(SAID_LIMIT + 1) {
            self.said.drain(..=excess);
            self.asked_at = None;
        }
        None
    }

    /// All that was said beside the marks: a lecture, the words of a refusal.
    #[must_use]
    pub fn into_said(mut self) -> Vec<u8> {
        if let Some(at) = self.asked_at {
            // What a terminal shows of a password: a line end, and with `pwfeedback` a star for each character.
            let shown = self.said[at..].iter().take_while(|b| b"*\x08 \r".contains(b)).count();
            if self.said.get(at + shown) == Some(&b'\n') {
                self.said.drain(at..=at + shown);
            }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::StdinMode;
    use super::*;

    const PROMPT: &str = "[fleet 00000000000000ab asks%]";
    const READY: &str = "[fleet 00000000000000ab ready]\n";

    /// The marks in `text`, fed byte by byte, and what is left of it.
    fn fed(text: &str) -> (Vec<Mark>, String) {
        let mut dialogue = SudoDialogue::new(&Token::new(0xab));
        let marks = text.bytes().filter_map(|byte| dialogue.feed(&[byte])).collect();
        (marks, String::from_utf8(dialogue.into_said()).unwrap())
    }

    #[test]
    fn marks_are_found_and_all_else_is_left() {
        let lecture = "We trust you have received the usual lecture.\n";
        for (text, marks, said) in [
            (READY.to_owned(), vec![Mark::Ready], ""),
            (format!("motd\n{lecture}{PROMPT}{READY}"), vec![Mark::Asked, Mark::Ready], &*format!("motd\n{lecture}")),
            (format!("{PROMPT}\r\n{}", READY.replace('\n', "\r\n")), vec![Mark::Asked, Mark::Ready], ""),
            (format!("{PROMPT}****\x08 \x08\r\nwelcome"), vec![Mark::Asked], "welcome"),
            (format!("{PROMPT}Sorry, try again.\n{PROMPT}"), vec![Mark::Asked, Mark::Asked], "Sorry, try again.\n"),
            (PROMPT.replace("ab", "ac"), vec![], "[fleet 00000000000000ac asks%]"),
            ("sudo: a password is required\n".to_owned(), vec![], "sudo: a password is required\n"),
        ] {
            assert_eq!(fed(&text), (marks, said.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn much_noise_is_kept_in_part_and_hides_no_mark() {
        let mut dialogue = SudoDialogue::new(&Token::new(0xab));
        for _ in 0..300 {
            assert_eq!(dialogue.feed(&[b'x'; 1000]), None);
        }
        assert_eq!(dialogue.feed(PROMPT.as_bytes()), Some(Mark::Asked));
        assert_eq!(dialogue.feed(READY.as_bytes()), Some(Mark::Ready));
        assert_eq!(dialogue.into_said().len(), SAID_LIMIT);
    }

    #[test]
    fn the_command_line_holds_no_mark_that_a_shell_or_sudo_could_repeat() {
        for (asks, channel) in [(SudoAsks::Never, ChannelKind::Pipes), (SudoAsks::OverChannel, ChannelKind::Terminal)] {
            let line = sudo_command(&SudoUser::root(), asks, channel, &Token::new(0xab));
            let text = format!("+ {}\n", String::from_utf8(line).unwrap());
            assert_eq!(fed(&text), (vec![], text));
        }
    }

    #[test]
    fn nothing_of_the_command_is_an_argument_of_sudo() {
        let command = RemoteCommand {
            command: b"pkill -f classified".to_vec(),
            env: vec![("NAME".to_owned(), b"classified".to_vec())],
            stdin: StdinMode::Closed,
            grace: Duration::from_secs(1),
        };
        let line = wrap_for_sudo(&command, &Token::new(0xab)).unwrap();
        assert_eq!(line.iter().position(|&b| b == b'\n'), Some(line.len() - 1), "one line");
        assert!(find(&line, b"classified").is_some());
    }

    #[test]
    fn names_of_users_cannot_be_taken_for_anything_else() {
        for name in ["root", "#0", "www-data", "svc$", "me@EXAMPLE.ORG", "a.b_c+d"] {
            assert!(SudoUser::new(name).is_ok(), "{name}");
        }
        for name in ["", "-u", "a b", "it's", "a!b", "a\\b", "a\nb", "a;b", "\u{e9}"] {
            assert!(SudoUser::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn refusals_are_told_by_the_words_of_sudo() {
        for (said, code, refusal) in [
            ("sudo: a password is required\n", 1, Some(SudoRefusal::NeedsPassword)),
            ("sudo: interactive authentication is required\n", 1, Some(SudoRefusal::NeedsPassword)),
            ("sudo: 1 incorrect password attempt\n", 1, Some(SudoRefusal::WrongPassword)),
            ("a is not in the sudoers file.\nThis incident has been reported.\n", 1, Some(SudoRefusal::NotAllowed)),
            ("Sorry, user a is not allowed to execute '/bin/sh' as root on h.\n", 1, Some(SudoRefusal::NotAllowed)),
            ("Sorry, user a may not run sudo on h.\n", 1, Some(SudoRefusal::NotAllowed)),
            ("sudo: sorry, you must have a tty to run sudo\n", 1, Some(SudoRefusal::NeedsTerminal)),
            ("sudo: unknown user: b\n", 1, Some(SudoRefusal::UnknownUser)),
            ("env: 'sudo': No such file or directory\n", 127, Some(SudoRefusal::NotInstalled)),
            ("sudo: account validation failure, is your account locked?\n", 1, None),
        ] {
            assert_eq!(SudoRefusal::find(said.as_bytes(), code), refusal, "{said}");
        }
    }
}
