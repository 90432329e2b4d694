//! Pure. Why a connection could not be established.

use std::io::ErrorKind;

/// Why a connection could not be established.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreached {
    /// Nothing listens.
    Refused,
    /// The socket's file does not exist.
    NoSocket,
    /// This user has no permission.
    Denied,
    /// The time is over.
    TimedOut,
    /// Another error, in the system's words.
    Other(String),
}

impl Unreached {
    /// Converts an error of this kind, with this text.
    pub(super) fn of(kind: ErrorKind, text: &str) -> Self {
        if kind == ErrorKind::ConnectionRefused {
            Self::Refused
        } else if kind == ErrorKind::NotFound {
            Self::NoSocket
        } else if kind == ErrorKind::PermissionDenied {
            Self::Denied
        } else if kind == ErrorKind::TimedOut {
            Self::TimedOut
        } else {
            Self::Other(text.to_owned())
        }
    }
}
