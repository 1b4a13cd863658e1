//! The flags of `fleet wait`, and what they resolve to.
//!
//! Must not contact any host.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use fleet_core::settings::parse_duration;
use fleet_tool::cli::{EXIT_CODES_HELP, Failure, FleetArgs};

use crate::wait::{Check, WaitFor};

/// What begins the end of the help.
const EXAMPLES: &str = "\
Checks, all asked from the host itself:
  tcp:8080                         a connection to this port of the address at which other hosts reach it
  tcp:localhost:8080               the same to another name or address
  http://{addr}:8080/health        a GET that is answered with 2xx or 3xx
  file:/run/ready                  the file is there; a relative path starts at the folder of the login
  cmd:'pgrep -x nginx'             the command ends with exit code 0; it has the variables of psh
In tcp: and http: stand {addr}, {host}, {role} and {index} for what they are of each host.
Examples:
  fleet wait -g web --for tcp:8080
  fleet wait -g web --for 'tcp:8080,http://{addr}:8080/health' --timeout 2m --count 3
  fleet wait -g all --for cmd:true             until all hosts can be logged in to, as after their start
";

#[derive(Clone, Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = format!("{EXAMPLES}\n{EXIT_CODES_HELP}"),
    mut_arg("timeout", |arg| arg.help("Give up after TIME, for all hosts together and to connect included [default: 60s]")),
)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    fleet: FleetArgs,

    /// What is waited for on each host, one after the other; several with commas, and repeatable
    #[arg(long = "for", value_name = "CHECK", required = true, help_heading = "Waiting")]
    checks: Vec<String>,

    /// Be content with NUMBER hosts, whichever they are
    #[arg(long, value_name = "NUMBER", help_heading = "Waiting")]
    count: Option<NonZeroUsize>,

    /// The longest pause before a host is asked again
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration, help_heading = "Waiting")]
    interval: Duration,
}

impl WaitArgs {
    /// What the flags say.
    ///
    /// # Errors
    /// When a check is none.
    pub(crate) fn resolve(self) -> Result<(FleetArgs, WaitFor), Failure> {
        let Self { fleet, checks, count, interval } = self;
        let checks = Check::parse_all(&checks).map_err(|error| match error.hint() {
            Some(hint) => Failure::usage(&error).hint(hint),
            None => Failure::usage(&error),
        })?;
        Ok((fleet, WaitFor { checks, count: count.map(NonZeroUsize::get), interval }))
    }
}
