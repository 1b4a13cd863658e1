//! The accounts that tests log in to.
//!
//! The servers run as the user who runs the tests: root logs in to throwaway accounts, anyone else only to itself.
//! Must not know what servers there are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::tools::{program, run_to_end};

/// The account of ordinary logins when the tests run as root: no password, `/bin/dash`, quick to start.
const PLAIN: &str = "fleettest";

/// Whether the tests run as root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Asserts that the tests run as root.
///
/// # Panics
/// When they do not, with the hint to run `./test.sh`.
pub fn require_root(what: &str) {
    assert!(is_root(), "{what} needs root; ./test.sh runs the end-to-end tests through sudo");
}

/// The name of the account of ordinary logins, which is made where it is missing.
///
/// # Panics
/// When the account cannot be made.
#[must_use]
pub fn plain() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        if !is_root() {
            return run_to_end(Command::new(program("id")).arg("-un")).trim_end().to_owned();
        }
        if !exists(PLAIN) {
            let _guard = changing_accounts();
            add(PLAIN, &["--create-home", "--shell", "/bin/dash"]);
        }
        PLAIN.to_owned()
    });
    &NAME
}

/// An account of one test, removed with its home when dropped.
#[derive(Debug)]
pub struct Throwaway {
    name: String,
    home: PathBuf,
}

impl Throwaway {
    /// Makes an account whose login shell is `shell`, a path, with a home of its own in `/home`.
    ///
    /// # Panics
    /// When the tests do not run as root, or the account cannot be made.
    #[must_use]
    pub fn with_shell(shell: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        require_root("making an account");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PLAIN}-{}-{number}", std::process::id());
        let _guard = changing_accounts();
        add(&name, &["--create-home", "--shell", shell]);
        let home = PathBuf::from("/home").join(&name);
        Self { name, home }
    }

    /// Makes an account that can be logged in to with `password`.
    ///
    /// # Panics
    /// As [`Throwaway::with_shell`].
    #[must_use]
    pub fn with_password(password: &str) -> Self {
        let account = Self::with_shell("/bin/dash");
        let hash = run_to_end(Command::new(program("openssl")).args(["passwd", "-6", password]));
        let _guard = changing_accounts();
        run_to_end(Command::new(program("usermod")).args(["--password", hash.trim_end(), &account.name]));
        account
    }

    /// Gives `sudo` these lines about the account, in which USER stands for its name.
    ///
    /// # Panics
    /// When they are not those of a sudoers file.
    pub fn sudoers(&self, lines: &str) {
        let file = self.sudoers_file();
        // A name with a dot is not read: a file that is half written or wrong would keep everybody from using sudo.
        let draft = file.with_extension("draft");
        fs::write(&draft, format!("{}\n", lines.replace("USER", &self.name))).expect("root can write sudoers");
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o440)).expect("change the mode of a file of the test");
        run_to_end(Command::new(program("visudo")).arg("-cf").arg(&draft));
        fs::rename(&draft, &file).expect("rename a file of the test");
    }

    fn sudoers_file(&self) -> PathBuf {
        PathBuf::from("/etc/sudoers.d").join(&self.name)
    }

    /// The name to log in with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its home folder.
    #[must_use]
    pub fn home(&self) -> &PathBuf {
        &self.home
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        for file in [self.sudoers_file(), self.sudoers_file().with_extension("draft")] {
            let _ = fs::remove_file(file);
        }
        let _guard = changing_accounts();
        let _ = Command::new(program("userdel")).args(["--remove", "--force", &self.name]).output();
    }
}

fn exists(name: &str) -> bool {
    Command::new(program("id")).args(["-u", name]).output().is_ok_and(|output| output.status.success())
}

/// `usermod -p '*'`: without it sshd takes the new account for a locked one.
fn add(name: &str, options: &[&str]) {
    let added = Command::new(program("useradd")).args(options).arg(name).output().expect("useradd starts");
    let stderr = String::from_utf8_lossy(&added.stderr);
    assert!(added.status.success() || exists(name), "useradd {name} failed: {stderr}");
    run_to_end(Command::new(program("usermod")).args(["--password", "*", name]));
}

/// One change of the account files at a time: the tools lock them and give up soon.
fn changing_accounts() -> std::sync::MutexGuard<'static, ()> {
    static CHANGING: Mutex<()> = Mutex::new(());
    CHANGING.lock().unwrap_or_else(PoisonError::into_inner)
}
