//! The account that is logged in to.
//!
//! Must not know what runs there.

use std::process::Command;

use crate::error::BenchError;
use crate::tools::run_to_end;

/// Root logs in to a throwaway account, removed when this is dropped; anyone else logs in to itself.
#[derive(Debug)]
pub(crate) struct Account {
    name: String,
    made: bool,
}

impl Account {
    /// Root's shell start-up files may cost more than all that is measured: the throwaway account has `/bin/dash`, or
    /// where that is missing `/bin/sh`, and no home. `usermod -p '*'`: sshd refuses accounts that were never given a
    /// password as locked.
    pub(crate) fn prepare() -> Result<Self, BenchError> {
        if !rustix::process::geteuid().is_root() {
            let name = run_to_end(Command::new("id").arg("-un"))?.trim_end().to_owned();
            return Ok(Self { name, made: false });
        }
        let shell = if std::path::Path::new("/bin/dash").exists() { "/bin/dash" } else { "/bin/sh" };
        let account = Self { name: format!("fleetbench-{}", std::process::id()), made: true };
        let mut useradd = Command::new("useradd");
        useradd.args(["--no-create-home", "--home-dir", "/", "--shell", shell, &account.name]);
        run_to_end(&mut useradd)?;
        run_to_end(Command::new("usermod").args(["--password", "*", &account.name]))?;
        Ok(account)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if self.made {
            // Not there if useradd failed.
            let _ = Command::new("userdel").args(["--force", &self.name]).output();
        }
    }
}
