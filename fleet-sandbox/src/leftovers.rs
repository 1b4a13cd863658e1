//! What commands have left running in sessions of their own, such as services: it ends with the hosts, as with a machine
//! that is switched off. It is known by its home in its environment, which is that of a host.
//!
//! Elsewhere than on Linux nothing is found. Must not know what was run.

use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

/// How long it has between TERM and KILL, and KILL to act: so often it is looked at, with pauses between.
const LOOKS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// Ends all processes at home in `homes` or below: TERM, then KILL for what is left.
pub(crate) async fn end(homes: &Path) {
    for signal in [Signal::TERM, Signal::KILL] {
        signal_all(homes, Some(signal));
        for _ in 0..LOOKS {
            if signal_all(homes, None) == 0 {
                return;
            }
            sleep(PAUSE).await;
        }
    }
}

/// Kills them at once, and waits for their end, but not for ever.
pub(crate) fn kill(homes: &Path) {
    for _ in 0..LOOKS {
        if signal_all(homes, Some(Signal::KILL)) == 0 {
            return;
        }
        thread::sleep(PAUSE);
    }
}

/// Sends them all the signal, if any, and counts them.
#[cfg(target_os = "linux")]
fn signal_all(homes: &Path, signal: Option<Signal>) -> usize {
    use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(Pid::from_raw);
    let found = numbers.filter_map(|number| {
        // Opened before it is looked at: whoever has the number afterwards is not meant.
        let process = pidfd_open(number, PidfdFlags::empty()).ok()?;
        is_at_home_in(homes, number).then_some(process)
    });
    let signalled = found.filter(|process| signal.is_none_or(|signal| pidfd_send_signal(process, signal).is_ok()));
    signalled.count()
}

#[cfg(target_os = "linux")]
fn is_at_home_in(homes: &Path, number: rustix::process::Pid) -> bool {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    // A process that has ended has none.
    let environment = std::fs::read(format!("/proc/{}/environ", number.as_raw_nonzero())).unwrap_or_default();
    let mut variables = environment.split(|&byte| byte == 0);
    let home = variables.find_map(|variable| variable.strip_prefix(b"HOME="));
    home.is_some_and(|home| Path::new(OsStr::from_bytes(home)).starts_with(homes))
}

#[cfg(not(target_os = "linux"))]
fn signal_all(_: &Path, _: Option<Signal>) -> usize {
    0
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Child, Command};

    use super::*;

    fn sleeps_at(home: &Path) -> Child {
        Command::new("sleep").arg("300").env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home).spawn().unwrap()
    }

    #[tokio::test]
    async fn what_is_at_home_on_a_host_ends_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let homes = folder.path().join("homes");
        let mut other = sleeps_at(&folder.path().join("homes-of-others"));
        let (mut gently, mut at_once) = (sleeps_at(&homes.join("host01")), sleeps_at(&homes.join("host02/below")));
        end(&homes.join("host01")).await;
        assert_eq!(gently.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
        kill(&homes);
        assert_eq!(at_once.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
