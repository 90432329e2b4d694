//! Pure. The clients of the requests of one connection, as a trusted proxy reports them, and the client that
//! the whole connection counts for.

use crate::admission::client::ClientAddress;

/// The clients of the requests that are under way, with the number of their requests. At most
/// [`MOST_REQUESTS`](crate::http2::limits::MOST_REQUESTS) requests of a connection are under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamClients(Vec<(ClientAddress, usize)>);

impl StreamClients {
    /// Adds a request of this client.
    pub(crate) fn add(&mut self, client: ClientAddress) {
        match self.0.iter_mut().find(|(known, _)| *known == client) {
            Some((_, requests)) => *requests = requests.saturating_add(1),
            None => self.0.push((client, 1)),
        }
    }

    /// Removes a request of this client.
    pub(crate) fn remove(&mut self, client: ClientAddress) {
        for (known, requests) in &mut self.0 {
            if *known == client {
                *requests = requests.saturating_sub(1);
            }
        }
        self.0.retain(|(_, requests)| *requests > 0);
    }

    /// The client that the connection counts for: the client of all requests under way, or the proxy if they
    /// have several clients. A client thus never moves the connection of other clients' requests to its own
    /// group, where it would be evicted earlier. `None` if no request is under way: the connection stays
    /// where it is.
    pub(crate) fn owner(&self, proxy: ClientAddress) -> Option<ClientAddress> {
        let (first, rest) = self.0.split_first()?;
        let is_shared = rest.iter().any(|(client, _)| client.group() != first.0.group());
        Some(if is_shared { proxy } else { first.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> ClientAddress {
        ClientAddress::ip(text.parse().unwrap())
    }

    #[test]
    fn a_connection_counts_for_the_only_client_of_its_requests_and_else_for_the_proxy() {
        let (proxy, one, other) = (client("10.0.0.1"), client("203.0.113.1"), client("203.0.113.2"));
        let mut clients = StreamClients::default();
        assert_eq!(clients.owner(proxy), None);
        for (change, is_added, owner) in [
            (one, true, Some(one)),
            (one, true, Some(one)),
            (other, true, Some(proxy)),
            (one, false, Some(proxy)),
            (one, false, Some(other)),
            (one, false, Some(other)),
            (other, false, None),
        ] {
            if is_added {
                clients.add(change);
            } else {
                clients.remove(change);
            }
            assert_eq!(clients.owner(proxy), owner, "{change} {is_added}");
        }
    }

    #[test]
    fn addresses_of_one_group_are_one_client() {
        let (proxy, one, other) = (client("10.0.0.1"), client("2001:db8::1"), client("2001:db8::2"));
        let mut clients = StreamClients::default();
        clients.add(one);
        clients.add(other);
        assert_eq!(clients.owner(proxy).map(ClientAddress::group), Some(one.group()));
    }
}
