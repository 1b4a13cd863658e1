//! Diagnostics of our own on standard error: off by default, by `-v` or `FLEET_LOG`.
//!
//! Must not be used for what users must see: that is the renderers'.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Starts logging at the level of that many `-v`; `FLEET_LOG` (in the syntax of `tracing`) comes first.
pub(super) fn start(verbosity: u8) {
    let ours = match verbosity {
        0 => "off",
        1 => "info",
        _ => "debug",
    };
    let filter = std::env::var("FLEET_LOG")
        .ok()
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new(format!("off,fleet_core={ours},psh={ours}")));
    let variable = |name| std::env::var(name).unwrap_or_default();
    let ansi = io::stderr().is_terminal() && variable("NO_COLOR").is_empty() && variable("TERM") != "dumb";
    // A second start in one process keeps the first one's settings.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(ansi)
        .without_time()
        .try_init();
}
