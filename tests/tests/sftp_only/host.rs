//! A host that is OpenSSH's `sftp-server` in a folder, and what is sent to it.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command as Blocking, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use fleet_core::outcome::HostError;
use fleet_ssh::remote::{Attributes, CopyRefusal, Landing, MissingFolder, Replaced, Token, Verify};
use fleet_tests::{accounts, program, run_to_end};
use fleet_transfer::manifest::Manifest;
use fleet_transfer::push::{batches, needed_kib};
use fleet_transfer::scan::{ScanSettings, scan};
use fleet_transfer::sftp::push::{Flow, LeftOut, Push, Unwatched, Verified, push};
use fleet_transfer::sftp::{Client, Downlink, Uplink, connect};
use fleet_transfer::source_cache::{Framing, Packing, SourceCache, SourceSettings};
use fleet_transfer::{archive, manifest};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// What is in a folder: for each name what it is.
pub(crate) type Tree = BTreeMap<String, String>;

pub(crate) fn tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let mode = meta.mode() & 0o7777;
            let told = if meta.is_dir() {
                folders.push(path.clone());
                format!("folder {mode:o}")
            } else if meta.is_symlink() {
                format!("symlink {}", fs::read_link(&path).unwrap().as_os_str().as_bytes().escape_ascii())
            } else {
                let content = fs::read(&path).unwrap();
                let start = content[..content.len().min(20)].escape_ascii().to_string();
                format!("file {mode:o} {} {start} {:08x}", content.len(), sum(&content))
            };
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().escape_ascii().to_string();
            tree.insert(name, told);
        }
    }
    tree
}

/// FNV-1a: enough to tell contents apart.
fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Bytes that are nowhere the same for long.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as u8).collect()
}

/// Files on this machine.
pub(crate) struct Source {
    pub(crate) dir: TempDir,
}

impl Source {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn with(self, name: impl AsRef<std::ffi::OsStr>, mode: u32, content: impl AsRef<[u8]>) -> Self {
        let path = self.dir.path().join(Path::new(name.as_ref()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        self
    }

    pub(crate) fn folder(self, name: &str, mode: u32) -> Self {
        let path = self.dir.path().join(name);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        self
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        std::os::unix::fs::symlink(target, self.dir.path().join(name)).unwrap();
        self
    }

    /// What is in the folder.
    pub(crate) fn manifest(&self) -> Arc<Manifest> {
        let source = format!("{}/", self.dir.path().display());
        let scanned = scan(Path::new(&source), &ScanSettings::default()).unwrap();
        Arc::new(Manifest { entries: scanned.entries, problems: Vec::new() })
    }
}

/// The headers of an archive, which SFTP leaves out: hosts of both kinds share what is read.
struct Tar;

impl Framing for Tar {
    fn before(&self, entry: &manifest::Entry) -> Vec<u8> {
        fleet_transfer::push::header(entry, Attributes::Permissions)
    }

    fn after(&self, len: u64) -> usize {
        archive::padding(len).len()
    }
}

pub(crate) fn cache(manifest: &Arc<Manifest>) -> SourceCache {
    SourceCache::new(SourceSettings {
        manifest: Arc::clone(manifest),
        framing: Arc::new(Tar),
        packing: Packing::Plain,
        budget_bytes: 4 << 20,
        groups: batches(&manifest.entries),
        verify: Verify::Cksum,
    })
}

/// A host: the folder of the login, and how its server is run.
pub(crate) struct Host {
    dir: TempDir,
    options: Vec<String>,
    user: Option<u32>,
}

/// What a test changes of a copy.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) landing: Landing<'a>,
    pub(crate) missing: MissingFolder,
    pub(crate) attributes: Attributes,
    pub(crate) owner: Option<fleet_transfer::sftp::push::Owner>,
    pub(crate) replaced: Replaced,
    pub(crate) verified: Verified,
    pub(crate) announced: bool,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Self {
            landing: Landing::Folder(b"."),
            missing: MissingFolder::Refuse,
            attributes: Attributes::Permissions,
            owner: None,
            replaced: Replaced::Gone,
            verified: Verified::ByLength,
            announced: true,
        }
    }
}

pub(crate) type Pushed = Option<Result<LeftOut, CopyRefusal>>;

impl Host {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("fleet-sftp-test-").tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        Self { dir, options: Vec::new(), user: None }
    }

    /// With options of sftp-server(8).
    pub(crate) fn with(mut self, options: &[&str]) -> Self {
        self.options = options.iter().map(|option| (*option).to_owned()).collect();
        self
    }

    /// Where an ordinary user logs in, to whom the folder of the login belongs.
    pub(crate) fn of_user(mut self) -> Self {
        const NOBODY: u32 = 65_534;
        accounts::require_root("becoming another user");
        std::os::unix::fs::chown(self.home(), Some(NOBODY), Some(NOBODY)).unwrap();
        self.user = Some(NOBODY);
        self
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Makes files, and folders (those without content), in the folder of the login.
    pub(crate) fn has(&self, files: &[(&str, Option<&str>)]) {
        for (name, content) in files {
            let path = self.home().join(name);
            match content {
                Some(content) => fs::write(&path, content).unwrap(),
                None => fs::create_dir(&path).unwrap(),
            }
            if let Some(user) = self.user {
                std::os::unix::fs::chown(&path, Some(user), Some(user)).unwrap();
            }
        }
    }

    pub(crate) fn tree(&self) -> Tree {
        tree(&self.home())
    }

    /// The server, running.
    pub(crate) fn serve(&self) -> (Child, Up, Down) {
        let server = sftp_server();
        let mut command = match self.user {
            None => Command::new(server),
            Some(user) => {
                let mut command = Command::new(program("setpriv"));
                command.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()]);
                command.arg(server);
                command
            }
        };
        command.args(&self.options).current_dir(self.home()).kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let up = Up { stdin: Mutex::new(child.stdin.take().unwrap()), change: |bytes| bytes };
        let down = Down(child.stdout.take().unwrap());
        (child, up, down)
    }

    /// Does `work` with a client of the server.
    pub(crate) async fn ask<T>(&self, work: impl AsyncFnOnce(Client) -> T) -> T {
        let (child, up, down) = self.serve();
        ask(child, up, down, work).await
    }

    pub(crate) async fn push(&self, manifest: &Arc<Manifest>, wish: Wish<'_>) -> Pushed {
        let stop = CancellationToken::new();
        self.ask(async |client| push_by(&client, manifest, wish, &Unwatched, &stop).await).await
    }

    /// What is left out of a copy that succeeds.
    pub(crate) async fn pushes(&self, manifest: &Arc<Manifest>, wish: Wish<'_>) -> LeftOut {
        self.push(manifest, wish).await.unwrap().unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    pub(crate) async fn refuses(&self, manifest: &Arc<Manifest>, wish: Wish<'_>) -> CopyRefusal {
        self.push(manifest, wish).await.unwrap().unwrap_err()
    }
}

pub(crate) async fn ask<T>(_child: Child, up: Up, down: Down, work: impl AsyncFnOnce(Client) -> T) -> T {
    let (client, mut driver) = connect(up, down);
    tokio::select! {
        error = driver.drive() => panic!("{error}"),
        done = async {
            client.greet().await.unwrap();
            work(client.clone()).await
        } => done,
    }
}

pub(crate) async fn push_by(
    client: &Client,
    manifest: &Arc<Manifest>,
    wish: Wish<'_>,
    flow: &impl Flow,
    stop: &CancellationToken,
) -> Pushed {
    let selection = manifest.all();
    let source = cache(manifest);
    let wanted = Push {
        manifest,
        selection: &selection,
        source: &source,
        landing: wish.landing,
        missing: wish.missing,
        needed_kib: wish.announced.then(|| needed_kib(&manifest.entries)),
        attributes: wish.attributes,
        owner: wish.owner,
        replaced: wish.replaced,
        verified: wish.verified,
        mark: &token(),
    };
    push(client, &wanted, flow, stop).await
}

pub(crate) fn token() -> Token {
    use std::hash::{BuildHasher as _, Hasher as _};
    Token::new(std::hash::RandomState::new().build_hasher().finish())
}

/// The server's input, in which a test may change what is sent.
pub(crate) struct Up {
    stdin: Mutex<ChildStdin>,
    pub(crate) change: fn(Bytes) -> Bytes,
}

impl Uplink for Up {
    async fn send(&self, bytes: Bytes) -> bool {
        self.stdin.lock().await.write_all(&(self.change)(bytes)).await.is_ok()
    }
}

pub(crate) struct Down(ChildStdout);

impl Downlink for Down {
    async fn receive(&mut self) -> Result<Option<Bytes>, HostError> {
        let mut bytes = vec![0; 64 * 1024];
        let len = self.0.read(&mut bytes).await.unwrap();
        bytes.truncate(len);
        Ok((len > 0).then(|| bytes.into()))
    }
}

fn sftp_server() -> PathBuf {
    let folders = ["/usr/lib/openssh", "/usr/libexec/openssh", "/usr/lib/ssh", "/usr/libexec"];
    let paths = folders.map(|folder| Path::new(folder).join("sftp-server"));
    let found = paths.into_iter().find(|path| path.is_file());
    found.expect("OpenSSH's sftp-server is not installed; ./test.sh installs it (openssh-sftp-server)")
}

/// A disk in a folder, unmounted when dropped.
pub(crate) struct Disk(PathBuf);

impl Disk {
    pub(crate) fn mount(at: &Path, options: &str) -> Self {
        accounts::require_root("mounting a small disk");
        run_to_end(Blocking::new(program("mount")).args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at));
        Self(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Blocking::new(program("umount")).arg("-l").arg(&self.0).output();
    }
}
