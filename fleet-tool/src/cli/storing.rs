//! Which provider keeps objects.
//!
//! Must not know what is kept.

use super::asking::surroundings;
use super::failure::Failure;
use fleet_core::provider::Provider;
use fleet_core::settings::Settings;

/// The name of the provider that keeps objects in S3.
const OF_S3: &str = "ec2";

/// The provider that keeps objects in S3, as the settings have it.
///
/// # Errors
/// When it is not installed, or not to be asked.
pub fn object_store(settings: &Settings) -> Result<Provider, Failure> {
    let Some(about) = settings.provider(OF_S3) else {
        return Err(Failure::usage_text(format!("the provider {OF_S3} keeps objects in S3, and is not to be asked"))
            .hint(format!("see [provider.{OF_S3}] in fleet.toml")));
    };
    Ok(Provider::find(about, &surroundings())?)
}
