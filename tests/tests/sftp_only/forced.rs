//! Real servers that run no commands: recognised, and copied to.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fleet_core::endpoint::Endpoints;
use fleet_core::event::Stream;
use fleet_core::host::Host as Name;
use fleet_core::outcome::{HostError, Outcome, Stage, Stop, StopCause};
use fleet_ssh::config::{ConfigSource, ConfigSources, LocalContext, SshConfig};
use fleet_ssh::remote::{RemoteCommand, StdinMode};
use fleet_ssh::{
    CommandLimits, CommandRun, ConnectObserver, ConnectSettings, Connector, ExecStdin, NoPrompt, OutputSink, Session,
    StageTimeout, StdinFeed, Wrapping, run_command,
};
use fleet_tests::{Sshd, TestEnv, accounts};
use fleet_transfer::sftp::push::Unwatched;
use fleet_transfer::sftp::{Connection, Watch, instead_of_command};
use tokio_util::sync::CancellationToken;

use crate::host::{Source, Wish, noise, push_by, tree};

const LIMITS: CommandLimits =
    CommandLimits { timeout: Some(Duration::from_secs(60)), stall: None, grace: Duration::from_secs(5), channel: None };

struct Nobody;

impl ConnectObserver for Nobody {
    async fn stage(&self, _: Stage) {}
    async fn note(&self, _: String) {}
}

/// What a command said.
#[derive(Default)]
struct Heard {
    announced: AtomicBool,
    notes: Mutex<Vec<String>>,
}

impl OutputSink for Heard {
    fn announced(&self) {
        self.announced.store(true, Ordering::SeqCst);
    }

    async fn output(&self, _: Stream, _: Bytes) {}

    async fn note(&self, text: String) {
        self.notes.lock().unwrap().push(text);
    }
}

/// What a tar stream begins with, or nothing at all.
#[derive(Clone, Copy)]
struct Fed(&'static [u8]);

impl StdinFeed for Fed {
    async fn feed(&self, stdin: ExecStdin) -> Result<(), HostError> {
        if !self.0.is_empty() {
            stdin.send(Bytes::from_static(self.0)).await;
        }
        stdin.close().await;
        Ok(())
    }
}

async fn session(env: &TestEnv) -> Session {
    let local = LocalContext {
        user: "tester".to_owned(),
        uid: rustix::process::getuid().as_raw(),
        home: env.home(),
        homes: HashMap::new(),
        hostname: "here".to_owned(),
        system_folder: env.path().join("etc"),
        env: HashMap::new(),
    };
    let sources = ConfigSources { options: Vec::new(), file: ConfigSource::Path(env.ssh_config()) };
    let settings = ConnectSettings {
        config: SshConfig::load(&sources, local).unwrap(),
        stage_timeout: StageTimeout::Chosen(Some(Duration::from_secs(30))),
        user: None,
        default_user: None,
        identities: None,
        host_key: None,
        password: None,
        endpoints: Endpoints::default(),
    };
    let connector = Connector::new(settings, Arc::new(NoPrompt));
    connector.connect(&Name::new("server").unwrap(), &Nobody).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a wrapped command with this input, and opens SFTP if that is why it came to nothing.
async fn instead(session: &Session, input: &'static [u8]) -> (Outcome, bool, Option<Connection>, Vec<String>) {
    let command = RemoteCommand {
        command: b"cat >/dev/null".to_vec(),
        env: Vec::new(),
        stdin: StdinMode::Passed,
        grace: Duration::from_secs(1),
    };
    let heard = Heard::default();
    let run = CommandRun {
        command: &command,
        wrapping: Wrapping::Shell,
        limits: &LIMITS,
        cancel: &CancellationToken::new(),
        stdin: Some(Fed(input)),
        sudo: None,
        terminal: None,
    };
    let outcome = run_command(session, run, &heard).await;
    let announced = heard.announced.load(Ordering::SeqCst);
    let connection = match announced {
        true => None,
        false => instead_of_command(session, &outcome, None, &heard).await,
    };
    (outcome, announced, connection, heard.notes.into_inner().unwrap())
}

/// The first bytes of what `pcp` sends: a header, and a member of gzip.
const INPUTS: [&[u8]; 3] = [b"d/conf\0\0\0\0\0\0\0\0\0\0\0\0\0", b"\x1f\x8b\x08\0\0\0\0\0\0\0", b""];

#[tokio::test]
async fn a_host_that_is_forced_to_sftp_is_recognised_whatever_it_was_sent() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).option("ForceCommand", "internal-sftp").start();
    for input in INPUTS {
        let session = session(&env).await;
        let (outcome, announced, connection, notes) = instead(&session, input).await;
        assert!(!announced && connection.is_some(), "{outcome:?}");
        assert_eq!(notes, ["this host runs no commands: files are copied by SFTP"]);
    }
}

#[tokio::test]
async fn a_host_that_runs_commands_is_left_to_them() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).start();
    let session = session(&env).await;
    for input in INPUTS {
        let (outcome, announced, connection, notes) = instead(&session, input).await;
        assert!(announced && connection.is_none() && notes.is_empty(), "{notes:?}");
        assert_eq!(outcome, Outcome::Exited(0));
    }
}

#[tokio::test]
async fn a_host_that_has_neither_commands_nor_sftp_is_not_copied_to() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).option("ForceCommand", "echo no commands here; exit 0").start();
    let session = session(&env).await;
    let (outcome, announced, connection, notes) = instead(&session, INPUTS[0]).await;
    assert!(!announced && connection.is_none() && notes.is_empty(), "{outcome:?}");
}

/// Files for a host whose users are shut into a folder.
fn sent() -> Source {
    Source::new()
        .with("app/large", 0o640, noise(2_500_000))
        .with("app/script", 0o755, "#!/bin/sh\n")
        .symlink("app/link", "script")
        .folder("app/empty", 0o700)
}

#[tokio::test]
async fn a_user_who_is_shut_into_a_folder_gets_files_whole() {
    accounts::require_root("ChrootDirectory");
    let env = TestEnv::new();
    // sshd insists that nobody else can write to any part of its path.
    let root = tempfile::Builder::new().prefix("fleet-chroot-").tempdir_in("/run").unwrap();
    fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let upload = root.path().join("upload");
    fs::create_dir(&upload).unwrap();
    let (user, group) = ids(accounts::plain());
    chown(&upload, Some(user), Some(group)).unwrap();
    let _server = Sshd::new(&env)
        .option("ForceCommand", "internal-sftp")
        .option("ChrootDirectory", &root.path().display().to_string())
        .start();
    let session = session(&env).await;
    let (_, _, connection, _) = instead(&session, INPUTS[0]).await;
    let connection = connection.unwrap();
    let client = connection.client().clone();
    let source = sent();
    let manifest = source.manifest();
    let stop = CancellationToken::new();
    let watch = Watch { session: &session, limits: &LIMITS, cancel: &CancellationToken::new(), stop: &stop };
    let wish = Wish { landing: fleet_ssh::remote::Landing::Folder(b"/upload"), ..Wish::default() };
    let work = push_by(&client, &manifest, wish, &Unwatched, &stop);
    let pushed = connection.work(&watch, work).await.unwrap();
    assert!(pushed.is_ok_and(|left_out| left_out.is_empty()));
    assert_eq!(tree(&upload), tree(source.dir.path()));
}

#[tokio::test]
async fn a_copy_that_is_cancelled_or_takes_too_long_leaves_nothing() {
    let env = TestEnv::new();
    let _server = Sshd::new(&env).option("ForceCommand", "internal-sftp").start();
    let folder = env.shared();
    let source = sent();
    let manifest = source.manifest();
    for timeout in [None, Some(Duration::from_millis(1))] {
        let session = session(&env).await;
        let connection = Connection::open(&session, None).await.unwrap();
        let client = connection.client().clone();
        let (cancel, stop) = (CancellationToken::new(), CancellationToken::new());
        let limits = CommandLimits { timeout, ..LIMITS };
        let watch = Watch { session: &session, limits: &limits, cancel: &cancel, stop: &stop };
        let landing = folder.display().to_string();
        let landing = fleet_ssh::remote::Landing::Folder(landing.as_bytes());
        let slow = Stuck(timeout.is_none().then_some(&cancel));
        let work = push_by(&client, &manifest, Wish { landing, ..Wish::default() }, &slow, &stop);
        let outcome = connection.work(&watch, work).await.unwrap_err();
        let Outcome::Stopped { cause, stop: Stop::Confirmed, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(cause, timeout.map_or(StopCause::Cancelled, StopCause::Timeout));
        assert_eq!(tree(Path::new(&folder)).len(), 0, "{timeout:?}");
    }
}

/// Never lets anything leave; says so to the one who cancels.
struct Stuck<'a>(Option<&'a CancellationToken>);

impl fleet_transfer::sftp::push::Flow for Stuck<'_> {
    async fn before(&self, _: u64) {
        if let Some(cancel) = self.0 {
            cancel.cancel();
        }
        std::future::pending().await
    }
}

pub(crate) fn ids(name: &str) -> (u32, u32) {
    let number = |flag: &str| {
        let mut id = std::process::Command::new("id");
        fleet_tests::run_to_end(id.arg(flag).arg(name)).trim().parse().unwrap()
    };
    (number("-u"), number("-g"))
}
