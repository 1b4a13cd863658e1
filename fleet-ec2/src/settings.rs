//! The provider's own table of `fleet.toml`, with `--region` and `--profile` laid over it by the tool.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// What the user set for this provider. Credentials and endpoints are never among it: AWS has places of its own for them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The profile of `~/.aws/config`; then only it gives credentials, as with `aws --profile`.
    #[serde(default)]
    pub(crate) profile: Option<String>,
    /// The regions to look at; `all` for every region that the account may use.
    #[serde(default, deserialize_with = "one_or_many")]
    pub(crate) regions: Vec<String>,
    /// The limit for one call with all its retries: seconds, or a text such as `1m`.
    #[serde(default, deserialize_with = "duration")]
    operation_timeout: Option<Duration>,
}

impl Settings {
    /// The limit for one call with all its retries; 30 s by default.
    pub(crate) fn operation_timeout(&self) -> Duration {
        self.operation_timeout.unwrap_or(Duration::from_secs(30))
    }

    /// Whether every region is wanted.
    pub(crate) fn all_regions(&self) -> bool {
        self.regions.iter().any(|region| region == "all")
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a region or a list of regions")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(region) => vec![region],
        OneOrMany::Many(regions) => regions,
    })
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a duration: seconds, or a text such as \"1m\"")]
    enum Written {
        Seconds(u64),
        Text(String),
    }
    let duration = match Written::deserialize(deserializer)? {
        Written::Seconds(seconds) => Duration::from_secs(seconds),
        Written::Text(text) => humantime::parse_duration(&text).map_err(D::Error::custom)?,
    };
    if duration.is_zero() {
        return Err(D::Error::custom("expected a duration above zero"));
    }
    Ok(Some(duration))
}
