//! What every host is asked to run, and what becomes of it on one host.
//!
//! Must not know flags, connections or output.

use std::path::Path;

use bytes::Bytes;
use fleet_core::template::{Template, TemplateError};
use fleet_ssh::config::ConfigError;
use fleet_ssh::remote::{
    Fact, Facts, JobName, JobShell, JobStart, Script, Token, WrapError, job_start_command, login_shell_word, sh_quote,
};

use crate::quoting::quoted_behind;

/// The placeholders of a template, each the name of a field of [`Place`]; those of its facts come behind them.
const PLACEHOLDERS: [&str; 8] = ["host", "addr", "group", "role", "index", "count", "user", "port"];

/// The placeholders whose values the command also finds in its environment, as `FLEET_HOST` and so on.
const VARIABLES: [&str; 2] = ["host", "group"];

/// Stands for a fact that the host is not yet asked for: as what most facts are, it needs no quotes.
const STAND_IN: &[u8] = b"0";

/// The command with its variables, for all hosts.
#[derive(Debug)]
pub(crate) struct Payload {
    pub(crate) form: Form,
    pub(crate) variables: Vec<(String, Template)>,
    /// The job that it is started as, unless it runs under our eyes.
    pub(crate) job: Option<Job>,
}

/// A job, the same on all hosts.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: JobName,
    pub(crate) shell: JobShell,
    /// What follows on its input, where it has one: without it the host takes that for cut off.
    pub(crate) input_end: Option<Token>,
}

/// How the words become a command.
#[derive(Debug)]
pub(crate) enum Form {
    /// They are one: text for the user's shell.
    Shell(Template),
    /// A program and its arguments.
    Words(Vec<Template>),
    /// The arguments of a script.
    Script(ScriptText, Vec<Template>),
}

/// A script and its text, which goes over standard input.
#[derive(Debug)]
pub(crate) struct ScriptText {
    script: Script,
    text: Bytes,
    name: Vec<u8>,
    mark: Token,
}

/// What is known of a host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) host: &'a str,
    pub(crate) addr: &'a str,
    pub(crate) group: &'a str,
    /// In the last partition; else its group.
    pub(crate) role: &'a str,
    pub(crate) index: usize,
    pub(crate) count: usize,
    /// Who logs in there, and at which port.
    pub(crate) user: &'a str,
    pub(crate) port: u16,
    /// What it has told of itself; `None` before it is contacted.
    pub(crate) facts: Option<&'a Facts>,
}

/// What one host is asked to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HostPayload {
    pub(crate) command: Vec<u8>,
    pub(crate) variables: Vec<(String, Vec<u8>)>,
}

/// Why a host cannot be asked that.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PayloadError {
    /// Quotes in it would end those that it stands in.
    #[error("{{{name}}} is \"{value}\" here, which cannot be quoted inside quotes, comments or here-documents")]
    Unquotable { name: String, value: String },
    /// The host was asked, and does not know.
    #[error("the host does not tell its {{{name}}}")]
    Untold { name: &'static str },
    /// It cannot be sent.
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// Where it is to be sent is not known.
    #[error(transparent)]
    Destination(#[from] ConfigError),
}

impl PayloadError {
    /// What to do next.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Unquotable { name, .. } if VARIABLES.contains(&&**name) => {
                Some(format!("write \"$FLEET_{}\" in its place", name.to_uppercase()))
            }
            Self::Unquotable { .. } => Some("write it outside of them, where it gets quotes of its own".to_owned()),
            Self::Untold { .. } | Self::Wrap(_) | Self::Destination(_) => None,
        }
    }
}

/// Reads a text in which placeholders may stand.
pub(crate) fn template(text: &[u8]) -> Result<Template, TemplateError> {
    let known: Vec<&str> = PLACEHOLDERS.into_iter().chain(Fact::ALL.map(Fact::name)).collect();
    Template::parse(text, &known)
}

impl ScriptText {
    pub(crate) fn new(script: Script, text: Vec<u8>, path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str());
        Self { script, text: text.into(), name: name.as_encoded_bytes().to_vec(), mark: Token::random() }
    }

    /// What comes first on standard input.
    pub(crate) fn text(&self) -> &Bytes {
        &self.text
    }

    /// The script's name and its arguments, as people read them.
    fn shown(&self, arguments: &[Vec<u8>]) -> Vec<u8> {
        let words = std::iter::once(&self.name).chain(arguments);
        words.map(|word| sh_quote(word)).collect::<Vec<_>>().join(&b' ')
    }
}

impl Place<'_> {
    fn value(&self, name: &str) -> Result<Vec<u8>, PayloadError> {
        Ok(match name {
            "host" => self.host.into(),
            "addr" => self.addr.into(),
            "group" => self.group.into(),
            "role" => self.role.into(),
            "index" => self.index.to_string().into_bytes(),
            "count" => self.count.to_string().into_bytes(),
            "user" => self.user.into(),
            "port" => self.port.to_string().into_bytes(),
            _ => self.fact(Fact::named(name).expect("a template holds no other placeholder"))?,
        })
    }

    fn fact(&self, fact: Fact) -> Result<Vec<u8>, PayloadError> {
        let Some(facts) = self.facts else { return Ok(STAND_IN.to_vec()) };
        facts.get(fact).map(<[u8]>::to_vec).ok_or(PayloadError::Untold { name: fact.name() })
    }

    fn fill(&self, template: &Template) -> Result<Vec<u8>, PayloadError> {
        template.fill(|name, _| self.value(name))
    }

    fn fill_all(&self, templates: &[Template]) -> Result<Vec<Vec<u8>>, PayloadError> {
        templates.iter().map(|template| self.fill(template)).collect()
    }
}

impl Payload {
    /// What the host at `place` is asked to run.
    pub(crate) fn at(&self, place: &Place<'_>) -> Result<HostPayload, PayloadError> {
        let variables = self.variables.iter().map(|(name, value)| Ok((name.clone(), place.fill(value)?)));
        let mut variables = variables.collect::<Result<Vec<_>, PayloadError>>()?;
        let command = match &self.form {
            Form::Shell(command) => command.fill(|name, before| {
                let value = place.value(name)?;
                quoted_behind(before, &value).ok_or_else(|| PayloadError::Unquotable {
                    name: name.to_owned(),
                    value: String::from_utf8_lossy(&value).into_owned(),
                })
            })?,
            Form::Words(words) => joined_words(&place.fill_all(words)?),
            Form::Script(script, arguments) => {
                variables.insert(0, ("FLEET_SCRIPT".to_owned(), script.name.clone()));
                script.script.command(&place.fill_all(arguments)?, &script.mark)?
            }
        };
        let command = match &self.job {
            Some(job) => {
                let title = match &self.form {
                    Form::Script(script, arguments) => script.shown(&place.fill_all(arguments)?),
                    Form::Shell(_) | Form::Words(_) => command.clone(),
                };
                let (name, input_end) = (&job.name, job.input_end.as_ref());
                job_start_command(&JobStart { name, command: &command, title: &title, shell: job.shell, input_end })?
            }
            None => command,
        };
        Ok(HostPayload { command, variables })
    }

    /// Whether it differs from host to host.
    pub(crate) fn is_made_for_each(&self) -> bool {
        self.templates().any(|template| template.names().next().is_some())
    }

    /// Whether `addr`, `user` or `port` of a [`Place`] is looked at.
    pub(crate) fn needs_destination(&self) -> bool {
        self.templates().flat_map(Template::names).any(|name| ["addr", "user", "port"].contains(&name))
    }

    /// The facts that the host has to tell, each once.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        let is_named = |fact: &Fact| self.templates().flat_map(Template::names).any(|name| name == fact.name());
        Fact::ALL.into_iter().filter(is_named).collect()
    }

    /// All that may name variables.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let script = self.script().map(|script| &*script.text);
        self.templates().flat_map(Template::texts).chain(script)
    }

    /// The script whose text comes first on standard input.
    pub(crate) fn script(&self) -> Option<&ScriptText> {
        match &self.form {
            Form::Script(script, _) => Some(script),
            _ => None,
        }
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        let words = match &self.form {
            Form::Shell(command) => std::slice::from_ref(command),
            Form::Words(words) | Form::Script(_, words) => words,
        };
        words.iter().chain(self.variables.iter().map(|(_, value)| value))
    }
}

impl Form {
    /// Whether there is nothing to run.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Shell(command) => command.is_empty(),
            Self::Words(words) => words.is_empty(),
            Self::Script(..) => false,
        }
    }
}

/// Each word quoted, so that the remote program gets exactly these arguments.
fn joined_words(words: &[Vec<u8>]) -> Vec<u8> {
    words.iter().map(|word| login_shell_word(word)).collect::<Vec<_>>().join(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place {
        host: "web1",
        addr: "10.0.0.1",
        group: "it's $(x)",
        role: "web",
        index: 3,
        count: 20,
        user: "deploy",
        port: 2222,
        facts: None,
    };

    fn payload(form: Form) -> Payload {
        Payload { form, variables: Vec::new(), job: None }
    }

    fn shell(command: &str) -> Result<String, PayloadError> {
        let payload = payload(Form::Shell(template(command.as_bytes()).unwrap()));
        payload.at(&PLACE).map(|host| String::from_utf8(host.command).unwrap())
    }

    #[test]
    fn values_are_quoted_in_a_command() {
        assert_eq!(shell("curl http://{addr}/{index}-{count}").unwrap(), "curl http://10.0.0.1/3-20");
        assert_eq!(shell("ssh://{user}@{addr}:{port}").unwrap(), "ssh://deploy@10.0.0.1:2222");
        assert_eq!(shell("echo {group} \"{host}\"").unwrap(), r#"echo 'it'"'"'s $(x)' "web1""#);
    }

    #[test]
    fn a_value_that_would_end_the_quotes_around_it_is_refused() {
        let error = shell("echo \"{group}\"").unwrap_err();
        assert_eq!(
            error.to_string(),
            "{group} is \"it's $(x)\" here, which cannot be quoted inside quotes, comments or here-documents"
        );
        assert_eq!(error.hint().unwrap(), "write \"$FLEET_GROUP\" in its place");
    }

    #[test]
    fn each_word_and_each_variable_is_exact() {
        let words = ["printf", "%s|", "a b", "it's", "{group}"].map(|word| template(word.as_bytes()).unwrap());
        let mut payload = payload(Form::Words(words.into()));
        payload.variables.push(("G".into(), template(b"<{group}>").unwrap()));
        let host = payload.at(&PLACE).unwrap();
        let expected = br#"printf '%s|' 'a b' 'it'"'"'s' 'it'"'"'s $(x)'"#;
        assert_eq!(host.command.escape_ascii().to_string(), expected.escape_ascii().to_string());
        assert_eq!(host.variables, [("G".to_owned(), b"<it's $(x)>".to_vec())]);
        assert!(payload.is_made_for_each() && !payload.needs_destination());
    }

    #[test]
    fn facts_are_quoted_and_one_that_the_host_does_not_tell_is_no_empty_word() {
        let told = Facts::find(b"\x1efleet-fact os My OS\n\x1efleet-fact cpus 4\n");
        for (command, expected) in [
            ("make -j{cpus} # {os}", Err("{os} is \"My OS\" here, which cannot be quoted inside quotes")),
            ("make -j{cpus} OS={os}", Ok("make -j4 OS='My OS'")),
            ("echo {arch}", Err("the host does not tell its {arch}")),
        ] {
            let payload = payload(Form::Shell(template(command.as_bytes()).unwrap()));
            match (payload.at(&Place { facts: Some(&told), ..PLACE }), expected) {
                (Ok(made), Ok(expected)) => assert_eq!(String::from_utf8(made.command).unwrap(), expected),
                (Err(error), Err(expected)) => assert!(error.to_string().starts_with(expected), "{error}"),
                (made, _) => panic!("{command}: {made:?}"),
            }
            assert!(payload.at(&PLACE).is_ok(), "nothing is known against it before the host is asked");
        }
    }

    #[test]
    fn only_the_facts_that_are_named_are_asked_for() {
        let mut payload = payload(Form::Shell(template(b"{cpus} {host} {cpus}").unwrap()));
        assert_eq!(payload.facts(), [Fact::Cpus]);
        payload.variables.push(("A".into(), template(b"{os}").unwrap()));
        assert_eq!(payload.facts(), [Fact::Os, Fact::Cpus]);
        payload.variables.push(("P".into(), template(b"{port}").unwrap()));
        assert!(payload.needs_destination());
    }
}
