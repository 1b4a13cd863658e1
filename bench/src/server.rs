//! OpenSSH servers on loopback that stand in for the hosts: many addresses, one port, one host key.
//!
//! Must not know what is run on them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::error::BenchError;
use crate::tools::{find_program, run_to_end};

/// `MAX_LISTEN_SOCKS` of OpenSSH's sshd.c: a server does not listen on more addresses.
const ADDRESSES_PER_SERVER: usize = 16;

/// Where sshd changes its root to before authentication; it refuses to start without, and only boot scripts make it.
const PRIVILEGE_SEPARATION_DIR: &str = "/run/sshd";

/// How long a server may take to answer.
const START_UP: Duration = Duration::from_secs(20);

/// The running servers. They are stopped by whoever ends the descendants of this process.
#[derive(Debug)]
pub(crate) struct Servers {
    listeners: Vec<Child>,
    addresses: Vec<Ipv4Addr>,
    port: u16,
}

impl Servers {
    /// Starts servers with their files in `folder`, for `count` hosts that accept the key in `authorized_keys`. `more` is
    /// what else is to stand in their configuration.
    pub(crate) async fn start(
        folder: &Path,
        count: u16,
        authorized_keys: &Path,
        more: &str,
    ) -> Result<Self, BenchError> {
        let sshd = find_program("sshd").ok_or(BenchError::MissingProgram("sshd"))?;
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all(PRIVILEGE_SEPARATION_DIR).map_err(BenchError::file(PRIVILEGE_SEPARATION_DIR))?;
        }
        let addresses = addresses(std::process::id(), count);
        let port = free_port(addresses[0])?;
        let mut servers = Self { listeners: Vec::new(), addresses, port };
        for (number, addresses) in servers.addresses.chunks(ADDRESSES_PER_SERVER).enumerate() {
            let config = folder.join(format!("sshd_config{number}"));
            let text = configuration(&host_key(folder), authorized_keys, addresses, port) + more;
            fs::write(&config, text).map_err(BenchError::file(&config))?;
            servers.listeners.push(spawn(&sshd, &config, &log(folder))?);
        }
        for addresses in servers.addresses.chunks(ADDRESSES_PER_SERVER) {
            // It answers on one address only after it has taken all of them.
            await_server(SocketAddrV4::new(addresses[0], port), &log(folder)).await?;
        }
        Ok(servers)
    }

    /// The hosts' addresses.
    pub(crate) fn addresses(&self) -> &[Ipv4Addr] {
        &self.addresses
    }

    /// The port of every host.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The processes that listen; below each are its sessions.
    pub(crate) fn pids(&self) -> Vec<i32> {
        self.listeners.iter().filter_map(|child| i32::try_from(child.id()).ok()).collect()
    }
}

/// The private host key of all hosts.
pub(crate) fn host_key(folder: &Path) -> PathBuf {
    folder.join("host_key")
}

/// Makes an ed25519 key pair at `path` and `path.pub`, and returns the public key without its comment.
pub(crate) fn generate_key(path: &Path) -> Result<String, BenchError> {
    run_to_end(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path))?;
    public_key(path)
}

/// The public half of the key pair at `path`, without its comment.
pub(crate) fn public_key(path: &Path) -> Result<String, BenchError> {
    let public = path.with_extension("pub");
    let text = fs::read_to_string(&public).map_err(BenchError::file(&public))?;
    Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// The lines of a `known_hosts` file for hosts with one key.
pub(crate) fn known_hosts(addresses: &[Ipv4Addr], port: u16, key: &str) -> String {
    addresses.iter().map(|address| format!("[{address}]:{port} {key}\n")).collect()
}

fn log(folder: &Path) -> PathBuf {
    folder.join("sshd.log")
}

/// `count` addresses, of networks that other benchmarks at the same time are not likely to use.
fn addresses(seed: u32, count: u16) -> Vec<Ipv4Addr> {
    const HOSTS_PER_NETWORK: u32 = 250;
    let address = |number: u32| {
        let part = |value: u32| u8::try_from(value % 250 + 2).expect("less than 252");
        let network = seed.wrapping_add(number / HOSTS_PER_NETWORK);
        let host = u8::try_from(number % HOSTS_PER_NETWORK + 1).expect("at most 250");
        Ipv4Addr::new(127, part(network / 250), part(network), host)
    };
    (0..u32::from(count)).map(address).collect()
}

/// A port that is free at this address now.
fn free_port(address: Ipv4Addr) -> Result<u16, BenchError> {
    let bound = TcpListener::bind((address, 0)).and_then(|listener| listener.local_addr());
    bound.map(|bound| bound.port()).map_err(|source| BenchError::Port { address, source })
}

fn configuration(host_key: &Path, authorized_keys: &Path, addresses: &[Ipv4Addr], port: u16) -> String {
    let listen: String = addresses.iter().map(|address| format!("ListenAddress {address}\n")).collect();
    format!(
        "Port {port}\n\
         {listen}\
         HostKey {host_key}\n\
         AuthorizedKeysFile {authorized_keys}\n\
         MaxStartups 4000\n\
         StrictModes no\n\
         UsePAM no\n\
         PasswordAuthentication no\n\
         KbdInteractiveAuthentication no\n\
         PidFile none\n\
         PrintMotd no\n\
         PrintLastLog no\n\
         UseDNS no\n",
        host_key = host_key.display(),
        authorized_keys = authorized_keys.display(),
    )
}

fn spawn(sshd: &Path, config: &Path, log: &Path) -> Result<Child, BenchError> {
    let mut command = Command::new(sshd);
    command.arg("-D").arg("-f").arg(config).arg("-E").arg(log);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Ctrl-C is for us: we end them.
    command.process_group(0);
    command.spawn().map_err(|source| BenchError::Spawn { program: sshd.display().to_string(), source })
}

async fn await_server(address: SocketAddrV4, log: &Path) -> Result<(), BenchError> {
    let answered = async {
        while !says_ssh(address).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(START_UP, answered).await.map_err(|_| BenchError::ServerSilent {
        address,
        waited: START_UP,
        log: fs::read_to_string(log).unwrap_or_default(),
    })
}

async fn says_ssh(address: SocketAddrV4) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else { return false };
    let mut start = [0; 4];
    stream.read_exact(&mut start).await.is_ok() && start == *b"SSH-"
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_host_has_a_loopback_address_of_its_own() {
        for seed in [0, 1, 61_999, u32::MAX] {
            let addresses = addresses(seed, 1000);
            assert!(addresses.iter().all(|address| address.octets()[0] == 127 && *address != Ipv4Addr::LOCALHOST));
            assert_eq!(addresses.iter().collect::<HashSet<_>>().len(), 1000, "seed {seed}");
        }
    }

    #[test]
    fn server_listens_on_the_given_addresses_only() {
        let addresses = [Ipv4Addr::new(127, 9, 9, 1), Ipv4Addr::new(127, 9, 9, 2)];
        let text = configuration(Path::new("/k"), Path::new("/a"), &addresses, 2200);
        let listen: Vec<&str> = text.lines().filter(|line| line.starts_with("ListenAddress")).collect();
        assert_eq!(listen, ["ListenAddress 127.9.9.1", "ListenAddress 127.9.9.2"]);
    }

    #[test]
    fn every_host_is_known_at_its_port() {
        let addresses = [Ipv4Addr::new(127, 9, 9, 1), Ipv4Addr::new(127, 9, 9, 2)];
        let lines = "[127.9.9.1]:2200 ssh-ed25519 AAAA\n[127.9.9.2]:2200 ssh-ed25519 AAAA\n";
        assert_eq!(known_hosts(&addresses, 2200, "ssh-ed25519 AAAA"), lines);
    }
}
