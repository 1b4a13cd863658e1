//! The process groups that commands run in: who they are, how they are signalled, how they are ended for certain.
//!
//! Must not know channels: it is told when a group has to go.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
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

/// All groups of a sandbox that may still have members.
#[derive(Debug, Default)]
pub(crate) struct ProcessGroups(Mutex<BTreeSet<i32>>);

impl ProcessGroups {
    pub(crate) fn insert(&self, group: Pid) {
        self.lock().insert(group.as_raw_nonzero().get());
    }

    /// Kills every group at once, without waiting: for a sandbox that is dropped.
    pub(crate) fn kill_all(&self) {
        for group in std::mem::take(&mut *self.lock()) {
            if let Some(group) = Pid::from_raw(group) {
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
    }

    /// As [`ProcessGroups::end`], for a group whose client is gone: it sees so by its input and output, and may act on that.
    pub(crate) async fn leave_then_end(&self, group: Pid, mut leader: Child) {
        is_gone_within(OWN_GRACE, group, &mut leader).await;
        self.end(group, leader).await;
    }

    /// Ends `group` and reaps `leader`: TERM, then KILL for what is left, and returns when nothing is left.
    pub(crate) async fn end(&self, group: Pid, mut leader: Child) {
        for (signal, grace) in [(Signal::TERM, TERM_GRACE), (Signal::KILL, TERM_GRACE)] {
            let _ = kill_process_group(group, signal);
            // A stopped process acts on TERM only when it goes on.
            let _ = kill_process_group(group, Signal::CONT);
            if is_gone_within(grace, group, &mut leader).await {
                break;
            }
        }
        self.lock().remove(&group.as_raw_nonzero().get());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<i32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn is_gone_within(grace: Duration, group: Pid, leader: &mut Child) -> bool {
    let deadline = Instant::now() + grace;
    loop {
        let reaped = leader.try_wait().is_ok_and(|status| status.is_some());
        if reaped && test_kill_process_group(group).is_err() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        sleep(POLL).await;
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
    use super::*;

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
