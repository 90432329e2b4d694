//! Pure. The parts that a server has to have for as long as it serves.

use std::fmt;

/// A part of the server that has to be there for as long as it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerPart {
    /// A worker's thread.
    Worker,
    /// What accepts the connections of one listener.
    AcceptLoop,
    /// The thread that writes the log.
    Log,
    /// The thread that reloads the configuration.
    Reload,
    /// The thread that looks for the causes of mismatches.
    Diagnosis,
    /// The admin listener.
    Admin,
}

impl fmt::Display for ServerPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Worker => "a worker",
            Self::AcceptLoop => "an accept loop",
            Self::Log => "the log",
            Self::Reload => "the reload",
            Self::Diagnosis => "the diagnosis",
            Self::Admin => "the admin listener",
        })
    }
}
