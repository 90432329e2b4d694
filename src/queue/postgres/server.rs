//! Shell. The server of a store: connects sessions to it.

use tokio::runtime::Runtime;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::debug;

use crate::config::{PostgresAddress, ServerTls};
use crate::queue::postgres::error::Result;
use crate::queue::postgres::{password, tls};

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

    /// Connects. The runtime drives the connection. The files are read each time, so a new password or a new
    /// authority needs no restart.
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
