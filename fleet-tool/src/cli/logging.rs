//! Diagnostics of our own on standard error: off by default, by `-v` or `FLEET_LOG`.
//!
//! Must not be used for what users must see: that is the renderers'.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::failure::Failure;

/// The crates that are heard with `-v`.
const OURS: [&str; 7] = ["fleet_core", "fleet_ssh", "fleet_tool", "fleet_transfer", "psh", "pcp", "pslurp"];

/// Starts logging at the level of that many `-v`; `FLEET_LOG` (as in `warn,fleet_core=trace`) comes first.
///
/// # Errors
/// When `FLEET_LOG` cannot be read.
pub(super) fn start(verbosity: u8) -> Result<(), Failure> {
    let ours = match verbosity {
        0 => "off",
        1 => "info",
        _ => "debug",
    };
    let by_option = OURS.iter().fold("off".to_owned(), |targets, target| format!("{targets},{target}={ours}"));
    let wanted = std::env::var("FLEET_LOG").unwrap_or(by_option);
    let targets: Targets = wanted.parse().map_err(|error: ParseError| {
        Failure::usage_text(format!("FLEET_LOG={wanted}: {error}"))
            .hint("write a level (off, error, warn, info, debug, trace) or TARGET=LEVEL,..., as in fleet_core=debug")
    })?;
    let variable = |name| std::env::var(name).unwrap_or_default();
    let ansi = io::stderr().is_terminal() && variable("NO_COLOR").is_empty() && variable("TERM") != "dumb";
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(ansi).without_time();
    // A second start in one process keeps the first one's settings.
    let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
    Ok(())
}
