//! Shell. The server of a store: connects sessions to it.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode};
use tokio_postgres::{Client, Config, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::debug;

use crate::config::{PostgresAddress, ServerTls};
use crate::queue::postgres::error::{Error, Result};
use crate::queue::postgres::{password, tls};

/// How long a host of the server may take to let a session begin, unless the URL says it (`connect_timeout`).
const HOST_PATIENCE: Duration = Duration::from_secs(5);

/// The server of a store.
#[derive(Clone, Debug)]
pub(super) struct Server {
    address: PostgresAddress,
}

impl Server {
    /// The server with this address.
    pub(super) fn of(address: &PostgresAddress) -> Self {
        Self { address: address.clone() }
    }

    /// Connects to the first host that takes the session. The runtime drives the connection. Files are read
    /// each time, so that a new password or a new authority needs no restart.
    pub(super) async fn connect(&self, runtime: &Runtime) -> Result<Client> {
        let mut config = self.address.connection.clone();
        if config.get_password().is_none()
            && let Some(password) = password::find(&self.address)?
        {
            config.password(&*password);
        }
        config.ssl_mode(match self.address.tls {
            ServerTls::Disable => SslMode::Disable,
            ServerTls::Prefer => SslMode::Prefer,
            ServerTls::Require | ServerTls::VerifyCa | ServerTls::VerifyFull => SslMode::Require,
        });
        let patience = config.get_connect_timeout().copied().unwrap_or(HOST_PATIENCE);
        let mut refused = Error::TimedOut;
        for host in hosts(&config) {
            // The client library bounds only the connection to the host, and a host that is frozen still
            // takes connections.
            let error = match timeout(patience, self.connect_to(&host, runtime)).await {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(error)) => error,
                Err(_elapsed) => Error::TimedOut,
            };
            // An error that a host has answered is kept: it says more than the error that another host
            // cannot be reached.
            if refused.is_unreachable() {
                refused = error;
            }
        }
        Err(refused)
    }

    async fn connect_to(&self, config: &Config, runtime: &Runtime) -> Result<Client> {
        match tls::settings(&self.address)? {
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                drive(runtime, connection);
                Ok(client)
            }
            Some(settings) => {
                let (client, connection) = config.connect(MakeRustlsConnect::new(settings)).await?;
                drive(runtime, connection);
                Ok(client)
            }
        }
    }
}

/// The same session with each host alone, in their order.
fn hosts(config: &Config) -> Vec<Config> {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = hosts.len().max(addresses.len());
    if count < 2 || config.get_load_balance_hosts() == LoadBalanceHosts::Random {
        return vec![config.clone()];
    }
    let of_host = |at: usize| {
        let mut one = Config::new();
        match hosts.get(at) {
            Some(Host::Tcp(name)) => drop(one.host(name)),
            Some(Host::Unix(folder)) => drop(one.host_path(folder)),
            None => {}
        }
        if let Some(address) = addresses.get(at) {
            one.hostaddr(*address);
        }
        if let Some(port) = ports.get(at).or(ports.first()) {
            one.port(*port);
        }
        if let Some(user) = config.get_user() {
            one.user(user);
        }
        if let Some(password) = config.get_password() {
            one.password(password);
        }
        if let Some(database) = config.get_dbname() {
            one.dbname(database);
        }
        if let Some(options) = config.get_options() {
            one.options(options);
        }
        if let Some(name) = config.get_application_name() {
            one.application_name(name);
        }
        if let Some(limit) = config.get_connect_timeout() {
            one.connect_timeout(*limit);
        }
        if let Some(limit) = config.get_tcp_user_timeout() {
            one.tcp_user_timeout(*limit);
        }
        if let Some(interval) = config.get_keepalives_interval() {
            one.keepalives_interval(interval);
        }
        if let Some(retries) = config.get_keepalives_retries() {
            one.keepalives_retries(retries);
        }
        one.keepalives(config.get_keepalives()).keepalives_idle(config.get_keepalives_idle());
        one.ssl_mode(config.get_ssl_mode()).ssl_negotiation(config.get_ssl_negotiation());
        one.target_session_attrs(config.get_target_session_attrs());
        one.channel_binding(config.get_channel_binding());
        one
    };
    (0..count).map(of_host).collect()
}

fn drive<S, T>(runtime: &Runtime, connection: Connection<S, T>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    runtime.spawn(async move {
        if let Err(error) = connection.await {
            // The statement that waits for an answer fails, and its caller reports the failure.
            debug!(%error, "the connection to PostgreSQL has ended");
        }
    });
}
