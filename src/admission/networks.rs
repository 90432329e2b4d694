//! Pure. The networks from which senders deliver webhooks, as named sets. A set is a file in `networks/`.
//!
//! The files are copies of lists that the senders publish. The date of a file is the day of the sender's
//! announcement, or of the public copy from which the list was taken. The gateway does not fetch these lists.
//! So a set goes out of date when its sender adds an address.

use crate::admission::client::Network;

/// The published networks of a sender.
#[derive(Debug, PartialEq, Eq)]
pub struct NetworkSet {
    /// The set's name: the name of a scheme, or the name of a scheme with `-` and more text.
    pub name: &'static str,
    text: &'static str,
}

macro_rules! set {
    ($name:literal) => {
        NetworkSet { name: $name, text: include_str!(concat!("networks/", $name, ".txt")) }
    };
}

/// All sets, in the order of their names.
pub static NETWORK_SETS: [NetworkSet; 8] = [
    set!("github"),
    set!("gitlab"),
    set!("linear"),
    set!("paddle"),
    set!("paddle-sandbox"),
    set!("pagerduty"),
    set!("stripe"),
    set!("svix"),
];

impl NetworkSet {
    /// The set with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        NETWORK_SETS.iter().find(|set| set.name == name)
    }

    /// Where the sender publishes the list.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.heading("# source: ")
    }

    /// The day of the copy, as `YYYY-MM-DD`.
    #[must_use]
    pub fn date(&self) -> &'static str {
        self.heading("# date: ")
    }

    /// The networks.
    pub fn networks(&self) -> impl Iterator<Item = Network> {
        self.lines().filter_map(Network::parse)
    }

    /// The networks, as written in the file.
    pub fn lines(&self) -> impl Iterator<Item = &'static str> {
        self.text.lines().filter(|line| !line.starts_with('#'))
    }

    fn heading(&self, mark: &str) -> &'static str {
        self.text.lines().find_map(|line| line.strip_prefix(mark)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::scheme::PRESETS;
    use std::collections::BTreeSet;
    use std::net::IpAddr;

    #[test]
    fn every_file_is_a_set_and_every_set_is_of_a_known_sender() {
        let names: Vec<_> = NETWORK_SETS.iter().map(|set| set.name).collect();
        assert!(names.is_sorted());
        for name in &names {
            let sender = |preset: &str| {
                *name == preset || name.strip_prefix(preset).is_some_and(|rest| rest.starts_with('-'))
            };
            assert!(PRESETS.iter().any(|scheme| sender(&scheme.name)), "{name}");
            assert_eq!(NetworkSet::named(name).map(|set| set.name), Some(*name));
        }
        let files: BTreeSet<String> = std::fs::read_dir("src/admission/networks")
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(files, names.iter().map(|name| format!("{name}.txt")).collect());
    }

    #[test]
    fn every_set_says_where_it_is_from_and_of_which_day() {
        for set in &NETWORK_SETS {
            let (first, second) = set.text.split_once('\n').unwrap();
            assert_eq!(first, format!("# source: {}", set.source()));
            assert!(second.starts_with(&format!("# date: {}\n", set.date())), "{}", set.name);
            assert!(set.source().starts_with("https://"), "{}", set.name);
            assert!(set.date().parse::<jiff::civil::Date>().is_ok(), "{}", set.name);
            assert_eq!(set.date().len(), 10, "{}", set.name);
        }
    }

    #[test]
    fn every_line_is_a_network_in_its_canonical_form_and_stands_once() {
        for set in &NETWORK_SETS {
            let lines: Vec<_> = set.lines().collect();
            assert!(!lines.is_empty());
            assert_eq!(set.networks().count(), lines.len(), "{}", set.name);
            assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), lines.len(), "{}", set.name);
            for line in lines {
                let canonical = line
                    .parse::<IpAddr>()
                    .map(|address| address.to_string())
                    .or_else(|_| line.parse::<ipnet::IpNet>().map(|network| network.to_string()));
                assert_eq!(canonical.as_deref(), Ok(line), "{}", set.name);
                assert!(!Network::parse(line).unwrap().is_everything(), "{}", set.name);
            }
        }
    }

    #[test]
    fn a_set_contains_the_addresses_of_its_sender_and_no_other() {
        use crate::admission::client::ClientAddress;
        let client = ClientAddress::ip([140, 82, 115, 10].into());
        let contains = |name| NetworkSet::named(name).unwrap().networks().any(|net| net.contains(client));
        assert!(contains("github"));
        assert!(!contains("stripe"));
    }
}
