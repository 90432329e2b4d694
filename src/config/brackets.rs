//! Pure. Finds the brackets of a TOML text that are never closed, or that close nothing.

/// A bracket without its counterpart, at this byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unpaired {
    /// `[` or `{` that is never closed.
    Open(usize),
    /// `]` or `}` that closes nothing.
    Close(usize),
}

/// The first bracket without its counterpart. Strings and comments do not count. A bracket ends at the latest
/// where the next table begins.
pub(super) fn unpaired(text: &str) -> Option<Unpaired> {
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut skip_to = 0_usize;
    let mut starts_line = true;
    for (at, c) in text.char_indices() {
        if at < skip_to {
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        if starts_line && let Some((outermost, _)) = open.first().filter(|_| begins_anew(rest, &open)) {
            return Some(Unpaired::Open(*outermost));
        }
        starts_line = c == '\n';
        match c {
            '#' => skip_to = at.saturating_add(rest.find('\n').unwrap_or(rest.len())),
            '"' | '\'' => skip_to = at.saturating_add(string(rest, c)),
            '[' | '{' => open.push((at, c)),
            ']' | '}' => {
                let counterpart = if c == ']' { '[' } else { '{' };
                match open.pop() {
                    Some((_, other)) if other == counterpart => {}
                    Some((inner, _)) if open.iter().any(|(_, other)| *other == counterpart) => {
                        return Some(Unpaired::Open(inner));
                    }
                    Some(_) | None => return Some(Unpaired::Close(at)),
                }
            }
            _ => {}
        }
    }
    open.first().map(|(outermost, _)| Unpaired::Open(*outermost))
}

/// Whether this line cannot be within the open brackets: the header of a table, or a key within an array.
fn begins_anew(rest: &str, open: &[(usize, char)]) -> bool {
    let line = rest.lines().next().unwrap_or_default().trim();
    let is_name = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
    };
    let header = line.strip_prefix("[[").and_then(|line| line.strip_suffix("]]"));
    let header = header.or_else(|| line.strip_prefix('[').and_then(|line| line.strip_suffix(']')));
    let key = line.split_once('=').map(|(key, _)| key.trim_end());
    let in_table = open.iter().any(|(_, bracket)| *bracket == '{');
    header.is_some_and(is_name) || (!in_table && key.is_some_and(is_name))
}

/// The length of the string at the beginning of a text. A string that is not closed ends with its line.
fn string(text: &str, quote: char) -> usize {
    let three = if quote == '"' { "\"\"\"" } else { "'''" };
    if let Some(inside) = text.strip_prefix(three) {
        return inside.find(three).map_or(text.len(), |length| length.saturating_add(6));
    }
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return at,
            _ if is_escaped => is_escaped = false,
            '\\' if quote == '"' => is_escaped = true,
            c if c == quote => return at.saturating_add(1),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bracket_without_its_counterpart_is_found() {
        for (text, want) in [
            ("", None),
            ("a = [1, 2]\n[b]\n[[c]]\n", None),
            ("a = [\n  { b = 1 },\n  \"[\", # ]\n]\nc = '}'\n", None),
            ("a = { b = 1,\n  c = 2 }\n", None),
            ("a = \"\"\"\n[\n\"\"\"\n", None),
            ("a = \"\\\"[\"\n", None),
            ("a = [{ b = 1 ]\n", Some(Unpaired::Open(5))),
            ("a = [{ b = 1 }\n\n[[c]]\n", Some(Unpaired::Open(4))),
            ("a = [1\nb = 2\n", Some(Unpaired::Open(4))),
            ("a = { b = [1]\n\n[c]\n", Some(Unpaired::Open(4))),
            ("a = [1]]\n", Some(Unpaired::Close(7))),
            ("a = [{ b = 1 }}]\n", Some(Unpaired::Close(14))),
            ("a = [1", Some(Unpaired::Open(4))),
            ("a = \"[\nb = [1]\n", None),
        ] {
            assert_eq!(unpaired(text), want, "{text}");
        }
    }
}
