//! `fleet wait`: until something holds on the chosen hosts.
//!
//! | module | what it is |
//! | --- | --- |
//! | `check` | what is typed of a check; pure |
//! | `ask` | asks a host whether a check holds |
//! | `task` | the work on all hosts: asks each until all its checks have held |
//!
//! Must not know how hosts are chosen.

mod ask;
mod check;
mod task;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use fleet_core::fanout::{AtEarlyEnd, RetrySettings};
use fleet_core::outcome::ExitStatus;
use fleet_core::record;
use fleet_core::settings::{CommandTimeout, Origin, Share};
use fleet_tool::cli::{Failure, Prepared, StdinUse, typed};

pub(crate) use self::check::Check;
use self::task::Waiting;
use crate::cli::WaitArgs;

const PROGRAM: &str = "fleet";
/// How long is waited, unless something is said about it.
const LIMIT: Duration = Duration::from_secs(60);
/// The longest pause before a host is connected to once more.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What is waited for.
#[derive(Clone, Debug)]
pub(crate) struct WaitFor {
    /// On each host, in this order.
    pub(crate) checks: Vec<Check>,
    /// On how many hosts, if not on all.
    pub(crate) count: Option<usize>,
    /// The longest pause before a host is asked again.
    pub(crate) interval: Duration,
}

/// Waits, and tells of it.
pub(crate) fn run(args: WaitArgs, stderr: &mut dyn Write) -> ExitCode {
    let status = try_run(args).unwrap_or_else(|failure| {
        failure.print(PROGRAM, stderr);
        failure.status()
    });
    ExitCode::from(status.code())
}

fn try_run(args: WaitArgs) -> Result<ExitStatus, Failure> {
    let (fleet, what) = args.resolve()?;
    let mut prepared = fleet.prepare_after_any_tool(PROGRAM, StdinUse::Free)?;
    let limit = limit(&prepared)?;
    begin_again_and_again(&mut prepared, what.count, limit)?;
    let text = what.checks.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let text = format!("wait --for {text}");
    let recorded = record::Work { typed: typed(0, &[]), text, ..record::Work::default() };
    fleet_tool::run::run(prepared, recorded, |connector, prepared| Waiting::new(what, limit, connector, prepared))
}

/// How long is waited in all; `None` is for ever, for who asks for it.
fn limit(prepared: &Prepared) -> Result<Option<Duration>, Failure> {
    let timeout = &prepared.settings.timeout;
    match timeout.value {
        CommandTimeout::None => Ok((timeout.origin == Origin::Default).then_some(LIMIT)),
        CommandTimeout::After(limit) => Ok(Some(limit)),
        CommandTimeout::OfMedian(_) => Err(Failure::usage_text(
            "--timeout is one for all hosts here; expected a duration such as 90s, not a percentage",
        )),
    }
}

/// Hosts that cannot be connected to are tried again until the time is over, and those that are lost.
fn begin_again_and_again(
    prepared: &mut Prepared,
    count: Option<usize>,
    deadline: Option<Duration>,
) -> Result<(), Failure> {
    let hosts = prepared.selected.hosts.len();
    prepared.rollout.retry =
        RetrySettings { connections: u32::MAX, commands: u32::MAX, longest_pause: LONGEST_PAUSE, deadline };
    if let Some(count) = count {
        if count > hosts {
            return Err(Failure::usage_text(format!("--count {count} is more than the {hosts} hosts that are chosen")));
        }
        prepared.rollout.quorum = Some(Share::Count(count));
        prepared.rollout.at_early_end = AtEarlyEnd::Stop;
    }
    Ok(())
}
