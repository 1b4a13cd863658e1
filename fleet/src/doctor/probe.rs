//! The script that looks at a host, and what it answers.
//!
//! Must not judge the answers. What hosts say is anybody's text: whoever shows it makes it harmless first.

use std::time::Duration;

/// The script, for the host's POSIX shell.
const SCRIPT: &str = include_str!("probe.sh");
const BEGIN: &[u8] = b"fleet-doctor-begin\n";
const END: &[u8] = b"fleet-doctor-end\n";
/// How much of each output is looked at: a host cannot fill our memory.
pub(super) const MOST_OUTPUT: usize = 64 << 10;

/// The command for the login shell, whichever that is.
pub(super) const COMMAND: &[u8] = br#"exec /bin/sh -c 'eval "$FLEET_PROBE"'"#;

/// Whether the script asks for the settings of the SSH server too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerSettings {
    Wanted,
    Left,
}

/// The variables that [`COMMAND`] needs.
pub(super) fn environment(server: ServerSettings) -> Vec<(String, Vec<u8>)> {
    let wanted: &[u8] = if server == ServerSettings::Wanted { b"yes" } else { b"no" };
    let script: String = SCRIPT.lines().filter(|line| !line.starts_with('#')).flat_map(|line| [line, "\n"]).collect();
    vec![("FLEET_PROBE".to_owned(), script.into_bytes()), ("FLEET_SSHD".to_owned(), wanted.to_vec())]
}

/// How far the remote clock is from ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ClockOffset {
    /// Seconds that the remote clock is ahead; negative when it is behind.
    pub(super) ahead_secs: f64,
    /// The offset is sure within this many seconds: half the time from the request to the answer, and half a second
    /// where the host tells whole seconds only.
    pub(super) uncertainty_secs: f64,
}

impl ClockOffset {
    /// From what `date` printed, when we sent the request at `sent` (since the epoch) and had the answer `took` later.
    pub(super) fn measure(text: &str, sent: Duration, took: Duration) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let whole: f64 = whole.parse().ok()?;
        // Where %N is not known, it is printed as it stands, or left out.
        let is_exact = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
        let (remote, rounding) = if is_exact { (text.parse().ok()?, 0.0) } else { (whole + 0.5, 0.5) };
        let half = took.as_secs_f64() / 2.0;
        Some(Self { ahead_secs: remote - (sent.as_secs_f64() + half), uncertainty_secs: half + rounding })
    }
}

/// Whether the script came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// It never began.
    Nothing,
    /// It stopped at the question of this name.
    Question(String),
    /// All was asked.
    End,
}

/// What the script printed, and what was printed around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answers {
    fields: Vec<(String, String)>,
    pub(super) reached: Reached,
    /// What the start-up files of the login shell wrote to standard output, before or after.
    pub(super) stdout_noise: Vec<u8>,
    /// The same for standard error.
    pub(super) stderr_noise: Vec<u8>,
}

impl Answers {
    pub(super) fn parse(stdout: &[u8], stderr: &[u8]) -> Self {
        let said = Framed::of(stdout);
        let text = String::from_utf8_lossy(said.inside);
        let fields: Vec<(String, String)> = text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let asked = fields.iter().rev().find(|(name, _)| name == "at");
        let reached = match (said.begun, said.ended) {
            (false, _) => Reached::Nothing,
            (true, true) => Reached::End,
            (true, false) => Reached::Question(asked.map_or("clock", |(_, name)| name.as_str()).to_owned()),
        };
        // On standard error the script itself says nothing between the marks.
        Self { fields, reached, stdout_noise: said.around, stderr_noise: Framed::of(stderr).around }
    }

    /// The first answer of this name that is not empty.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().find(|value| !value.is_empty())
    }

    /// The last answer of this name.
    pub(super) fn last(&self, name: &str) -> Option<&str> {
        self.all(name).last().copied()
    }

    /// Whether the host has the program.
    pub(super) fn has(&self, program: &str) -> bool {
        self.all("has").contains(&program)
    }

    /// Whether the question was asked and is not the one that hangs, so that no answer means something.
    pub(super) fn was_asked(&self, name: &str) -> bool {
        match &self.reached {
            Reached::Nothing => false,
            Reached::Question(hanging) => hanging != name && self.all("at").contains(&name),
            Reached::End => true,
        }
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// What is between the marks, and what is around them.
struct Framed<'a> {
    begun: bool,
    ended: bool,
    inside: &'a [u8],
    around: Vec<u8>,
}

impl<'a> Framed<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let find = |mark: &[u8], from: usize| {
            let at = bytes[from..].windows(mark.len()).position(|window| window == mark)?;
            Some(from + at)
        };
        let Some(begin) = find(BEGIN, 0) else {
            return Self { begun: false, ended: false, inside: &[], around: bytes.to_vec() };
        };
        let start = begin + BEGIN.len();
        match find(END, start) {
            Some(end) => {
                let around = [&bytes[..begin], &bytes[end + END.len()..]].concat();
                Self { begun: true, ended: true, inside: &bytes[start..end], around }
            }
            None => Self { begun: true, ended: false, inside: &bytes[start..], around: bytes[..begin].to_vec() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_lines_between_the_marks_and_the_rest_is_noise() {
        let answers = Answers::parse(
            b"Welcome!\nfleet-doctor-begin\nshell /bin/bash\nat tmp\ntmp a\ntmp b\nhas rsync\nfleet-doctor-end\nbye\n",
            b"warning\nfleet-doctor-begin\nfleet-doctor-end\n",
        );
        assert_eq!(answers.first("shell"), Some("/bin/bash"));
        assert_eq!((answers.first("tmp"), answers.last("tmp")), (Some("a"), Some("b")));
        assert!(answers.has("rsync") && !answers.has("sudo"));
        assert_eq!(answers.reached, Reached::End);
        assert_eq!(answers.stdout_noise, b"Welcome!\nbye\n");
        assert_eq!(answers.stderr_noise, b"warning\n");
    }

    #[test]
    fn a_script_that_is_cut_short_names_the_question() {
        for (stdout, reached) in [
            (&b""[..], Reached::Nothing),
            (b"noise\n", Reached::Nothing),
            (b"fleet-doctor-begin\n", Reached::Question("clock".into())),
            (b"fleet-doctor-begin\nat tmp\ntmp x\nat home\n", Reached::Question("home".into())),
        ] {
            let answers = Answers::parse(stdout, b"");
            assert_eq!(answers.reached, reached, "{}", stdout.escape_ascii());
        }
        let answers = Answers::parse(b"fleet-doctor-begin\nat tmp\nat home\n", b"");
        assert!(answers.was_asked("tmp") && !answers.was_asked("home") && !answers.was_asked("home-inodes"));
    }

    #[test]
    fn the_clock_is_read_at_half_the_round_trip() {
        let (sent, took) = (Duration::from_secs(1000), Duration::from_millis(200));
        for (text, ahead, uncertainty) in [
            ("1000.100000000", 0.0, 0.1),
            ("1003.100000000", 3.0, 0.1),
            ("990.100000000", -10.0, 0.1),
            ("1000", 0.4, 0.6),
            ("1000.%N", 0.4, 0.6),
            ("1000.N", 0.4, 0.6),
            ("1000.", 0.4, 0.6),
        ] {
            let offset = ClockOffset::measure(text, sent, took).unwrap();
            assert!((offset.ahead_secs - ahead).abs() < 1e-6, "{text}: {offset:?}");
            assert!((offset.uncertainty_secs - uncertainty).abs() < 1e-6, "{text}: {offset:?}");
        }
        for text in ["", "yesterday", ".5"] {
            assert_eq!(ClockOffset::measure(text, sent, took), None, "{text}");
        }
    }

    /// Dropbear takes 9,000 bytes, about half of which the wrapper needs.
    #[test]
    fn the_script_is_small() {
        let bytes: usize = environment(ServerSettings::Wanted).iter().map(|(_, value)| value.len()).sum();
        assert!(bytes < 2300, "{bytes}");
    }
}
