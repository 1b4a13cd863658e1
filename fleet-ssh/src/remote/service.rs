//! Commands with a name that go on without us: a service is a job ([`JobStart`](super::JobStart)) that keeps its name.
//!
//! It is a folder of the user's on the host, `${XDG_STATE_HOME:-~/.local/state}/fleet/services/NAME`, as those of jobs are
//! (`job_folder.sh`), with one log of all its output and the name of what has started it. All of them are told of in lines
//! of one form ([`ServiceReport`]).
//!
//! Must not know of SSH, hosts or time.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use super::job::{FOLDER, TIDY, title};
use super::quote::sh_quote;
use super::{BOOT, IDENTITY, JobShell, Program, STOP, WrapError, no_option, push_all, refuse_nul, without_comments};

static TELL: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("service_tell.sh")));
static SYSTEMD: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("service_systemd.sh")));
static LOCK: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("service_lock.sh")));
static START: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("service_start.sh")));
static END: LazyLock<String> = LazyLock::new(|| without_comments(include_str!("service_stop.sh")));

/// Where the services are.
const SERVICES: &str = "jobs=${XDG_STATE_HOME:-$HOME/.local/state}/fleet/services\n";

/// Starts a line that tells of a service.
const MARK: &[u8] = b"\x1efleet-service ";

/// Starts the line that tells why nothing was started.
const REFUSED: &[u8] = b"\x1efleet-service-refused ";

/// Tells the command what it alone is told: that must not change where we look, nor what we find.
const TOLD: &str = "eval \"$FLEET_VARIABLES\"\nunset FLEET_VARIABLES\n";

/// Says why nothing is started, and ends.
const REFUSE: &str = "refuse() {\nprintf '\\036fleet-service-refused %s\\n' \"$1\"\nexit 1\n}\n";

const MAX_NAME_LEN: usize = 64;

/// The name of a service: one part of a path and of a unit's name, for every shell and systemd.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(String);

/// What cannot be the name of a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" cannot be the name of a service: expected at most {MAX_NAME_LEN} letters, digits and ._-, the first a letter or digit"
)]
pub struct ServiceNameError(String);

impl ServiceName {
    /// Reads the name: nothing else can become part of a path on a host.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, ServiceNameError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(fits) && text.len() <= MAX_NAME_LEN
        {
            return Ok(Self(text.to_owned()));
        }
        Err(ServiceNameError(text.to_owned()))
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is to start a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchBy {
    /// systemd where it can be used, else setsid.
    Auto,
    /// A session of its own: setsid(1), or nohup(1) where there is none.
    Setsid,
    /// A transient unit of systemd: of the system for root, else of the user, who has to linger.
    Systemd,
}

/// Whether a service may take the name of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// No: nothing is done where there is one of that name, and it is told of.
    Free,
    /// Of one that has ended: all that was kept of it goes.
    Ended,
}

/// A service to be started.
#[derive(Clone, Copy, Debug)]
pub struct ServiceStart<'a> {
    /// What it is called from then on.
    pub name: &'a ServiceName,
    /// What it runs: any bytes but NUL.
    pub command: &'a [u8],
    /// What runs the command.
    pub shell: JobShell,
    /// What it is told beside the variables of the command that starts it: its own `HOME` or `PATH` must not change where
    /// services are looked for. Names that a shell takes, any bytes but NUL.
    pub variables: &'a [(String, Vec<u8>)],
    /// The folder that it runs in, from that of the login.
    pub folder: Option<&'a [u8]>,
    /// What is to start it.
    pub by: LaunchBy,
    /// Whose name it may take.
    pub room: Room,
    /// How long it is watched: it is to run for so long. Counted in tenths of a second.
    pub settle: Duration,
}

/// What has become of a service on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// It runs.
    Running,
    /// Its command has ended by itself, with this code.
    Exited(u32),
    /// A signal of this name has ended it, such as `TERM`; or it has ended with the code by which shells tell of one.
    Stopped(String),
    /// What watches over it runs no more, and has left no word: it was killed, or the host went down.
    Died,
    /// The host has no such service.
    None,
}

/// What is said of a service beside its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceWord {
    /// No more than the state.
    Is,
    /// It was there already: nothing was done.
    Present,
    /// It was started.
    Started,
    /// Something of it ran; the host looked at all processes, and none is left.
    Gone,
    /// Nothing of it ran.
    Idle,
    /// These process numbers are left of it, or nothing but its unit.
    Left(Vec<u32>),
    /// The host does not show its processes. What could be seen was stopped.
    Unknown,
}

/// What a host tells of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceReport {
    /// What was done about it.
    pub word: ServiceWord,
    /// Its name.
    pub name: String,
    /// What has become of it.
    pub state: ServiceState,
    /// The number of its command's process.
    pub pid: Option<u32>,
    /// When it was started, in seconds since 1970 by the host's clock; 0 where that is not known.
    pub started_secs: u64,
    /// What has started it: `systemd`, `setsid` or `nohup`; `-` where that is not known.
    pub by: String,
    /// How its command is shown.
    pub title: Vec<u8>,
}

impl ServiceReport {
    /// The reports in `stdout`, all the output of one of our commands about services.
    #[must_use]
    pub fn find_all(stdout: &[u8]) -> Vec<Self> {
        stdout.split(|&b| b == b'\n').filter_map(Self::parse).collect()
    }

    /// The report in a line that may begin with the noise of a login shell.
    fn parse(line: &[u8]) -> Option<Self> {
        let at = line.windows(MARK.len()).position(|window| window == MARK)?;
        let mut words = line[at + MARK.len()..].splitn(8, |&b| b == b' ');
        let mut text = || std::str::from_utf8(words.next()?).ok();
        let (word, name, pid, started, by) = (text()?, text()?, text()?, text()?, text()?);
        let (state, detail) = (text()?, text()?);
        Some(Self {
            word: ServiceWord::parse(word)?,
            name: name.to_owned(),
            state: ServiceState::parse(state, detail)?,
            pid: pid.parse().ok(),
            started_secs: started.parse().ok()?,
            // Whose systemd it is follows from who asks.
            by: by.split('-').find(|part| !part.is_empty()).unwrap_or("-").to_owned(),
            title: words.next()?.trim_ascii_end().to_vec(),
        })
    }
}

impl ServiceWord {
    fn parse(word: &str) -> Option<Self> {
        Some(match word.split_once(':').unwrap_or((word, "")) {
            ("is", _) => Self::Is,
            ("present", _) => Self::Present,
            ("started", _) => Self::Started,
            ("gone", _) => Self::Gone,
            ("idle", _) => Self::Idle,
            ("left", pids) => Self::Left(pids.split(':').filter_map(|pid| pid.parse().ok()).collect()),
            ("unknown", _) => Self::Unknown,
            _ => return None,
        })
    }
}

impl ServiceState {
    fn parse(state: &str, detail: &str) -> Option<Self> {
        match state {
            "running" => Some(Self::Running),
            "exited" => detail.parse().ok().map(Self::Exited),
            "stopped" => Some(Self::Stopped(detail.to_owned())),
            "died" => Some(Self::Died),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

/// What a host tells of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartReport {
    /// The service; its word is [`ServiceWord::Started`] or [`ServiceWord::Present`].
    pub service: ServiceReport,
    /// The last lines of its log, where it has ended already.
    pub last_words: Vec<u8>,
}

/// Why nothing was started, in `stdout`, all the output of [`service_start_command`].
#[must_use]
pub fn service_start_refusal(stdout: &[u8]) -> Option<String> {
    let at = stdout.windows(REFUSED.len()).position(|window| window == REFUSED)?;
    let line = stdout[at + REFUSED.len()..].split(|&b| b == b'\n').next()?;
    Some(String::from_utf8_lossy(line).into_owned())
}

impl StartReport {
    /// The report in `stdout`, all the output of [`service_start_command`]; `None` when it did not come to one.
    #[must_use]
    pub fn find(stdout: &[u8]) -> Option<Self> {
        let at = stdout.windows(MARK.len()).position(|window| window == MARK)?;
        let line_len = stdout[at..].iter().position(|&b| b == b'\n')?;
        let service = ServiceReport::parse(&stdout[at..at + line_len])?;
        Some(Self { service, last_words: stdout[at + line_len + 1..].to_vec() })
    }
}

/// The command, for any login shell, that starts the service of its input ([`service_start_input`]) and prints what
/// [`StartReport::find`] reads. The program is its input because it is long: some servers take lines of 9,000 bytes.
#[must_use]
pub fn service_start_command() -> Vec<u8> {
    br#"exec /bin/sh -c 'eval "$(cat)"'"#.to_vec()
}

/// The input of [`service_start_command`]. Of one that is cut off nothing is run.
///
/// # Errors
/// When a NUL is in the command, in a variable or in the folder.
pub fn service_start_input(service: &ServiceStart<'_>) -> Result<Vec<u8>, WrapError> {
    refuse_nul(service.command, || "the command".to_owned())?;
    let by = match service.by {
        LaunchBy::Auto => "auto",
        LaunchBy::Setsid => "setsid",
        LaunchBy::Systemd => "systemd",
    };
    let over = if service.room == Room::Ended { "over" } else { "''" };
    let settle = service.settle.as_millis().div_ceil(100);

    // A shell reads all of what is in braces before it runs any of it.
    let mut program = [b"{\n", REFUSE.as_bytes()].concat();
    if let Some(folder) = service.folder {
        refuse_nul(folder, || "the folder".to_owned())?;
        let missing = [b"there is no folder ", folder, b" that can be entered"].concat();
        push_all(
            &mut program,
            &[b"CDPATH= cd -- ", &sh_quote(folder), b" 2>/dev/null || refuse ", &sh_quote(&missing)],
        );
        program.push(b'\n');
    }
    push_all(&mut program, &[format!("set -- {} ", service.name).as_bytes(), &sh_quote(&title(service.command))]);
    push_all(&mut program, &[b" ", &sh_quote(&no_option(service.command))]);
    push_all(&mut program, &[format!(" {by} {settle} {over}\n").as_bytes()]);
    let mut variables = Vec::new();
    for (name, value) in service.variables {
        refuse_nul(value, || format!("the variable {name}"))?;
        push_all(&mut variables, &[b"export ", name.as_bytes(), b"=", &sh_quote(value), b"\n"]);
    }
    push_all(&mut program, &[b"export FLEET_VARIABLES=", &sh_quote(&variables), b"\n"]);
    program.extend(service.shell.watcher(TOLD));
    let parts = ["kept() {\n", SERVICES, &FOLDER, &TELL, &LOCK, "tidy() {\n", &TIDY, "}\n}\n", &SYSTEMD, &START, "}\n"];
    push_all(&mut program, &parts.map(str::as_bytes));
    Ok(program)
}

/// The command that prints a [`ServiceReport`] of the service, also when there is none of that name.
#[must_use]
pub fn service_state_command(name: &ServiceName) -> Vec<u8> {
    program(&[&TELL, &format!("tell is {name}\n")])
}

/// The command that prints a [`ServiceReport`] of each service of the host, by name.
#[must_use]
pub fn service_list_command() -> Vec<u8> {
    program(&[&TELL, &for_each("tell is \"$job\"")])
}

/// Which services are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Services {
    /// The one of this name.
    One(ServiceName),
    /// All of the user's.
    All,
}

/// The command that stops services with all their processes, all at once, and prints a [`ServiceReport`] of each. Also
/// stopped is what a service has left behind that has ended itself, or whose watcher was killed.
#[must_use]
pub fn service_stop_command(services: &Services, grace: Duration) -> Vec<u8> {
    let work = match services {
        Services::One(name) => format!("alone finish {name}\n"),
        Services::All => for_each("alone finish \"$job\" &") + "wait\n",
    };
    stopping(grace, &work)
}

/// The command that forgets a service that does not run, with its log, and prints a [`ServiceReport`] of it: of one that
/// runs, with [`ServiceWord::Present`].
#[must_use]
pub fn service_remove_command(name: &ServiceName, grace: Duration) -> Vec<u8> {
    stopping(grace, &format!("alone forget {name}\n"))
}

/// Whether a log is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Only what is there is printed.
    No,
    /// What comes is printed as it comes, until the command is stopped.
    Yes,
}

/// The command that prints the last `lines` of the log of a service.
#[must_use]
pub fn service_log_command(name: &ServiceName, lines: u64, follow: Follow) -> Vec<u8> {
    let follow = if follow == Follow::Yes { "-f " } else { "" };
    program(&[&format!("exec tail -n {lines} {follow}\"$jobs/{name}/log\"\n")])
}

fn for_each(work: &str) -> String {
    format!("cd \"$jobs\" 2>/dev/null || exit 0\nfor job in *; do\nif [ -d \"$job\" ]; then {work}\nfi\ndone\n")
}

fn stopping(grace: Duration, work: &str) -> Vec<u8> {
    let grace = format!("grace={}\n", grace.as_millis().div_ceil(100));
    program(&[&STOP, &TELL, &SYSTEMD, &LOCK, &END, &grace, work])
}

fn program(parts: &[&str]) -> Vec<u8> {
    let text = [&[&IDENTITY, &BOOT, SERVICES, &FOLDER], parts].concat().concat();
    Program(text.into_bytes()).command_line()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "web";

    fn name() -> ServiceName {
        ServiceName::parse(SERVICE).unwrap()
    }

    #[test]
    fn nothing_but_a_name_is_taken_for_one() {
        for text in ["web", "a", "9", "nginx-1.2_x", &"x".repeat(64)] {
            assert_eq!(ServiceName::parse(text).unwrap().to_string(), text);
        }
        for text in ["", ".", "..", ".web", "-n", "_x", "a/b", "a b", "a\n", "w\u{e9}b", "$x", "a@b", &"x".repeat(65)] {
            assert!(ServiceName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn reads_reports_among_the_noise_of_a_login_shell() {
        let stdout = b"motd\n\n\x1efleet-service is web 12 99 setsid running 11 nginx -c x\n\
            noise \x1efleet-service gone db - 0 systemd-user stopped KILL \r\n\
            \x1efleet-service left:4:5 x 4 1 - died - sh\n\x1efleet-service is y - 0 - none - \n\
            \x1efleet-service is cut 1 2 setsid\n";
        let found = ServiceReport::find_all(stdout);
        let told: Vec<_> = found.iter().map(|one| (&*one.name, &one.word, &one.state, one.pid, &*one.by)).collect();
        let stopped = ServiceState::Stopped("KILL".to_owned());
        assert_eq!(
            told,
            [
                ("web", &ServiceWord::Is, &ServiceState::Running, Some(12), "setsid"),
                ("db", &ServiceWord::Gone, &stopped, None, "systemd"),
                ("x", &ServiceWord::Left(vec![4, 5]), &ServiceState::Died, Some(4), "-"),
                ("y", &ServiceWord::Is, &ServiceState::None, None, "-"),
            ]
        );
        assert_eq!(
            (found[0].started_secs, &found[0].title[..], &found[1].title[..]),
            (99, &b"nginx -c x"[..], &b""[..])
        );
    }

    #[test]
    fn what_follows_the_report_of_a_start_is_the_end_of_its_log() {
        let stdout = b"motd\n\x1efleet-service started web 12 99 setsid exited 7 false\n\nbye\n";
        let report = StartReport::find(stdout).unwrap();
        assert_eq!(report.service.state, ServiceState::Exited(7));
        assert_eq!(report.last_words, b"\nbye\n");
        assert_eq!(StartReport::find(b"\x1efleet-service started web 12"), None);
    }

    /// Dropbear takes 9,000 bytes; the rest is for the user's command.
    #[test]
    fn our_part_of_the_command_line_is_small() {
        let grace = Duration::from_secs(5);
        for line in [service_stop_command(&Services::All, grace), service_remove_command(&name(), grace)] {
            assert!(line.len() < 8000, "{}", line.len());
        }
    }
}
