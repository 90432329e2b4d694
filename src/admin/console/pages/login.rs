//! Pure. The pages for people without a session, and for requests that are refused.

use maud::{Markup, html};

use crate::admin::console::frame::{Frame, command};
use crate::admin::console::text;

/// The page without a session.
pub(crate) fn no_session(why: &str) -> String {
    let body = html! {
        p { (text::line(why)) }
        (how())
    };
    Frame { title: "Log in", subject: None, tab: None, viewer: None, notice: None }.page(&body)
}

/// The page that opens a link which a person has followed from elsewhere. Such a request has no cookie
/// afterwards, and may come from a program that looks at links in advance.
pub(crate) fn open(code: &str) -> String {
    let body = html! {
        p { "This link opens the console. It works once." }
        p { a.button href={ "/login/" (code) } { "Open the console" } }
    };
    Frame { title: "Log in", subject: None, tab: None, viewer: None, notice: None }.page(&body)
}

/// The page for a refused request.
pub(crate) fn refused(why: &str) -> String {
    let body = html! { p { (text::line(why)) } };
    Frame { title: "Refused", subject: None, tab: None, viewer: None, notice: None }.page(&body)
}

fn how() -> Markup {
    html! {
        p { "On the gateway's machine, in the folder of its configuration, run" }
        (command("command", "Command", "hookgate console"))
        p { "and open the link that it prints. The link works once, and for five minutes. If " code { "[admin]" } " has "
            code { "tokens" } ", name one with " code { "--token-env" } " or " code { "--token-file" } "." }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_session_the_page_says_how_to_get_one_and_has_no_navigation() {
        let page = no_session("There is no session.");
        assert!(page.contains("hookgate console") && !page.contains("<nav"), "{page}");
        assert!(refused("<x>").contains("&lt;x&gt;"));
        assert!(open("0123").contains("href=\"/login/0123\""));
    }
}
