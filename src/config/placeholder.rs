//! Pure. Recognises values that another program should have filled in: `${NAME}`, `$NAME`, `{{ name }}`,
//! `%NAME%`, `<name>`.

/// Whether a part of the text is a variable of a shell, of Compose, of Helm, of Caddy or of Windows.
pub(super) fn has_variable(text: &str) -> bool {
    let is_name = |text: &str| {
        text.len() >= 2
            && text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
            && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    let name_after = |rest: &str| {
        let end = rest.find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
        rest.get(..end.unwrap_or(rest.len())).is_some_and(is_name)
    };
    let between = |open: &str, close: &str| {
        text.find(open).is_some_and(|at| {
            let rest = text.get(at.saturating_add(open.len())..).unwrap_or_default();
            rest.find(close).is_some_and(|end| end > 0)
        })
    };
    let windows =
        text.split('%').skip(1).step_by(2).any(|part| is_name(part) && text.contains(&format!("%{part}%")));
    let is_prefixed =
        ["$env:", "env:", "env."].iter().any(|prefix| text.strip_prefix(prefix).is_some_and(is_name));
    is_prefixed
        || between("${", "}")
        || between("{{", "}}")
        || between("{$", "}")
        || between("{env.", "}")
        || windows
        || text
            .match_indices('$')
            .any(|(at, _)| name_after(text.get(at.saturating_add(1)..).unwrap_or_default()))
}

/// The advice for a file's name with `~` or a variable, which only a shell replaces. `None` if the name has
/// neither.
pub(super) fn unexpanded(name: &str) -> Option<&'static str> {
    if name == "~" || name.starts_with("~/") {
        return Some("`~` is not replaced: write the whole path");
    }
    has_variable(name).then_some("variables are not replaced: write the whole path")
}

/// Whether the whole text is a variable, or a place where a secret is, and not a secret itself.
pub(super) fn is_reference(text: &str) -> bool {
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
    };
    let text = text.trim();
    let is_closed = ["${", "{{", "{$", "{env.", "$(", "<"].iter().any(|open| text.starts_with(open))
        && text.ends_with(['}', ')', '>']);
    let is_prefixed = ["env:", "file:", "vault:", "secret:", "op://", "ssm:", "arn:aws:"]
        .iter()
        .any(|prefix| text.strip_prefix(prefix).is_some_and(|rest| is_word(&rest.replace([':', '#'], "_"))));
    is_closed || is_prefixed || (text.starts_with(['$', '%']) && has_variable(text) && text.len() <= 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_other_programs_are_recognised() {
        for text in [
            "${UPSTREAM}",
            "http://${HOST}:3000",
            "$UPSTREAM",
            "http://$HOST:3000",
            "{{ .Values.url }}",
            "{$UP}",
            "{env.UP}",
            "%UPSTREAM%",
            "$env:UPSTREAM",
            "env:UPSTREAM",
            "env.UPSTREAM",
        ] {
            assert!(has_variable(text), "{text}");
        }
        for text in
            ["", "$", "$5", "http://app:3000", "{name}", "/hooks/{*rest}", "100%", "%2F%2f", "$id", "a$"]
        {
            assert!(!has_variable(text), "{text}");
        }
    }

    #[test]
    fn a_reference_to_a_secret_is_no_secret() {
        for text in [
            "${SECRET}",
            "$SECRET",
            "${{ secrets.HOOK }}",
            "{{ hook }}",
            "env:SECRET",
            "file:/run/secrets/a",
            "<secret>",
            "$(cat secret)",
            "op://vault/item/field",
            "vault:secret/data/hooks#github",
        ] {
            assert!(is_reference(text), "{text}");
        }
        for text in [
            "",
            "$2y$10$abc",
            "p$SECRETx",
            "9f86d081884c7d65",
            "whsec_abc=",
            "a<b>",
            "$aBCdef",
            "/k3y+base64=",
        ] {
            assert!(!is_reference(text), "{text}");
        }
    }
}
