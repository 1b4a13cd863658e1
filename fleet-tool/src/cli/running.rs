//! The flags about how the hosts are worked on: how many at once, and for how long.
//!
//! Must not know what the work is.

use std::time::Duration;

use clap::Args;

use fleet_core::settings::{self, CommandTimeout, Layer, Limit, Parallel};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Running")]
pub(super) struct RunningArgs {
    /// Work on N hosts at once, or on as many as go well [default: auto]
    #[arg(short = 'p', long, value_name = "N|auto", visible_alias = "par")]
    parallel: Option<Parallel>,

    /// Stop the command on a host after TIME, such as 90, 90s or 1h30m, or P% of the median of the hosts that are done
    /// [default: never]
    #[arg(short = 't', long, value_name = "TIME|P%")]
    timeout: Option<CommandTimeout>,

    /// Stop the command on a host that sends no byte for TIME [default: never]
    #[arg(long, value_name = "TIME")]
    stall: Option<Limit>,

    /// Time between TERM and KILL when a command is stopped [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = settings::parse_duration)]
    grace: Option<Duration>,
}

impl RunningArgs {
    /// What the flags set, over `layer`.
    pub(super) fn layer(&self, layer: Layer) -> Layer {
        let Self { parallel, timeout, stall, grace } = self.clone();
        Layer { parallel, timeout, stall, grace, ..layer }
    }
}
