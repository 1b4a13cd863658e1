//! The lines that count for one host: the first one for most settings, all for a few.
//!
//! Must not know where the lines come from, nor what a missing one stands for.

use std::sync::Arc;
use std::time::Duration;

use fleet_core::host::Host;

use super::algorithms::AlgorithmList;
use super::file::Assignment;
use super::keyword::Setting;
use super::value::Value;
use crate::pattern::matches;

/// What the configuration says so far.
#[derive(Debug)]
pub(super) struct Settings {
    first: [Option<Arc<Assignment>>; Setting::COUNT],
    identity_files: Vec<Arc<Assignment>>,
    certificate_files: Vec<Arc<Assignment>>,
    send_env: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let (identity_files, certificate_files, send_env) = Default::default();
        Self { first: [const { None }; Setting::COUNT], identity_files, certificate_files, send_env }
    }
}

impl Settings {
    /// Takes a line that applies to the host.
    pub(super) fn add(&mut self, assignment: &Arc<Assignment>) {
        match (assignment.setting, &assignment.value) {
            (_, Value::Time(None)) => {}
            // Whichever comes first decides. (Jump hosts that came first make a command meaningless; none do not.)
            (Setting::ProxyJump, Value::Jump(hops)) if !hops.is_empty() && self.has(Setting::ProxyCommand) => {}
            (Setting::IdentityFile, value) => push_new(&mut self.identity_files, value, assignment),
            (Setting::CertificateFile, value) => push_new(&mut self.certificate_files, value, assignment),
            (Setting::SendEnv, Value::Words(words)) => words.iter().for_each(|word| self.add_send_env(word)),
            (setting, _) => {
                self.first[setting as usize].get_or_insert_with(|| Arc::clone(assignment));
            }
        }
    }

    /// `-PATTERN` takes back names that were given before.
    fn add_send_env(&mut self, word: &str) {
        match word.strip_prefix('-') {
            Some(pattern) => self.send_env.retain(|name| !matches(name, pattern)),
            None if self.send_env.iter().any(|name| name == word) => {}
            None => self.send_env.push(word.to_owned()),
        }
    }

    /// The line that counts for `setting`.
    pub(super) fn get(&self, setting: Setting) -> Option<&Assignment> {
        self.first[setting as usize].as_deref()
    }

    /// Whether a line has set `setting`.
    pub(super) fn has(&self, setting: Setting) -> bool {
        self.get(setting).is_some()
    }

    /// The hosts of `ProxyJump`, before expansion.
    pub(super) fn jump_hosts(&self) -> &[Host] {
        match self.get(Setting::ProxyJump).map(|line| &line.value) {
            Some(Value::Jump(hops)) => hops,
            _ => &[],
        }
    }

    /// The `IdentityFile` lines in order.
    pub(super) fn identity_files(&self) -> &[Arc<Assignment>] {
        &self.identity_files
    }

    /// The `CertificateFile` lines in order.
    pub(super) fn certificate_files(&self) -> &[Arc<Assignment>] {
        &self.certificate_files
    }

    /// The names and patterns of `SendEnv`.
    pub(super) fn send_env(&self) -> &[String] {
        &self.send_env
    }

    // Below, a value of another kind than asked for cannot be: the table of keywords gives each setting one kind.

    pub(super) fn text(&self, setting: Setting) -> Option<&str> {
        match &self.get(setting)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn words(&self, setting: Setting) -> Option<&[String]> {
        match &self.get(setting)?.value {
            Value::Words(words) => Some(words),
            _ => None,
        }
    }

    pub(super) fn number(&self, setting: Setting) -> Option<u32> {
        match self.get(setting)?.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn flag(&self, setting: Setting) -> Option<bool> {
        match self.get(setting)?.value {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    pub(super) fn time(&self, setting: Setting) -> Option<Duration> {
        match self.get(setting)?.value {
            Value::Time(time) => time,
            _ => None,
        }
    }

    pub(super) fn algorithms(&self, setting: Setting) -> Option<AlgorithmList> {
        match &self.get(setting)?.value {
            Value::Algorithms(list) => Some(list.clone()),
            _ => None,
        }
    }
}

fn push_new(lines: &mut Vec<Arc<Assignment>>, value: &Value, assignment: &Arc<Assignment>) {
    if !lines.iter().any(|line| line.value == *value) {
        lines.push(Arc::clone(assignment));
    }
}
