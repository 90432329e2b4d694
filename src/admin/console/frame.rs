//! Pure. The frame of every page, and the small parts that pages share: times, numbers, states, forms.

use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::documents::{Attempt, Route};
use super::session::Notice;
use super::text;
use crate::admin::api::filter::Asked as Filter;
use crate::admin::console::place;

/// A page of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tab {
    Now,
    Live,
    Refused,
    Queue,
    Dead,
    Replays,
}

impl Tab {
    const ALL: [Self; 6] = [Self::Now, Self::Live, Self::Refused, Self::Queue, Self::Dead, Self::Replays];

    const fn link(self) -> (&'static str, &'static str) {
        match self {
            Self::Now => ("/", "Now"),
            Self::Live => ("/live", "Live"),
            Self::Refused => ("/refused", "Refused"),
            Self::Queue => ("/queue", "Queue"),
            Self::Dead => ("/dead", "Dead"),
            Self::Replays => ("/replays", "Replays"),
        }
    }
}

/// What the viewer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The viewer may change things.
    Operate,
    /// The token of the session may only read.
    ReadRole,
    /// The console is read-only.
    ReadOnly,
}

impl Access {
    /// Whether pages have forms that change something.
    pub(crate) fn may_change(self) -> bool {
        self == Self::Operate
    }
}

/// The viewer of a page.
#[derive(Clone, Debug)]
pub(crate) struct Viewer {
    /// The name of the token, or `local`.
    pub(crate) name: String,
    pub(crate) access: Access,
}

/// The parts of a page around its own.
#[derive(Clone, Debug)]
pub(crate) struct Frame<'f> {
    pub(crate) title: &'f str,
    /// What the page is about, for the browser's tabs and history. `None` if the title says enough.
    pub(crate) subject: Option<&'f str>,
    pub(crate) tab: Option<Tab>,
    /// `None` on pages for people without a session.
    pub(crate) viewer: Option<&'f Viewer>,
    /// What the page tells after a change.
    pub(crate) notice: Option<&'f Notice>,
}

impl Frame<'_> {
    /// The whole page.
    pub(crate) fn page(&self, body: &Markup) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    title { (self.title) @if let Some(subject) = self.subject { " " (text::line(subject)) } " · hookgate" }
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    link rel="stylesheet" href={ "/assets/" (assets::STYLE.name) };
                    link rel="icon" href="data:,";
                    script src={ "/assets/" (assets::SCRIPT.name) } defer {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    (self.header())
                    main #main tabindex="-1" {
                        (self.told())
                        h1 { (self.title) }
                        (body)
                    }
                }
            }
        };
        page.into_string()
    }

    fn header(&self) -> Markup {
        html! {
            header {
                span.brand { "hookgate" }
                @if let Some(viewer) = self.viewer {
                    nav aria-label="Pages" {
                        ul {
                            @for tab in Tab::ALL {
                                @let (url, name) = tab.link();
                                li { a href=(url) aria-current=[(self.tab == Some(tab)).then_some("page")] { (name) } }
                            }
                        }
                    }
                    div.viewer {
                        span { "signed in as " strong { (text::line(&viewer.name)) } }
                        @match viewer.access {
                            Access::Operate => {}
                            Access::ReadRole => span.badge { "may only read" },
                            Access::ReadOnly => span.badge { "read-only" },
                        }
                        form method="post" action="/logout" { button.quiet { "Log out" } }
                    }
                }
            }
        }
    }

    fn told(&self) -> Markup {
        html! {
            @if let Some(notice) = self.notice {
                @if notice.is_done {
                    p.notice role="status" { strong { "Done: " } (text::line(&notice.text)) }
                } @else {
                    p.notice.bad role="alert" { strong { "Not done: " } (text::line(&notice.text)) }
                }
            }
        }
    }
}

/// Why the page offers the viewer no change. Empty if the viewer may change things.
pub(crate) fn may_not(access: Access, what: &str) -> Markup {
    html! {
        @match access {
            Access::Operate => {},
            Access::ReadRole => p.detail { "You cannot " (what) " here: the token of this session has the role " code { "read" } "." },
            Access::ReadOnly => p.detail { "You cannot " (what) " here: " code { "[admin]" } " has " code { "console = \"read-only\"" } "." },
        }
    }
}

/// A part of a page that could not be read. The rest of the page stays.
pub(crate) fn failure(what: &str) -> Markup {
    html! { p.notice.bad role="alert" { (text::sentence(what, 2000)) } }
}

/// A part of a page that has nothing to show, and what to do next.
pub(crate) fn nothing(what: &str, next: &Markup) -> Markup {
    html! { div.nothing { p { strong { (what) } } p { (next) } } }
}

/// A time, as RFC 3339 in UTC. The script writes it in local time.
pub(crate) fn time(written: &str) -> Markup {
    let shown = match (written.get(..10), written.get(11..19)) {
        (Some(date), Some(clock)) if written.ends_with('Z') => format!("{date} {clock} UTC"),
        (_, _) => written.to_owned(),
    };
    html! { time datetime=(written) { (text::line(&shown)) } }
}

/// A number, in groups of three digits.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<String> =
        digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    groups.join(",")
}

/// A number that may be a lower bound.
pub(crate) fn capped(count: u64, is_capped: bool) -> String {
    format!("{}{}", number(count), if is_capped { "+" } else { "" })
}

/// A number of events.
pub(crate) fn events(count: u64, is_capped: bool) -> String {
    let noun = if count == 1 && !is_capped { "event" } else { "events" };
    format!("{} {noun}", capped(count, is_capped))
}

/// A number of bytes.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut whole, mut rest, mut unit) = (bytes, 0, "B");
    for next in UNITS {
        if whole < 1024 {
            break;
        }
        rest = (whole % 1024).saturating_mul(10) / 1024;
        (whole, unit) = (whole / 1024, next);
    }
    format!("{whole}.{rest} {unit}")
}

/// A duration in its two largest units.
pub(crate) fn duration(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (of_unit, unit) in UNITS {
        let count = rest.checked_div(of_unit).unwrap_or(0);
        rest = rest.checked_rem(of_unit).unwrap_or(0);
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// The name of a route.
pub(crate) fn route(route: &Route) -> Markup {
    html! {
        code { (text::beginning(&route.path, 200)) }
        @if let Some(model) = &route.model { " " span.badge { (text::beginning(model, 80)) } }
    }
}

/// The state of an event or a delivery, with what holds it or why it was given up.
pub(crate) fn state(state: &str, held: Option<&str>, cause: Option<&str>) -> Markup {
    let (mark, class) = match state {
        "queued" => ("○", "state waits"),
        "delivering" => ("◐", "state waits"),
        "delivered" => ("✓", "state good"),
        "dead" => ("✗", "state bad"),
        _ => ("", "state"),
    };
    html! {
        span class=(class) { span aria-hidden="true" { (mark) " " } (text::line(state)) }
        @if let Some(held) = held { " " span.badge { (held_words(held)) } }
        @if let Some(cause) = cause { " " span.detail { (cause_words(cause)) } }
    }
}

fn held_words(held: &str) -> &str {
    match held {
        "paused" => "paused",
        "route_removed" => "route removed",
        other => other,
    }
}

fn cause_words(cause: &str) -> &str {
    match cause {
        "refused" => "the app answered no",
        "undeliverable" => "could not be delivered",
        "damaged" => "the stored record is damaged",
        other => other,
    }
}

/// How an attempt ended.
pub(crate) fn outcome(attempt: &Attempt) -> String {
    match (attempt.outcome.as_str(), attempt.status) {
        ("delivered" | "refused", Some(status)) => format!("answer {status}"),
        ("unreachable", _) => "no connection".to_owned(),
        ("failed", _) => "the exchange broke off".to_owned(),
        ("timed_out", _) => "no answer in time".to_owned(),
        (other, _) => other.to_owned(),
    }
}

/// A filter as hidden values of a form.
pub(crate) fn hidden_filter(filter: &Filter) -> Markup {
    html! {
        @for (name, value) in place::parts(filter) { input type="hidden" name=(name) value=(value); }
    }
}

/// A command that does the same as a page, to copy.
pub(crate) fn command(id: &str, label: &str, command: &str) -> Markup {
    html! {
        div.command {
            div.label { span { (label) } button.quiet.copy type="button" data-copy=(id) hidden { "Copy" } }
            pre id=(id) tabindex="0" { code { (text::line(command)) } }
        }
    }
}

/// The arguments of a command for this filter.
pub(crate) fn arguments(filter: &Filter) -> String {
    let words = place::parts(filter)
        .into_iter()
        // A program would take a value that begins with a hyphen for an option.
        .map(|(name, value)| {
            let between = if value.starts_with('-') { '=' } else { ' ' };
            format!(" --{name}{between}{}", text::shell_word(value.as_bytes()))
        });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn viewer(access: Access) -> Viewer {
        Viewer { name: "ops".to_owned(), access }
    }

    fn framed(access: Access, notice: Option<&Notice>) -> String {
        let viewer = viewer(access);
        Frame { title: "Queue", subject: None, tab: Some(Tab::Queue), viewer: Some(&viewer), notice }
            .page(&html! { p { "x" } })
    }

    #[test]
    fn a_page_has_a_language_a_title_landmarks_and_nothing_inline() {
        let page = framed(Access::Operate, None);
        for want in [
            "<!DOCTYPE html><html lang=\"en\">",
            "<title>Queue · hookgate</title>",
            "<main id=\"main\"",
            "href=\"#main\"",
            "<nav aria-label=\"Pages\">",
            "aria-current=\"page\"",
            "<h1>Queue</h1>",
        ] {
            assert!(page.contains(want), "{want} in {page}");
        }
        for inline in ["style=", "<style", " onclick", " onload", "javascript:"] {
            assert!(!page.contains(inline), "{inline}");
        }
        assert_eq!(page.matches("<script").count(), page.matches("<script src=\"/assets/console-").count());
    }

    #[test]
    fn a_notice_is_text_and_says_whether_it_is_done() {
        let done = Notice { is_done: true, text: "<b>1</b> event".to_owned() };
        let page = framed(Access::Operate, Some(&done));
        assert!(page.contains("role=\"status\"") && page.contains("&lt;b&gt;1"), "{page}");
        let failed = Notice { is_done: false, text: "the disk is full".to_owned() };
        assert!(framed(Access::Operate, Some(&failed)).contains("role=\"alert\""));
    }

    #[test]
    fn the_header_says_what_the_viewer_may_not_do() {
        assert!(framed(Access::ReadRole, None).contains("may only read"));
        assert!(framed(Access::ReadOnly, None).contains("read-only"));
        assert!(!framed(Access::Operate, None).contains("badge"));
    }

    #[test]
    fn numbers_are_written_for_people() {
        let numbers = [0, 999, 1000, 1_234_567].map(number);
        assert_eq!(numbers, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            (capped(10_000, true), events(1, false), events(0, false)),
            ("10,000+".into(), "1 event".into(), "0 events".into())
        );
        assert_eq!(
            [0, 1023, 1024, 1536, 26_214_400].map(size),
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "25.0 MiB"]
        );
        assert_eq!(
            [0, 59, 60, 3661, 90_000, 86_400].map(duration),
            ["0 s", "59 s", "1 min", "1 h 1 min", "1 d 1 h", "1 d"]
        );
    }

    #[test]
    fn a_time_is_machine_readable_and_in_utc() {
        let markup = time("2026-11-30T12:00:00.000Z").into_string();
        assert_eq!(markup, "<time datetime=\"2026-11-30T12:00:00.000Z\">2026-11-30 12:00:00 UTC</time>");
        assert!(time("ü<").into_string().contains("&lt;"));
    }
}
