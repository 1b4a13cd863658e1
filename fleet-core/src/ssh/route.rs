//! The stream to a host: straight to its address, through a `ProxyCommand`, or through jump hosts.
//!
//! Must not know keys, nor what is said on the stream.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::config::{HostConfig, Proxy};
use super::connector::{ConnectObserver, Connector};
use super::deadline::within;
use super::dial;
use super::error;
use super::jump::{JumpRoute, JumpStream};
use super::parameters::bind_address;
use super::proxy::{ProxyProcess, proxy_command};
use super::wire::ByteStream;
use crate::outcome::{HostError, Stage};

/// An observer for connections nobody watches: those to jump hosts.
struct Unobserved;

impl ConnectObserver for Unobserved {
    async fn stage(&self, _: Stage) {}
    async fn note(&self, text: String) {
        tracing::info!("{text}");
    }
}

/// A byte stream to a server and what it depends on.
pub(super) struct Dialled {
    pub(super) stream: Box<dyn ByteStream>,
    /// Open as long as this connection goes through it.
    pub(super) route: Option<JumpRoute>,
    /// The `ProxyCommand`; held here, it is not ended before it could say why it failed.
    pub(super) proxy: Option<Arc<ProxyProcess>>,
}

impl Connector {
    /// Opens the stream to the end of a route; `before` are the jump hosts on the way.
    pub(super) async fn dial(
        &self,
        config: &HostConfig,
        before: &[HostConfig],
        observer: &impl ConnectObserver,
    ) -> Result<Dialled, HostError> {
        let limit = self.stage_limit(config);
        if let Some(jump_host) = before.last() {
            observer.stage(Stage::Connect).await;
            let route = self.shared_session(before).await.map_err(|error| at_jump_host(jump_host, error))?;
            let opening = within(limit, Stage::Connect, route.direct_tcpip(&config.host_name, config.port));
            let channel = opening.await.map_err(|error| behind_jump_host(jump_host, error))?;
            return Ok(Dialled { stream: Box::new(JumpStream::new(channel)), route: Some(route), proxy: None });
        }
        if let Proxy::Command(command) = &config.proxy {
            observer.stage(Stage::Connect).await;
            let (stream, process) = proxy_command(command, self.settings.config.local().shell()).await?;
            return Ok(Dialled { stream: Box::new(stream), route: None, proxy: Some(process) });
        }
        observer.stage(Stage::Resolve).await;
        let looking_up = dial::resolve(&config.host_name, config.port, config.address_family);
        let addresses = within(limit, Stage::Resolve, looking_up).await?;
        observer.stage(Stage::Connect).await;
        let bind = bind_address(config)?;
        let stream: TcpStream =
            connect_attempts(config, || within(limit, Stage::Connect, dial::tcp(&addresses, bind))).await?;
        let keep_alive = SockRef::from(&stream).set_keepalive(config.tcp_keep_alive);
        keep_alive.map_err(|failure| error::from_connect(&failure))?;
        Ok(Dialled { stream: Box::new(stream), route: None, proxy: None })
    }

    /// The one session to the jump host at the end of `route`.
    fn shared_session<'a>(
        &'a self,
        route: &'a [HostConfig],
    ) -> Pin<Box<dyn Future<Output = Result<JumpRoute, HostError>> + Send + 'a>> {
        let hop = |config: &HostConfig| format!("{}@{}:{}", config.user, config.host_name, config.port);
        let key = route.iter().map(hop).collect::<Vec<_>>().join(",");
        Box::pin(async move { self.jump_hosts.route(&key, || self.connect_often(route, &Unobserved)).await })
    }
}

/// `ConnectionAttempts`, one a second as ssh(1) does.
async fn connect_attempts<T, F: Future<Output = Result<T, HostError>>>(
    config: &HostConfig,
    attempt: impl Fn() -> F,
) -> Result<T, HostError> {
    for _ in 1..config.connection_attempts {
        match attempt().await {
            Ok(stream) => return Ok(stream),
            Err(error) => tracing::info!(%error, "another attempt in a second"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    attempt().await
}

fn at_jump_host(hop: &HostConfig, error: HostError) -> HostError {
    let message = match error.message.starts_with("jump host ") {
        true => error.message,
        false => format!("jump host {}: {error}", hop.original),
    };
    HostError { stage: Stage::Connect, message, ..error }
}

fn behind_jump_host(hop: &HostConfig, error: HostError) -> HostError {
    HostError { message: format!("through jump host {}: {}", hop.original, error.message), ..error }
}
