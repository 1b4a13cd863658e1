//! `fleet provider check`: does a program keep to the protocol of providers?
//!
//! Must not know any provider.

use std::io::{self, Write};
use std::process::ExitCode;

use fleet_core::outcome::ExitStatus;
use fleet_core::provider::protocol::{ERROR_CODES, ErrorReply, VERSION};
use fleet_core::provider::{
    Problem, Program, Provider, ProviderError, ProviderSettings, Surroundings, Told, Watch, hosts, run as run_program,
};
use fleet_core::render::sanitized_line;
use fleet_tool::cli::{Failure, Interruption};
use serde_json::{Map, Value, json};

use crate::cli::ProviderCheckArgs;

/// The name that a provider is given here.
const NAME: &str = "checked";
/// What no host is called, and no filter or action.
const NOBODY: &str = "fleet-check-nobody";

/// Runs `fleet provider check` and tells of its failure.
pub(crate) fn run(args: &ProviderCheckArgs, stdout: &mut dyn Write, stderr: &mut dyn Write) -> ExitCode {
    let failure = match check(args, stdout) {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => return ExitCode::from(ExitStatus::OurFailure.code()),
        Err(failure) => failure,
    };
    failure.print("fleet", stderr);
    ExitCode::from(failure.status().code())
}

/// Whether all holds.
fn check(args: &ProviderCheckArgs, stdout: &mut dyn Write) -> Result<bool, Failure> {
    let ProviderCheckArgs { settings, timeout, command } = args.clone();
    let surroundings = Surroundings::new(std::env::current_exe().ok().as_deref(), std::env::vars_os());
    let found = ProviderSettings { command: Some(command), timeout, ..ProviderSettings::named(NAME) };
    let provider = Provider::find(found, &surroundings)?;
    let interruption = Interruption::watch();
    let said = |line: &str| {
        // Nobody is left to tell.
        let _ = writeln!(io::stderr(), "{line}");
    };
    let watch = Watch { said: &said, interrupted: interruption.flag() };
    let subject = Subject { program: provider.program(), args, settings: &settings, watch };
    let mut failed = 0;
    for (name, check) in CHECKS {
        let line = match check(&subject) {
            Ok(detail) => format!("ok    {name}: {}", sanitized_line(&detail)),
            Err(Broken::Promise(problem)) => {
                failed += 1;
                format!("FAIL  {name}: {}", sanitized_line(&problem))
            }
            Err(Broken::Off(problem)) => return Err(ProviderError { provider: NAME.to_owned(), problem }.into()),
        };
        writeln!(stdout, "{line}").map_err(|error| Failure::ours(&error))?;
    }
    let kept = CHECKS.len() - failed;
    writeln!(stdout, "{kept} of {} hold", CHECKS.len()).map_err(|error| Failure::ours(&error))?;
    Ok(failed == 0)
}

/// The provider that is looked at.
struct Subject<'a> {
    program: &'a Program,
    args: &'a ProviderCheckArgs,
    settings: &'a Map<String, Value>,
    watch: Watch<'a>,
}

/// Why a check did not hold.
enum Broken {
    /// The provider does not what it should.
    Promise(String),
    /// There is no sense in asking on.
    Off(Problem),
}

/// What was found, in a few words.
type Checked = Result<String, Broken>;

/// What a provider is asked, and how the answer is judged.
type Check = fn(&Subject<'_>) -> Checked;

const CHECKS: [(&str, Check); 13] = [
    ("all hosts", all_hosts),
    ("a host by its id", host_by_id),
    ("a filter that no host passes", no_host),
    ("what nobody knows yet is passed over", unknown_members),
    ("a native filter that it does not know is refused", unknown_native_filter),
    ("an action that it does not know is refused", unknown_action),
    ("another protocol is refused", other_protocol),
    ("a request that is not JSON is refused", garbage),
    ("an empty request is refused", nothing),
    ("the console of a host that is not there", console),
    ("action check", check_action),
    ("an upload of a file that is not there is refused", upload),
    ("discarding no object", discard),
];

fn all_hosts(subject: &Subject<'_>) -> Checked {
    let told = subject.describe(&json!([]))?;
    match told.left_out.as_slice() {
        [] => Ok(format!("{} hosts", told.records.len())),
        left_out => Err(Broken::Promise(left_out.join("; "))),
    }
}

fn host_by_id(subject: &Subject<'_>) -> Checked {
    let told = subject.describe(&json!([]))?;
    let Some(first) = told.records.first() else { return Ok("not tried, as there is no host".to_owned()) };
    let queries = json!([[{"filter": "id", "values": [first.id]}]]);
    let again = subject.describe(&queries)?;
    match again.records.iter().any(|record| record.id == first.id) {
        true => Ok(first.id.to_string()),
        false => Err(Broken::Promise(format!("{} is not among the hosts", first.id))),
    }
}

fn no_host(subject: &Subject<'_>) -> Checked {
    let queries = json!([[{"filter": "tag:Name", "values": [NOBODY]}]]);
    let told = subject.describe(&queries)?;
    Ok(match told.records.len() {
        0 => "no host".to_owned(),
        all => format!("{all} hosts, which are left to the tools to filter"),
    })
}

fn unknown_members(subject: &Subject<'_>) -> Checked {
    let request = subject.request("describe", &json!({"queries": [], "later": {"a": [1]}}));
    let told = hosts(&subject.ask(&request)?).map_err(promise)?;
    Ok(format!("{} hosts", told.records.len()))
}

fn unknown_native_filter(subject: &Subject<'_>) -> Checked {
    let filters = json!([{"name": NOBODY, "values": ["x"]}]);
    let request = subject.request("describe", &json!({"queries": [], "native_filters": filters}));
    subject.is_refused(&request, &["unsupported", "bad-request"])
}

fn unknown_action(subject: &Subject<'_>) -> Checked {
    subject.is_refused(&subject.request(NOBODY, &json!({})), &["unsupported", "bad-request"])
}

fn other_protocol(subject: &Subject<'_>) -> Checked {
    let mut request = subject.request("describe", &json!({"queries": []}));
    request["protocol"] = json!(VERSION + 998);
    subject.is_refused(&request, &["unsupported", "bad-request"])
}

fn garbage(subject: &Subject<'_>) -> Checked {
    subject.refuses(b"hello?\n", &["bad-request"])
}

fn nothing(subject: &Subject<'_>) -> Checked {
    subject.refuses(b"", &["bad-request"])
}

fn console(subject: &Subject<'_>) -> Checked {
    let output = subject.ask(&subject.request("console", &json!({"ids": [NOBODY]})))?;
    let answer = answer(&output)?;
    match answer.get("consoles") {
        Some(Value::Array(consoles)) => Ok(format!("{} consoles", consoles.len())),
        Some(_) => Err(Broken::Promise("consoles is no list".to_owned())),
        None => refusal(&answer, &ERROR_CODES),
    }
}

fn check_action(subject: &Subject<'_>) -> Checked {
    let output = subject.ask(&subject.request("check", &json!({})))?;
    let answer = answer(&output)?;
    match answer.get("ok") {
        Some(Value::String(ok)) => Ok(ok.clone()),
        Some(_) => Err(Broken::Promise("ok is no text".to_owned())),
        None => refusal(&answer, &["unsupported"]),
    }
}

/// Whether it keeps objects or not.
fn upload(subject: &Subject<'_>) -> Checked {
    let file = json!({
        "bucket": NOBODY, "key": NOBODY, "path": format!("/{NOBODY}"), "sha256": "0".repeat(64), "expires_seconds": 60,
    });
    subject.is_refused(&subject.request("upload", &file), &ERROR_CODES)
}

fn discard(subject: &Subject<'_>) -> Checked {
    let output = subject.ask(&subject.request("discard", &json!({"bucket": NOBODY, "keys": []})))?;
    let answer = answer(&output)?;
    match answer.get("discarded") {
        Some(Value::Array(discarded)) if discarded.is_empty() => Ok("none".to_owned()),
        Some(_) => Err(Broken::Promise("discarded is no empty list".to_owned())),
        None => refusal(&answer, &["unsupported"]),
    }
}

impl Subject<'_> {
    /// A request as the tools make it, with these members of its action.
    fn request(&self, action: &str, members: &Value) -> Value {
        let mut request = json!({"protocol": VERSION, "action": action, "provider": NAME, "settings": self.settings});
        if let (Some(request), Some(members)) = (request.as_object_mut(), members.as_object()) {
            request.extend(members.clone());
        }
        request
    }

    fn describe(&self, queries: &Value) -> Result<Told, Broken> {
        let output = self.ask(&self.request("describe", &json!({"queries": queries})))?;
        hosts(&output).map_err(promise)
    }

    fn is_refused(&self, request: &Value, codes: &[&str]) -> Checked {
        refusal(&answer(&self.ask(request)?)?, codes)
    }

    fn refuses(&self, input: &[u8], codes: &[&str]) -> Checked {
        refusal(&answer(&self.run(input)?)?, codes)
    }

    fn ask(&self, request: &Value) -> Result<Vec<u8>, Broken> {
        self.run(format!("{}\n", in_order(request)).as_bytes())
    }

    fn run(&self, input: &[u8]) -> Result<Vec<u8>, Broken> {
        let ended = run_program(self.program, input, self.args.timeout.into(), self.watch);
        let ended = ended.map_err(|problem| match problem {
            Problem::Interrupted | Problem::Start { .. } => Broken::Off(problem),
            other => promise(other),
        })?;
        match ended.status.code() {
            Some(0) => Ok(ended.output),
            _ => Err(Broken::Promise(format!("its program ended with {}; expected exit status 0", ended.status))),
        }
    }
}

/// A request as text, `protocol` and `action` first, as the tools write it.
fn in_order(request: &Value) -> String {
    let members = request.as_object().into_iter().flatten();
    let (first, rest): (Vec<_>, Vec<_>) =
        members.partition(|(name, _)| ["protocol", "action"].contains(&name.as_str()));
    let member = |(name, value): (&String, &Value)| format!("{}:{value}", Value::from(name.as_str()));
    let members: Vec<_> = first.into_iter().rev().chain(rest).map(member).collect();
    format!("{{{}}}", members.join(","))
}

fn promise(problem: Problem) -> Broken {
    Broken::Promise(problem.to_string())
}

/// An answer that is a JSON object of our protocol.
fn answer(output: &[u8]) -> Result<Value, Broken> {
    let answer: Value = serde_json::from_slice(output)
        .map_err(|error| Broken::Promise(format!("its output is not one JSON object: {error}")))?;
    match answer.get("protocol").and_then(Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => Ok(answer),
        _ => Err(Broken::Promise(format!("the answer is without \"protocol\":{VERSION}"))),
    }
}

/// An error as an answer, with one of these codes and a message in one line.
fn refusal(answer: &Value, codes: &[&str]) -> Checked {
    let Some(error) = answer.get("error") else {
        return Err(Broken::Promise("it answered as if all were well; expected an error".to_owned()));
    };
    let error: ErrorReply = serde_json::from_value(error.clone())
        .map_err(|error| Broken::Promise(format!("the error is without code or message: {error}")))?;
    if !codes.contains(&error.code.as_str()) {
        return Err(Broken::Promise(format!("the code is {:?}; expected {}", error.code, codes.join(" or "))));
    }
    if error.message.trim().is_empty() || error.message.contains('\n') {
        return Err(Broken::Promise("the message is not one line".to_owned()));
    }
    Ok(format!("{} ({})", error.message, error.code))
}
