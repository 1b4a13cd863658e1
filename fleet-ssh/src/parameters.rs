//! What the configuration of a host means for the protocol: russh's settings, methods, keep-alives.
//!
//! Pure. Must not connect.

use std::net::IpAddr;
use std::time::Duration;

use russh::client;

use super::algorithms;
use super::auth::Method;
use super::config::{HostConfig, Proxy};
use super::host_key::HostKeyCheck;
use super::session::Liveness;
use fleet_core::outcome::{FailureClass, HostError, Stage};

/// Bytes a server may send on a channel before we have read any.
const WINDOW_BYTES: u32 = 2 << 20;
/// Messages of a channel that wait for its reader.
const CHANNEL_MESSAGES: usize = 32;
/// Keep-alives where the configuration says nothing: a host that dies must not hold a run for ever.
const DEFAULT_LIVENESS: Liveness = Liveness { interval: Duration::from_secs(30), count: 3 };

/// How many file descriptors a session takes: its way to the server, and a temporary file for output that nobody takes
/// yet.
pub(super) fn descriptors(proxy: &Proxy) -> u64 {
    const TEMPORARY_FILE: u64 = 1;
    TEMPORARY_FILE
        + match proxy {
            // A socket. The many behind a jump host have none, and pay for their jump host's with it.
            Proxy::Direct | Proxy::Jump(_) => 1,
            // Three pipes and, on Linux, the process.
            Proxy::Command(_) => 4,
        }
}

pub(super) fn bind_address(config: &HostConfig) -> Result<Option<IpAddr>, HostError> {
    let Some(text) = &config.bind_address else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let message = format!("BindAddress \"{text}\" is not an address of this machine");
        HostError::new(Stage::Connect, FailureClass::Local, message)
    })
}

/// The methods that the configuration allows, in its order (`PreferredAuthentications`) or ssh(1)'s.
pub(super) fn methods(config: &HostConfig) -> Vec<Method> {
    let allowed = |method: &Method| match method {
        Method::PublicKey => config.pubkey_authentication,
        Method::KeyboardInteractive => config.kbd_interactive_authentication,
        Method::Password => config.password_authentication,
    };
    let usual = Method::USUAL.into_iter().filter(allowed);
    match &config.preferred_authentications {
        None => usual.collect(),
        Some(names) => {
            let usual: Vec<Method> = usual.collect();
            names.iter().filter_map(|name| usual.iter().copied().find(|method| method.name() == name)).collect()
        }
    }
}

pub(super) fn client_config(config: &HostConfig, host_key: &HostKeyCheck) -> client::Config {
    let wanted = algorithms::host_keys(config.host_key_algorithms.as_ref());
    let ordered = host_key.known_hosts.order_algorithms(&host_key.name, &wanted);
    let certificates = match host_key.known_hosts.has_certificate_authority(&host_key.name) {
        true => ordered.clone(),
        false => Vec::new(),
    };
    client::Config {
        window_size: WINDOW_BYTES,
        channel_buffer_size: CHANNEL_MESSAGES,
        preferred: algorithms::preferred(config, ordered, certificates),
        // Silence is judged by `Session::until_silent`, which knows when we are the ones who do not read.
        keepalive_interval: liveness(config).map(|liveness| liveness.interval),
        keepalive_max: 0,
        inactivity_timeout: None,
        nodelay: true,
        ..client::Config::default()
    }
}

/// ssh(1) never asks unless told to; a fleet tool that is not told otherwise does, so that a host that dies does not hold
/// a run for ever.
pub(super) fn liveness(config: &HostConfig) -> Option<Liveness> {
    match config.server_alive_interval {
        None => Some(DEFAULT_LIVENESS),
        Some(Duration::ZERO) => None,
        Some(interval) => Some(Liveness { interval, count: config.server_alive_count_max }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_over_a_proxy_command_takes_its_pipes_too() {
        for (proxy, expected) in [(Proxy::Direct, 2), (Proxy::Jump(vec![]), 2), (Proxy::Command("nc".into()), 5)] {
            assert_eq!(descriptors(&proxy), expected, "{proxy:?}");
        }
    }
}
