//! The way to EC2: whose credentials, which regions, and a client for each.
//!
//! Must not know what is asked of EC2.

use std::time::Duration;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::{self, ProfileFileCredentialsProvider, ProfileSet};
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::{RetryConfig, RetryMode};
use aws_config::timeout::TimeoutConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_ec2::Client;

use crate::failure::{self, Call, Code, Failure, Service};
use crate::machine::Machine;
use crate::settings::Settings;

/// A listener that does not answer is no EC2.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where to start when none is named: it knows the regions of an account, and those of buckets.
const FIRST_REGION: &str = "us-east-1";

/// EC2, as it is reached with the user's settings.
pub(crate) struct Access {
    pub(crate) machine: Machine,
    /// The account, where the credentials tell it.
    pub(crate) account: Option<String>,
    /// At least one.
    pub(crate) regions: Vec<Area>,
}

/// One region.
pub(crate) struct Area {
    pub(crate) name: String,
    pub(crate) client: Client,
    timeout: Duration,
}

impl Area {
    fn new(config: &SdkConfig, name: &str, timeout: Duration) -> Self {
        let config = aws_sdk_ec2::config::Builder::from(config).region(Region::new(name.to_owned())).build();
        Self { name: name.to_owned(), client: Client::from_conf(config), timeout }
    }

    /// Names a call here, for the failures of it.
    pub(crate) fn call(&self, action: &'static str) -> Call<'_> {
        Call { service: Service::Ec2, action, region: &self.name, timeout: self.timeout }
    }
}

impl Access {
    /// Finds credentials and regions. Asks nobody but for temporary credentials, or for the regions when all are wanted.
    pub(crate) async fn open(settings: &Settings, machine: Machine) -> Result<Self, Failure> {
        let SignedIn { account, config, regions, is_region_assumed: _, timeout } =
            SignedIn::new(settings, machine, NoRegion::Refused).await?;
        let names = match settings.all_regions() {
            true => every_region(&Area::new(&config, &regions[0], timeout)).await?,
            false => regions,
        };
        let regions = names.iter().map(|name| Area::new(&config, name, timeout)).collect();
        Ok(Self { machine, account, regions })
    }
}

/// What to do where no region is named anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRegion {
    /// Nothing without one.
    Refused,
    /// Ask [`FIRST_REGION`], which knows where to ask.
    AsksFirst,
}

/// Who the user is, and what is set, for any service.
pub(crate) struct SignedIn {
    account: Option<String>,
    pub(crate) config: SdkConfig,
    /// Those that are named anywhere, at least one.
    pub(crate) regions: Vec<String>,
    /// Whether none is named, and [`FIRST_REGION`] was taken.
    pub(crate) is_region_assumed: bool,
    /// The limit for one call with all its retries.
    pub(crate) timeout: Duration,
}

impl SignedIn {
    /// Asks nobody but for temporary credentials.
    pub(crate) async fn new(settings: &Settings, machine: Machine, no_region: NoRegion) -> Result<Self, Failure> {
        let profiles = profiles(settings).await?;
        let named = named_regions(settings, &profiles, machine).await;
        let (regions, is_region_assumed) = match (named, no_region) {
            (Err(failure), NoRegion::AsksFirst) if failure.code == Code::NoRegion => {
                (vec![FIRST_REGION.to_owned()], true)
            }
            (named, _) => (named?, false),
        };
        let timeout = settings.operation_timeout();
        let region = Region::new(regions[0].clone());
        let credentials = tokio::time::timeout(timeout, credentials(settings, &profiles, region.clone(), machine))
            .await
            .unwrap_or_else(|_| Err(late(timeout)))?;
        let account = credentials.account_id().map(|account| account.as_str().to_owned());
        let config = sdk_config(settings, &profiles, region, credentials).await?;
        Ok(Self { account, config, regions, is_region_assumed, timeout })
    }
}

async fn profiles(settings: &Settings) -> Result<ProfileSet, Failure> {
    let chosen = settings.profile.clone().map(Into::into);
    let files = profile::load(&Default::default(), &Default::default(), &Default::default(), chosen).await;
    files.map_err(|error| Failure::new(Code::BadRequest, failure::chain(&error)))
}

/// The regions that are named anywhere, those of the settings before all; a single one where they are not of the
/// settings. Metadata comes last, and only where there is any.
async fn named_regions(settings: &Settings, profiles: &ProfileSet, machine: Machine) -> Result<Vec<String>, Failure> {
    let mut named: Vec<String> = Vec::new();
    for region in settings.regions.iter().filter(|region| *region != "all") {
        check(region)?;
        if !named.contains(region) {
            named.push(region.clone());
        }
    }
    if !named.is_empty() {
        return Ok(named);
    }
    let variable = |name| std::env::var(name).ok();
    let set = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().filter_map(variable);
    let mut found = set.chain(profiles.get("region").map(str::to_owned)).find(|region| !region.is_empty());
    if found.is_none() && machine == Machine::Ec2 {
        found = ImdsRegionProvider::builder().build().region().await.map(|region| region.to_string());
    }
    if found.is_none() && settings.all_regions() {
        found = Some(FIRST_REGION.to_owned());
    }
    let region = found.ok_or_else(|| {
        let profile = profiles.selected_profile();
        Failure::new(
            Code::NoRegion,
            format!("no region is set, neither in the environment nor in the profile {profile}"),
        )
        .with_hint("use --region eu-west-1, set AWS_REGION, or write a region into the profile")
    })?;
    check(&region)?;
    Ok(vec![region])
}

/// Refuses what cannot stand in the name of a server.
fn check(region: &str) -> Result<(), Failure> {
    if !region.is_empty() && region.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        return Ok(());
    }
    Err(Failure::new(Code::BadRequest, format!("{region:?} is no region"))
        .with_hint("regions are written as eu-west-1, or all"))
}

/// The SDK's default chain, but for two things: a profile that is asked for by name is not overruled by variables, as with
/// `aws --profile`; and metadata is asked only on an instance.
async fn credentials(
    settings: &Settings,
    profiles: &ProfileSet,
    region: Region,
    machine: Machine,
) -> Result<Credentials, Failure> {
    let config = ProviderConfig::without_region()
        .with_region(Some(region))
        .with_behavior_version(Some(BehaviorVersion::latest()));
    let mut from_profile = ProfileFileCredentialsProvider::builder().configure(&config);
    if let Some(profile) = &settings.profile {
        from_profile = from_profile.profile_name(profile);
    }
    let from_profile = from_profile.build();
    let chain = if settings.profile.is_some() {
        CredentialsProviderChain::first_try("Profile", from_profile)
    } else {
        let chain = CredentialsProviderChain::first_try("Environment", EnvironmentVariableCredentialsProvider::new())
            .or_else("Profile", from_profile)
            .or_else("WebIdentityToken", WebIdentityTokenCredentialsProvider::builder().configure(&config).build())
            .or_else("EcsContainer", EcsCredentialsProvider::builder().configure(&config).build());
        match machine {
            Machine::Ec2 => {
                chain.or_else("Ec2InstanceMetadata", ImdsCredentialsProvider::builder().configure(&config).build())
            }
            Machine::Elsewhere => chain,
        }
    };
    chain.provide_credentials().await.map_err(|error| {
        let failure = failure::credentials(&error, profiles.selected_profile(), renewal(profiles));
        match missing_profile(profiles) {
            Some(hint) if failure.code == Code::NoCredentials => failure.with_hint(hint),
            _ => failure,
        }
    })
}

/// The command that renews the credentials of the chosen profile, or shows why they cannot be had.
fn renewal(profiles: &ProfileSet) -> String {
    let profile = profiles.selected_profile();
    let by_sso = ["sso_session", "sso_start_url"].into_iter().any(|key| profiles.get(key).is_some());
    let command = if by_sso { "aws sso login" } else { "aws sts get-caller-identity" };
    format!("try `{command} --profile {profile}`")
}

/// What to say when the chosen profile is not there.
fn missing_profile(profiles: &ProfileSet) -> Option<String> {
    let chosen = profiles.selected_profile();
    if chosen == "default" || profiles.get_profile(chosen).is_some() {
        return None;
    }
    let mut known: Vec<_> = profiles.profiles().collect();
    known.sort_unstable();
    let known = if known.is_empty() { "none at all".to_owned() } else { known.join(", ") };
    Some(format!("there is no profile {chosen} in ~/.aws/config; there are: {known}"))
}

fn late(timeout: Duration) -> Failure {
    let limit = humantime::format_duration(timeout);
    Failure::new(Code::Unreachable, format!("no credentials came within {limit}"))
        .with_hint("a credential_process, SSO or STS did not answer")
}

/// Endpoints come from the environment and the profile by the SDK itself.
async fn sdk_config(
    settings: &Settings,
    profiles: &ProfileSet,
    region: Region,
    credentials: Credentials,
) -> Result<SdkConfig, Failure> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_timeout(settings.operation_timeout())
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .app_name(AppName::new("fleet").expect("a word of letters is a name"))
        .region(region)
        .credentials_provider(credentials)
        .retry_config(retries(profiles)?)
        .timeout_config(timeouts);
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    Ok(loader.load().await)
}

/// The user's own retry settings, else a few quick ones more than the SDK's. (Read here, because the SDK panics where it
/// cannot read them.)
fn retries(profiles: &ProfileSet) -> Result<RetryConfig, Failure> {
    let set = |variable: &str, key: &str| {
        let in_environment = std::env::var(variable).ok().map(|value| (variable.to_owned(), value));
        in_environment.or_else(|| Some((key.to_owned(), profiles.get(key)?.to_owned())))
    };
    let mut retries = RetryConfig::standard();
    let attempts = set("AWS_MAX_ATTEMPTS", "max_attempts");
    let mode = set("AWS_RETRY_MODE", "retry_mode");
    if attempts.is_none() && mode.is_none() {
        return Ok(retries.with_max_attempts(5).with_initial_backoff(Duration::from_millis(200)));
    }
    if let Some((name, value)) = attempts {
        let refused = || Failure::new(Code::BadRequest, format!("{name} is {value:?}; expected a number above zero"));
        retries = retries.with_max_attempts(value.parse().ok().filter(|attempts| *attempts > 0).ok_or_else(refused)?);
    }
    if let Some((name, value)) = mode {
        let refused = || Failure::new(Code::BadRequest, format!("{name} is {value:?}; expected standard or adaptive"));
        retries = retries.with_retry_mode(value.parse::<RetryMode>().map_err(|_| refused())?);
    }
    Ok(retries)
}

/// The regions that are enabled for the account.
async fn every_region(home: &Area) -> Result<Vec<String>, Failure> {
    let answer = home.client.describe_regions().send().await;
    let answer = answer.map_err(|error| home.call("DescribeRegions").failure(&error))?;
    let mut names: Vec<_> =
        answer.regions().iter().filter_map(|region| region.region_name()).map(str::to_owned).collect();
    names.sort_unstable();
    if names.is_empty() {
        return Err(Failure::new(Code::Internal, "EC2 names no region that is enabled for the account"));
    }
    Ok(names)
}
