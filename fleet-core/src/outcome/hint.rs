//! What to do next about each kind of outcome.
//!
//! Words only. Must not decide anything.

use super::{FailureClass, Outcome, Stage, Stop, StopCause};

impl Stage {
    fn timeout_hint(self) -> &'static str {
        match self {
            Self::Resolve => "the name server does not answer: check DNS on this machine",
            Self::Connect => {
                "the host is down, or a firewall (security group) drops packets to this port; else raise --connect-timeout"
            }
            Self::Banner => {
                "the port is open but silent: the host is overloaded, or something else than sshd listens there"
            }
            Self::KeyExchange => {
                "the host is overloaded, or the path drops large packets (MTU); else raise --connect-timeout"
            }
            Self::Authenticate => {
                "the server is slow to decide: often DNS or directory look-ups (UseDNS, PAM, LDAP) on the host"
            }
            Self::Channel => "the login worked but nothing starts: check load, memory and process limits on the host",
            Self::Command => "raise --timeout if it needs longer",
        }
    }
}

impl FailureClass {
    /// What to do next about a failure of this class at `stage`.
    #[must_use]
    pub fn hint(self, stage: Stage) -> &'static str {
        match self {
            Self::Resolve => "check the spelling, or give the address with HostName in ssh_config",
            Self::Refused => "check that sshd runs there and listens on this port",
            Self::Unreachable => "check the address, and the network or VPN between here and there",
            Self::Timeout => stage.timeout_hint(),
            Self::Gone => {
                "it was in an answer of the provider that was kept: the next run takes the hosts of the new one"
            }
            Self::Moved => "its new address is known now: run it again for these hosts",
            Self::Banner => {
                "check that the port is that of sshd; if only some hosts fail, sshd may drop logins (MaxStartups): lower --parallel"
            }
            Self::KeyExchange => {
                "the server may offer only old algorithms: allow one with -O KexAlgorithms=+NAME (or Ciphers, MACs, HostKeyAlgorithms)"
            }
            Self::HostKey => {
                "compare the key with one you trust; for hosts never seen before, --host-key accept-new stores it"
            }
            Self::Auth => {
                "check the user (-l), and that the authorized_keys of this user on the host hold one of these keys (--identity, ssh-add -l)"
            }
            Self::Channel => "the login worked: check MaxSessions, ForceCommand and the user's shell on the server",
            Self::Sudo => "try it on the host with sudo -v, and look at what sudoers allows there (sudo -l)",
            Self::Copy => "put right what it says there; --resume last goes on with these hosts",
            Self::Service => "fleet svc logs NAME shows what it has said; fleet svc ls lists what the host has",
            Self::Incomplete => {
                "the others are here; --sudo reads as root, and another run fetches only what is missing"
            }
            Self::Lost => {
                "the host may have restarted, or the network failed: the command may have run, or may still run"
            }
            Self::Local => "the cause is on this machine: put it right and run again for these hosts",
        }
    }
}

impl Outcome {
    /// What to do next, for hosts with this outcome; `None` on success.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Exited(0) => return None,
            Self::Exited(code) => exit_code_hint(*code),
            Self::Signalled(signal) if signal == "KILL" => {
                "often the kernel for lack of memory: look for \"Out of memory\" in dmesg on the host"
            }
            Self::Signalled(_) => "something on the host sent the signal, or the program crashed: look in its log",
            Self::Stopped { stop: Stop::Unconfirmed(_), .. } => {
                "look for what is left on the host, with ps -ef, before running it again"
            }
            Self::Stopped { cause: StopCause::Timeout(_), .. } => "raise --timeout if the command needs longer",
            Self::Stopped { cause: StopCause::Straggler { .. }, .. } => {
                "far behind the others: look at the load of the host, or raise the percentage of --timeout"
            }
            Self::Stopped { cause: StopCause::Stall(_), .. } => "raise --stall if the command may be silent for longer",
            Self::Stopped { cause: StopCause::Untaken(_), .. } => "raise --stall if the host may be busy for longer",
            Self::Stopped { cause: StopCause::Cancelled, .. } => {
                "what the command did until then stays: check, then run it again"
            }
            Self::Running => "what it has printed so far is here; ask again later, or wait for its end with --wait",
            Self::NotReady(_) => {
                "look there at what should be ready, as with psh or fleet svc logs, or raise --timeout if it needs longer"
            }
            Self::Failed(error) => {
                return Some(error.hint.clone().unwrap_or_else(|| error.class.hint(error.stage).into()));
            }
            Self::Skipped(_) => "--resume last goes on with these hosts",
        };
        Some(hint.to_owned())
    }
}

/// The meaning that POSIX shells give to exit codes (POSIX.1-2024, Shell Command Language, 2.8.2).
fn exit_code_hint(code: u32) -> &'static str {
    match code {
        126 => "the command is there but cannot be executed: check its mode and its interpreter",
        127 => "command not found: install it, or give its full path (PATH is that of a non-interactive shell)",
        129..=192 => "a process within the command was ended by signal (code - 128); 137 is often lack of memory",
        _ => "the command itself failed: its output says why",
    }
}
