//! The server of asyncssh, a Python library, as a process of its own that listens by itself.
//!
//! It runs from the virtual environment that `./test.sh` makes: `$FLEET_TEST_VENV`, or `target/venv`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::env::TestEnv;
use crate::tools::python;

/// An asyncssh server. Stops when dropped.
pub struct Asyncssh {
    child: Child,
    address: Ipv4Addr,
    port: u16,
}

impl Asyncssh {
    /// Starts a server for one host, and enters it into the user's `ssh_config` and `known_hosts`.
    ///
    /// # Panics
    /// When the virtual environment is missing, or the server does not start.
    #[must_use]
    pub fn start(env: &TestEnv, name: &str) -> Self {
        let folder = env.server_folder();
        let host_key = env.generate_key(&folder.join("host_key"), "");
        let address = env.addresses(1)[0];
        let mut child = Command::new(python())
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/asyncssh_server.py"))
            .arg(address.to_string())
            .args([&host_key, &env.authorized_keys()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the Python of the virtual environment starts");
        let mut first_line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut first_line).expect("the server's stdout can be read");
        let port = first_line.trim().parse().expect("the asyncssh server prints its port; its stderr says why not");
        let public = fs::read_to_string(host_key.with_extension("pub")).expect("a public key beside the host key");
        env.trust(&format!("[{address}]:{port} {public}"));
        env.enter_host(name, address, port, "tester");
        Self { child, address, port }
    }

    /// The address of its host.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The port of its host.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Asyncssh {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
