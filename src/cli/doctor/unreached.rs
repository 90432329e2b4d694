//! Pure. Why no connection came about.

use std::io::ErrorKind;

/// Why no connection came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreached {
    /// Nobody listens.
    Refused,
    /// There is no file of a socket.
    NoSocket,
    /// This user may not.
    Denied,
    /// Nobody answered in time.
    TimedOut,
    /// The system's words for the rest.
    Other(String),
}

impl Unreached {
    /// What an error of this kind, told in these words, means.
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
