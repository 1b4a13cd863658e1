//! A cloud for one test: a fake of EC2, hosts to stand behind its instances, and a user with credentials for it.

use ec2_doubles::{FakeEc2, Instance};
use fleet_tests::{Finished, Run, Server, Sshd, TestEnv, accounts, require_fleet_ec2};

/// A user, a fake of EC2 without instances, and a server for the hosts.
pub(crate) struct World {
    pub(crate) env: TestEnv,
    pub(crate) ec2: FakeEc2,
    pub(crate) server: Server,
}

impl World {
    /// With one host to stand behind an instance, or with none of them behind any.
    pub(crate) fn new() -> Self {
        Self::with_hosts(1)
    }

    /// With so many hosts, of which the user's ssh_config and known_hosts say nothing.
    pub(crate) fn with_hosts(hosts: usize) -> Self {
        let env = TestEnv::new();
        let server = start(&env, hosts);
        Self { env, ec2: FakeEc2::start(), server }
    }

    /// A running instance in the group `loadgen`, with the host of this number (0 is the first) behind it. The user knows
    /// its key.
    pub(crate) fn instance(&self, id: &str, number: usize) -> Instance {
        let known = format!("{id} {}\n", self.server.host_key());
        self.env.trust(&known);
        self.stranger(id, number)
    }

    /// The same, with a key that the user has never seen.
    pub(crate) fn stranger(&self, id: &str, number: usize) -> Instance {
        Instance::new(id)
            .with("private-ip-address", self.server.addresses()[number].to_string())
            .with("tag:fleet:port", self.server.port().to_string())
            .with("tag:Role", "loadgen")
    }

    /// `psh` with these arguments, and with credentials for the fake.
    pub(crate) fn psh(&self, arguments: &[&str]) -> Run {
        self.ec2.environment().into_iter().fold(self.env.psh(arguments), |run, (name, value)| run.env(name, value))
    }

    /// Asserts that no host was contacted.
    #[track_caller]
    pub(crate) fn nothing_was_contacted(&self) {
        assert_eq!(self.server.connections(), 0, "connections to hosts");
    }
}

/// Starts hosts that only a provider can find, for a user whose ssh_config has the name of the account.
pub(crate) fn start(env: &TestEnv, hosts: usize) -> Server {
    require_fleet_ec2();
    let server = Sshd::new(env).hosts("host", hosts).unknown().start();
    env.write("home/.ssh/config", format!("HashKnownHosts no\nUser {}\n", accounts::plain()));
    server
}

/// The names in a list of hosts, sorted.
pub(crate) fn listed(run: &Finished) -> Vec<String> {
    run.sorted_lines().iter().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}
