//! Pure. The parts that a server needs in order to run.

use std::fmt;

/// A part that a server needs in order to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerPart {
    /// A worker's thread.
    Worker,
    /// The accept loop of one listener.
    AcceptLoop,
    /// The thread that writes the log.
    Log,
    /// The thread that reloads the configuration.
    Reload,
    /// The diagnosis thread.
    Diagnosis,
    /// The admin listener.
    Admin,
    /// The thread that writes the queue's store.
    Queue,
    /// The thread that delivers stored events.
    Delivery,
    /// The thread that orders certificates.
    Acme,
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
            Self::Queue => "the queue",
            Self::Delivery => "the deliveries",
            Self::Acme => "the orders of certificates",
        })
    }
}
