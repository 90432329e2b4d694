//! Pure. Recognises a configuration that is in another format than TOML.

/// Another format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OtherFormat {
    Json,
    Yaml,
    Markup,
    Blocks,
    Pem,
    Variables,
    Template,
    Unit,
    Binary,
}

impl OtherFormat {
    /// The format of a text that the TOML parser did not accept.
    pub(super) fn of(text: &str) -> Option<Self> {
        let start = text.trim_start();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let first = lines.clone().find(|line| !line.starts_with("//"))?;
        if text.contains('\0') {
            return Some(Self::Binary);
        }
        if start.starts_with('<') && !start.starts_with("<<<<") {
            return Some(Self::Markup);
        }
        if text.contains("-----BEGIN ") && !text.contains('=') || first.starts_with("-----BEGIN ") {
            return Some(Self::Pem);
        }
        if ["{{", "{%", "<%"].iter().any(|open| first.starts_with(open)) {
            return Some(Self::Template);
        }
        if ["[Unit]", "[Service]", "[Install]", "[Socket]"].contains(&first) {
            return Some(Self::Unit);
        }
        if lines.clone().any(|line| line.starts_with("apiVersion:")) {
            return Some(Self::Yaml);
        }
        let opens_list = first.strip_prefix('[').map(str::trim_start);
        if first.starts_with('{')
            || opens_list.is_some_and(|rest| rest.is_empty() || rest.starts_with(['{', '"']))
        {
            return Some(Self::Json);
        }
        if lines.clone().any(|line| line.ends_with('{') && !line.contains('=')) {
            return Some(Self::Blocks);
        }
        // Each of the following has lines that no line of TOML resembles, and no line of TOML.
        if lines.clone().any(is_toml) {
            return None;
        }
        if lines.clone().all(is_variable) {
            return Some(Self::Variables);
        }
        (first == "---" || lines.any(is_yaml)).then_some(Self::Yaml)
    }

    /// The message.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Json => "this file is JSON, and hookgate reads TOML",
            Self::Yaml => "this file is YAML, and hookgate reads TOML",
            Self::Markup => "this file is HTML or XML, and hookgate reads TOML",
            Self::Blocks => "this file has blocks as of nginx, Caddy or Terraform, and hookgate reads TOML",
            Self::Pem => "this file is a certificate or a key, and not a configuration",
            Self::Variables => "this file sets environment variables, and is not a configuration",
            Self::Template => "this file is a template that is not filled in",
            Self::Unit => "this file is a unit of systemd, and not a configuration",
            Self::Binary => "this file has NUL bytes, as no text has",
        }
    }

    /// What to do instead.
    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Json | Self::Yaml | Self::Blocks => {
                "in TOML, a table is `[signature]` and a key is `scheme = \"propify\"`; each route begins with `[[routes]]`; \
                 `hookgate init SENDER` writes an example"
            }
            Self::Markup => {
                "was a web page saved instead of the file? `hookgate init SENDER` writes a gateway.toml"
            }
            Self::Pem => "name it in gateway.toml as `cert` or `key`, and pass gateway.toml to --config",
            Self::Variables => {
                "let the service's manager read it (`EnvironmentFile=` under systemd, `env_file` of Compose), and name each \
                 variable in gateway.toml: `secrets = [{ env = \"NAME\" }]`"
            }
            Self::Template => "name the file that the template's program writes",
            Self::Unit => "name gateway.toml here: `hookgate init SENDER` writes one",
            Self::Binary => {
                "save it as UTF-8 (UTF-16 comes from some editors of Windows), or name another file"
            }
        }
    }
}

/// Why a file cannot be read as text.
pub(super) fn not_utf8(bytes: &[u8], first_wrong: usize) -> String {
    let what = match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => "it is in UTF-32: save it as UTF-8",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it is in UTF-16: save it as UTF-8",
        [0x1f, 0x8b, ..] => "it is compressed (gzip), and no configuration",
        [0x7f, b'E', b'L', b'F', ..] => "it is a program, and no configuration",
        _ if bytes.contains(&0) => "it is no text: it has NUL bytes",
        _ => {
            let before = bytes.get(..first_wrong).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
            return format!(
                "line {line} has a character that is not UTF-8: save it as UTF-8, and not as Latin-1 or Windows-1252"
            );
        }
    };
    what.to_owned()
}

fn is_word(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"');
    !text.is_empty() && text.chars().all(is_part)
}

/// `[table]`, `[[table]]` or `key = value`.
fn is_toml(line: &str) -> bool {
    let header = line.trim_start_matches('[').trim_end_matches(']');
    let is_header = line.starts_with('[') && line.ends_with(']') && is_word(header);
    let is_key = line.split_once('=').is_some_and(|(key, value)| {
        let is_value = value.trim_start().starts_with(['"', '\'', '[', '{']);
        is_word(key.trim()) && (is_value || !is_variable(line))
    });
    is_header || (is_key && !line.ends_with('{'))
}

/// `NAME=value`, also with `export`.
fn is_variable(line: &str) -> bool {
    let line = line.strip_prefix("export ").unwrap_or(line);
    line.split_once('=').is_some_and(|(name, _)| {
        let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        !name.is_empty() && name.chars().all(is_part)
    })
}

/// `key:`, `key: value` or `- item`.
fn is_yaml(line: &str) -> bool {
    let item = line.strip_prefix("- ").unwrap_or(line);
    item.len() < line.len()
        || item
            .split_once(':')
            .is_some_and(|(key, value)| is_word(key) && (value.is_empty() || value.starts_with(' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_are_recognised_and_toml_is_not_mistaken_for_one() {
        use OtherFormat::{Binary, Blocks, Json, Markup, Pem, Template, Unit, Variables, Yaml};
        for (text, want) in [
            ("{\n  \"a\": 1\n}", Some(Json)),
            ("[{\"a\": 1}]", Some(Json)),
            ("[\n  {}\n]", Some(Json)),
            ("server:\n  listen: a\n", Some(Yaml)),
            ("---\na: 1\n", Some(Yaml)),
            ("# c\nroutes:\n- path: /a\n", Some(Yaml)),
            ("<?xml?>", Some(Markup)),
            ("<!DOCTYPE html>", Some(Markup)),
            ("server {\n  listen 80;\n}\n", Some(Blocks)),
            (":80 {\n}\n", Some(Blocks)),
            ("route \"a\" {\n}\n", Some(Blocks)),
            ("-----BEGIN CERTIFICATE-----\nMIIB\n", Some(Pem)),
            ("A=1\nexport B_C=x\n", Some(Variables)),
            ("a\0b\0", Some(Binary)),
            ("{{ config }}\n[a]\n", Some(Template)),
            ("{% if a %}\nb = 1\n", Some(Template)),
            ("[Unit]\nDescription=a\n", Some(Unit)),
            ("apiVersion: v1\ndata:\n  gateway.toml: |\n    a = 1\n", Some(Yaml)),
            ("// c\n{\n\"a\": 1}\n", Some(Json)),
            ("", None),
            ("# only a comment\n", None),
            ("[a]\nb: 1\n", None),
            ("<<<<<<< HEAD\n[a]\n", None),
            ("path: \"/a\"\nupstream = \"b\"\n", None),
            ("[a\nb = 1\n", None),
            ("workers = two\n", None),
        ] {
            assert_eq!(OtherFormat::of(text), want, "{text}");
        }
    }
}
