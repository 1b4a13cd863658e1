//! The ways in which a host misbehaves on purpose, and how they are written: `refuse`, `slow-banner=2s`.
//!
//! Must not know sockets or SSH: what a fault does is done where it happens.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One way to misbehave. A host may have several; each new connection obeys those in force when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Nobody listens: connections are refused.
    Refuse,
    /// Accepts, reads, and never says a byte.
    Silent,
    /// Answers as something that is not an SSH server.
    GarbageBanner,
    /// Says its identification only after this long.
    SlowBanner(Duration),
    /// Closes the first so many connections before its identification, as sshd's MaxStartups does.
    DropPreauth(usize),
    /// Says its identification and closes.
    CloseAfterBanner,
    /// Says its identification and then nothing: the key exchange never starts.
    HangKex,
    /// Shows a host key that is not the one in known_hosts.
    WrongHostKey,
    /// Refuses every key.
    AuthRefused,
    /// Disconnects with "Too many authentication failures" at the first attempt.
    TooManyAuthFailures,
    /// Refuses to open sessions.
    RefuseSession,
    /// Opens so many sessions at once on a connection, as sshd's MaxSessions does, and refuses more.
    SessionLimit(usize),
    /// Opens so many sessions in all on a connection, and refuses more.
    SessionQuota(usize),
    /// Refuses to run commands.
    RefuseExec,
    /// Ignores requests to send a signal, as sshd does for root.
    NoSignal,
    /// Commands have no input; what the client sends is thrown away, and after one and a half windows no more
    /// is allowed.
    CloseStdinEarly,
    /// Closes the channel without saying how the command ended.
    NoExitStatus,
    /// Says how the command ended before the last of its output.
    DataAfterExitStatus,
    /// Closes the channel without an end of output.
    NoEof,
    /// Says how the command ended, and never closes the channel.
    NoClose,
    /// Sends so many bytes of a command's output, then no more.
    StallOutput(u64),
    /// Sends so many bytes of a command's output, then closes the TCP connection.
    CloseOutput(u64),
    /// Delays every byte this long, in each direction.
    Latency(Duration),
    /// Windows of 4 KiB and packets of 1 KiB, both ways.
    TinyWindow,
    /// Exchanges new keys after so many bytes in either direction.
    Rekey(u32),
}

/// Why a text is not a fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No such fault.
    #[error("\"{name}\" is not a fault: expected one of {}", Fault::names().join(", "))]
    Unknown {
        /// What was written.
        name: String,
    },
    /// A fault that takes a value, without a good one; or one that takes none, with one.
    #[error("the fault \"{text}\" is wrong: expected {expected}")]
    Value {
        /// What was written.
        text: String,
        /// The form it should have had.
        expected: &'static str,
    },
}

/// The name of each fault, and the form in which it is written.
const FORMS: [(&str, &str); 25] = [
    ("refuse", "refuse"),
    ("silent", "silent"),
    ("garbage-banner", "garbage-banner"),
    ("slow-banner", "slow-banner=2s"),
    ("drop-preauth", "drop-preauth=3"),
    ("close-after-banner", "close-after-banner"),
    ("hang-kex", "hang-kex"),
    ("wrong-host-key", "wrong-host-key"),
    ("auth-refused", "auth-refused"),
    ("too-many-auth-failures", "too-many-auth-failures"),
    ("refuse-session", "refuse-session"),
    ("session-limit", "session-limit=1"),
    ("session-quota", "session-quota=1"),
    ("refuse-exec", "refuse-exec"),
    ("no-signal", "no-signal"),
    ("close-stdin-early", "close-stdin-early"),
    ("no-exit-status", "no-exit-status"),
    ("data-after-exit-status", "data-after-exit-status"),
    ("no-eof", "no-eof"),
    ("no-close", "no-close"),
    ("stall-output", "stall-output=4096"),
    ("close-output", "close-output=4096"),
    ("latency", "latency=50ms"),
    ("tiny-window", "tiny-window"),
    ("rekey", "rekey=65536, at least 1024"),
];

/// Fewer bytes than this between two key exchanges, and the exchanges themselves would ask for the next.
const SMALLEST_REKEY_BYTES: u32 = 1024;

impl Fault {
    /// All faults' names, in the order of a connection's life.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        FORMS.iter().map(|(name, _)| *name).collect()
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let Some((_, expected)) = FORMS.iter().find(|(known, _)| *known == name) else {
            return Err(FaultError::Unknown { name: name.to_owned() });
        };
        let fault = match value {
            None => plain_fault(name),
            Some(value) => valued_fault(name, value),
        };
        fault.ok_or_else(|| FaultError::Value { text: text.to_owned(), expected })
    }
}

fn plain_fault(name: &str) -> Option<Fault> {
    Some(match name {
        "refuse" => Fault::Refuse,
        "silent" => Fault::Silent,
        "garbage-banner" => Fault::GarbageBanner,
        "close-after-banner" => Fault::CloseAfterBanner,
        "hang-kex" => Fault::HangKex,
        "wrong-host-key" => Fault::WrongHostKey,
        "auth-refused" => Fault::AuthRefused,
        "too-many-auth-failures" => Fault::TooManyAuthFailures,
        "refuse-session" => Fault::RefuseSession,
        "refuse-exec" => Fault::RefuseExec,
        "no-signal" => Fault::NoSignal,
        "close-stdin-early" => Fault::CloseStdinEarly,
        "no-exit-status" => Fault::NoExitStatus,
        "data-after-exit-status" => Fault::DataAfterExitStatus,
        "no-eof" => Fault::NoEof,
        "no-close" => Fault::NoClose,
        "tiny-window" => Fault::TinyWindow,
        _ => return None,
    })
}

fn valued_fault(name: &str, value: &str) -> Option<Fault> {
    Some(match name {
        "slow-banner" => Fault::SlowBanner(parse_duration(value)?),
        "drop-preauth" => Fault::DropPreauth(value.parse().ok()?),
        "session-limit" => Fault::SessionLimit(value.parse().ok()?),
        "session-quota" => Fault::SessionQuota(value.parse().ok()?),
        "stall-output" => Fault::StallOutput(value.parse().ok()?),
        "close-output" => Fault::CloseOutput(value.parse().ok()?),
        "latency" => Fault::Latency(parse_duration(value)?),
        "rekey" => Fault::Rekey(value.parse().ok().filter(|bytes| *bytes >= SMALLEST_REKEY_BYTES)?),
        _ => return None,
    })
}

/// A whole number with `ms`, `s` or `m`.
fn parse_duration(text: &str) -> Option<Duration> {
    let unit_start = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(unit_start);
    let number: u64 = digits.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value) = match self {
            Self::Refuse => ("refuse", None),
            Self::Silent => ("silent", None),
            Self::GarbageBanner => ("garbage-banner", None),
            Self::SlowBanner(delay) => ("slow-banner", Some(format!("{}ms", delay.as_millis()))),
            Self::DropPreauth(connections) => ("drop-preauth", Some(connections.to_string())),
            Self::CloseAfterBanner => ("close-after-banner", None),
            Self::HangKex => ("hang-kex", None),
            Self::WrongHostKey => ("wrong-host-key", None),
            Self::AuthRefused => ("auth-refused", None),
            Self::TooManyAuthFailures => ("too-many-auth-failures", None),
            Self::RefuseSession => ("refuse-session", None),
            Self::SessionLimit(sessions) => ("session-limit", Some(sessions.to_string())),
            Self::SessionQuota(sessions) => ("session-quota", Some(sessions.to_string())),
            Self::RefuseExec => ("refuse-exec", None),
            Self::NoSignal => ("no-signal", None),
            Self::CloseStdinEarly => ("close-stdin-early", None),
            Self::NoExitStatus => ("no-exit-status", None),
            Self::DataAfterExitStatus => ("data-after-exit-status", None),
            Self::NoEof => ("no-eof", None),
            Self::NoClose => ("no-close", None),
            Self::StallOutput(bytes) => ("stall-output", Some(bytes.to_string())),
            Self::CloseOutput(bytes) => ("close-output", Some(bytes.to_string())),
            Self::Latency(delay) => ("latency", Some(format!("{}ms", delay.as_millis()))),
            Self::TinyWindow => ("tiny-window", None),
            Self::Rekey(bytes) => ("rekey", Some(bytes.to_string())),
        };
        match value {
            Some(value) => write!(f, "{name}={value}"),
            None => f.write_str(name),
        }
    }
}

/// The faults of one host, as its connections ask for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FaultSet(Vec<Fault>);

impl FromIterator<Fault> for FaultSet {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        Self(faults.into_iter().collect())
    }
}

impl FaultSet {
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    /// The value of the first fault that `pick` knows.
    pub(crate) fn find<T>(&self, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(pick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_parses_from_its_form_and_displays_so_that_it_parses_back() {
        for (name, form) in FORMS {
            let form = form.split(',').next().unwrap();
            let fault: Fault = form.parse().unwrap_or_else(|error| panic!("{form}: {error}"));
            let shown = fault.to_string();
            assert_eq!(shown.split('=').next(), Some(name));
            assert_eq!(shown.parse(), Ok(fault), "{shown}");
        }
    }

    #[test]
    fn wrong_faults_say_what_was_expected() {
        for (text, message) in [
            ("refuse=1", "the fault \"refuse=1\" is wrong: expected refuse"),
            ("latency", "the fault \"latency\" is wrong: expected latency=50ms"),
            ("latency=50", "the fault \"latency=50\" is wrong: expected latency=50ms"),
            ("slow-banner=2h", "the fault \"slow-banner=2h\" is wrong: expected slow-banner=2s"),
            ("stall-output=-1", "the fault \"stall-output=-1\" is wrong: expected stall-output=4096"),
            ("rekey=0", "the fault \"rekey=0\" is wrong: expected rekey=65536, at least 1024"),
        ] {
            assert_eq!(text.parse::<Fault>().unwrap_err().to_string(), message);
        }
        let unknown = "explode".parse::<Fault>().unwrap_err().to_string();
        assert!(unknown.starts_with("\"explode\" is not a fault: expected one of refuse, silent,"), "{unknown}");
    }
}
