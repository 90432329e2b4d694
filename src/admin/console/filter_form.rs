//! Pure. The form with the filters of a list of events.

use maud::{Markup, html};

use super::documents::Route;
use crate::admin::api::filter::{Asked as Filter, STATES};

/// The form. It asks for `path` again, with the filters in the query.
pub(crate) fn form(path: &str, filter: &Filter, routes: &[&Route]) -> Markup {
    let value = |value: &Option<String>| value.clone().unwrap_or_default();
    html! {
        form.filter method="get" action=(path) role="search" aria-label="Filter" {
            label { "State "
                select name="state" {
                    option value="" selected[filter.state.is_none()] { "any" }
                    @for state in STATES {
                        option value=(state) selected[filter.state.as_deref() == Some(state)] { (state) }
                    }
                }
            }
            label { "Failure "
                input name="failure" value=(value(&filter.failure)) list="failures" placeholder="500" autocomplete="off";
            }
            datalist #failures {
                @for failure in ["500", "unreachable", "failed", "timed_out", "damaged"] { option value=(failure) {} }
            }
            label { "Route "
                input #filter-route name="route" value=(value(&filter.route)) list="routes" placeholder="/webhook/leases" autocomplete="off";
            }
            datalist #routes {
                @for path in paths(routes) { option value=(path) {} }
            }
            label { "Model " input name="model" value=(value(&filter.model)) autocomplete="off"; }
            label { "Received since "
                input name="since" value=(value(&filter.since)) placeholder="2h" title="A duration before now, such as 2h, or 2026-11-30T12:00:00Z" autocomplete="off";
            }
            label { "Until "
                input name="until" value=(value(&filter.until)) placeholder="30m" title="A duration before now, such as 30m, or 2026-11-30T12:00:00Z" autocomplete="off";
            }
            @for id in &filter.ids { input type="hidden" name="id" value=(id); }
            button { "Filter" }
            @if !filter.is_empty() { " " a href=(path) { "Clear" } }
        }
    }
}

fn paths<'r>(routes: &[&'r Route]) -> Vec<&'r str> {
    let mut paths: Vec<_> = routes.iter().map(|route| route.path.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_keeps_what_was_asked_also_if_it_is_wrong() {
        let filter = Filter {
            state: Some("dead".to_owned()),
            route: Some("/a\"<".to_owned()),
            since: Some("yesterday".to_owned()),
            ids: vec!["x".to_owned()],
            ..Filter::default()
        };
        let form = form("/queue", &filter, &[]).into_string();
        for want in [
            "<option value=\"dead\" selected>",
            "value=\"/a&quot;&lt;\"",
            "value=\"yesterday\"",
            "<input type=\"hidden\" name=\"id\" value=\"x\">",
            "Clear",
        ] {
            assert!(form.contains(want), "{want} in {form}");
        }
        assert!(!super::form("/queue", &Filter::default(), &[]).into_string().contains("Clear"));
    }
}
