//! The one place where the pieces meet: from prepared flags to an exit status.
//!
//! Every tool's head and tail: limits of the machine, connections, renderer, fan-out, report. Must not know what the
//! work on a host is.

mod fan_out;
mod record;

use std::collections::HashSet;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

pub use self::fan_out::FIRST_LOGINS;
use self::fan_out::fan_out;
use self::record::{Beginning, Record};
use crate::cli::{
    self, CanaryQuestion, Failure, Interruption, Keys, KeysGuard, Password, Prepared, Purpose, SudoPassword,
    TerminalPrompt,
};
use fleet_core::descriptors;
use fleet_core::fanout::{Fanout, FanoutLimit, Finished, Floor, Requests, Signals, Task};
use fleet_core::host::Host;
use fleet_core::outcome::ExitStatus;
use fleet_core::record::{FormerRun, Work};
use fleet_core::render::{self, Completion, HostLabel, Layout, RenderError, RenderSettings};
use fleet_core::select::{Selected, SelectedHost};
use fleet_core::settings::{LayerSource, Origin, Settings};
use fleet_ssh::config::{Origin as NoticeOrigin, SshConfig};
use fleet_ssh::{ConnectSettings, Connector, Prompt, Secret, StageTimeout};

/// Threads that encrypt and copy; more do not help, as few hosts at once are busy. Nor does more than one for a host: it would wake
/// the other, and wait for it, many times for each MiB.
const MOST_THREADS: usize = 8;
/// How long what is said after the summary may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs a tool: makes the task for the chosen hosts with `make_task`, does it, and says how it ended; `work` is what
/// the record says of it. With `--list` it only prints the hosts.
///
/// # Errors
/// Whatever keeps the run from starting.
pub fn run<T: Task>(
    prepared: Prepared,
    work: Work,
    make_task: impl FnOnce(Arc<Connector>, &Prepared) -> Result<T, Failure>,
) -> Result<ExitStatus, Failure> {
    say_about_selection(&prepared, &work);
    if prepared.purpose == Purpose::List {
        let listed = list(&prepared);
        // The process ends: to free thousands of hosts one by one takes longer than to list them.
        std::mem::forget(prepared);
        return listed;
    }
    say_about_rollout(&prepared);
    let cores = std::thread::available_parallelism().map_or(MOST_THREADS, NonZeroUsize::get);
    let threads = cores.min(prepared.selected.hosts.len()).clamp(1, MOST_THREADS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| Failure::ours(&error))?;
    let status = runtime.block_on(run_on_hosts(prepared, work, make_task));
    // Threads that hang in a name lookup or a write to a dead terminal must not hold the process.
    runtime.shutdown_background();
    status
}

async fn run_on_hosts<T: Task>(
    mut prepared: Prepared,
    work: Work,
    make_task: impl FnOnce(Arc<Connector>, &Prepared) -> Result<T, Failure>,
) -> Result<ExitStatus, Failure> {
    let mut signals = Signals::of_process().map_err(|error| Failure::ours(&error))?;
    Interruption::hand_over();
    let (wishes, requests) = Requests::of_process().map_err(|error| Failure::ours(&error))?;
    let prompt = Arc::clone(&prepared.prompt);
    let floor = prompt.floor();
    let password = tokio::select! {
        password = passwords(&mut prepared, &prompt) => password?,
        _ = signals.next() => {
            prompt.close();
            return Err(Failure::usage_text("interrupted at the question for the password"));
        }
    };
    let connector = Arc::new(connector(&mut prepared, password, Arc::clone(&prompt))?);
    let prices = tokio::select! {
        prices = check_configuration(&connector, &prepared) => prices?,
        _ = signals.next() => return Err(Failure::usage_text("interrupted while reading the OpenSSH configuration")),
    };
    say_notices(&prepared, &connector);
    let task = make_task(Arc::clone(&connector), &prepared)?;
    let labels: Vec<_> = prepared.selected.hosts.iter().map(|selected| HostLabel::from(&selected.host)).collect();
    let confirm = Arc::new(CanaryQuestion { prompt: Arc::clone(&prompt), hosts: labels.clone() });
    let (limit, pace) = fan_out(&prepared, &prices);
    if let Some(gate) = &pace {
        connector.pace_by(Arc::clone(gate));
    }
    let record = begin_record(&mut prepared, work, &mut signals).await?;
    let settings = RenderSettings { recorded: record.output(), run: record.id(), ..prepared.render.clone() };
    let renderer = match render::build(settings, labels, Box::new(io::stdout()), Box::new(io::stderr())) {
        Ok(renderer) => renderer,
        Err(error) => {
            record.discard();
            return Err(error.into());
        }
    };
    let fanout = Fanout {
        hosts: prepared.selected.hosts.len(),
        limit,
        pace,
        exit_rule: prepared.exit_rule,
        rollout: prepared.rollout.clone(),
        seed: rand::random(),
        confirm,
        requests,
        floor,
        witness: record.witness(),
    };
    let keys = KeysGuard(Keys::listen(prepared.stdin, wishes));
    prompt.shares(keys.0.clone());
    // On a worker: each event would have to wake this thread.
    let finished = tokio::spawn(fanout.run(task, renderer, signals)).await.map_err(|error| Failure::ours(&error))?;
    drop(keys);
    if finished.completion != Completion::Abandoned {
        connector.disconnect().await;
    }
    prompt.close();
    let mut last_words = remarks_on_providers(&prepared).await;
    let status = conclude(prepared.program, &finished, record, &mut last_words);
    say_at_last(last_words).await;
    Ok(status)
}

/// From here on, what happens is on the disk.
async fn begin_record(prepared: &mut Prepared, work: Work, signals: &mut Signals) -> Result<Record, Failure> {
    let beginning = Beginning::of(prepared, work);
    let record = tokio::select! {
        begun = tokio::task::spawn_blocking(move || beginning.begin()) => begun.map_err(|error| Failure::ours(&error))??,
        _ = signals.next() => return Err(Failure::usage_text("interrupted while the record of the run was begun")),
    };
    if let Some(remark) = record.remark(prepared.verbosity) {
        say(prepared.program, &remark);
    }
    Ok(record)
}

/// A visit to hosts of which nothing is shown: for a tool whose task keeps what it learns.
#[derive(Debug)]
pub struct Survey {
    /// The tool's name.
    pub program: &'static str,
    /// The hosts, in the order of the run.
    pub hosts: Vec<HostLabel>,
    /// How many at once, as far as the file descriptors of this process allow.
    pub limit: usize,
    /// What a session to each of them takes of those.
    pub prices: Vec<u64>,
    /// Whose turn it is to write to the terminal.
    pub floor: Floor,
}

impl Survey {
    /// Runs `task` on every host. Those whose task ends with another outcome than `Exited(0)` are named on standard error.
    ///
    /// # Errors
    /// When the process cannot listen for signals.
    pub async fn run<T: Task>(self, task: T) -> Result<Finished, Failure> {
        let Self { program, hosts, limit, prices, floor } = self;
        let signals = Signals::of_process().map_err(|error| Failure::ours(&error))?;
        Interruption::hand_over();
        let limit = descriptors::sessions_allowed(limit.min(hosts.len()), &prices);
        let fanout = Fanout { floor, ..Fanout::new(hosts.len(), FanoutLimit::exactly(limit)) };
        let settings = RenderSettings { layout: Layout::Quiet, ..RenderSettings::new(program) };
        let renderer = render::build(settings, hosts, Box::new(io::stdout()), Box::new(io::stderr()))?;
        Ok(fanout.run(task, renderer, signals).await)
    }
}

/// How many file descriptors each host takes. On a thread that may wait: a `Match exec` runs a command of the user's.
async fn check_configuration(connector: &Arc<Connector>, prepared: &Prepared) -> Result<Vec<u64>, Failure> {
    let connector = Arc::clone(connector);
    let hosts: Vec<Host> = prepared.selected.hosts.iter().map(|selected| selected.host.clone()).collect();
    let checking = tokio::task::spawn_blocking(move || connector.check_configuration(&hosts));
    checking.await.map_err(|error| Failure::ours(&error))?.map_err(Failure::from)
}

/// Asks for all passwords that the run needs. Returns that of the login.
async fn passwords(prepared: &mut Prepared, prompt: &Arc<TerminalPrompt>) -> Result<Option<Secret>, Failure> {
    let login = ask_password(prepared.password, prompt).await?;
    if matches!(prepared.sudo_password, SudoPassword::Ask) {
        let answer = ask("Password of sudo: ", prompt).await.and_then(|secret| {
            if secret.expose().is_empty() { Err("the answer is empty".to_owned()) } else { Ok(secret) }
        });
        prepared.sudo_password = SudoPassword::Known(answer.map_err(|reason| {
            Failure::usage_text(format!("--ask-sudo needs a password: {reason}"))
                .hint("run it at a terminal; where sudo asks for no password, --sudo is enough")
        })?);
    }
    Ok(login)
}

/// The password of the login for all hosts, if one is to be asked for.
///
/// # Errors
/// When there is nobody to ask.
pub async fn ask_password(password: Password, prompt: &Arc<TerminalPrompt>) -> Result<Option<Secret>, Failure> {
    if password == Password::None {
        return Ok(None);
    }
    let answer = ask("Password: ", prompt).await;
    answer.map(Some).map_err(|reason| {
        Failure::usage_text(format!("-A needs a password: {reason}")).hint("run it at a terminal, or use a key")
    })
}

async fn ask(question: &'static str, prompt: &Arc<TerminalPrompt>) -> Result<Secret, String> {
    let prompt = Arc::clone(prompt);
    let asked = tokio::task::spawn_blocking(move || prompt.secret(question)).await;
    asked.unwrap_or_else(|error| Err(error.to_string()))
}

fn connector(
    prepared: &mut Prepared,
    password: Option<Secret>,
    prompt: Arc<TerminalPrompt>,
) -> Result<Connector, Failure> {
    let config = match prepared.ssh_config.take() {
        Some(config) => config,
        None => cli::load_config(&prepared.settings)?,
    };
    let settings = connect_settings(&prepared.settings, &prepared.selected, config, password);
    Ok(Connector::new(settings, prompt).asking(Arc::clone(&prepared.cloud_hosts) as _))
}

/// What the settings say about connections to the chosen hosts, with the OpenSSH configuration as it was read.
#[must_use]
pub fn connect_settings(
    settings: &Settings,
    selected: &Selected,
    config: SshConfig,
    password: Option<Secret>,
) -> ConnectSettings {
    let in_file = matches!(settings.user.origin, Origin::Layer(LayerSource::File(_), _));
    let endpoint = |selected: &SelectedHost| Some((selected.host.clone(), selected.endpoint.clone()?));
    let chosen = selected.hosts.iter().filter_map(endpoint);
    let stage_timeout = match settings.connect_timeout.origin {
        Origin::Default => StageTimeout::Default(settings.connect_timeout.value),
        Origin::Layer(..) => StageTimeout::Chosen(settings.connect_timeout.value),
    };
    ConnectSettings {
        config,
        stage_timeout,
        user: settings.user.value.clone().filter(|_| !in_file),
        default_user: settings.user.value.clone().filter(|_| in_file),
        identities: settings.identity.value.clone(),
        host_key: settings.host_key.value,
        password,
        endpoints: selected.others.iter().cloned().chain(chosen).collect(),
    }
}

/// Names what ssh_config holds and we do not do, and what known_hosts holds and nobody understands. What the distribution put into the system's file is not the user's
/// doing (Debian's has such a line) and named only to those who ask for more.
fn say_notices(prepared: &Prepared, connector: &Connector) {
    let notices = connector.take_notices().into_iter().map(|notice| (notice.to_string(), notice.origin));
    let skipped = connector.skipped_host_keys().into_iter();
    let skipped = skipped.map(|(at, problem, origin)| (format!("{at}: the line is skipped: {problem}"), origin));
    for (text, origin) in notices.chain(skipped) {
        if origin != NoticeOrigin::System || prepared.verbosity > 0 {
            say(prepared.program, &text);
        }
    }
}

/// No provider is asked beyond the run; what went wrong with those that were is said below the summary.
async fn remarks_on_providers(prepared: &Prepared) -> Vec<u8> {
    let remarks = prepared.cloud_hosts.end().await;
    remarks.iter().flat_map(|remark| format!("{}: {remark}\n", prepared.program).into_bytes()).collect()
}

/// The status of it all. What remains to be said goes to `last_words`.
fn conclude(program: &str, finished: &Finished, record: Record, last_words: &mut Vec<u8>) -> ExitStatus {
    let mut status = finished.status;
    for error in &finished.render_errors {
        let failure = match error {
            RenderError::BrokenPipe { .. } => continue,
            RenderError::Cut(_) => cut(error, &record),
            _ => Failure::ours(error),
        };
        failure.print(program, &mut *last_words);
        status = status.worse(failure.status());
    }
    let (recorded, remark) = record.end(finished, status);
    if let Some(remark) = remark {
        last_words.extend_from_slice(format!("{program}: {remark}\n").as_bytes());
    }
    status.worse(recorded)
}

/// The summary is gone with the output, but what it says is on the disk.
fn cut(error: &RenderError, record: &Record) -> Failure {
    let failure = Failure::interrupted(error);
    match record.id() {
        Some(id) => failure.hint(format!("`fleet history show {id}` says how each host ended")),
        None => failure,
    }
}

/// The end of the process must not wait for a terminal that takes nothing.
async fn say_at_last(text: Vec<u8>) {
    if !text.is_empty() {
        let written = tokio::task::spawn_blocking(move || io::stderr().write_all(&text));
        let _ = tokio::time::timeout(LAST_WORDS, written).await;
    }
}

/// Says it when there is nobody beside the canaries.
fn say_about_rollout(prepared: &Prepared) {
    let hosts = prepared.selected.hosts.len();
    if prepared.rollout.canary.is_some_and(|canary| canary.hosts.get() >= hosts) {
        say(prepared.program, &format!("all {hosts} hosts are canaries: nothing is asked"));
    }
}

/// Remarks on the choice of hosts: what was named twice, and what was excluded in vain.
fn say_about_selection(prepared: &Prepared, work: &Work) {
    if let Some(run) = &prepared.former {
        say(prepared.program, &about_former(run, &prepared.selected.hosts, work));
    }
    prepared.selected.remarks().iter().for_each(|remark| say(prepared.program, remark));
}

/// `run 20261122-0324-7f3a: 3 of 20 hosts`, and what is to be known about them.
fn about_former(run: &FormerRun, hosts: &[SelectedHost], work: &Work) -> String {
    let chosen: HashSet<String> = hosts.iter().map(|selected| selected.host.to_string()).collect();
    let left = run.hosts.iter().filter(|host| host.fate.may_still_run() && chosen.contains(&host.host)).count();
    let mut text = format!("run {}: {} of {} hosts", run.id, hosts.len(), run.hosts.len());
    if left > 0 {
        text += &format!("; on {left} of them its command may still run");
    }
    if let Some(broken) = run.broken.first() {
        text += &format!("; line {} of its record is broken: {}", broken.line, broken.problem);
    }
    if work.text == run.header.command {
        text += &format!("; again: {}", render::sanitized_line(&work.text));
    }
    text
}

/// Our own words before the run starts; afterwards the renderer has the terminal.
fn say(program: &str, text: &str) {
    let _ = writeln!(io::stderr(), "{program}: {text}");
}

/// Prints the chosen hosts, which is all that `--list` does.
///
/// # Errors
/// When standard output cannot be written.
pub fn list(prepared: &Prepared) -> Result<ExitStatus, Failure> {
    let hosts = &prepared.selected.hosts;
    let text = match prepared.render.layout {
        Layout::Json => render::listed(hosts),
        _ => {
            hosts.iter().flat_map(|host| format!("{}\t{}\n", host.host, host.origins.join(", ")).into_bytes()).collect()
        }
    };
    let mut stdout = io::stdout().lock();
    match stdout.write_all(&text).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(ExitStatus::Success),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitStatus::Success),
        Err(source) => Err(RenderError::Write { to: "standard output", source }.into()),
    }
}
