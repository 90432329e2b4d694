//! Pure. The page *Event*: the facts of one event, what was checked, its head, its content when a person asks
//! for it, and each attempt to deliver it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use crate::admin::console::documents::{Attempt, Bytes, Delivery, Event, Field};
use crate::admin::console::frame::{
    Access, command, failure, may_not, number, outcome, route, size, state, time,
};
use crate::admin::console::text::{self, Lines, shell_word};
use crate::admin::console::tree;

/// The most bytes of content that a page shows.
pub(crate) const MOST_SHOWN: usize = 64 * 1024;

/// From this length of content on, the page is refreshed less often, because the store reads an event with
/// its content.
const LARGE: u64 = 1024 * 1024;

/// The number of bytes in a line of hexadecimal digits.
const IN_LINE: usize = 16;

/// The form in which content is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Tree,
    Text,
    Hex,
}

impl Form {
    /// The forms.
    pub(crate) const ALL: [Self; 3] = [Self::Tree, Self::Text, Self::Hex];

    /// The form with this name.
    pub(crate) fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.name() == name)
    }

    /// The name of the form in a URL.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Text => "text",
            Self::Hex => "hex",
        }
    }
}

/// The content of an event, as far as the page shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown<'c> {
    /// Nobody has asked for the content.
    NotAsked,
    /// The route has `console_content = "never"`.
    Never,
    /// The content could not be read.
    Failed(&'c str),
    /// The whole content. The page shows its beginning.
    Content(Form, &'c [u8]),
}

/// The values of the page.
#[derive(Debug)]
pub(crate) struct EventPage<'e> {
    pub(crate) event: &'e Event,
    pub(crate) content: Shown<'e>,
    /// The address of the app, if the configuration still has the route.
    pub(crate) app: Option<&'e str>,
    pub(crate) access: Access,
}

impl EventPage<'_> {
    /// The page.
    pub(crate) fn body(&self) -> Markup {
        let event = self.event;
        // A page with content is not refreshed: each look at content is logged.
        let refresh = match self.content {
            Shown::NotAsked | Shown::Never if event.length > LARGE => Some("30"),
            Shown::NotAsked | Shown::Never => Some("5"),
            Shown::Failed(_) | Shown::Content(..) => None,
        };
        html! {
            p #state data-refresh=[refresh] {
                (state(&event.state, event.held.as_deref(), event.cause.as_deref()))
                " · " code { (text::line(&event.method)) } " " (route(&event.route)) " · received " (time(&event.received))
            }
            (self.actions())
            div.columns {
                div {
                    section aria-labelledby="deliveries" {
                        h2 #deliveries { "Deliveries" }
                        div #timeline data-refresh=[refresh] { @for delivery in &event.deliveries { (self::delivery(delivery)) } }
                    }
                    section aria-labelledby="verdict" {
                        h2 #verdict { "Verdict" }
                        (verdict(event))
                    }
                    section aria-labelledby="facts" {
                        h2 #facts { "Facts" }
                        (facts(event))
                    }
                }
                div {
                    section aria-labelledby="content" {
                        h2 #content { "Content" }
                        (self.content())
                    }
                    section aria-labelledby="head" {
                        h2 #head { "Head" }
                        (head(event))
                    }
                }
            }
            section aria-labelledby="commands" {
                h2 #commands { "As commands" }
                (command("show", "Show", &format!("hookgate events show {}", event.id)))
                (command("replay", "Send again", &format!("hookgate events replay {}", event.id)))
                @if event.content_kept && !matches!(self.content, Shown::Never) {
                    (command("curl", "With curl, to the app or to another program", &curl(event, self.app)))
                }
            }
        }
    }

    fn actions(&self) -> Markup {
        let id = &self.event.id;
        html! {
            @if self.access.may_change() {
                div.actions {
                    @if self.event.content_kept {
                        form method="post" action="/replay" {
                            input type="hidden" name="id" value=(id);
                            input type="hidden" name="back" value={ "/events/" (id) };
                            button { "Send again" }
                        }
                    }
                    a.button.quiet href={ "/discard?id=" (id) } { "Discard…" }
                }
            }
            (may_not(self.access, "send the event again or discard it"))
            @if !self.event.content_kept {
                p.detail { "The content is no longer kept, so the event cannot be sent again." }
            }
        }
    }

    fn content(&self) -> Markup {
        let id = &self.event.id;
        if !self.event.content_kept {
            return html! { p { "The content is no longer kept." } };
        }
        if matches!(self.content, Shown::Never) {
            return html! {
                p { "The route hides its content: " code { "console_content = \"never\"" } "." }
            };
        }
        let current = match self.content {
            Shown::Content(form, _) => Some(form),
            Shown::NotAsked | Shown::Never | Shown::Failed(_) => None,
        };
        html! {
            nav.tabs aria-label="Forms of the content" {
                @for form in Form::ALL {
                    a href={ "/events/" (id) "?content=" (form.name()) "#content" }
                        aria-current=[(current == Some(form)).then_some("true")] { "Show as " (form.name()) }
                }
                a href={ "/events/" (id) "/download" } download={ "event-" (id) ".bin" } {
                    "Download (" (size(self.event.length)) ")"
                }
            }
            @match self.content {
                Shown::NotAsked => p.detail { "The content is shown when you ask for it. The log then says who has asked." },
                Shown::Never => {},
                Shown::Failed(why) => (failure(why)),
                Shown::Content(form, content) => (shown(form, content)),
            }
        }
    }
}

/// The beginning of content in this form.
pub(crate) fn shown(form: Form, content: &[u8]) -> Markup {
    let beginning = content.get(..MOST_SHOWN).unwrap_or(content);
    let is_cut = beginning.len() < content.len();
    html! {
        @if content.is_empty() {
            p { "The content is empty." }
        } @else {
            @if is_cut {
                p.notice.warn { "The first " (size(u64::try_from(MOST_SHOWN).unwrap_or(u64::MAX))) " are shown. The download has all of it." }
            }
            @match form {
                Form::Tree => (as_tree(beginning, is_cut)),
                Form::Text => pre.content tabindex="0" dir="ltr" { (text::bytes(beginning, Lines::Many)) },
                Form::Hex => pre.content.hex tabindex="0" dir="ltr" { (hexadecimal(beginning)) },
            }
        }
    }
}

fn as_tree(content: &[u8], is_cut: bool) -> Markup {
    match tree::parse(content) {
        Some(node) if !is_cut => html! { div.content tabindex="0" { (node.shown()) } },
        Some(_) | None => html! {
            p { @if is_cut { "Content of this size is not shown as a tree." } @else { "The content is not JSON. This is its text." } }
            pre.content tabindex="0" dir="ltr" { (text::bytes(content, Lines::Many)) }
        },
    }
}

/// Lines with the offset, the bytes, and their ASCII characters.
fn hexadecimal(content: &[u8]) -> String {
    let lines = content.chunks(IN_LINE).enumerate().map(|(number, chunk)| {
        let bytes: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let printable =
            |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
        let characters: String = chunk.iter().map(printable).collect();
        let offset = number.saturating_mul(IN_LINE);
        format!("{offset:08x}  {:<47}  {characters}\n", bytes.join(" "))
    });
    lines.collect()
}

/// What was checked before the event was stored. Only authentic events are stored, so each check has passed.
fn verdict(event: &Event) -> Markup {
    let passed = || html! { span.good aria-hidden="true" { "✓ " } };
    html! {
        ol.steps {
            li { (passed()) "The path and the method are of the route " (route(&event.route)) "." }
            li { (passed()) "The signature of the scheme " code { (text::line(&event.scheme)) } " is there, and has its form." }
            li { (passed()) "The content has arrived: " (number(event.length)) " bytes." }
            li { (passed()) "The signature verifies under the secret " code { (text::line(&event.secret)) } "." }
            @if let Some(model) = &event.model {
                li { (passed()) "The signed model is " code { (text::beginning(model, 200)) } "." }
            }
            @if let Some(order) = &event.order {
                li { (passed()) "The order key is " code { (text::beginning(order, 200)) } "." }
            }
            li { (passed()) "The event is on disk. After that, the sender got its answer." }
        }
    }
}

fn facts(event: &Event) -> Markup {
    html! {
        dl.facts {
            dt { "Id" } dd { code { (event.id) } }
            dt { "Client" } dd { (text::line(&event.client)) }
            dt { "Request" } dd { code { (text::line(&event.method)) " " (text::beginning(&event.target, 2000)) } }
            dt { "SHA-256" } dd { code { (event.sha256) } }
        }
    }
}

fn head(event: &Event) -> Markup {
    html! {
        @match &event.fields {
            None => p { "The head is no longer kept." },
            Some(fields) => div.scroll role="group" aria-labelledby="head" tabindex="0" {
                table {
                    thead { tr { th scope="col" { "Field" } th scope="col" { "Value" } } }
                    tbody {
                        @for field in fields {
                            tr {
                                th scope="row" { code { (text::line(&field.name)) } }
                                td.id { (text::bytes(&value(field), Lines::One)) }
                            }
                        }
                    }
                }
            },
        }
    }
}

fn value(field: &Field) -> Vec<u8> {
    match (&field.value, &field.base64) {
        (Some(value), _) => value.clone().into_bytes(),
        (None, Some(binary)) => STANDARD.decode(binary).unwrap_or_default(),
        (None, None) => Vec::new(),
    }
}

fn delivery(delivery: &Delivery) -> Markup {
    let kept = u64::try_from(delivery.kept_attempts.len()).unwrap_or(u64::MAX);
    html! {
        h3 {
            @if delivery.upstream == "main" { "To the app" } @else { "To the copy " code { (text::line(&delivery.upstream)) } }
            @if delivery.kind == "replay" { " " span.badge { "replay" } }
        }
        p {
            (state(&delivery.state, delivery.held.as_deref(), delivery.cause.as_deref()))
            @if let Some(due) = &delivery.due { " · next attempt due " (time(due)) }
            @if let Some(ended) = &delivery.ended { " · ended " (time(ended)) }
        }
        @if delivery.kept_attempts.is_empty() {
            p.detail { "There was no attempt yet." }
        } @else {
            ol.timeline { @for one in &delivery.kept_attempts { (attempt(one)) } }
            @if delivery.attempts > kept {
                p.detail { "There were " (number(delivery.attempts)) " attempts. The store keeps the first 3 and the last 20." }
            }
        }
    }
}

fn attempt(attempt: &Attempt) -> Markup {
    let is_good = attempt.outcome == "delivered";
    html! {
        li class=(if is_good { "good-end" } else { "bad-end" }) {
            (time(&attempt.at)) " · "
            strong class=(if is_good { "good" } else { "bad" }) {
                span aria-hidden="true" { (if is_good { "✓ " } else { "✗ " }) }
                (text::line(&outcome(attempt)))
            }
            " after " @if attempt.took_ms == 0 { "less than 1 ms" } @else { (number(attempt.took_ms)) " ms" }
            @if let Some(detail) = &attempt.detail { div.detail { (text::beginning(detail, 600)) } }
            @if let Some(response) = &attempt.response {
                details {
                    summary { "The app's answer (at most its first 2 KiB)" }
                    pre.content tabindex="0" dir="ltr" { (text::bytes(&answer(response), Lines::Many)) }
                }
            }
        }
    }
}

fn answer(response: &Bytes) -> Vec<u8> {
    match (&response.text, &response.base64) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(binary)) => STANDARD.decode(binary).unwrap_or_default(),
        (None, None) => Vec::new(),
    }
}

/// A command that sends the event again with curl. The content comes from the gateway, byte for byte.
///
/// The command sends to the route's app, with the client's `host`. The target is sent as it is, without the
/// replacements that curl makes in brackets, braces and dots.
fn curl(event: &Event, app: Option<&str>) -> String {
    let of_curl = ["content-length", "expect"];
    let fields = event.fields.iter().flatten();
    let has_type = fields.clone().any(|field| field.name.eq_ignore_ascii_case("content-type"));
    let no_type = if has_type { "" } else { " -H content-type:" };
    let lines = fields
        .filter(|field| !of_curl.iter().any(|name| field.name.eq_ignore_ascii_case(name)))
        .map(|field| {
            let value = value(field);
            // curl leaves out a field with nothing after its colon.
            let line = match value.is_empty() {
                true => [field.name.as_bytes(), b";"].concat(),
                false => [field.name.as_bytes(), b": ", &value].concat(),
            };
            format!(" -H {}", shell_word(&line))
        })
        .collect::<String>();
    let (socket, origin) = match app {
        Some(app) => match app.strip_prefix("unix:") {
            Some(path) => (format!(" --unix-socket {}", shell_word(path.as_bytes())), "http://localhost"),
            None => (String::new(), app),
        },
        None => (String::new(), "http://127.0.0.1:3000"),
    };
    let url = [origin, &event.target].concat();
    format!(
        "hookgate events show {} --content | curl -i --globoff --path-as-is{socket} -X {} {}{lines}{no_type} --data-binary @-",
        event.id,
        shell_word(event.method.as_bytes()),
        shell_word(url.as_bytes())
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::admin::console::documents::read;

    const ID: &str = "019ac7f2-5c00-7000-8000-000000000001";

    fn document() -> Value {
        json!({
            "id": ID, "received": "2026-11-30T12:00:00.000Z", "route": { "path": "/a", "model": null },
            "state": "dead", "held": null, "cause": "refused", "model": "leads", "scheme": "propify",
            "secret": "current", "client": "192.0.2.1", "method": "POST", "target": "/a?x=1", "length": 3,
            "sha256": "00ff", "order": null, "content_kept": true,
            "fields": [
                { "name": "Host", "value": "hooks.example" },
                { "name": "X-Quote", "value": "it's" },
                { "name": "X-Bin", "base64": "/w==" },
                { "name": "X-Empty", "value": "" },
            ],
            "deliveries": [{
                "id": 1, "upstream": "main", "state": "dead", "held": null, "cause": "refused", "kind": "new",
                "due": null, "attempts": 30, "ended": "2026-11-30T12:01:00.000Z", "last": null,
                "kept_attempts": [{
                    "at": "2026-11-30T12:00:01.000Z", "took_ms": 3, "outcome": "refused", "status": 500,
                    "detail": "because <b>", "response": { "text": "<h1>Error</h1>\u{1b}[31m" },
                }],
            }],
        })
    }

    fn page(document: Value, content: Shown<'_>, access: Access) -> String {
        let event: Event = read(document).unwrap();
        EventPage { event: &event, content, app: Some("http://10.0.0.7:3000"), access }.body().into_string()
    }

    #[test]
    fn the_command_of_curl_goes_to_the_app_and_sends_the_target_as_it_is() {
        let event: Event = read(document()).unwrap();
        assert_eq!(
            curl(&event, Some("unix:/run/it's")),
            format!(
                r"hookgate events show {ID} --content | curl -i --globoff --path-as-is --unix-socket '/run/it'\''s' -X POST 'http://localhost/a?x=1' -H 'Host: hooks.example' -H 'X-Quote: it'\''s' -H $'X-Bin: \377' -H 'X-Empty;' -H content-type: --data-binary @-"
            )
        );
        assert!(curl(&event, None).contains("'http://127.0.0.1:3000/a?x=1'"));
    }

    #[test]
    fn an_event_has_its_verdict_its_head_and_its_attempts() {
        let page = page(document(), Shown::NotAsked, Access::Operate);
        for want in [
            "the app answered no",
            "verifies under the secret <code>current</code>",
            "answer 500",
            "because &lt;b&gt;",
            "&lt;h1&gt;Error&lt;/h1&gt;<span class=\"code\">\\x1B</span>[31m",
            "There were 30 attempts",
            "<span class=\"code\">\\xFF</span>",
            "name=\"id\" value=\"019ac7f2-5c00-7000-8000-000000000001\"",
            "hookgate events replay 019ac7f2-5c00-7000-8000-000000000001",
            "curl -i --globoff --path-as-is -X POST 'http://10.0.0.7:3000/a?x=1' -H 'Host: hooks.example' -H 'X-Quote: ",
        ] {
            assert!(page.contains(want), "{want} in {page}");
        }
        assert!(!page.contains("<h1>"), "{page}");
    }

    #[test]
    fn content_is_shown_only_if_it_is_asked_for_and_then_as_text() {
        let hostile = b"<script>alert(1)</script>\xff\x1b[2J";
        assert!(!page(document(), Shown::NotAsked, Access::Operate).contains("alert"));
        for form in Form::ALL {
            let page = page(document(), Shown::Content(form, hostile), Access::Operate);
            assert!(!page.contains("<script>"), "{page}");
        }
        let text = page(document(), Shown::Content(Form::Text, hostile), Access::Operate);
        assert!(!text.contains("data-refresh"), "a refresh would be another look");
        assert!(page(document(), Shown::NotAsked, Access::Operate).contains("data-refresh"));
        assert!(
            text.contains("&lt;script&gt;") && text.contains("\\xFF") && text.contains("\\x1B"),
            "{text}"
        );
        let hex = page(document(), Shown::Content(Form::Hex, hostile), Access::Operate);
        assert!(hex.contains("00000000  3c 73 63 72"), "{hex}");
        let tree = page(document(), Shown::Content(Form::Tree, b"{\"a\":1}"), Access::Operate);
        assert!(tree.contains("class=\"key\""), "{tree}");
        assert!(page(document(), Shown::Content(Form::Tree, hostile), Access::Operate).contains("not JSON"));
        let never = page(document(), Shown::Never, Access::Operate);
        assert!(
            never.contains("console_content") && !never.contains("/download") && !never.contains("curl"),
            "{never}"
        );
    }

    #[test]
    fn of_large_content_the_page_shows_the_beginning() {
        let large = vec![b'a'; MOST_SHOWN + 1];
        for form in Form::ALL {
            let page = page(document(), Shown::Content(form, &large), Access::Operate);
            assert!(page.contains("The first 64.0 KiB are shown"), "{form:?}");
            assert!(page.len() < 8 * MOST_SHOWN, "{form:?} {}", page.len());
        }
        let whole = page(document(), Shown::Content(Form::Text, &large[1..]), Access::Operate);
        assert!(!whole.contains("The first 64.0 KiB"));
    }

    #[test]
    fn nobody_who_may_only_read_is_offered_a_change_and_nothing_without_content_is_sent_again() {
        for access in [Access::ReadRole, Access::ReadOnly] {
            let page = page(document(), Shown::NotAsked, access);
            assert!(!page.contains("method=\"post\"") && !page.contains("/discard"), "{page}");
        }
        let mut gone = document();
        gone["content_kept"] = false.into();
        gone["fields"] = Value::Null;
        let page = page(gone, Shown::NotAsked, Access::Operate);
        assert!(page.contains("no longer kept") && !page.contains("action=\"/replay\""), "{page}");
    }
}
