//! The one place where the pieces meet: from prepared flags to an exit status.
//!
//! Every tool's head and tail: limits of the machine, connections, renderer, fan-out, report. Must not know what the
//! work on a host is.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::cli::{Failure, Password, Prepared, Purpose, TerminalPrompt};
use crate::descriptors;
use crate::fanout::{Fanout, Finished, Signals, Task};
use crate::host::Host;
use crate::memory;
use crate::outcome::ExitStatus;
use crate::render::{self, HostLabel, RenderError};
use crate::select::{IdleExclude, Selected};
use crate::settings::{Origin, SshConfigFile};
use crate::ssh::config::{ConfigSource, ConfigSources, LocalContext, Origin as NoticeOrigin, SshConfig};
use crate::ssh::{ConnectSettings, Connector, Prompt, Secret, StageTimeout};

/// Threads that encrypt and copy; more do not help, as few hosts at once are busy.
const MOST_THREADS: usize = 8;

/// Runs a tool: makes the task for the chosen hosts with `make_task`, does it, and says how it ended. With `--list` it
/// only prints the hosts.
///
/// # Errors
/// Whatever keeps the run from starting.
pub fn run<T: Task>(
    prepared: Prepared,
    make_task: impl FnOnce(Arc<Connector>, &Prepared) -> Result<T, Failure>,
) -> Result<ExitStatus, Failure> {
    say_about_selection(&prepared);
    if prepared.purpose == Purpose::List {
        return list(&prepared.selected);
    }
    memory::use_small_pages();
    let threads = std::thread::available_parallelism().map_or(2, NonZeroUsize::get).clamp(2, MOST_THREADS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| Failure::ours(&error))?;
    let status = runtime.block_on(run_on_hosts(prepared, make_task));
    // Threads that hang in a name lookup or a write to a dead terminal must not hold the process.
    runtime.shutdown_background();
    status
}

async fn run_on_hosts<T: Task>(
    prepared: Prepared,
    make_task: impl FnOnce(Arc<Connector>, &Prepared) -> Result<T, Failure>,
) -> Result<ExitStatus, Failure> {
    let mut signals = Signals::of_process().map_err(|error| Failure::ours(&error))?;
    let (prompt, quiet) = TerminalPrompt::new();
    let prompt = Arc::new(prompt);
    let password = tokio::select! {
        password = password(&prepared, &prompt) => password?,
        _ = signals.next() => {
            prompt.close();
            return Err(Failure::usage_text("interrupted at the question for the password"));
        }
    };
    let connector = Arc::new(connector(&prepared, password, Arc::clone(&prompt))?);
    tokio::select! {
        checked = check_configuration(&connector, &prepared) => checked?,
        _ = signals.next() => return Err(Failure::usage_text("interrupted while reading the OpenSSH configuration")),
    }
    say_notices(&prepared, &connector);
    let task = make_task(Arc::clone(&connector), &prepared)?;
    let labels = prepared.selected.hosts.iter().map(|selected| HostLabel::from(&selected.host)).collect();
    let limit = fan_out_limit(&prepared);
    let renderer = render::build(prepared.render.clone(), labels, Box::new(io::stdout()), Box::new(io::stderr()))?;
    let fanout = Fanout { hosts: prepared.selected.hosts.len(), limit, exit_rule: prepared.exit_rule, quiet };
    let finished = fanout.run(task, renderer, signals).await;
    prompt.close();
    Ok(conclude(prepared.program, finished))
}

/// On a thread that may wait: a `Match exec` runs a command of the user's.
async fn check_configuration(connector: &Arc<Connector>, prepared: &Prepared) -> Result<(), Failure> {
    let connector = Arc::clone(connector);
    let hosts: Vec<Host> = prepared.selected.hosts.iter().map(|selected| selected.host.clone()).collect();
    let checking = tokio::task::spawn_blocking(move || connector.check_configuration(&hosts));
    checking.await.map_err(|error| Failure::ours(&error))?.map_err(Failure::from)
}

async fn password(prepared: &Prepared, prompt: &Arc<TerminalPrompt>) -> Result<Option<Secret>, Failure> {
    if prepared.password == Password::None {
        return Ok(None);
    }
    let prompt = Arc::clone(prompt);
    let asked = tokio::task::spawn_blocking(move || prompt.secret("Password: ")).await;
    let answer = asked.unwrap_or_else(|error| Err(error.to_string()));
    answer.map(Some).map_err(|reason| {
        Failure::usage_text(format!("-A needs a password: {reason}")).hint("run it at a terminal, or use a key")
    })
}

fn connector(prepared: &Prepared, password: Option<Secret>, prompt: Arc<TerminalPrompt>) -> Result<Connector, Failure> {
    let settings = &prepared.settings;
    let sources = ConfigSources {
        options: settings.ssh_options.iter().map(|option| option.value.clone()).collect(),
        file: match &settings.ssh_config.value {
            None => ConfigSource::Default,
            Some(SshConfigFile::None) => ConfigSource::None,
            Some(SshConfigFile::Path(path)) => ConfigSource::Path(path.clone()),
        },
    };
    let stage_timeout = match settings.connect_timeout.origin {
        Origin::Default => StageTimeout::Default(settings.connect_timeout.value),
        Origin::Layer(..) => StageTimeout::Chosen(settings.connect_timeout.value),
    };
    let connect = ConnectSettings {
        config: SshConfig::load(&sources, LocalContext::current()?)?,
        stage_timeout,
        user: settings.user.value.clone(),
        identities: settings.identity.value.clone(),
        host_key: settings.host_key.value,
        password,
    };
    Ok(Connector::new(connect, prompt))
}

/// Names what ssh_config holds and we do not do. What the distribution put into the system's file is not the user's
/// doing (Debian's has such a line) and named only to those who ask for more.
fn say_notices(prepared: &Prepared, connector: &Connector) {
    for notice in connector.take_notices() {
        if notice.origin != NoticeOrigin::System || prepared.verbosity > 0 {
            say(prepared.program, &notice.to_string());
        }
    }
}

/// As many hosts at once as was asked for, or as the file descriptors of this process allow; the latter is said.
fn fan_out_limit(prepared: &Prepared) -> usize {
    let wanted = prepared.settings.parallel.value.get().min(prepared.selected.hosts.len());
    let allowed = descriptors::sessions_allowed(wanted);
    if allowed < wanted {
        let hosts = if allowed == 1 { "host" } else { "hosts" };
        let text =
            format!("only {allowed} {hosts} at once instead of {wanted}: the limit of open files (ulimit -n) is low");
        say(prepared.program, &text);
    }
    allowed
}

fn conclude(program: &str, finished: Finished) -> ExitStatus {
    let mut status = finished.status;
    for error in &finished.render_errors {
        if matches!(error, RenderError::BrokenPipe { .. }) {
            continue;
        }
        let failure = Failure::ours(error);
        failure.print(program, io::stderr());
        status = status.worse(failure.status());
    }
    status
}

/// Remarks on the choice of hosts: what was named twice, and what was excluded in vain.
fn say_about_selection(prepared: &Prepared) {
    let Selected { duplicates, idle_excludes, .. } = &prepared.selected;
    if !duplicates.is_empty() {
        let names: Vec<String> = duplicates.iter().map(|duplicate| duplicate.host.to_string()).collect();
        let folded = crate::hostset::fold(&names);
        say(prepared.program, &format!("named more than once, runs once: {folded}"));
    }
    for IdleExclude { value, group } in idle_excludes {
        let hint = group.as_ref().map(|group| format!("; the group is excluded by -x {group}"));
        say(prepared.program, &format!("-x {value} leaves out nobody{}", hint.unwrap_or_default()));
    }
}

/// Our own words before the run starts; afterwards the renderer has the terminal.
fn say(program: &str, text: &str) {
    let _ = writeln!(io::stderr(), "{program}: {text}");
}

fn list(selected: &Selected) -> Result<ExitStatus, Failure> {
    let mut stdout = io::stdout().lock();
    let written =
        selected.hosts.iter().try_for_each(|host| writeln!(stdout, "{}\t{}", host.host, host.origins.join(", ")));
    match written.and_then(|()| stdout.flush()) {
        Ok(()) => Ok(ExitStatus::Success),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitStatus::Success),
        Err(error) => Err(Failure::ours(&error)),
    }
}
