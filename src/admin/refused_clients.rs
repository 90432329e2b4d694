//! Pure. Counts the requests to the admin listener that were refused because of their origin, and their
//! clients, for the log.

use std::collections::HashSet;
use std::time::Instant;

use crate::admission::client::ClientAddress;
use crate::telemetry::repeated_log_line::Repeated;

/// The most clients that are told apart. Guards the memory against refused requests from many addresses.
const MOST_CLIENTS: usize = 1000;

/// What was refused since the last log line.
#[derive(Debug, Default)]
pub(super) struct RefusedClients {
    requests: Repeated,
    clients: HashSet<ClientAddress>,
}

/// The numbers of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// The requests since the last line.
    pub(super) requests: u64,
    /// Their clients, at most [`MOST_CLIENTS`].
    pub(super) clients: usize,
}

impl RefusedClients {
    /// Counts a refused request. Returns the numbers of the log line, if one is due.
    pub(super) fn count(&mut self, client: ClientAddress, now: Instant) -> Option<Counted> {
        if self.clients.len() < MOST_CLIENTS {
            self.clients.insert(client);
        }
        let requests = self.requests.count(now)?;
        Some(Counted { requests, clients: std::mem::take(&mut self.clients).len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_line_counts_the_requests_and_the_clients_since_the_last_line() {
        let start = Instant::now();
        let mut refused = RefusedClients::default();
        let mut count = |number: u32, seconds: u64| {
            refused
                .count(ClientAddress::ip(number.to_be_bytes().into()), start + Duration::from_secs(seconds))
        };
        assert_eq!(count(1, 0), Some(Counted { requests: 1, clients: 1 }));
        assert_eq!([count(2, 1), count(2, 2), count(3, 59)], [None; 3]);
        assert_eq!(count(2, 60), Some(Counted { requests: 4, clients: 2 }));
        assert!((0..5000).all(|number| count(number, 61).is_none()));
        assert_eq!(count(9000, 120), Some(Counted { requests: 5001, clients: MOST_CLIENTS }));
    }
}
