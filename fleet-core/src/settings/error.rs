//! Why the settings cannot be made out.
//!
//! Must not know how they are read.

use std::path::PathBuf;

use crate::inventory::did_you_mean;

/// Why the settings cannot be made out.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A `fleet.toml` cannot be read.
    #[error("cannot read the settings file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A `fleet.toml` that was found, not named, belongs to someone else.
    #[error("{} belongs to another user (uid {owner}); expected one of your own", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Not TOML.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The parser's words.
        message: String,
    },
    /// A key that means nothing.
    #[error("{}:{line}: unknown key \"{key}\"{}", path.display(), within(*table))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// As written.
        key: String,
        /// The table it stands in, unless that is the whole file.
        table: Option<&'static str>,
        /// Known keys with similar names.
        nearest: Vec<String>,
        /// All keys that the table has.
        known: Vec<&'static str>,
    },
    /// A value that its key does not take.
    #[error("{place}: found {found}; expected {expected}")]
    Value {
        /// `fleet.toml:3: parallel`, `FLEET_PARALLEL` or `--parallel`.
        place: String,
        /// The value, or what kind of value it is.
        found: String,
        /// What the key takes.
        expected: String,
    },
}

fn within(table: Option<&str>) -> String {
    table.map(|table| format!(" in {table}")).unwrap_or_default()
}

impl SettingsError {
    /// What to do next, where the error does not say it all.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("check the path; FLEET_CONFIG names the file to use".to_owned()),
            Self::Owner { path, .. } => Some(format!(
                "it could make you run its owner's commands; if you trust it, set FLEET_CONFIG={}",
                path.display()
            )),
            Self::UnknownKey { nearest, known, .. } => {
                let known = || format!("the keys are {}", known.join(", "));
                Some(did_you_mean(nearest).unwrap_or_else(known))
            }
            Self::Syntax { .. } | Self::Value { .. } => None,
        }
    }
}
