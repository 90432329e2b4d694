//! Pure. Classifies errors of the server.

use thiserror::Error;
use tokio_postgres::error::SqlState;

use crate::queue::store::StoreError;

/// Why a statement was not executed.
#[derive(Debug, Error)]
pub(super) enum Error {
    /// The server refused the statement, or the connection broke.
    #[error("PostgreSQL")]
    Server(#[from] tokio_postgres::Error),
    /// The server did not answer in time.
    #[error("PostgreSQL did not answer in time")]
    TimedOut,
    /// A thread of this process has no runtime for the connection.
    #[error("no runtime for the connection to PostgreSQL")]
    Runtime(#[source] std::io::Error),
    /// The files for TLS cannot be read, or are not usable.
    #[error("TLS to PostgreSQL")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The file with the password cannot be read.
    #[error("cannot read the password for PostgreSQL from {}", .0.display())]
    Password(std::path::PathBuf, #[source] std::io::Error),
    /// The database cannot hold every text.
    #[error(
        "the database has the encoding {0}: make it with `createdb --template template0 --encoding UTF8`"
    )]
    Encoding(String),
    /// A row has a value that this code never writes.
    #[error("a row of the store has an unknown value")]
    Value,
}

/// The result of work on the server.
pub(super) type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn state(&self) -> Option<&SqlState> {
        match self {
            Self::Server(error) => error.code(),
            Self::TimedOut
            | Self::Runtime(_)
            | Self::Tls(_)
            | Self::Password(..)
            | Self::Encoding(_)
            | Self::Value => None,
        }
    }

    /// Whether the same transaction may succeed if it is tried again: another transaction conflicted with it.
    pub(super) fn is_conflict(&self) -> bool {
        let conflicts = [&SqlState::T_R_DEADLOCK_DETECTED, &SqlState::T_R_SERIALIZATION_FAILURE];
        self.state().is_some_and(|state| conflicts.contains(&state))
    }

    /// Whether the error concerns only one unreadable value, on an intact connection.
    pub(super) fn is_of_value(&self) -> bool {
        match self {
            Self::Value => true,
            // An error of the server has a code. A broken connection has a source of its own. All other
            // errors are columns that this code cannot read.
            Self::Server(error) => error.code().is_none() && !error.is_closed() && is_conversion(error),
            Self::TimedOut | Self::Runtime(_) | Self::Tls(_) | Self::Password(..) | Self::Encoding(_) => {
                false
            }
        }
    }

    /// Whether the server cannot be reached, or is starting or stopping.
    pub(super) fn is_unreachable(&self) -> bool {
        let starting = [
            &SqlState::CANNOT_CONNECT_NOW,
            &SqlState::ADMIN_SHUTDOWN,
            &SqlState::CRASH_SHUTDOWN,
            &SqlState::TOO_MANY_CONNECTIONS,
        ];
        match self {
            Self::TimedOut => true,
            Self::Server(error) if is_of_certificate(error) => false,
            Self::Server(error) => error.code().is_none_or(|state| starting.contains(&state)),
            Self::Runtime(_) | Self::Tls(_) | Self::Password(..) | Self::Encoding(_) | Self::Value => false,
        }
    }
}

/// Whether the server's certificate was refused. A later attempt meets the same certificate.
fn is_of_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let refused = |error: &rustls::Error| matches!(error, rustls::Error::InvalidCertificate(_));
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<rustls::Error>().is_some_and(refused) {
            return true;
        }
        // The source of an error of the system is the source of its content, not its content.
        let content = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if content.is_some_and(|content| is_of_certificate(content)) {
            return true;
        }
        next = error.source();
    }
    false
}

fn is_conversion(error: &tokio_postgres::Error) -> bool {
    error.to_string().starts_with("error deserializing column")
}

impl From<Error> for StoreError {
    /// After a full disk of the server, the store is intact. Any other error is a failure.
    fn from(error: Error) -> Self {
        if error.state() == Some(&SqlState::DISK_FULL) { Self::Full } else { Self::Failed(Box::new(error)) }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustls::CertificateError;

    use super::*;

    #[test]
    fn a_refused_certificate_is_found_in_an_error_of_the_system() {
        let refused = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert!(is_of_certificate(&io::Error::new(io::ErrorKind::InvalidData, refused)));
        let other = rustls::Error::HandshakeNotComplete;
        assert!(!is_of_certificate(&io::Error::new(io::ErrorKind::InvalidData, other)));
        assert!(!is_of_certificate(&io::Error::from(io::ErrorKind::ConnectionRefused)));
    }
}
