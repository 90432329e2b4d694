//! Pure. How a database finds the events that match a filter. Each store writes the SQL of the search.

use crate::queue::listing::{Failure, Filter};
use crate::queue::row_values::of_state;

/// How a search finds its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Every event matches, or the filter names the events.
    AtOnce,
    /// Few deliveries are in a state of the filter. The search begins with them.
    FewDeliveries,
    /// The search looks at the events in the order of their ids, at a bounded number of them.
    InOrder {
        /// Whether only dead letters match. They have an index, so a part without them is left out.
        is_dead: bool,
    },
}

/// How many deliveries a store has: queued, delivered and dead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    /// The deliveries of all routes.
    pub(crate) all: [u64; 3],
    /// The deliveries of the filter's route, or of all routes if the filter names no route.
    pub(crate) of_route: [u64; 3],
}

impl Way {
    /// Whether the search of a filter depends on the number of deliveries.
    pub(crate) fn needs_counts(filter: &Filter) -> bool {
        is_known(filter) && (asks_for_states(filter) || filter.route.is_some())
    }

    /// How the events of a filter are found, with the counts that it [needs](Self::needs_counts). `None` if
    /// no event can match it.
    pub(crate) fn of(filter: &Filter, counted: Option<Counted>) -> Option<Self> {
        // Without the second question, a search that no event matches reads every event.
        if !is_known(filter) || counted.is_some_and(|counted| filter.counted(counted.of_route) == 0) {
            return None;
        }
        let has_states = asks_for_states(filter);
        if has_states && counted.is_some_and(|counted| filter.is_of_few(counted.all)) {
            return Some(Self::FewDeliveries);
        }
        let is_all = !has_states
            && filter.route.is_none()
            && filter.model.is_none()
            && filter.since.is_none()
            && filter.until.is_none();
        if is_all || !filter.ids.is_empty() {
            return Some(Self::AtOnce);
        }
        let is_dead = has_states && filter.states().into_iter().all(|state| of_state(state) > 1);
        Some(Self::InOrder { is_dead })
    }
}

/// Whether the filter asks for the states of deliveries.
fn asks_for_states(filter: &Filter) -> bool {
    filter.state.is_some() || filter.failure.is_some()
}

/// Whether the filter's word for a failure has a meaning.
fn is_known(filter: &Filter) -> bool {
    filter.failure.as_deref().is_none_or(|word| Failure::read(word).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [u64; 3] = [0; 3];
    const FEW: [u64; 3] = [1, 0, 1];
    const MANY: [u64; 3] = [1_000_000; 3];

    fn filter(state: Option<&str>, route: Option<&str>) -> Filter {
        Filter { state: state.map(str::to_owned), route: route.map(str::to_owned), ..Filter::default() }
    }

    fn way(filter: &Filter, all: [u64; 3], of_route: [u64; 3]) -> Option<Way> {
        let counted = Way::needs_counts(filter).then_some(Counted { all, of_route });
        Way::of(filter, counted)
    }

    #[test]
    fn a_search_begins_with_the_deliveries_only_if_those_of_all_routes_are_few() {
        let in_order = |is_dead| Some(Way::InOrder { is_dead });
        for (filter, all, of_route, want) in [
            (filter(None, None), NONE, NONE, Some(Way::AtOnce)),
            (filter(Some("dead"), None), FEW, FEW, Some(Way::FewDeliveries)),
            (filter(Some("dead"), None), MANY, MANY, in_order(true)),
            (filter(Some("dead"), Some("/a")), MANY, FEW, in_order(true)),
            (filter(Some("dead"), Some("/a")), FEW, NONE, None),
            (filter(Some("queued"), None), MANY, MANY, in_order(false)),
            // Delivered events have no index.
            (filter(Some("delivered"), None), [0, 1, 0], [0, 1, 0], in_order(false)),
            (filter(Some("delivered"), None), FEW, FEW, None),
            (filter(None, Some("/a")), FEW, FEW, in_order(false)),
            (filter(None, Some("/a")), FEW, NONE, None),
            (Filter { since: Some(1), ..Filter::default() }, NONE, NONE, in_order(false)),
        ] {
            assert_eq!(way(&filter, all, of_route), want, "{filter:?} {all:?} {of_route:?}");
        }
    }

    #[test]
    fn events_that_are_named_are_read_at_once_unless_few_deliveries_match() {
        let ids = vec!["0198f0c8-0000-7000-8000-000000000000".to_owned()];
        for (filter, all, want) in [
            (filter(None, Some("/a")), FEW, Way::AtOnce),
            (filter(Some("dead"), None), MANY, Way::AtOnce),
            (filter(Some("dead"), None), FEW, Way::FewDeliveries),
        ] {
            assert_eq!(way(&Filter { ids: ids.clone(), ..filter }, all, all), Some(want));
        }
    }

    #[test]
    fn a_failure_without_a_meaning_matches_no_event() {
        let unknown = Filter { failure: Some("no such failure".to_owned()), ..Filter::default() };
        assert!(!Way::needs_counts(&unknown));
        assert_eq!(Way::of(&unknown, None), None);
    }
}
