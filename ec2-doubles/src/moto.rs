//! The emulator moto, a Python program, as a process of its own.
//!
//! It runs from the virtual environment that `./test.sh` makes: `$FLEET_TEST_VENV`, or `target/venv`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

/// An instance to launch; whatever is empty is left to moto.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Launch<'a> {
    /// The tag `Name`.
    pub name: &'a str,
    /// `c5.large` and the like.
    #[serde(rename = "type", skip_serializing_if = "str::is_empty")]
    pub kind: &'a str,
    /// `stopped` or `terminated`; else it runs.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub state: &'a str,
    /// An address of the network.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub private: &'a str,
    /// Any address.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub public: &'a str,
    /// The name of its security group.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub group: &'a str,
    /// Further tags.
    pub tags: BTreeMap<&'a str, &'a str>,
}

/// An emulator with instances in `eu-west-1`. Stops when dropped, and when the test dies.
pub struct Moto {
    child: Child,
    world: World,
}

#[derive(Deserialize)]
struct World {
    endpoint: String,
    vpc: String,
    subnet: String,
    groups: BTreeMap<String, String>,
    instances: Vec<String>,
}

impl Moto {
    /// Starts moto, and launches instances in it, in a network with the addresses that begin with `network`: `127.7.1.`.
    ///
    /// # Panics
    /// When the virtual environment or moto in it is missing, or it does not start.
    #[must_use]
    pub fn start(network: &str, launches: &[Launch<'_>]) -> Self {
        let mut child = Command::new(python())
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/moto_server.py"))
            .arg(network)
            .arg(serde_json::to_string(launches).expect("texts are JSON"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the Python of the virtual environment starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("moto's stdout can be read");
        let world = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("moto did not start ({error}); its stderr says why: {line}"));
        Self { child, world }
    }

    /// Its address, for `AWS_ENDPOINT_URL_EC2`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.world.endpoint
    }

    /// The id of the network of all instances.
    #[must_use]
    pub fn vpc(&self) -> &str {
        &self.world.vpc
    }

    /// The id of the subnet of all instances.
    #[must_use]
    pub fn subnet(&self) -> &str {
        &self.world.subnet
    }

    /// The id of a security group; `plain` is that of the instances launched without one.
    ///
    /// # Panics
    /// When no instance was launched into such a group.
    #[must_use]
    pub fn group(&self, name: &str) -> &str {
        &self.world.groups[name]
    }

    /// The ids of the instances, in the order of their launches.
    #[must_use]
    pub fn instances(&self) -> &[String] {
        &self.world.instances
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python() -> PathBuf {
    let beside_target = || {
        let test = std::env::current_exe().expect("the running test has a path");
        let target = test.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
        target.map_or_else(|| PathBuf::from("target"), Path::to_owned).join("venv")
    };
    let venv = std::env::var_os("FLEET_TEST_VENV").map_or_else(beside_target, PathBuf::from);
    let python = venv.join("bin/python");
    assert!(python.is_file(), "{} is missing; ./test.sh makes the virtual environment", python.display());
    python
}
