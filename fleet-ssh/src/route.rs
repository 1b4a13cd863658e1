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
use super::handshake::TryError;
use super::jump::{JumpRoute, JumpStream};
use super::pacing::Try;
use super::parameters::bind_address;
use super::proxy::{ProxyProcess, proxy_command};
use super::wire::ByteStream;
use fleet_core::outcome::{FailureClass, HostError, Stage};
use fleet_core::pace::Gate;

/// An observer for connections nobody watches: those to jump hosts.
struct Unobserved;

impl ConnectObserver for Unobserved {
    async fn stage(&self, _: Stage) {}
    async fn note(&self, text: String) {
        tracing::info!("{text}");
    }
}

/// A jump host that we are logged in to.
pub(super) struct Jump<'a> {
    host: &'a HostConfig,
    session: JumpRoute,
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
    /// Opens the stream to `config`'s host, through the `jump` host if there is one.
    pub(super) async fn dial(
        &self,
        config: &HostConfig,
        jump: Option<Jump<'_>>,
        observer: &impl ConnectObserver,
        paced: &Try,
    ) -> Result<Dialled, TryError> {
        let limit = self.stage_limit(config);
        if let Some(Jump { host, session }) = jump {
            let opening = async { Ok(session.direct_tcpip(&config.host_name, config.port).await) };
            let opened = within(limit, Stage::Connect, opening).await.map_err(TryError::from).flatten();
            let channel = opened.map_err(|TryError { error, may_retry }| TryError {
                error: behind_jump_host(host, error),
                may_retry,
            })?;
            return Ok(Dialled { stream: Box::new(JumpStream::new(channel)), route: Some(session), proxy: None });
        }
        if let Proxy::Command(command) = &config.proxy {
            observer.stage(Stage::Connect).await;
            let (stream, process) = proxy_command(command, self.settings.config.local().shell(), paced).await?;
            return Ok(Dialled { stream: Box::new(stream), route: None, proxy: Some(process) });
        }
        observer.stage(Stage::Resolve).await;
        let looking_up = dial::resolve(&config.host_name, config.port, config.address_family, paced);
        let addresses = self.within_means(limit, Stage::Resolve, paced, looking_up).await?;
        observer.stage(Stage::Connect).await;
        let bind = bind_address(config)?;
        let stream: TcpStream = connect_attempts(config, || {
            self.within_means(limit, Stage::Connect, paced, dial::tcp(&addresses, bind, paced))
        })
        .await?;
        let keep_alive = SockRef::from(&stream).set_keepalive(config.tcp_keep_alive);
        keep_alive.map_err(|failure| error::from_connect(&failure))?;
        Ok(Dialled { stream: Box::new(stream), route: None, proxy: None })
    }

    /// The session to the last of the jump hosts `before` a host, if there are any, and the gate in front of it.
    pub(super) async fn jump<'a>(
        &self,
        before: &'a [HostConfig],
        observer: &impl ConnectObserver,
    ) -> Result<Option<(Jump<'a>, Arc<Gate>)>, HostError> {
        let Some(host) = before.last() else { return Ok(None) };
        observer.stage(Stage::Connect).await;
        let session = self.shared_session(before).await.map_err(|error| at_jump_host(host, error))?;
        Ok(Some((Jump { host, session }, self.jump_hosts.gate(&chain_of(before)))))
    }

    /// The one session to the jump host at the end of `route`.
    fn shared_session<'a>(
        &'a self,
        route: &'a [HostConfig],
    ) -> Pin<Box<dyn Future<Output = Result<JumpRoute, HostError>> + Send + 'a>> {
        let key = chain_of(route);
        Box::pin(async move { self.jump_hosts.route(&key, || self.connect_often(route, &Unobserved, None)).await })
    }

    /// Does `work`, or gives up on `stage` after `limit`. The time in which other sessions hold all our file
    /// descriptors is not the host's.
    async fn within_means<T>(
        &self,
        limit: Option<Duration>,
        stage: Stage,
        paced: &Try,
        work: impl Future<Output = Result<T, HostError>>,
    ) -> Result<T, HostError> {
        let mut work = std::pin::pin!(work);
        loop {
            match within(limit, stage, &mut work).await {
                Err(error) if error.class == FailureClass::Timeout && paced.take_shortage() => {
                    if Arc::strong_count(&self.spool_budget) == 1 {
                        let message = "no file descriptor is free on this machine";
                        let error = HostError::new(stage, FailureClass::Local, message);
                        return Err(error.with_hint("raise the limit of open files (ulimit -n)"));
                    }
                }
                result => return result,
            }
        }
    }
}

/// What the jump hosts at the end of the same `route` are known by.
fn chain_of(route: &[HostConfig]) -> String {
    let hop = |config: &HostConfig| format!("{}@{}:{}", config.user, config.host_name, config.port);
    route.iter().map(hop).collect::<Vec<_>>().join(",")
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
