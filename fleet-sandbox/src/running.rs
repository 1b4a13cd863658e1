//! A command that runs, as the requests of its channel reach it: signals and the size of its terminal.
//!
//! Must not know how it was started.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use russh::Sig;

use crate::process::{ProcessGroup, signal_named};
use crate::pty::{self, Size};
use crate::simulation;

/// A command of a channel.
pub(crate) enum RunningCommand {
    /// A group of real processes.
    Group { group: Arc<ProcessGroup>, terminal: Option<OwnedFd> },
    /// A process that is only simulated.
    Simulated(Arc<simulation::Process>),
}

impl RunningCommand {
    /// Sends it a signal; `None` when there is no such signal.
    pub(crate) fn signal(&self, name: &Sig) -> Option<()> {
        let signal = signal_named(name)?;
        match self {
            Self::Group { group, .. } => group.signal(signal),
            Self::Simulated(process) => process.signal(name.clone()),
        }
        Some(())
    }

    /// Changes the size of its terminal; `None` when it has none.
    pub(crate) fn resize(&self, size: Size) -> Option<()> {
        match self {
            Self::Group { terminal: Some(terminal), .. } => {
                pty::resize(terminal, size);
                Some(())
            }
            Self::Group { terminal: None, .. } | Self::Simulated(_) => None,
        }
    }
}
