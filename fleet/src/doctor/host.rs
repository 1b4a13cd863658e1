//! What the answers of one host mean.
//!
//! Pure: a table of rules. Must not know how the answers came here, nor the other hosts.

use std::time::Duration;

use fleet_core::outcome::{HostError, Outcome, SkipCause, Stop, StopCause};
use fleet_ssh::SftpGreeting;

use super::finding::{Check, Finding, Level};
use super::probe::{Answers, ClockOffset, Reached};

/// A clock that is further off, surely, is worth a warning, in seconds.
const CLOCK_LIMIT_SECS: f64 = 1.0;
/// With less than this free, in percent or in KiB, a disk is nearly full.
const FREE_PERCENT: u64 = 5;
const FREE_KIB: u64 = 100 << 10;
/// Runnable processes per CPU beyond which everything is slow.
const LOAD_PER_CPU: f64 = 4.0;
/// How much of what start-up files write is shown.
const SHOWN_NOISE: usize = 40;

/// What became of the visit to one host.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Visit {
    /// How the script ended, or why it did not start.
    pub(super) outcome: Outcome,
    pub(super) answers: Answers,
    pub(super) clock: Option<ClockOffset>,
    /// `None` when it was not asked.
    pub(super) sftp: Option<Result<SftpGreeting, HostError>>,
}

impl Visit {
    /// Of a host that was not contacted.
    pub(super) fn none() -> Self {
        let (outcome, answers) = (Outcome::Skipped(SkipCause::Interrupted), Answers::parse(b"", b""));
        Self { outcome, answers, clock: None, sftp: None }
    }
}

/// What there is to say about a host that commands shall run on.
pub(super) fn findings(visit: &Visit) -> Vec<Finding> {
    if let Some(failure) = failure(visit) {
        return failure;
    }
    let answers = &visit.answers;
    let mut findings = vec![Finding::fine(Check::Login, "works")];
    findings.extend(hang(visit));
    findings.push(shell(answers));
    findings.extend(noise(answers));
    findings.push(clock(visit.clock));
    findings.extend(worst(["home", "tmp"].map(|folder| space(answers, folder))));
    findings.extend(worst(["home", "tmp"].map(|folder| inodes(answers, folder))));
    findings.extend(load(answers));
    findings.extend(visit.sftp.as_ref().map(sftp));
    findings.extend(rsync(answers));
    findings.extend(sudo(answers));
    findings.extend(tools(answers));
    findings.extend(system(answers));
    findings
}

/// What there is to say when the script never began; `None` when it did.
pub(super) fn failure(visit: &Visit) -> Option<Vec<Finding>> {
    if visit.answers.reached != Reached::Nothing {
        return None;
    }
    let advice = visit.outcome.hint();
    let advised = |finding: Finding| match &advice {
        Some(advice) => finding.advice(advice),
        None => finding,
    };
    let finding = match &visit.outcome {
        Outcome::Skipped(_) => Finding::warning(Check::Login, "not looked at"),
        Outcome::Failed(error) => advised(Finding::problem(Check::Login, error.to_string())),
        outcome => {
            let reason = outcome.reason().unwrap_or_else(|| "it ended at once".to_owned());
            let text = format!("the login works, but no command starts in /bin/sh: {reason}");
            let advice = "log in with ssh: the login shell may be nologin or not POSIX, or a ForceCommand may take its \
                          place; psh --raw runs commands without /bin/sh";
            Finding::problem(Check::Shell, text).advice(advice)
        }
    };
    let mut findings = vec![finding];
    if !matches!(visit.outcome, Outcome::Failed(_) | Outcome::Skipped(_)) {
        findings.extend(noise(&visit.answers));
    }
    Some(findings)
}

fn hang(visit: &Visit) -> Option<Finding> {
    let Reached::Question(question) = &visit.answers.reached else { return None };
    let why = match &visit.outcome {
        Outcome::Stopped { cause: StopCause::Cancelled, .. } => return None,
        outcome => outcome.reason().unwrap_or_else(|| "its output ended early".to_owned()),
    };
    let left = match &visit.outcome {
        Outcome::Stopped { stop: Stop::Unconfirmed(_), .. } => "; look for it with ps -ef",
        _ => "",
    };
    let what = match question.as_str() {
        "home" | "home-inodes" => "df of the home folder",
        "tmp" | "tmp-inodes" => "df of /tmp",
        "sudo" => "sudo -n true",
        "startups" | "configured" => "sshd -T",
        other => other,
    };
    let advice = format!("run it there by hand: a file system or a directory service may hang{left}");
    Some(Finding::problem(Check::System, format!("looking at {what} does not end: {why}")).advice(advice))
}

fn shell(answers: &Answers) -> Finding {
    match answers.first("shell") {
        Some(shell) => Finding::fine(Check::Shell, format!("{shell}, commands in a POSIX sh")),
        None => Finding::fine(Check::Shell, "SHELL is not set, commands in a POSIX sh"),
    }
}

fn noise(answers: &Answers) -> Vec<Finding> {
    let finding = |stream: &str, noise: &[u8], advice: &str| {
        let first = noise.split(|&b| b == b'\n').find(|line| !line.is_empty()).unwrap_or_default();
        let text: String = String::from_utf8_lossy(first).chars().take(SHOWN_NOISE).collect();
        Finding::warning(Check::StartupFiles, format!("they write to standard {stream} at each command"))
            .detail(format!("{} bytes, \"{text}\"", noise.len()))
            .advice(advice)
    };
    let mut findings = Vec::new();
    if !answers.stdout_noise.is_empty() {
        let advice = "it goes into every output, and breaks scp, sftp and rsync: let .bashrc (.zshenv, .cshrc) write only \
                      in interactive shells: case $- in *i*) ...;; esac";
        findings.push(finding("output", &answers.stdout_noise, advice));
    }
    if !answers.stderr_noise.is_empty() {
        let advice = "look at what .bashrc (.zshenv, .cshrc) of the login user and the files in /etc do: a command there \
                      complains";
        findings.push(finding("error", &answers.stderr_noise, advice));
    }
    findings
}

fn clock(offset: Option<ClockOffset>) -> Finding {
    let Some(ClockOffset { ahead_secs, uncertainty_secs }) = offset else {
        return Finding::warning(Check::Clock, "the time cannot be told").advice("look at what date prints there");
    };
    if ahead_secs.abs() - uncertainty_secs <= CLOCK_LIMIT_SECS {
        return Finding::fine(Check::Clock, "right");
    }
    let side = if ahead_secs > 0.0 { "ahead" } else { "behind" };
    Finding::warning(Check::Clock, "the clock is off by more than a second")
        .detail(format!("{} {side} (±{uncertainty_secs:.1} s)", seconds(ahead_secs.abs())))
        .advice("synchronise it (chronyc tracking, timedatectl): certificates, logs and make go by it")
}

fn seconds(secs: f64) -> String {
    if secs < 120.0 {
        return format!("{secs:.1} s");
    }
    // Fractions of seconds do not matter at this size.
    humantime::format_duration(Duration::from_secs_f64(secs.round())).to_string()
}

/// The numbers of a line of `df -P`: size and free. The name before them may have blanks.
fn df(line: &str) -> Option<(u64, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let percent = words.iter().rposition(|word| word.strip_suffix('%').is_some_and(|n| n.parse::<u64>().is_ok()))?;
    let number = |back: usize| words.get(percent.checked_sub(back)?)?.parse().ok();
    Some((number(3)?, number(1)?))
}

/// What is not fine; where all is, one finding says so.
fn worst(findings: [Option<Finding>; 2]) -> Vec<Finding> {
    let (mut fine, worse): (Vec<_>, Vec<_>) =
        findings.into_iter().flatten().partition(|finding| finding.level == Level::Fine);
    if worse.is_empty() {
        fine.dedup();
        return fine;
    }
    worse
}

fn place(folder: &str) -> &str {
    if folder == "tmp" { "/tmp" } else { "the home folder" }
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100) / whole.max(1)
}

fn space(answers: &Answers, folder: &str) -> Option<Finding> {
    let place = place(folder);
    let unknown = || {
        Finding::warning(Check::Disk, format!("df says nothing about {place}"))
            .advice("run df there by hand: the file system may hang")
    };
    let Some((size, free)) = answers.last(folder).and_then(df) else {
        return answers.was_asked(folder).then(unknown);
    };
    if size == 0 || (percent(free, size) >= FREE_PERCENT && free >= FREE_KIB) {
        return Some(Finding::fine(Check::Disk, "enough space"));
    }
    let level = if free == 0 { Level::Problem } else { Level::Warning };
    let text = if free == 0 { format!("{place} is full") } else { format!("{place} is nearly full") };
    Some(
        Finding::new(Check::Disk, level, text)
            .detail(format!("{} % free, {} MB", percent(free, size), free >> 10))
            .advice(format!("free space there: du -xh --max-depth=1 shows what fills {place}")),
    )
}

fn inodes(answers: &Answers, folder: &str) -> Option<Finding> {
    let place = place(folder);
    // Some file systems have no limit, and say 0 or "-".
    let (total, free) = answers.last(&format!("{folder}-inodes")).and_then(df).filter(|(total, _)| *total > 0)?;
    if percent(free, total) >= FREE_PERCENT {
        return Some(Finding::fine(Check::Inodes, "enough"));
    }
    let level = if free == 0 { Level::Problem } else { Level::Warning };
    Some(
        Finding::new(Check::Inodes, level, format!("{place} has hardly room for more files"))
            .detail(format!("{free} of {total} inodes free"))
            .advice("remove files: du --inodes -x --max-depth=1 shows where they are"),
    )
}

fn load(answers: &Answers) -> Option<Finding> {
    let load: f64 = answers.first("load")?.split_whitespace().next()?.parse().ok()?;
    let cpus: f64 = answers.first("cpus")?.parse().ok()?;
    if load <= cpus * LOAD_PER_CPU {
        return Some(Finding::fine(Check::Load, "normal"));
    }
    Some(
        Finding::warning(Check::Load, "the host is overloaded")
            .detail(format!("load {load:.1} on {cpus} CPUs"))
            .advice("logins and commands will be slow: top shows what runs there"),
    )
}

fn sftp(greeting: &Result<SftpGreeting, HostError>) -> Finding {
    match greeting {
        Ok(SftpGreeting::Answered) => Finding::fine(Check::Sftp, "works"),
        Ok(SftpGreeting::Refused) => Finding::warning(Check::Sftp, "there is no sftp subsystem")
            .advice("sftp and scp need it: \"Subsystem sftp internal-sftp\" in sshd_config, or install sftp-server"),
        Ok(SftpGreeting::Garbled) => Finding::warning(Check::Sftp, "something writes into the sftp subsystem's answer")
            .advice("sftp and scp fail: the start-up files of the login shell must not write in it"),
        Err(error) => {
            Finding::warning(Check::Sftp, format!("cannot be told: {error}")).advice(error.class.hint(error.stage))
        }
    }
}

fn rsync(answers: &Answers) -> Option<Finding> {
    if !answers.has("rsync") {
        let none = || Finding::warning(Check::Rsync, "none").advice("install rsync there to sync files to and fro");
        return answers.first("tools").map(|_| none());
    }
    let version = answers.first("rsync").and_then(|line| line.split_whitespace().nth(2));
    Some(Finding::fine(Check::Rsync, version.unwrap_or("of unknown version")))
}

fn sudo(answers: &Answers) -> Option<Finding> {
    let is_root = answers.first("uid") == Some("0");
    answers.first("tools")?;
    let text = match (is_root, answers.has("sudo"), answers.first("sudo")) {
        (true, ..) => "not needed by root",
        (_, false, _) => "none",
        (_, true, Some("yes")) => "without a password",
        (_, true, Some(_)) => "asks for a password, or refuses",
        (_, true, None) => return None,
    };
    Some(Finding::fine(Check::Sudo, text))
}

fn tools(answers: &Answers) -> Option<Finding> {
    answers.first("tools")?;
    let missing: Vec<&str> = ["setsid", "timeout"].into_iter().filter(|tool| !answers.has(tool)).collect();
    Some(match missing.is_empty() {
        true => Finding::fine(Check::Tools, "setsid, timeout"),
        false => Finding::fine(Check::Tools, format!("no {}", missing.join(", no "))),
    })
}

fn system(answers: &Answers) -> Option<Finding> {
    let kernel = answers.first("system")?;
    let release = answers.first("release").map(|name| name.trim_matches(['"', '\'']));
    Some(Finding::fine(Check::System, release.map_or(kernel.to_owned(), |release| format!("{release}, {kernel}"))))
}

#[cfg(test)]
mod tests {
    use fleet_core::outcome::{FailureClass, LastOutput, SkipCause, Stage};

    use super::*;

    /// Answers of a healthy host, some of them replaced.
    fn answers(changes: &[(&str, &str)]) -> Answers {
        let usual = [
            ("shell", "/bin/bash"),
            ("uid", "1000"),
            ("system", "Linux 6.1 x86_64"),
            ("release", "\"Debian 12\""),
            ("load", "0.50 0.1 0.1 1/2 3"),
            ("cpus", "4"),
            ("has", "rsync"),
            ("has", "setsid"),
            ("has", "timeout"),
            ("tools", "listed"),
            ("rsync", "rsync  version 3.2.7  protocol version 31"),
            ("tmp", "/dev/vda 1000000 1 900000 1% /"),
            ("tmp-inodes", "/dev/vda 1000 1 900 1% /"),
            ("home", "/dev/vda 1000000 1 900000 1% /"),
            ("home-inodes", "/dev/vda 1000 1 900 1% /"),
        ];
        let replaced = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
        let fields = usual.iter().filter(|(name, _)| !replaced(name)).chain(changes);
        let fields: String = fields.map(|(name, value)| format!("{name} {value}\n")).collect();
        Answers::parse(format!("fleet-doctor-begin\n{fields}fleet-doctor-end\n").as_bytes(), b"")
    }

    fn visit(changes: &[(&str, &str)]) -> Visit {
        let clock = Some(ClockOffset { ahead_secs: 0.1, uncertainty_secs: 0.1 });
        let sftp = Some(Ok(SftpGreeting::Answered));
        Visit { outcome: Outcome::Exited(0), answers: answers(changes), clock, sftp }
    }

    fn worse_than_fine(visit: &Visit) -> Vec<(Level, Check, String)> {
        let worse = findings(visit).into_iter().filter(|finding| finding.level != Level::Fine);
        worse.map(|f| (f.level, f.check, [Some(f.text), f.detail].map(Option::unwrap_or_default).join("; "))).collect()
    }

    #[test]
    fn a_healthy_host_is_fine_in_every_check() {
        let findings = findings(&visit(&[]));
        assert!(findings.iter().all(|finding| finding.level == Level::Fine), "{findings:#?}");
        let text = |check| findings.iter().find(|finding| finding.check == check).map(|finding| &finding.text[..]);
        assert_eq!(text(Check::Rsync), Some("3.2.7"));
        assert_eq!(text(Check::System), Some("Debian 12, Linux 6.1 x86_64"));
        assert_eq!(text(Check::Sudo), Some("none"));
        for check in [Check::Login, Check::Shell, Check::Clock, Check::Disk, Check::Inodes, Check::Load, Check::Sftp] {
            assert!(text(check).is_some(), "{check:?}");
        }
    }

    #[test]
    fn each_answer_that_is_not_as_it_should_be_is_named() {
        use Level::{Problem, Warning};
        for (change, level, check, text) in [
            (("tmp", "/dev/vda 1000000000 1 49000000 96% /"), Warning, Check::Disk, "/tmp is nearly full; 4 % free"),
            (
                ("home", "a b c 200000 1 99000 51% /x"),
                Warning,
                Check::Disk,
                "the home folder is nearly full; 49 % free, 96 MB",
            ),
            (("home", "tmpfs 200000 200000 0 100% /x"), Problem, Check::Disk, "the home folder is full"),
            (("tmp-inodes", "/dev/vda 1000 990 10 99% /"), Warning, Check::Inodes, "10 of 1000 inodes free"),
            (("home-inodes", "/dev/vda 1000 1000 0 100% /"), Problem, Check::Inodes, "0 of 1000 inodes free"),
            (("load", "16.1 1 1 1/2 3"), Warning, Check::Load, "load 16.1 on 4 CPUs"),
            (("has", "sudo"), Warning, Check::Rsync, "none"),
            (("tmp", ""), Warning, Check::Disk, "df says nothing about /tmp"),
        ] {
            let found = worse_than_fine(&visit(&[change]));
            let [found] = &found[..] else { panic!("{change:?}: {found:?}") };
            assert_eq!((found.0, found.1), (level, check), "{change:?}");
            assert!(found.2.contains(text), "{change:?}: {}", found.2);
        }
        for harmless in [
            ("tmp", "/dev/vda 1000000000 1 60000000 94% /"),
            ("tmp-inodes", "/dev/vda 0 0 0 - /"),
            ("tmp-inodes", "/dev/vda 0 0 0 0% /"),
            ("load", "15.9 1 1 1/2 3"),
            ("cpus", "?"),
        ] {
            assert_eq!(worse_than_fine(&visit(&[harmless])), [], "{harmless:?}");
        }
    }

    #[test]
    fn only_a_clock_that_is_surely_off_is_warned_of() {
        for (ahead_secs, uncertainty_secs, detail) in [
            (1.0, 0.0, None),
            (-1.4, 0.5, None),
            (1.6, 0.5, Some("1.6 s ahead (±0.5 s)")),
            (-90.0, 0.1, Some("90.0 s behind (±0.1 s)")),
            (3601.2, 0.1, Some("1h 1s ahead (±0.1 s)")),
        ] {
            let found = clock(Some(ClockOffset { ahead_secs, uncertainty_secs }));
            assert_eq!(found.detail.as_deref(), detail, "{ahead_secs} {uncertainty_secs}");
        }
        assert_eq!(clock(None).level, Level::Warning);
    }

    #[test]
    fn noise_is_measured_and_quoted() {
        let marks = "fleet-doctor-begin\nfleet-doctor-end\n";
        let noisy = Answers::parse(format!("\nHello, user!\n{marks}").as_bytes(), format!("oops\n{marks}").as_bytes());
        let found = noise(&noisy);
        let details: Vec<_> = found.iter().map(|finding| finding.detail.as_deref().unwrap()).collect();
        assert_eq!(details, ["14 bytes, \"Hello, user!\"", "5 bytes, \"oops\""]);
    }

    #[test]
    fn a_login_that_fails_is_a_problem_with_its_advice() {
        let refused = HostError::new(Stage::Connect, FailureClass::Refused, "connection refused");
        let nothing = Answers::parse(b"", b"");
        let failed = |outcome| Visit { outcome, answers: nothing.clone(), clock: None, sftp: None };
        let found = findings(&failed(Outcome::Failed(refused)));
        let [login] = &found[..] else { panic!("{found:?}") };
        assert_eq!((login.level, login.text.as_str()), (Level::Problem, "connect: connection refused"));
        assert!(login.advice.as_deref().unwrap().contains("sshd"), "{login:?}");
        let found = findings(&failed(Outcome::Exited(1)));
        assert_eq!((found[0].level, found[0].check), (Level::Problem, Check::Shell));
        assert!(found[0].text.contains("exit code 1"), "{found:?}");
        assert_eq!(findings(&failed(Outcome::Skipped(SkipCause::Interrupted)))[0].level, Level::Warning);
    }

    #[test]
    fn a_question_that_hangs_is_named_and_what_was_answered_counts() {
        let answers = Answers::parse(b"fleet-doctor-begin\nshell /bin/sh\nat tmp\ntmp x 9 9 0 100% /\nat home\n", b"");
        let outcome = Outcome::Stopped {
            cause: StopCause::Timeout(Duration::from_secs(30)),
            stop: Stop::Confirmed,
            output: LastOutput::Complete,
        };
        let found = worse_than_fine(&Visit { outcome, answers, clock: None, sftp: None });
        let texts: Vec<_> = found.iter().map(|(_, _, text)| text.as_str()).collect();
        let hang = "looking at df of the home folder does not end: timed out after 30s, stopped; ";
        assert_eq!(texts, [hang, "the time cannot be told; ", "/tmp is full; 0 % free, 0 MB"]);
    }

    #[test]
    fn the_sftp_subsystem_is_judged_by_its_answer() {
        let error = HostError::new(Stage::Channel, FailureClass::Channel, "no session");
        for (greeting, level) in [
            (Ok(SftpGreeting::Answered), Level::Fine),
            (Ok(SftpGreeting::Refused), Level::Warning),
            (Ok(SftpGreeting::Garbled), Level::Warning),
            (Err(error), Level::Warning),
        ] {
            assert_eq!(sftp(&greeting).level, level, "{greeting:?}");
        }
    }
}
