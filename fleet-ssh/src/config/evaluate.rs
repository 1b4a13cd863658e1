//! Which lines apply to one host.
//!
//! Must not know how files are read, nor what the settings are used for.

use std::net::IpAddr;

use fleet_core::endpoint::Endpoint;
use fleet_core::host::Host;

use super::SshConfig;
use super::error::{ConfigError, Place};
use super::expand::{self, Syntax, Tokens, expand};
use super::file::{Condition, ConfigFile, Directive, Include};
use super::keyword::Setting;
use super::library::{check_depth, is_fixed};
use super::matching::{Criterion, Expected, Test};
use super::notice::Notice;
use super::settings::Settings;
use super::value::Value;
use crate::pattern::PatternList;

/// The port of ssh (RFC 4253, section 4.1).
pub(super) const DEFAULT_PORT: u16 = 22;

/// Whether the options of the command line count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandLine {
    /// For the hosts of the run.
    Counts,
    /// For their jump hosts, which ssh(1) reaches by a command of its own.
    LeftOut,
}

/// What patterns are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// The name as given.
    Name,
    /// The address known of it.
    Address,
    /// The name to connect to.
    Final,
}

/// The state of one host's evaluation.
#[derive(Debug)]
pub(super) struct Evaluation<'c> {
    config: &'c SshConfig,
    /// The name as given.
    pub(super) original: &'c str,
    /// The user and the port given with the name or known of it, unless an option came first.
    pub(super) given_user: Option<&'c str>,
    given_port: Option<u16>,
    /// The address known of the name, unless an option came first.
    address: Option<&'c str>,
    /// The name that its key is kept under, if the files name none.
    pub(super) key_alias: Option<&'c str>,
    pass: Pass,
    pub(super) settings: Settings,
    /// What the first pass found to be the name to connect to; present in the second pass.
    final_name: Option<String>,
    wants_final_pass: bool,
    unsupported: Vec<&'static str>,
}

/// What tokens stand for, owned.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) host: String,
    pub(super) user: String,
    pub(super) port: u16,
    pub(super) key_alias: String,
    pub(super) jump: String,
}

impl<'c> Evaluation<'c> {
    /// Applies all lines for `host`, and tells the name to connect to.
    pub(super) fn run(
        config: &'c SshConfig,
        host: &'c Host,
        endpoint: Option<&'c Endpoint>,
        command_line: CommandLine,
    ) -> Result<(Self, String), ConfigError> {
        let mut evaluation = Self {
            config,
            original: host.name(),
            given_user: None,
            given_port: None,
            address: None,
            key_alias: endpoint.and_then(|endpoint| endpoint.host_key_alias.as_deref()),
            pass: Pass::Name,
            settings: Settings::default(),
            final_name: None,
            wants_final_pass: config.wants_final_pass,
            unsupported: Vec::new(),
        };
        if command_line == CommandLine::Counts {
            evaluation.apply(&config.options, 0)?;
        }
        let user = host.user().or(endpoint.and_then(|endpoint| endpoint.user.as_deref()));
        let port = host.port().or(endpoint.and_then(|endpoint| endpoint.port));
        let address = endpoint.and_then(|endpoint| endpoint.address.as_deref());
        evaluation.given_user = user.filter(|_| !evaluation.settings.has(Setting::User));
        evaluation.given_port = port.filter(|_| !evaluation.settings.has(Setting::Port));
        evaluation.address = address.filter(|_| !evaluation.settings.has(Setting::HostName));
        evaluation.apply_files()?;
        if evaluation.address.is_some() {
            evaluation.pass = Pass::Address;
            evaluation.apply_files()?;
        }
        let name = normalized(&evaluation.name()?);
        if evaluation.wants_final_pass {
            evaluation.final_name = Some(name.clone());
            evaluation.pass = Pass::Final;
            evaluation.apply_files()?;
        }
        Ok((evaluation, name))
    }

    fn apply_files(&mut self) -> Result<(), ConfigError> {
        self.config.files.iter().try_for_each(|file| self.apply(file, 0))
    }

    fn apply(&mut self, file: &ConfigFile, depth: usize) -> Result<(), ConfigError> {
        let name = self.compared().to_owned();
        for block in file.blocks_for(&name) {
            if !self.applies(&block.condition)? {
                continue;
            }
            for directive in &block.directives {
                match directive {
                    Directive::Set(assignment) => {
                        refuse(assignment.setting, &assignment.value, &assignment.place)?;
                        if let Some(notice) =
                            assignment.notice.as_deref().filter(|_| !self.settings.has(assignment.setting))
                        {
                            self.config.note(notice);
                        }
                        self.settings.add(assignment);
                    }
                    Directive::Include(include) => self.include(include, depth + 1)?,
                    Directive::Unsupported { keyword, notice } => self.pass_over(keyword, notice.as_deref()),
                    Directive::Unknown(notice) => self.pass_over_unknown(notice),
                }
            }
        }
        Ok(())
    }

    fn include(&mut self, include: &Include, depth: usize) -> Result<(), ConfigError> {
        check_depth(depth, include)?;
        for pattern in &include.patterns {
            let expanded;
            let pattern = if is_fixed(pattern) {
                pattern
            } else {
                expanded = self.expand_now(pattern, expand::PATH, &include.place)?;
                &expanded
            };
            for file in self.config.included(pattern, include)?.iter() {
                self.wants_final_pass |= file.wants_final_pass();
                self.apply(file, depth)?;
            }
        }
        Ok(())
    }

    fn pass_over(&mut self, keyword: &'static str, notice: Option<&Notice>) {
        if self.unsupported.contains(&keyword) {
            return;
        }
        self.unsupported.push(keyword);
        if let Some(notice) = notice {
            // ssh reads the files again whether or not a name changed.
            self.wants_final_pass |= keyword == "canonicalizehostname";
            self.config.note(notice);
        }
    }

    fn pass_over_unknown(&mut self, notice: &Notice) {
        let ignored = self.settings.text(Setting::IgnoreUnknown).unwrap_or_default().to_ascii_lowercase();
        if !PatternList::from_commas(&ignored).matches(&notice.keyword.to_ascii_lowercase()) {
            self.config.note(notice);
        }
    }

    fn applies(&mut self, condition: &Condition) -> Result<bool, ConfigError> {
        match condition {
            Condition::Always | Condition::Named(_) => Ok(true),
            Condition::Host(patterns, _) => Ok(patterns.matches(self.compared())),
            Condition::Match { criteria, place } => {
                // In order, and no further than the first that fails: a command after it is not run.
                for criterion in criteria {
                    if !self.holds(criterion, place)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    fn holds(&self, criterion: &Criterion, place: &Place) -> Result<bool, ConfigError> {
        let result = match &criterion.test {
            Test::All => true,
            Test::Final | Test::Canonical => self.final_name.is_some(),
            Test::Host(patterns) => patterns.matches(&self.name()?.to_ascii_lowercase()),
            Test::OriginalHost(patterns) => patterns.matches(&self.original.to_ascii_lowercase()),
            Test::User(patterns) => patterns.matches(self.user()),
            Test::LocalUser(patterns) => patterns.matches(&self.config.local.user),
            Test::Tagged(patterns) => match (patterns, self.settings.text(Setting::Tag)) {
                (Some(patterns), Some(tag)) => patterns.matches(tag),
                (patterns, tag) => patterns.is_none() && tag.is_none(),
            },
            Test::Exec(command) => {
                let command = self.expand_now(command, expand::EXEC, place)?;
                let result = self.config.commands.succeeds(&command, &self.config.local);
                result.map_err(|problem| ConfigError::MatchExec { place: place.clone(), command, problem })?
            }
            Test::Unsupported(notice) => {
                self.config.note(notice);
                return Ok(false);
            }
        };
        Ok(result == (criterion.expected == Expected::True))
    }

    /// What patterns of `Host` are compared with.
    fn compared(&self) -> &str {
        match self.pass {
            Pass::Name => None,
            Pass::Address => self.address,
            Pass::Final => self.final_name.as_deref(),
        }
        .unwrap_or(self.original)
    }

    /// The name to connect to, as far as it is known.
    fn name(&self) -> Result<String, ConfigError> {
        if let Some(name) = self.final_name.as_deref().or(self.address) {
            return Ok(name.to_owned());
        }
        let Some((line, text)) = self.settings.get(Setting::HostName).zip(self.settings.text(Setting::HostName)) else {
            return Ok(self.original.to_owned());
        };
        let names = Names {
            host: self.original.to_owned(),
            user: String::new(),
            port: 0,
            key_alias: String::new(),
            jump: String::new(),
        };
        self.expand_with(&names, text, expand::HOST_NAME, &line.place)
    }

    /// The user to log in as, as far as it is known and before expansion.
    pub(super) fn user(&self) -> &str {
        self.given_user.or_else(|| self.settings.text(Setting::User)).unwrap_or(&self.config.local.user)
    }

    /// The port to connect to, as far as it is known.
    pub(super) fn port(&self) -> u16 {
        let set = || self.settings.number(Setting::Port).and_then(|port| u16::try_from(port).ok());
        self.given_port.or_else(set).unwrap_or(DEFAULT_PORT)
    }

    /// The name of the last jump host; empty without one.
    pub(super) fn last_jump(&self) -> &str {
        self.settings.jump_hosts().last().map_or("", Host::name)
    }

    fn expand_now(&self, text: &str, syntax: Syntax, place: &Place) -> Result<String, ConfigError> {
        let host = self.name()?;
        let alias = self.settings.text(Setting::HostKeyAlias).unwrap_or(&host).to_owned();
        let jump = self.last_jump().to_owned();
        let names = Names { user: self.user().to_owned(), port: self.port(), key_alias: alias, jump, host };
        self.expand_with(&names, text, syntax, place)
    }

    /// `text` with its tokens replaced.
    pub(super) fn expand_with(
        &self,
        names: &Names,
        text: &str,
        syntax: Syntax,
        place: &Place,
    ) -> Result<String, ConfigError> {
        let tokens = Tokens {
            local: &self.config.local,
            host: &names.host,
            original: self.original,
            port: names.port,
            user: &names.user,
            key_alias: &names.key_alias,
            jump: &names.jump,
        };
        expand(text, syntax, &tokens).map_err(|problem| ConfigError::Expand {
            place: place.clone(),
            text: text.to_owned(),
            problem,
        })
    }
}

fn refuse(setting: Setting, value: &Value, place: &Place) -> Result<(), ConfigError> {
    match (setting, value) {
        (Setting::RefuseConnection, Value::Text(reason)) => {
            Err(ConfigError::Refused { place: place.clone(), reason: reason.clone() })
        }
        _ => Ok(()),
    }
}

/// A name in lower case, or an address in its usual form; the zone of an IPv6 address keeps its case.
fn normalized(name: &str) -> String {
    let (address, zone) = name.split_once('%').map_or((name, None), |(address, zone)| (address, Some(zone)));
    match (address.parse::<IpAddr>(), zone) {
        (Ok(address @ IpAddr::V6(_)), Some(zone)) => format!("{address}%{zone}"),
        (Ok(address), None) => address.to_string(),
        _ => name.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_case_and_addresses_their_variants() {
        for (name, expected) in [
            ("WEB.Example.com", "web.example.com"),
            ("10.0.0.1", "10.0.0.1"),
            ("::0001", "::1"),
            ("FE80::1%Eth0", "fe80::1%Eth0"),
            ("web%1", "web%1"),
        ] {
            assert_eq!(normalized(name), expected);
        }
    }
}
