//! SSH: from a host's name to commands run on it. Hides russh whole.
//!
//! [`Connector`] opens [`Session`]s, [`run_command`] runs a command on one and stops it for certain. Must not know
//! fan-out, rendering or flags.

mod activity;
mod agent;
mod algorithms;
mod auth;
mod backlog;
mod command;
pub mod config;
mod connector;
mod deadline;
mod dial;
mod drained;
mod elsewhere;
mod error;
mod examine;
mod exec;
mod forward;
mod handler;
mod handshake;
mod host_key;
mod identities;
mod jump;
mod keys;
pub mod known_hosts;
mod pacing;
mod parameters;
mod pattern;
mod prompt;
mod proxy;
mod refusal;
pub mod remote;
mod route;
mod session;
mod sftp_greeting;
mod spool;
mod stop;
mod sudo;
mod terminal;
mod vouched;
mod wire;

pub use command::{CommandLimits, CommandRun, NoStdin, OutputSink, StdinFeed, Wrapping, run_command};
pub use connector::{ConnectObserver, ConnectSettings, Connector, ConnectorError, StageTimeout};
pub use examine::{AgentKey, HostKeyStanding, KeyFileState};
pub use exec::{Exec, ExecEnd, ExecEvent, ExecSignals, ExecStdin, ExitReport};
pub use forward::ForwardError;
pub use prompt::{NoPrompt, Prompt, Secret};
pub use session::Session;
pub use sftp_greeting::{SftpGreeting, runs_no_commands};
pub use sudo::Sudo;
pub use terminal::Terminal;
