//! From the lines that count for a host to its [`HostConfig`].
//!
//! Must not know how lines are found.

use std::path::PathBuf;

use fleet_core::host::Host;

use super::error::{ConfigError, Place};
use super::evaluate::{DEFAULT_PORT, Evaluation, Names};
use super::expand::{self, ExpandError, Syntax};
use super::host_config::{ForwardAgent, HostConfig, IdentityFiles, Proxy};
use super::keyword::Setting;
use super::local::LocalContext;
use super::settings::Settings;
use super::value::{AddressFamily, StrictHostKey, Value};

/// The names of the usual key files (ssh(1), FILES), in OpenSSH's order.
const DEFAULT_KEYS: [&str; 5] = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"];

/// Turns lines into values.
pub(super) struct Builder<'e, 'c> {
    evaluation: &'e Evaluation<'c>,
    settings: &'e Settings,
    local: &'e LocalContext,
    names: Names,
}

impl<'e, 'c> Builder<'e, 'c> {
    /// Starts from the lines of `evaluation`, for a server called `host_name`.
    pub(super) fn new(
        evaluation: &'e Evaluation<'c>,
        host_name: String,
        local: &'e LocalContext,
    ) -> Result<Self, ConfigError> {
        let settings = &evaluation.settings;
        let alias = Self::key_alias(evaluation);
        let mut builder = Self {
            evaluation,
            settings,
            local,
            names: Names {
                host: host_name,
                user: String::new(),
                port: evaluation.port(),
                key_alias: alias.unwrap_or_else(|| evaluation.original.to_owned()),
                jump: evaluation.last_jump().to_owned(),
            },
        };
        builder.names.user = builder.user()?;
        Ok(builder)
    }

    /// All settings of the host.
    pub(super) fn build(self) -> Result<HostConfig, ConfigError> {
        let settings = self.settings;
        Ok(HostConfig {
            original: self.evaluation.original.to_owned(),
            address_family: self.address_family(),
            bind_address: settings.text(Setting::BindAddress).map(str::to_owned),
            proxy: self.proxy()?,
            connect_timeout: settings.time(Setting::ConnectTimeout),
            connection_attempts: settings.number(Setting::ConnectionAttempts).unwrap_or(1),
            tcp_keep_alive: settings.flag(Setting::TcpKeepAlive).unwrap_or(true),
            server_alive_interval: settings.time(Setting::ServerAliveInterval),
            server_alive_count_max: settings.number(Setting::ServerAliveCountMax).unwrap_or(3),
            compression: settings.flag(Setting::Compression).unwrap_or(false),
            ciphers: settings.algorithms(Setting::Ciphers),
            macs: settings.algorithms(Setting::Macs),
            kex_algorithms: settings.algorithms(Setting::KexAlgorithms),
            host_key_algorithms: settings.algorithms(Setting::HostKeyAlgorithms),
            pubkey_accepted_algorithms: settings.algorithms(Setting::PubkeyAcceptedAlgorithms),
            host_key_alias: Self::key_alias(self.evaluation),
            host_key_policy: self.host_key_policy(),
            hash_known_hosts: settings.flag(Setting::HashKnownHosts).unwrap_or(false),
            user_known_hosts: self.user_known_hosts()?,
            global_known_hosts: self.global_known_hosts()?,
            revoked_host_keys: self.revoked_host_keys()?,
            identity_files: self.identity_files()?,
            certificate_files: self.certificate_files()?,
            identities_only: settings.flag(Setting::IdentitiesOnly).unwrap_or(false),
            agent: self.agent()?,
            forward_agent: self.forward_agent()?,
            preferred_authentications: self.preferred_authentications(),
            pubkey_authentication: settings.flag(Setting::PubkeyAuthentication).unwrap_or(true),
            password_authentication: settings.flag(Setting::PasswordAuthentication).unwrap_or(true),
            kbd_interactive_authentication: settings.flag(Setting::KbdInteractiveAuthentication).unwrap_or(true),
            batch_mode: settings.flag(Setting::BatchMode).unwrap_or(false),
            send_env: settings.send_env().to_vec(),
            set_env: self.set_env()?,
            host_name: self.names.host,
            user: self.names.user,
            port: self.names.port,
        })
    }

    fn key_alias(evaluation: &Evaluation<'_>) -> Option<String> {
        let configured = evaluation.settings.text(Setting::HostKeyAlias);
        configured.or(evaluation.key_alias).map(str::to_ascii_lowercase)
    }

    /// A user given with the host is taken as it is, one of the configuration may have tokens.
    fn user(&self) -> Result<String, ConfigError> {
        match self.settings.get(Setting::User) {
            Some(line) if self.evaluation.given_user.is_none() => {
                self.expand(self.evaluation.user(), expand::USER, &line.place)
            }
            _ => Ok(self.evaluation.user().to_owned()),
        }
    }

    fn address_family(&self) -> AddressFamily {
        match self.settings.get(Setting::AddressFamily).map(|line| &line.value) {
            Some(Value::AddressFamily(family)) => *family,
            _ => AddressFamily::default(),
        }
    }

    fn host_key_policy(&self) -> StrictHostKey {
        match self.settings.get(Setting::StrictHostKeyChecking).map(|line| &line.value) {
            Some(Value::StrictHostKey(policy)) => *policy,
            _ => StrictHostKey::default(),
        }
    }

    fn proxy(&self) -> Result<Proxy, ConfigError> {
        if let (Some(line), hops @ [_, ..]) = (self.settings.get(Setting::ProxyJump), self.settings.jump_hosts()) {
            return self.jump(hops, &line.place);
        }
        match self.settings.get(Setting::ProxyCommand).map(|line| (&line.value, &line.place)) {
            Some((Value::Command(Some(command)), place)) => {
                Ok(Proxy::Command(self.expand(command, expand::PROXY, place)?))
            }
            _ => Ok(Proxy::Direct),
        }
    }

    fn jump(&self, hops: &[Host], place: &Place) -> Result<Proxy, ConfigError> {
        let hops: Vec<Host> = hops.iter().map(|hop| self.hop(hop, place)).collect::<Result<_, _>>()?;
        let is_itself = |hop: &Host| {
            hop.name() == self.names.host
                && hop.port().unwrap_or(DEFAULT_PORT) == self.names.port
                && hop.user().is_none_or(|user| user == self.names.user)
        };
        match hops.last() {
            Some(last) if is_itself(last) => {
                Err(ConfigError::JumpLoop { place: place.clone(), host: last.name().to_owned() })
            }
            _ => Ok(Proxy::Jump(hops)),
        }
    }

    fn hop(&self, hop: &Host, place: &Place) -> Result<Host, ConfigError> {
        let expand = |text: &str| self.expand(text, expand::PROXY, place);
        let name = expand(hop.name())?;
        let host = Host::new(&name).map_err(|problem| ConfigError::Expand {
            place: place.clone(),
            text: hop.to_string(),
            problem: ExpandError::Jump(problem),
        })?;
        Ok(host.with_user(hop.user().map(expand).transpose()?).with_port(hop.port()))
    }

    fn user_known_hosts(&self) -> Result<Vec<PathBuf>, ConfigError> {
        match self.line_with_words(Setting::UserKnownHostsFile) {
            Some((place, words)) => words.iter().map(|word| self.path(word, place)).collect(),
            None => Ok(["known_hosts", "known_hosts2"].map(|name| self.local.home.join(".ssh").join(name)).to_vec()),
        }
    }

    /// Unlike the user's files these have no tokens.
    fn global_known_hosts(&self) -> Result<Vec<PathBuf>, ConfigError> {
        match self.line_with_words(Setting::GlobalKnownHostsFile) {
            Some((place, words)) => {
                words.iter().map(|word| Ok(PathBuf::from(self.expand_tilde(word, place)?))).collect()
            }
            None => {
                Ok(["ssh_known_hosts", "ssh_known_hosts2"].map(|name| self.local.system_folder.join(name)).to_vec())
            }
        }
    }

    fn revoked_host_keys(&self) -> Result<Option<PathBuf>, ConfigError> {
        let line = self.line_with_text(Setting::RevokedHostKeys).filter(|(_, text)| !text.eq_ignore_ascii_case("none"));
        line.map(|(place, text)| self.path(text, place)).transpose()
    }

    fn identity_files(&self) -> Result<IdentityFiles, ConfigError> {
        if self.settings.identity_files().is_empty() {
            let folder = self.local.home.join(".ssh");
            return Ok(IdentityFiles::Default(DEFAULT_KEYS.map(|name| folder.join(name)).to_vec()));
        }
        let mut paths = Vec::new();
        for line in self.settings.identity_files() {
            match &line.value {
                Value::Text(text) if !text.eq_ignore_ascii_case("none") => paths.push(self.path(text, &line.place)?),
                _ => {}
            }
        }
        Ok(IdentityFiles::Named(paths))
    }

    fn certificate_files(&self) -> Result<Vec<PathBuf>, ConfigError> {
        let mut paths = Vec::new();
        for line in self.settings.certificate_files() {
            if let Value::Text(text) = &line.value {
                paths.push(self.path(text, &line.place)?);
            }
        }
        Ok(paths)
    }

    fn agent(&self) -> Result<Option<PathBuf>, ConfigError> {
        let usual = || self.variable_path("SSH_AUTH_SOCK");
        let Some((place, text)) = self.line_with_text(Setting::IdentityAgent) else { return Ok(usual()) };
        match text {
            "SSH_AUTH_SOCK" => Ok(usual()),
            text if text.eq_ignore_ascii_case("none") => Ok(None),
            text => self.socket(text, place),
        }
    }

    fn forward_agent(&self) -> Result<ForwardAgent, ConfigError> {
        let Some((place, text)) = self.line_with_text(Setting::ForwardAgent) else { return Ok(ForwardAgent::No) };
        match text.to_ascii_lowercase().as_str() {
            "no" | "false" => Ok(ForwardAgent::No),
            "yes" | "true" => Ok(ForwardAgent::Same),
            _ => Ok(ForwardAgent::Socket(self.socket(text, place)?)),
        }
    }

    fn line_with_text(&self, setting: Setting) -> Option<(&Place, &str)> {
        Some((&self.settings.get(setting)?.place, self.settings.text(setting)?))
    }

    fn line_with_words(&self, setting: Setting) -> Option<(&Place, &[String])> {
        Some((&self.settings.get(setting)?.place, self.settings.words(setting)?))
    }

    /// The path of a socket, or the value of a variable written as `$NAME`.
    fn socket(&self, text: &str, place: &Place) -> Result<Option<PathBuf>, ConfigError> {
        match text.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            Some(name) => Ok(self.variable_path(name)),
            None => Ok(Some(self.path(text, place)?)),
        }
    }

    fn variable_path(&self, name: &str) -> Option<PathBuf> {
        self.local.env.get(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    fn preferred_authentications(&self) -> Option<Vec<String>> {
        let text = self.settings.text(Setting::PreferredAuthentications)?;
        Some(text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    /// Of a name that stands twice on the line, the first value counts.
    fn set_env(&self) -> Result<Vec<(String, String)>, ConfigError> {
        let Some((place, words)) = self.line_with_words(Setting::SetEnv) else { return Ok(Vec::new()) };
        let mut variables: Vec<(String, String)> = Vec::new();
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            if !variables.iter().any(|(known, _)| known == name) {
                variables.push((name.to_owned(), self.expand(value, expand::PATH, place)?));
            }
        }
        Ok(variables)
    }

    fn path(&self, text: &str, place: &Place) -> Result<PathBuf, ConfigError> {
        Ok(PathBuf::from(self.expand(&self.expand_tilde(text, place)?, expand::PATH, place)?))
    }

    fn expand_tilde(&self, text: &str, place: &Place) -> Result<String, ConfigError> {
        self.local.expand_tilde(text).map_err(|name| ConfigError::Expand {
            place: place.clone(),
            text: text.to_owned(),
            problem: ExpandError::NoUser(name),
        })
    }

    fn expand(&self, text: &str, syntax: Syntax, place: &Place) -> Result<String, ConfigError> {
        self.evaluation.expand_with(&self.names, text, syntax, place)
    }
}
