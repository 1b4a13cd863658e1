//! The process groups that commands run in: who they are, how they are signalled, how they are ended for certain.
//!
//! Must not know channels: it is told when a group has to go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::Sig;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::Child;
use tokio::time::{Instant, sleep};

/// How long a group that has lost its client may clean up by itself, as it may with sshd(8), which ends nothing.
const OWN_GRACE: Duration = Duration::from_secs(2);
/// How long a group has between TERM and KILL.
const TERM_GRACE: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(10);

/// The group of processes that a command leads. It is known by a number that the system gives to others when nothing is left
/// of it, and that is soon where many are started: from then on it is signalled no more.
#[derive(Debug)]
pub(crate) struct ProcessGroup {
    number: Pid,
    gone: AtomicBool,
}

impl ProcessGroup {
    /// The group whose leader is `number`, and has not been reaped.
    pub(crate) fn led_by(number: Pid) -> Self {
        Self { number, gone: AtomicBool::new(false) }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if !self.gone.load(Ordering::SeqCst) {
            let _ = kill_process_group(self.number, signal);
        }
    }

    /// Whether nothing is left of it: to be asked as soon as its leader has been reaped.
    pub(crate) fn is_gone(&self) -> bool {
        if test_kill_process_group(self.number).is_err() {
            self.gone.store(true, Ordering::SeqCst);
        }
        self.gone.load(Ordering::SeqCst)
    }

    async fn is_gone_within(&self, grace: Duration, leader: &mut Child) -> bool {
        let deadline = Instant::now() + grace;
        loop {
            let reaped = leader.try_wait().is_ok_and(|status| status.is_some());
            if reaped && self.is_gone() {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            sleep(POLL).await;
        }
    }
}

/// All groups of a sandbox that may still have members.
#[derive(Debug, Default)]
pub(crate) struct ProcessGroups(Mutex<Vec<Arc<ProcessGroup>>>);

impl ProcessGroups {
    pub(crate) fn insert(&self, group: Arc<ProcessGroup>) {
        self.lock().push(group);
    }

    /// Kills every group at once, without waiting: for a sandbox that is dropped.
    pub(crate) fn kill_all(&self) {
        for group in std::mem::take(&mut *self.lock()) {
            group.signal(Signal::KILL);
        }
    }

    /// As [`ProcessGroups::end`], for a group whose client is gone: it sees so by its input and output, and may act on that.
    pub(crate) async fn leave_then_end(&self, group: &Arc<ProcessGroup>, mut leader: Child) {
        group.is_gone_within(OWN_GRACE, &mut leader).await;
        self.end(group, leader).await;
    }

    /// Ends `group` and reaps `leader`: TERM, then KILL for what is left, and returns when nothing is left.
    pub(crate) async fn end(&self, group: &Arc<ProcessGroup>, mut leader: Child) {
        for (signal, grace) in [(Signal::TERM, TERM_GRACE), (Signal::KILL, TERM_GRACE)] {
            group.signal(signal);
            // A stopped process acts on TERM only when it goes on.
            group.signal(Signal::CONT);
            if group.is_gone_within(grace, &mut leader).await {
                break;
            }
        }
        self.lock().retain(|other| !Arc::ptr_eq(other, group));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<ProcessGroup>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The local signal that a client asked for, when there is one (RFC 4254, section 6.10, and `USR2`).
pub(crate) fn signal_named(name: &Sig) -> Option<Signal> {
    Some(match name {
        Sig::ABRT => Signal::ABORT,
        Sig::ALRM => Signal::ALARM,
        Sig::FPE => Signal::FPE,
        Sig::HUP => Signal::HUP,
        Sig::ILL => Signal::ILL,
        Sig::INT => Signal::INT,
        Sig::KILL => Signal::KILL,
        Sig::PIPE => Signal::PIPE,
        Sig::QUIT => Signal::QUIT,
        Sig::SEGV => Signal::SEGV,
        Sig::TERM => Signal::TERM,
        Sig::USR1 => Signal::USR1,
        Sig::Custom(custom) if custom == "USR2" => Signal::USR2,
        Sig::Custom(_) => return None,
    })
}

/// The name under which a client is told of signal `number`; one that the RFC does not name gets `SIG<number>@...`, the
/// form it has for local names.
pub(crate) fn signal_name(number: i32) -> Sig {
    match Signal::from_named_raw(number) {
        Some(Signal::ABORT) => Sig::ABRT,
        Some(Signal::ALARM) => Sig::ALRM,
        Some(Signal::FPE) => Sig::FPE,
        Some(Signal::HUP) => Sig::HUP,
        Some(Signal::ILL) => Sig::ILL,
        Some(Signal::INT) => Sig::INT,
        Some(Signal::KILL) => Sig::KILL,
        Some(Signal::PIPE) => Sig::PIPE,
        Some(Signal::QUIT) => Sig::QUIT,
        Some(Signal::SEGV) => Sig::SEGV,
        Some(Signal::TERM) => Sig::TERM,
        Some(Signal::USR1) => Sig::USR1,
        Some(Signal::USR2) => Sig::Custom("USR2".to_owned()),
        _ => Sig::Custom(format!("SIG{number}@fleet-sandbox")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use tokio::process::Command;

    use super::*;

    fn start(command: &[&str]) -> (Pid, Child) {
        let child = Command::new(command[0]).args(&command[1..]).process_group(0).kill_on_drop(true).spawn().unwrap();
        (Pid::from_raw(child.id().unwrap().cast_signed()).unwrap(), child)
    }

    #[tokio::test]
    async fn a_group_of_which_nothing_is_left_is_signalled_no_more() {
        let (number, mut leader) = start(&["true"]);
        let group = ProcessGroup::led_by(number);
        leader.wait().await.unwrap();
        assert!(group.is_gone());

        // As if another had its number by now.
        let (number, mut other) = start(&["sleep", "300"]);
        let group = ProcessGroup { number, ..group };
        group.signal(Signal::KILL);
        assert!(group.is_gone());
        ProcessGroup::led_by(number).signal(Signal::TERM);
        assert_eq!(other.wait().await.unwrap().signal(), Some(Signal::TERM.as_raw()));
    }

    #[test]
    fn signal_names_round_trip() {
        for signal in [
            Signal::ABORT,
            Signal::ALARM,
            Signal::FPE,
            Signal::HUP,
            Signal::ILL,
            Signal::INT,
            Signal::KILL,
            Signal::PIPE,
            Signal::QUIT,
            Signal::SEGV,
            Signal::TERM,
            Signal::USR1,
            Signal::USR2,
        ] {
            assert_eq!(signal_named(&signal_name(signal.as_raw())), Some(signal));
        }
        assert_eq!(signal_named(&Sig::Custom("NONSENSE".into())), None);
        assert_eq!(signal_named(&signal_name(Signal::XCPU.as_raw())), None);
    }
}
