//! `fleet doctor`: looks at everything that a run depends on, here and on the hosts, changes nothing, says what to do.
//!
//! No illness ends the examination: what cannot be looked at is a finding itself. Must not judge: that is in the
//! submodules, as pure rules.

mod finding;
mod host;
mod local;
mod probe;
mod remote;
mod report;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fleet_core::fanout::Floor;
use fleet_core::host::Host;
use fleet_core::outcome::{ExitStatus, FailureClass, HostError, Outcome};
use fleet_core::render::{Color, Completion, Destination, HostLabel, Layout, RenderSettings};
use fleet_core::settings::{HostKeyPolicy, Parallel, Settings};
use fleet_ssh::config::{ConfigSource, ConfigSources, HostConfig, IdentityFiles, LocalContext, Proxy, SshConfig};
use fleet_ssh::{Connector, HostKeyStanding};
use fleet_tool::cli::{self, Examined, Failure, FleetArgs, StdinUse, TerminalPrompt};
use fleet_tool::run;
use tokio::task::{JoinError, JoinSet, spawn_blocking};

use self::finding::{Check, Finding, Level, fold};
use self::host::Visit;
use self::local::{Agents, Naming};
use self::probe::{Reached, ServerSettings};
use self::remote::{Rounds, Target};
use self::report::{Colors, Reader, Report};
use self::ways::{JumpHost, MaxStartups, Way};

const PROGRAM: &str = "fleet";
/// How long an agent may take to list its keys.
const AGENT_LIMIT: Duration = Duration::from_secs(10);
/// How long a name may take to be looked up, and from when on that is slow.
const NAME_LIMIT: Duration = Duration::from_secs(10);
const SLOW_NAME: Duration = Duration::from_secs(1);
/// A host that is never contacted: its configuration is what holds for any.
const ANY_HOST: &str = "host.invalid";

/// Examines, and prints the report.
pub(crate) fn run(arguments: FleetArgs, stdout: &mut dyn Write, stderr: &mut dyn Write) -> ExitCode {
    let status = try_run(arguments, stdout).unwrap_or_else(|failure| {
        failure.print(PROGRAM, stderr);
        failure.status()
    });
    ExitCode::from(status.code())
}

fn try_run(arguments: FleetArgs, stdout: &mut dyn Write) -> Result<ExitStatus, Failure> {
    if arguments.lists_only() {
        return run::list(&arguments.prepare_after_any_tool(PROGRAM, StdinUse::Free)?);
    }
    let examined = arguments.examine(PROGRAM, StdinUse::Free)?;
    let render = examined.render.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::ours(&error))?;
    let report = runtime.block_on(examine(examined));
    // A name lookup that hangs must not hold the process.
    runtime.shutdown_background();
    let mut report = report?;
    if render.layout == Layout::Quiet {
        report.findings.retain(|finding| finding.level != Level::Fine);
    }
    let text = if render.layout == Layout::Json { report.json() } else { report.text(reader(&render)) };
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::ours(&error)),
        _ => Ok(report.status),
    }
}

fn reader(render: &RenderSettings) -> Reader {
    match (render.stdout, render.color) {
        (Destination::Stream, _) => Reader::Stream,
        (Destination::Terminal { .. }, Color::Never) => Reader::Terminal(Colors::Off),
        (Destination::Terminal { .. }, Color::Auto | Color::Always) => Reader::Terminal(Colors::On),
    }
}

async fn examine(examined: Examined) -> Result<Report, Failure> {
    let mut findings = local::settings(&examined);
    findings.extend(local::hosts(&examined));
    findings.extend(local::folders(&examined));
    let selected = examined.selected.clone().unwrap_or_default();
    let hosts: Vec<Host> = selected.hosts.iter().map(|selected| selected.host.clone()).collect();
    let (config, basis) = match examined.ssh_config {
        Some(config) => (Some(config), Basis::Configured),
        None => load_config(&examined.settings, &mut findings),
    };
    let floor = Floor::default();
    let prompt = Arc::new(TerminalPrompt::new(floor.clone()));
    let mut examination = match config {
        None => return Ok(report(findings, hosts.len(), ExitStatus::Success)),
        Some(config) => {
            let contacts = basis == Basis::Configured && !hosts.is_empty();
            let password = if contacts { run::ask_password(examined.password, &prompt).await? } else { None };
            let settings = run::connect_settings(&examined.settings, &selected, config, password);
            let connector = Connector::new(settings, Arc::clone(&prompt) as _).keeping_no_host_keys();
            let parallel = match examined.settings.parallel.value {
                Parallel::Exactly(parallel) => parallel.get(),
                Parallel::Auto => run::FIRST_LOGINS,
            };
            let chosen = hosts.len();
            Examination { connector: Arc::new(connector), basis, parallel, chosen, floor, findings }
        }
    };
    let configured = if basis == Basis::Configured { hosts } else { Vec::new() };
    let ways = examination.ways(configured).await?;
    let report = examination.finish(ways).await;
    prompt.close();
    report
}

/// What the connector goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Basis {
    /// The user's configuration.
    Configured,
    /// Defaults, as the configuration cannot be used. No host is contacted: it would be reached in another way than meant.
    Defaults,
}

fn load_config(settings: &Settings, findings: &mut Vec<Finding>) -> (Option<SshConfig>, Basis) {
    match cli::load_config(settings) {
        Ok(config) => (Some(config), Basis::Configured),
        Err(error) => {
            findings.push(local::broken_config(error));
            let none = ConfigSources { options: Vec::new(), file: ConfigSource::None };
            let local = LocalContext::current();
            (local.and_then(|local| SshConfig::load(&none, local)).ok(), Basis::Defaults)
        }
    }
}

fn report(findings: Vec<Finding>, hosts: usize, interrupted: ExitStatus) -> Report {
    let is = |finding: &Finding, level, check| finding.level == level && finding.check == check;
    let reached = findings.iter().filter(|finding| is(finding, Level::Fine, Check::Login)).count();
    let of_finding = |finding: &Finding| match (finding.level, finding.check) {
        (Level::Problem, Check::Login | Check::Names) => ExitStatus::NotReached,
        (Level::Problem, _) => ExitStatus::CommandFailed,
        _ => ExitStatus::Success,
    };
    let status = findings.iter().map(of_finding).fold(interrupted, ExitStatus::worse);
    Report { findings: fold(findings), hosts, reached, status }
}

/// An examination under way.
struct Examination {
    connector: Arc<Connector>,
    basis: Basis,
    parallel: usize,
    /// How many hosts were chosen.
    chosen: usize,
    floor: Floor,
    findings: Vec<Finding>,
}

impl Examination {
    /// The ways to the hosts whose configuration can be told, and then everything that this machine says about them.
    async fn ways(&mut self, hosts: Vec<Host>) -> Result<Vec<Way>, Failure> {
        let connector = Arc::clone(&self.connector);
        // A `Match exec` runs a command of the user's, and waits.
        let looking = spawn_blocking(move || {
            let any: Vec<HostConfig> =
                ANY_HOST.parse().ok().and_then(|host| connector.route(&host).ok()).unwrap_or_default();
            let routes: Vec<_> = hosts.iter().map(|host| (host.to_string(), connector.route(host))).collect();
            (any, routes)
        });
        let (any, routes) = looking.await.map_err(failed_task)?;
        let mut ways = Vec::new();
        for (name, route) in routes {
            match route {
                Ok(route) => ways.push(Way { name, route }),
                Err(error) => self.findings.push(local::broken_config(error).of(name)),
            }
        }
        if self.basis == Basis::Configured {
            self.findings.extend(local::notices(&self.connector.take_notices()));
        }
        let mut configs: Vec<HostConfig> = ways.iter().flat_map(|way| way.route.iter().cloned()).collect();
        if configs.is_empty() {
            configs = any;
        }
        self.look_at_keys(configs).await?;
        self.look_at_known_hosts(ways.clone()).await?;
        let prices: Vec<u64> = ways.iter().map(|way| Connector::price(&way.route)).collect();
        let wanted = if ways.is_empty() { self.parallel } else { self.parallel.min(ways.len()) };
        let prices = if ways.is_empty() { vec![Connector::price(&[]); wanted] } else { prices };
        self.findings.push(local::open_files(wanted, prices));
        self.findings.extend(ways::proxy_commands(&ways, self.parallel));
        Ok(ways)
    }

    async fn look_at_keys(&mut self, configs: Vec<HostConfig>) -> Result<(), Failure> {
        let sockets: BTreeSet<_> = configs.iter().filter_map(|config| config.agent.clone()).collect();
        let mut agents = Agents::new();
        for socket in sockets {
            let keys = self.connector.agent_keys(&socket, AGENT_LIMIT).await;
            agents.insert(socket, keys);
        }
        let connector = Arc::clone(&self.connector);
        let looking = spawn_blocking(move || {
            let mut files = BTreeMap::new();
            for config in &configs {
                let identities = connector.key_files(config);
                let naming = match &identities {
                    IdentityFiles::Named(_) => Naming::Named,
                    IdentityFiles::Default(_) => Naming::Default,
                };
                for path in identities.paths() {
                    files.entry(path.clone()).or_insert_with(|| (naming, connector.key_file(path)));
                }
            }
            files
        });
        let files = looking.await.map_err(failed_task)?;
        self.findings.extend(local::agents(&agents));
        self.findings.extend(local::keys(&files, &agents));
        if self.basis == Basis::Configured && !local::has_key(&files, &agents) {
            self.findings.push(local::no_key());
        }
        Ok(())
    }

    async fn look_at_known_hosts(&mut self, ways: Vec<Way>) -> Result<(), Failure> {
        let connector = Arc::clone(&self.connector);
        let looking = spawn_blocking(move || {
            let mut standings = BTreeMap::new();
            for way in &ways {
                for (hop, config) in way.route.iter().enumerate() {
                    let name = if hop + 1 == way.route.len() { &way.name } else { &config.original };
                    standings.entry(name.clone()).or_insert_with(|| connector.host_key_standing(config));
                }
            }
            standings
        });
        let standings = looking.await.map_err(failed_task)?;
        let finding = |(name, standing)| match standing {
            Ok(standing) => host_key(standing).of(name),
            Err(error) => {
                let advice = "make it readable: nobody is trusted by a file that cannot be read";
                local::failed(Check::KnownHosts, &Failure::usage(&error)).advice(advice).of(name)
            }
        };
        self.findings.extend(standings.into_iter().map(finding));
        self.findings.extend(local::skipped_host_keys(&self.connector));
        Ok(())
    }

    /// Looks up names, visits the hosts, and brings all together.
    async fn finish(mut self, ways: Vec<Way>) -> Result<Report, Failure> {
        let unresolved = self.look_up_names(&ways).await;
        let jumps = ways::jump_hosts(&ways);
        let ways: Vec<Way> = ways.into_iter().filter(|way| !unresolved.contains(&way.name)).collect();
        let (visits, status) = self.visit(&ways, &jumps).await?;
        let (of_hosts, of_jumps) = visits.split_at(ways.len());
        for (way, visit) in ways.iter().zip(of_hosts) {
            self.drop_what_the_login_says_too(&way.name, visit);
            self.findings.extend(host::findings(visit).into_iter().map(|finding| finding.of(&*way.name)));
        }
        for (jump, visit) in jumps.iter().zip(of_jumps) {
            self.drop_what_the_login_says_too(&jump.name, visit);
            self.findings.extend(of_jump_host(jump, visit));
        }
        for shared in ways::shared_servers(&ways) {
            let asked = shared.iter().filter_map(|name| ways.iter().position(|way| way.name == *name));
            let known = asked.map(|place| MaxStartups::of(&of_hosts[place].answers));
            let known = known.reduce(|one, other| if one == MaxStartups::Unknown { other } else { one });
            let found = ways::shared_server(&shared, self.parallel, known.unwrap_or(MaxStartups::Unknown));
            self.findings.extend(found);
        }
        Ok(report(self.findings, self.chosen, status))
    }

    /// The hosts whose own names have no address. Each name is looked up once, all at the same time.
    async fn look_up_names(&mut self, ways: &[Way]) -> BTreeSet<String> {
        let mut asked: BTreeMap<String, (HostConfig, BTreeSet<String>)> = BTreeMap::new();
        for way in ways {
            if let Some(first) = way.route.first().filter(|config| config.proxy == Proxy::Direct) {
                let name = if way.route.len() == 1 { &way.name } else { &first.original };
                let entry = asked.entry(first.host_name.clone()).or_insert_with(|| (first.clone(), BTreeSet::new()));
                entry.1.insert(name.clone());
            }
        }
        let mut lookups = JoinSet::new();
        for (config, names) in asked.into_values() {
            let connector = Arc::clone(&self.connector);
            lookups.spawn(async move {
                let started = tokio::time::Instant::now();
                let found = tokio::time::timeout(NAME_LIMIT, connector.look_up(&config)).await;
                let found =
                    found.unwrap_or_else(|_| Err(HostError::timeout(fleet_core::outcome::Stage::Resolve, NAME_LIMIT)));
                (names, name_finding(found, started.elapsed()))
            });
        }
        let mut unresolved = BTreeSet::new();
        while let Some(joined) = lookups.join_next().await {
            let Ok((names, Some(finding))) = joined else { continue };
            if finding.level == Level::Problem {
                unresolved.extend(names.iter().cloned());
            }
            self.findings.extend(names.into_iter().map(|name| finding.clone().of(name)));
        }
        unresolved
    }

    /// The visits to the hosts, and behind them those to the jump hosts.
    async fn visit(&self, ways: &[Way], jumps: &[JumpHost]) -> Result<(Vec<Visit>, ExitStatus), Failure> {
        if ways.is_empty() {
            return Ok((vec![Visit::none(); jumps.len()], ExitStatus::Success));
        }
        let shared: BTreeSet<&str> = ways::shared_servers(ways).into_iter().flatten().collect();
        let mut targets = Vec::new();
        for way in ways {
            let server = if shared.contains(&*way.name) { ServerSettings::Wanted } else { ServerSettings::Left };
            targets.push(Target { route: way.route.clone(), server });
        }
        targets.extend(jumps.iter().map(|jump| Target { route: jump.route.clone(), server: ServerSettings::Wanted }));
        let names = ways.iter().map(|way| &way.name).chain(jumps.iter().map(|jump| &jump.name));
        let hosts = names.map(|name| HostLabel { name: name.clone() }).collect();
        let prices = targets.iter().map(|target| Connector::price(&target.route)).collect();
        let visits = Arc::new(Mutex::new(vec![None; targets.len()]));
        let rounds = Rounds { connector: Arc::clone(&self.connector), targets, visits: Arc::clone(&visits) };
        let floor = self.floor.clone();
        let survey = run::Survey { program: PROGRAM, hosts, limit: self.parallel, prices, floor };
        let finished = survey.run(rounds).await?;
        if finished.completion != Completion::Abandoned {
            self.connector.disconnect().await;
        }
        let visits = std::mem::take(&mut *visits.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((visits.into_iter().map(|visit| visit.unwrap_or_else(Visit::none)).collect(), finished.status))
    }

    /// A host key that is not known is seen twice: in the files, and by the login, which knows more.
    fn drop_what_the_login_says_too(&mut self, name: &str, visit: &Visit) {
        if let Outcome::Failed(HostError { class: FailureClass::HostKey, message, .. }) = &visit.outcome
            && !message.starts_with("jump host ")
        {
            self.findings.retain(|finding| finding.check != Check::KnownHosts || finding.host.as_deref() != Some(name));
        }
    }
}

fn host_key(standing: HostKeyStanding) -> Finding {
    match standing {
        HostKeyStanding::Known => Finding::fine(Check::KnownHosts, "a key is known"),
        HostKeyStanding::Unknown(HostKeyPolicy::Strict) => {
            Finding::problem(Check::KnownHosts, "no key is known: the login will be refused")
                .advice("accept it with --host-key accept-new, or add it with: ssh-keyscan HOST >> ~/.ssh/known_hosts")
        }
        HostKeyStanding::Unknown(HostKeyPolicy::AcceptNew) => {
            Finding::fine(Check::KnownHosts, "no key is known: the first run accepts any and keeps it")
        }
        HostKeyStanding::Unknown(HostKeyPolicy::Off) => {
            Finding::warning(Check::KnownHosts, "no key is known, and any is accepted in every run")
                .advice("anyone in between can be the host: use --host-key accept-new once")
        }
    }
}

/// `None` for an address, which is not looked up.
fn name_finding(found: Result<bool, HostError>, took: Duration) -> Option<Finding> {
    match found {
        Ok(false) => None,
        Ok(true) if took < SLOW_NAME => Some(Finding::fine(Check::Names, "looked up at once")),
        Ok(true) => Some(
            Finding::warning(Check::Names, "the look-up is slow")
                .detail(format!("{:.1} s", took.as_secs_f64()))
                .advice("check the name servers of this machine (/etc/resolv.conf), or give addresses with HostName"),
        ),
        Err(error) => {
            let advice = error.class.hint(error.stage);
            Some(Finding::problem(Check::Names, error.message).advice(advice))
        }
    }
}

/// A jump host need not run commands for us: only a login that fails is a problem.
fn of_jump_host(jump: &JumpHost, visit: &Visit) -> Vec<Finding> {
    let failure = match &visit.outcome {
        Outcome::Failed(_) => host::failure(visit).unwrap_or_default(),
        _ => Vec::new(),
    };
    let max_startups = (visit.answers.reached != Reached::Nothing).then(|| MaxStartups::of(&visit.answers));
    let of_this = failure.into_iter().map(|finding| finding.of(&*jump.name));
    of_this.chain([ways::jump_host(jump, max_startups)]).collect()
}

fn failed_task(error: JoinError) -> Failure {
    Failure::ours(&error)
}

#[cfg(test)]
mod tests {
    use fleet_core::outcome::Stage;

    use super::*;

    #[test]
    fn the_exit_status_follows_from_the_worst_finding() {
        let login = Finding::problem(Check::Login, "refused").of("web1");
        let name = Finding::problem(Check::Names, "not known").of("web1");
        let other = Finding::problem(Check::Settings, "broken");
        let warning = Finding::warning(Check::Clock, "off").of("web1");
        for (findings, interrupted, code) in [
            (vec![], ExitStatus::Success, 0),
            (vec![warning.clone()], ExitStatus::Success, 0),
            (vec![other.clone(), warning], ExitStatus::Success, 5),
            (vec![other.clone(), login], ExitStatus::Success, 4),
            (vec![other.clone(), name], ExitStatus::Success, 4),
            (vec![other], ExitStatus::Killed, 3),
        ] {
            assert_eq!(report(findings.clone(), 1, interrupted).status.code(), code, "{findings:?}");
        }
    }

    #[test]
    fn an_unknown_host_key_is_judged_by_the_policy() {
        for (standing, level) in [
            (HostKeyStanding::Known, Level::Fine),
            (HostKeyStanding::Unknown(HostKeyPolicy::Strict), Level::Problem),
            (HostKeyStanding::Unknown(HostKeyPolicy::AcceptNew), Level::Fine),
            (HostKeyStanding::Unknown(HostKeyPolicy::Off), Level::Warning),
        ] {
            assert_eq!(host_key(standing).level, level, "{standing:?}");
        }
    }

    #[test]
    fn names_are_judged_by_answer_and_time() {
        let missing = HostError::new(Stage::Resolve, FailureClass::Resolve, "name or service not known");
        for (found, took, level) in [
            (Ok(false), 0, None),
            (Ok(true), 0, Some(Level::Fine)),
            (Ok(true), 1, Some(Level::Warning)),
            (Err(missing), 0, Some(Level::Problem)),
        ] {
            let finding = name_finding(found.clone(), Duration::from_secs(took));
            assert_eq!(finding.map(|finding| finding.level), level, "{found:?} {took}");
        }
    }
}
