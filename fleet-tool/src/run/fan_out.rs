//! How many hosts at once: what was asked for, and what this machine has file descriptors for.
//!
//! Must not know what is done with the hosts.

use std::sync::Arc;

use super::say;
use crate::cli::Prepared;
use fleet_core::descriptors;
use fleet_core::fanout::FanoutLimit;
use fleet_core::pace::{Bounds, Gate};
use fleet_core::settings::Parallel;

/// More hosts at once bring nothing, and `-p auto` is not meant to find out.
const MOST_HOSTS: usize = 1024;
/// How many hosts log in at once when a run with `-p auto` begins.
pub const FIRST_LOGINS: usize = 32;
/// How few may log in at once, whatever goes wrong: one that hangs must not hold up all.
const FEWEST_LOGINS: usize = 4;

/// The bounds of a run; `prices` are the file descriptors that a session to each host takes. For `-p auto` with what finds out how many hosts may log in at once.
pub(super) fn fan_out(prepared: &Prepared, prices: &[u64]) -> (FanoutLimit, Option<Arc<Gate>>) {
    let hosts = prepared.selected.hosts.len();
    let useful = hosts.min(MOST_HOSTS);
    match prepared.settings.parallel.value {
        Parallel::Exactly(wanted) => {
            let wanted = wanted.get().min(hosts);
            let allowed = descriptors::sessions_allowed(wanted, prices);
            if allowed < wanted {
                say_shortage(prepared, allowed, wanted);
            }
            let most = descriptors::sessions_allowed(useful.max(wanted), prices).max(allowed);
            (FanoutLimit { hosts: allowed, most }, None)
        }
        Parallel::Auto => {
            let allowed = descriptors::sessions_allowed(useful, prices);
            if allowed < useful && prepared.verbosity > 0 {
                say_shortage(prepared, allowed, useful);
            }
            let bounds = Bounds { least: FEWEST_LOGINS.min(allowed), start: FIRST_LOGINS, most: allowed };
            (FanoutLimit { hosts: allowed, most: allowed }, Some(Arc::new(Gate::new(bounds))))
        }
    }
}

fn say_shortage(prepared: &Prepared, allowed: usize, wanted: usize) {
    let hosts = if allowed == 1 { "host" } else { "hosts" };
    let text =
        format!("only {allowed} {hosts} at once instead of {wanted}: the limit of open files (ulimit -n) is low");
    say(prepared.program, &text);
}
