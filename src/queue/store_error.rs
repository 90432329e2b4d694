//! Pure. Why a store does not open, does not do its work, or does not take an event.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// Why a store could not do its work.
#[derive(Debug)]
pub enum StoreError {
    /// The disk is full, or the store's limit is reached. The stored events are intact.
    Full,
    /// The store failed. It must be opened again before anything is acknowledged.
    Failed(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the store is full"),
            Self::Failed(_) => f.write_str("the store failed"),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Full => None,
            Self::Failed(error) => Some(&**error),
        }
    }
}

/// Why the queue does not take an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A limit of the store or the disk is reached: `queue_full`.
    Full,
    /// The store fails: `queue_unavailable`.
    Unavailable,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the queue is full",
            Self::Unavailable => "the queue's store is unavailable",
        })
    }
}

impl Error for Refused {}

/// Why a store cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process owns the store.
    InUse(PathBuf),
    /// A newer hookgate has written the store. Its schema has this version.
    Newer(PathBuf, i64),
    /// The linked library of the store is too old to be safe. The text is its version.
    OldLibrary(&'static str),
    /// The server of the store is too old. The text is its version.
    OldServer(PathBuf, String),
    /// The server of the store cannot be reached at the moment.
    Unreachable(PathBuf, Box<dyn Error + Send + Sync>),
    /// The server of the store refused a request.
    Server(PathBuf, Box<dyn Error + Send + Sync>),
    /// The store's library failed.
    Failed(PathBuf, Box<dyn Error + Send + Sync>),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => write!(f, "{} is in use by another hookgate", path.display()),
            Self::Newer(path, version) => {
                write!(f, "{} was written by a newer hookgate (schema version {version})", path.display())
            }
            Self::OldLibrary(version) => {
                write!(f, "SQLite {version} is too old: its write-ahead log can lose what was committed")
            }
            Self::OldServer(store, version) => {
                write!(f, "{} is PostgreSQL {version}: hookgate needs version 12 or later", store.display())
            }
            Self::Unreachable(store, _) => write!(f, "cannot reach the store {}", store.display()),
            Self::Server(store, _) | Self::Failed(store, _) => {
                write!(f, "cannot open the store {}", store.display())
            }
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::InUse(_) | Self::Newer(..) | Self::OldLibrary(_) | Self::OldServer(..) => None,
            Self::Unreachable(_, error) | Self::Server(_, error) | Self::Failed(_, error) => Some(&**error),
        }
    }
}
