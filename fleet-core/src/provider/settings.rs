//! What is set about one provider.
//!
//! Must not know which file or flag set it.

use std::time::Duration;

use serde_json::{Map, Value};

/// How long a provider may take to answer, unless `timeout` of its table says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// One provider as `[provider.NAME]` of `fleet.toml` and flags have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSettings {
    /// The name of its table, of its groups (`@NAME:group`) and, behind `fleet-`, of its program.
    pub name: String,
    /// The program and its arguments; one with a `/` is absolute. `None` is the program `fleet-NAME`, which is looked for.
    pub command: Option<Vec<String>>,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// What it is told verbatim: its table without `command` and `timeout`, with `--region` and `--profile` laid over.
    pub settings: Map<String, Value>,
    /// Whether a settings file has a table for it. One that is only found as a program is asked when nobody else knows a
    /// name.
    pub configured: bool,
}

impl ProviderSettings {
    /// The provider called `name`, about which nothing is set.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), command: None, timeout: DEFAULT_TIMEOUT, settings: Map::new(), configured: false }
    }
}
