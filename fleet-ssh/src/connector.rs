//! From a host's name to an authenticated session: configuration, name, address, key exchange, login.
//!
//! What the hosts share is made once here: parsed files, keys, agents, jump hosts. Each stage has its own deadline.
//! Must not know what is done with a session.

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rand::RngExt;
use russh::client::{self, Handle};

use super::agent::Agent;
use super::algorithms;
use super::auth::{self, Credentials};
use super::config::{ConfigError, ForwardAgent, HostConfig, IdentityFiles, Notice, Origin, SshConfig, StrictHostKey};
use super::deadline::within;
use super::handler::{SessionHandler, SessionNotes};
use super::handshake::{TryError, shake_hands};
use super::host_key::HostKeyCheck;
use super::jump::JumpHosts;
use super::keys::{KeyStore, Questions};
use super::known_hosts::{
    HashNames, HostKeyPolicy, KnownHosts, KnownHostsError, KnownHostsFiles, KnownName, LineProblem, Location,
};
use super::pacing::Try;
use super::parameters::{client_config, descriptors, liveness, methods};
use super::prompt::{Prompt, Secret};
use super::refusal;
use super::route::Jump;
use super::session::{Session, SessionParts, WireGuard};
use super::spool::SpoolBudget;
use super::wire::Wire;
use fleet_core::endpoint::{Endpoints, Whereabouts};
use fleet_core::host::Host;
use fleet_core::outcome::{FailureClass, HostError, Stage, in_one_line};
use fleet_core::pace::Gate;

/// Tries where a server drops connections before login, as sshd does when too many log in at once (MaxStartups).
const CONNECT_TRIES: u32 = 6;
/// The pause before the second try; doubled for each further one, and varied by half so that hosts spread out.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// What the user decides about connections, for all hosts.
#[derive(Debug)]
pub struct ConnectSettings {
    /// The OpenSSH configuration, parsed.
    pub config: SshConfig,
    /// Longest time for each stage.
    pub stage_timeout: StageTimeout,
    /// Log in as this user, unless the host is named with one.
    pub user: Option<String>,
    /// Log in as this user where neither the host's name nor its endpoint has one.
    pub default_user: Option<String>,
    /// Offer these keys instead of the configured ones.
    pub identities: Option<Vec<PathBuf>>,
    /// Overrides `StrictHostKeyChecking`.
    pub host_key: Option<HostKeyPolicy>,
    /// The password given for all hosts.
    pub password: Option<Secret>,
    /// Where hosts are reached that are not reached by their names.
    pub endpoints: Endpoints,
}

/// Longest time for each stage of a connection; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageTimeout {
    /// Nobody chose: a host's `ConnectTimeout` comes first.
    Default(Option<Duration>),
    /// Chosen by flag or setting: comes before any `ConnectTimeout`.
    Chosen(Option<Duration>),
}

/// What is wrong before any host is contacted.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The OpenSSH configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The known host keys cannot be used.
    #[error(transparent)]
    KnownHosts(#[from] KnownHostsError),
}

/// Hears of the stages of one connection.
pub trait ConnectObserver: Send + Sync {
    /// A stage has begun.
    fn stage(&self, stage: Stage) -> impl Future<Output = ()> + Send;
    /// Something worth a remark happened.
    fn note(&self, text: String) -> impl Future<Output = ()> + Send;
}

/// Opens sessions for a whole run.
pub struct Connector {
    pub(super) settings: ConnectSettings,
    known_hosts: KnownHostsFiles,
    pub(super) keys: KeyStore,
    agents: Mutex<HashMap<PathBuf, Arc<Agent>>>,
    pub(super) jump_hosts: JumpHosts,
    pub(super) spool_budget: Arc<SpoolBudget>,
    pace: OnceLock<Arc<Gate>>,
    pub(super) new_host_keys: NewHostKeys,
    pub(super) whereabouts: Option<Arc<dyn Whereabouts>>,
}

/// What becomes of host keys that the policy `accept-new` accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewHostKeys {
    /// They are added to known_hosts.
    Kept,
    /// Nothing: they are accepted for this time only.
    Forgotten,
}

impl Connector {
    /// A connector for one run; `prompt` is asked for passphrases.
    #[must_use]
    pub fn new(settings: ConnectSettings, prompt: Arc<dyn Prompt>) -> Self {
        Self {
            settings,
            known_hosts: KnownHostsFiles::default(),
            keys: KeyStore::new(prompt),
            agents: Mutex::default(),
            jump_hosts: JumpHosts::default(),
            spool_budget: Arc::default(),
            pace: OnceLock::new(),
            new_host_keys: NewHostKeys::Kept,
            whereabouts: None,
        }
    }

    /// From now on `gate` is told how the connections to hosts go; it keeps nobody waiting here. Once only.
    pub fn pace_by(&self, gate: Arc<Gate>) {
        let _ = self.pace.set(gate);
    }

    /// Looks at the configuration of all `hosts`, so that what is wrong with it is known before any is contacted. Tells
    /// how many file descriptors a session to each of them takes.
    ///
    /// # Errors
    /// The first thing wrong.
    pub fn check_configuration<'a>(
        &self,
        hosts: impl IntoIterator<Item = &'a Host>,
    ) -> Result<Vec<u64>, ConnectorError> {
        let check = |host| {
            let route = self.route(host)?;
            for config in &route {
                self.known_hosts(config)?;
            }
            Ok(route.last().map_or(0, |config| descriptors(&config.proxy)))
        };
        hosts.into_iter().map(check).collect()
    }

    /// The lines of the OpenSSH configuration that were met and do nothing here, each keyword once.
    pub fn take_notices(&self) -> Vec<Notice> {
        self.settings.config.take_notices()
    }

    /// The lines of the known_hosts files that were skipped, each once, with whose file it is.
    pub fn skipped_host_keys(&self) -> Vec<(Location, LineProblem, Origin)> {
        let system = &self.settings.config.local().system_folder;
        let owned = |(at, problem): (Location, LineProblem)| {
            let origin = if at.file.starts_with(system) { Origin::System } else { Origin::User };
            (at, problem, origin)
        };
        self.known_hosts.skipped_lines().into_iter().map(owned).collect()
    }

    /// Opens a session to `host`.
    ///
    /// # Errors
    /// With the stage that failed. Connections dropped before login were tried again; of a host that does not answer it
    /// was asked whether it is somewhere else ([`FailureClass::Moved`]: another attempt goes there) or gone.
    pub async fn connect(&self, host: &Host, observer: &impl ConnectObserver) -> Result<Session, HostError> {
        let route = self
            .route(host)
            .map_err(|error| HostError::new(Stage::Resolve, FailureClass::Local, in_one_line(&error)))?;
        match self.connect_often(&route, observer, self.pace.get()).await {
            // In a box: few hosts need it, and every one would pay for its room.
            Err(error) => Err(Box::pin(self.or_elsewhere(host, &route, error)).await),
            connected => connected,
        }
    }

    /// Says good-bye to the jump hosts, at the end of a run: sessions that go through them must have ended.
    pub async fn disconnect(&self) {
        self.jump_hosts.disconnect().await;
    }

    /// Opens a session to the end of `route`, again where the server drops the connection before login.
    pub(super) async fn connect_often(
        &self,
        route: &[HostConfig],
        observer: &impl ConnectObserver,
        pace: Option<&Arc<Gate>>,
    ) -> Result<Session, HostError> {
        let mut pause = FIRST_PAUSE;
        for next in 2..=CONNECT_TRIES {
            match self.connect_once(route, observer, pace).await {
                Ok(session) => return Ok(session),
                Err(TryError { error, may_retry: false }) => return Err(error),
                Err(TryError { error, .. }) => {
                    observer.note(format!("{error}; trying again ({next} of {CONNECT_TRIES})")).await;
                }
            }
            let varied = pause.mul_f64(rand::rng().random_range(0.5..1.5));
            tokio::time::sleep(varied).await;
            pause *= 2;
        }
        self.connect_once(route, observer, pace).await.map_err(|TryError { error, may_retry }| {
            let tries = if may_retry { format!(" ({CONNECT_TRIES} tries)") } else { String::new() };
            HostError { message: format!("{}{tries}", error.message), ..error }
        })
    }

    /// One try, of which `pace` and the gate of the jump host are told.
    async fn connect_once(
        &self,
        route: &[HostConfig],
        observer: &impl ConnectObserver,
        pace: Option<&Arc<Gate>>,
    ) -> Result<Session, TryError> {
        let (config, before) = route.split_last().expect("a route ends at its host");
        let (jump, gate) = self.jump(before, observer).await?.unzip();
        let paced = Try::begin(pace, gate.as_ref()).await;
        let connected = self.connect_through(config, jump, observer, &paced).await;
        paced.end(&connected);
        connected
    }

    async fn connect_through(
        &self,
        config: &HostConfig,
        jump: Option<Jump<'_>>,
        observer: &impl ConnectObserver,
        paced: &Try,
    ) -> Result<Session, TryError> {
        let limit = self.stage_limit(config);
        let host_key = self.host_key_check(config)?;
        let dialled = self.dial(config, jump, observer, paced).await?;
        let (wire, control) = Wire::new(dialled.stream);
        let wire_guard = WireGuard(control);
        let notes = Arc::new(SessionNotes::default());
        let forwarded_agent = match &config.forward_agent {
            ForwardAgent::No => None,
            ForwardAgent::Same => config.agent.clone(),
            ForwardAgent::Socket(socket) => socket.clone(),
        };
        let forwarded_agent = forwarded_agent.map(|socket| self.agent(&socket));
        let forwards_agent = forwarded_agent.is_some();
        let ssh_config = Arc::new(client_config(config, &host_key));
        let handler = SessionHandler { host_key, notes: Arc::clone(&notes), forwarded_agent };
        let connecting = client::connect_stream(ssh_config, wire, handler);
        let shaken = shake_hands(pin!(connecting), &wire_guard, limit, observer).await;
        let mut handle = match shaken {
            Ok(handle) => handle,
            Err(failure) => return Err(failure.explain(&notes, &wire_guard, dialled.proxy.as_deref()).await),
        };
        paced.met();
        tracing::info!(address = %config.host_name, port = config.port, "host key accepted");
        observer.stage(Stage::Authenticate).await;
        self.log_in_within(limit, &notes, pin!(self.log_in(config, &mut handle, &notes))).await?;
        Ok(Session::new(SessionParts {
            handle,
            notes,
            wire: wire_guard,
            liveness: liveness(config),
            spool_budget: Arc::clone(&self.spool_budget),
            forwards_agent,
            stage_limit: limit,
            environment: config.environment(&self.settings.config.local().env),
            route: dialled.route,
        }))
    }

    /// The time in which a person types a passphrase is not the host's.
    async fn log_in_within(
        &self,
        limit: Option<Duration>,
        notes: &SessionNotes,
        mut login: Pin<&mut impl Future<Output = Result<(), HostError>>>,
    ) -> Result<(), HostError> {
        loop {
            let asking = self.keys.is_asking();
            let result = within(limit, Stage::Authenticate, &mut login).await;
            match result {
                Err(error) if error.class == FailureClass::Timeout && (asking || self.keys.is_asking()) => {}
                Err(error) if error.class == FailureClass::Timeout => {
                    return Err(notes.awaited_agent().map_or(error.clone(), |agent| refusal::unsigned(error, &agent)));
                }
                result => return result,
            }
        }
    }

    async fn log_in(
        &self,
        config: &HostConfig,
        handle: &mut Handle<SessionHandler>,
        notes: &SessionNotes,
    ) -> Result<(), HostError> {
        let agent = config.agent.as_ref().map(|socket| self.agent(socket));
        let accepts = algorithms::accepts(config.pubkey_accepted_algorithms.as_ref());
        let named = self.settings.identities.as_deref();
        let credentials = Credentials {
            user: &config.user,
            identity_files: named.unwrap_or(config.identity_files.paths()),
            identities_are_defaults: named.is_none() && matches!(config.identity_files, IdentityFiles::Default(_)),
            certificate_files: &config.certificate_files,
            identities_only: named.is_some() || config.identities_only,
            agent: agent.as_ref(),
            keys: &self.keys,
            questions: if config.batch_mode { Questions::Refused } else { Questions::Asked },
            password: self.settings.password.as_ref(),
            methods: methods(config),
            accepts: &accepts,
            stage_limit: self.stage_limit(config),
        };
        auth::authenticate(handle, notes, &credentials).await
    }

    pub(super) fn agent(&self, socket: &Path) -> Arc<Agent> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let agent = agents.entry(socket.to_owned()).or_insert_with(|| Arc::new(Agent::new(socket.to_owned())));
        Arc::clone(agent)
    }

    pub(super) fn known_hosts(&self, config: &HostConfig) -> Result<KnownHosts, KnownHostsError> {
        let revoked = config.revoked_host_keys.as_deref().map(|path| self.known_hosts.revoked(path)).transpose()?;
        Ok(self.known_hosts.open(&config.user_known_hosts, &config.global_known_hosts)?.without(revoked))
    }

    pub(super) fn host_key_check(&self, config: &HostConfig) -> Result<HostKeyCheck, HostError> {
        let known_hosts = self
            .known_hosts(config)
            .map_err(|error| HostError::new(Stage::KeyExchange, FailureClass::Local, in_one_line(&error)))?;
        let policy = match (self.host_key_policy(config), self.new_host_keys) {
            (HostKeyPolicy::AcceptNew, NewHostKeys::Forgotten) => HostKeyPolicy::Off,
            (policy, _) => policy,
        };
        let hash_names = if config.hash_known_hosts { HashNames::Hashed } else { HashNames::Plain };
        Ok(HostKeyCheck { known_hosts, name: known_name(config), policy, hash_names })
    }

    /// What is to be done about an unknown key of the host.
    pub(super) fn host_key_policy(&self, config: &HostConfig) -> HostKeyPolicy {
        let configured = match config.host_key_policy {
            // Nobody can be asked about every one of a thousand hosts.
            StrictHostKey::Yes | StrictHostKey::Ask => HostKeyPolicy::Strict,
            StrictHostKey::AcceptNew => HostKeyPolicy::AcceptNew,
            StrictHostKey::Off => HostKeyPolicy::Off,
        };
        self.settings.host_key.unwrap_or(configured)
    }

    pub(super) fn stage_limit(&self, config: &HostConfig) -> Option<Duration> {
        match self.settings.stage_timeout {
            StageTimeout::Default(limit) => match config.connect_timeout {
                Some(Duration::ZERO) => None,
                configured => configured.or(limit),
            },
            StageTimeout::Chosen(limit) => limit,
        }
    }

    /// The servers on the way to `host`, which comes last; see [`SshConfig::route`].
    ///
    /// # Errors
    /// When the configuration of one of them cannot be told.
    pub fn route(&self, host: &Host) -> Result<Vec<HostConfig>, ConfigError> {
        let endpoint = self.endpoint(host);
        let endpoint = endpoint.as_deref();
        let known = endpoint.and_then(|endpoint| endpoint.user.as_deref());
        let user = self.settings.user.as_deref().or(known).or(self.settings.default_user.as_deref());
        let known = &self.settings.endpoints;
        match (user, host.user()) {
            (Some(user), None) => {
                self.settings.config.route(&host.clone().with_user(Some(user.to_owned())), endpoint, known)
            }
            _ => self.settings.config.route(host, endpoint, known),
        }
    }
}

/// The name under which the host's key is kept.
pub(super) fn known_name(config: &HostConfig) -> KnownName {
    match &config.host_key_alias {
        Some(alias) => KnownName::alias(alias),
        None => KnownName::of_host(&config.host_name, config.port),
    }
}
