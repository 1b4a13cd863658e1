//! Programs that know hosts: a cloud's, the sandbox's, anybody's; asked in JSON over standard input and output.
//!
//! Must not know any cloud, nor which of the hosts a command is for.

pub mod protocol;
mod settings;

pub use settings::{DEFAULT_TIMEOUT, ProviderSettings};
