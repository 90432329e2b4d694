//! Pure. The page *Live*: requests and deliveries as they end. With the script, rows come by themselves.
//! Without it, the page is loaded again.

use maud::{Markup, html};

use crate::admin::console::frame::{failure, nothing, number};
use crate::admin::console::recent_row::{COLUMNS, Row};
use crate::telemetry::recent::Page;
use crate::telemetry::recent::filter::State;

/// The most rows that the page keeps while it follows the stream.
const MOST_ROWS: usize = 200;

/// The filter of the page, as the query has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) state: String,
    pub(crate) route: String,
    pub(crate) reason: String,
    pub(crate) status: String,
    pub(crate) path: String,
}

impl Asked {
    /// The parts that have a value.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let Self { state, route, reason, status, path } = self;
        let all =
            [("state", state), ("route", route), ("reason", reason), ("status", status), ("path", path)];
        all.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.as_str()))
    }

    /// The URL of a page with this filter and further parameters.
    pub(crate) fn url(&self, page: &str, own: &[(&str, String)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        self.parts().for_each(|(name, value)| {
            query.append_pair(name, value);
        });
        own.iter().for_each(|(name, value)| {
            query.append_pair(name, value);
        });
        let query = query.finish();
        if query.is_empty() { page.to_owned() } else { format!("{page}?{query}") }
    }
}

/// The values of the page.
#[derive(Debug)]
pub(crate) struct Live<'l> {
    pub(crate) asked: &'l Asked,
    /// The entries. Or the reason why the filter is not understood.
    pub(crate) page: Result<&'l Page, &'l str>,
    /// Whether the page begins at the latest entry, and follows the stream.
    pub(crate) is_first: bool,
    /// The id of the last entry, where the stream continues.
    pub(crate) last: String,
    /// How many entries are kept, and how many were left out under load.
    pub(crate) kept: usize,
    pub(crate) left_out: u64,
}

impl Live<'_> {
    /// The page.
    pub(crate) fn body(&self) -> Markup {
        html! {
            (self.form())
            @match self.page {
                Err(why) => (failure(why)),
                Ok(page) => (self.list(page)),
            }
        }
    }

    fn form(&self) -> Markup {
        let asked = self.asked;
        html! {
            form.filter method="get" action="/live" role="search" aria-label="Filter" {
                label { "What "
                    select name="state" {
                        option value="" selected[asked.state.is_empty()] { "all" }
                        @for (name, _) in State::ALL { option value=(name) selected[asked.state == name] { (name) } }
                    }
                }
                label { "Path contains " input name="path" value=(asked.path) autocomplete="off"; }
                label { "Route " input name="route" value=(asked.route) placeholder="/webhook/leases" autocomplete="off"; }
                label { "Reason " input name="reason" value=(asked.reason) placeholder="signature_mismatch" autocomplete="off"; }
                label { "Status " input name="status" value=(asked.status) placeholder="4xx" autocomplete="off"; }
                button { "Filter" }
                @if asked.parts().next().is_some() { " " a href="/live" { "Clear" } }
            }
        }
    }

    fn list(&self, page: &Page) -> Markup {
        let stream = self.is_first.then(|| self.asked.url("/live/stream", &[("after", self.last.clone())]));
        html! {
            div.live-bar {
                p #live-state role="status" {
                    @if self.is_first { "The newest are first. " a href=(self.asked.url("/live", &[])) { "Load again" } }
                    @else { "Earlier requests. " a href=(self.asked.url("/live", &[])) { "Latest" } }
                }
                button.quiet #live-pause type="button" hidden { "Pause" }
            }
            @if self.left_out > 0 {
                p.detail { (number(self.left_out)) " were left out so far, because they came faster than they are kept." }
            }
            div.scroll role="group" aria-label="Requests and deliveries" tabindex="0" {
                table.stack.rows {
                    thead { tr { th scope="col" { "Ended" } @for column in COLUMNS { th scope="col" { (column) } } } }
                    tbody #live data-stream=[stream] data-most=(MOST_ROWS) {
                        @for entry in &page.entries { (Row::of(entry).shown()) }
                    }
                }
            }
            @if page.entries.is_empty() { div #live-empty { (self.empty()) } }
            @if let Some(next) = page.next {
                nav.pager aria-label="Pages of the list" {
                    a rel="next" href=(self.asked.url("/live", &[("before", next.to_string())])) { "Earlier" }
                }
            }
            p.detail { "The gateway keeps the last " (self.kept) " in memory. A restart forgets them." }
        }
    }

    fn empty(&self) -> Markup {
        if self.asked.parts().next().is_some() {
            return nothing(
                "Nothing that was kept matches.",
                &html! { a href="/live" { "Show everything" } },
            );
        }
        nothing(
            "No request has ended since the start.",
            &html! {
                code { "hookgate send" } " sends a signed test event through the gateway. It appears here."
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::console::sample::{recent, record};
    use crate::telemetry::recent::filter::Filter;

    fn page(asked: &Asked, page: Result<&Page, &str>, is_first: bool) -> String {
        Live { asked, page, is_first, last: "7-2".to_owned(), kept: 1000, left_out: 1234 }
            .body()
            .into_string()
    }

    #[test]
    fn the_latest_come_first_and_the_stream_continues_behind_them() {
        let recent = recent([record(1, "/a"), record(2, "/b")]);
        let found = recent.page(&Filter::default(), None, 9);
        let asked = Asked { reason: "a&b".to_owned(), ..Asked::default() };
        let text = page(&asked, Ok(&found), true);
        for want in [
            "data-stream=\"/live/stream?reason=a%26b&amp;after=7-2\"",
            "1,234 were left out",
            "keeps the last 1000",
            "data-number=\"1\"",
            "value=\"a&amp;b\"",
        ] {
            assert!(text.contains(want), "{want} in {text}");
        }
        assert!(text.find("data-number=\"2\"").unwrap() < text.find("data-number=\"1\"").unwrap(), "{text}");
        let earlier = page(&asked, Ok(&found), false);
        assert!(!earlier.contains("data-stream") && earlier.contains("Latest"), "{earlier}");
    }

    #[test]
    fn an_empty_page_says_what_to_do_and_an_error_leaves_the_form() {
        let none = Page::default();
        assert!(page(&Asked::default(), Ok(&none), true).contains("hookgate send"));
        let asked = Asked { state: "refused".to_owned(), ..Asked::default() };
        assert!(page(&asked, Ok(&none), true).contains("Nothing that was kept matches."));
        let wrong = page(&asked, Err("`<x>` is no status code"), true);
        assert!(wrong.contains("&lt;x&gt;") && wrong.contains("role=\"search\""), "{wrong}");
    }
}
