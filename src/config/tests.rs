//! Pure. Properties that hold for every text read as a configuration, and tests of the example at the root.

use std::num::NonZeroUsize;
use std::time::SystemTime;

use proptest::prelude::*;
use toml::de::{DeTable, DeValue};

use super::environment::Fixed;
use super::keys;
use super::problem::Style;
use crate::config::key_description;

const EXAMPLE: &str = include_str!("../../gateway.toml");

fn environment() -> Fixed {
    Fixed::new(NonZeroUsize::MIN)
        .with_variable("PROPIFY_WEBHOOK_SECRET", "0123456789abcdef0123456789abcdef")
        .with_variable("GITHUB_WEBHOOK_SECRET", "fedcba9876543210fedcba9876543210")
        .with_variable("META_APP_SECRET", "0f1e2d3c4b5a69788796a5b4c3d2e1f0")
        .with_variable("META_VERIFY_TOKEN", "89abcdef0123456789abcdef01234567")
        .with_file("/run/secrets/propify-previous", "00112233445566778899aabbccddeeff")
        .with_file("/run/secrets/hookgate-admin", "ffeeddccbbaa99887766554433221100")
}

/// Reads a text, and renders the result in every form.
fn everything_about(text: &str) -> String {
    let report = match super::read("gateway.toml", text, &environment(), SystemTime::UNIX_EPOCH) {
        Ok(loaded) => loaded.report,
        Err(report) => {
            assert!(report.has_errors());
            report
        }
    };
    format!("{}{}{}{report:?}", report.render(Style::Plain), report.render(Style::Colored), report.to_json())
}

fn collect<'t>(table: &'t DeTable<'_>, found: &mut Vec<&'t str>) {
    for (key, value) in table {
        found.push(key.get_ref());
        collect_value(value.get_ref(), found);
    }
}

fn collect_value<'t>(value: &'t DeValue<'_>, found: &mut Vec<&'t str>) {
    if let Some(table) = value.as_table() {
        collect(table, found);
    }
    for element in value.as_array().into_iter().flatten() {
        collect_value(element.get_ref(), found);
    }
}

/// The example has every key except `value`: users would copy the key together with a secret.
#[test]
fn the_example_has_every_key() {
    let document = DeTable::parse(EXAMPLE).unwrap();
    let root = document.get_ref();
    for (title, known) in keys::TABLES {
        let mut found = Vec::new();
        let section = title.trim_matches(['`', '[', ']']);
        match root.get(section) {
            Some(table) => collect_value(table.get_ref(), &mut found),
            None => collect(root, &mut found),
        }
        for key in key_description::names(known).filter(|key| *key != "value") {
            // A key is shown in a comment if it conflicts with another key of its table, or if it needs a
            // file.
            let mut comments = EXAMPLE.lines().filter(|line| line.starts_with("# "));
            let is_comment =
                comments.any(|line| line.contains(&format!(" {key} = ")) || line == format!("# [{key}]"));
            let is_shown = found.contains(&key) || is_comment;
            assert!(is_shown, "{title} has no {key} in gateway.toml");
        }
    }
    assert!(EXAMPLE.contains("`value = \"...\"`"), "it is explained all the same");
}

/// The codes of the errors in a file that has these lines and then a route.
fn errors_with(lines: &str) -> Vec<&'static str> {
    let text = format!(
        "{lines}\n[signature]\nscheme = \"acme\"\nsecrets = [{{ env = \"GITHUB_WEBHOOK_SECRET\" }}]\n\
         [[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:3000\"\n"
    );
    match super::read("gateway.toml", &text, &environment(), SystemTime::UNIX_EPOCH) {
        Ok(_) => Vec::new(),
        Err(report) => report.errors().map(|problem| problem.code).collect(),
    }
}

#[test]
fn a_scheme_whose_fields_would_always_be_refused_is_an_error() {
    for header in [
        "header = \"content_length\"",
        "header = \"transfer.encoding\"",
        "header = [\"x-sign\", \"x_sign\"]",
        "header = \"x-sign\"\nid = \"x.sign\"\ncontent = \"{id}.{body}\"",
        "header = \"x-sign\"\ncontent = \"v1:{header:x_sign}.{body}\"",
    ] {
        let errors = errors_with(&format!("[schemes.acme]\n{header}"));
        assert!(errors.contains(&"bad_field"), "{header}: {errors:?}");
    }
    for header in ["header = \"x_sign\"", "header = [\"x-sign\", \"x-signs\"]", "header = \"content_type\""] {
        assert_eq!(errors_with(&format!("[schemes.acme]\n{header}")), [""; 0], "{header}");
    }
}

#[test]
fn a_field_set_by_the_gateway_resembles_no_important_field() {
    let forward =
        |field: &str| format!("[forward]\nverified_field = \"{field}\"\n[schemes.acme]\nheader = \"x-sign\"");
    for field in ["content_length", "x_forwarded_for", "x.hub.signature.256", "x-sign", "x_sign"] {
        assert_eq!(errors_with(&forward(field)), ["bad_field"], "{field}");
    }
    for field in ["x-hookgate-verified", "x_hookgate_verified", "x-signs"] {
        assert_eq!(errors_with(&forward(field)), [""; 0], "{field}");
    }
}

#[test]
fn a_secret_in_the_file_is_in_no_rendering() {
    for (before, after) in
        [("", ""), ("listen = 1\n", ""), ("listen = x\n", ""), ("", "\n[[routes]\n"), ("", "\n= 1")]
    {
        let text = format!(
            "{before}signature = {{ scheme = \"propify\", secrets = [{{ name = \"a b\", value = \"hunter2\" }}] }}\n{after}"
        );
        let shown = everything_about(&text);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("*******"), "{shown}");
    }
}

const INLINE: &str = r#"[server]
listen = "127.0.0.1:8080"

[signature]
scheme = "propify"
secrets = [
  { name = "current", env = "PROPIFY_WEBHOOK_SECRET" },
  { name = "previous", encoding = "utf8", value = "hunter2" },
]

[[routes]]
path = "/webhook/{model}"
upstream = "http://127.0.0.1:3000"
"#;

/// Pieces of configurations. With them, a random text is not already wrong at its first character.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ",",
        ".",
        "\n",
        "\"",
        "'",
        "\"\"\"",
        "#",
        " ",
        "\r\n",
        "é",
        "\u{0}",
        "server",
        "listen",
        "routes",
        "path",
        "signature",
        "secrets",
        "value",
        "env",
        "model",
        "\"/{model}\"",
        "limits",
        "[server]\n",
        "[[routes]]\n",
        "[signature]\n",
        "scheme = \"propify\"\n",
        "max_body",
        "0",
        "-1",
        "1e9",
        "2026-01-01T00:00:00Z",
        "true",
        "\"10s\"",
        "\"1MiB\"",
        "= [\"hunter2\"]\n",
        "= { value = \"hunter2\" }\n",
        "path = \"/a\"\n",
        "upstream = \"http://a\"\n",
        "server.listen",
        "routes.signature",
        "\\u00e9",
        "\\",
    ];
    prop_oneof![4 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

/// The characters of the test's secrets: every character that may stand between quotes. Most are letters.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=_-.,:#[]{} '";

/// Layouts of a secret in a configuration.
const LAYOUTS: [&str; 4] = [
    INLINE,
    r#"[log]
level = "info" # or so

[signature]
scheme = "propify"
secrets = [{ value = "hunter2" }]
[[routes]]
path = "/webhook"
upstream = "http://127.0.0.1:3000"
"#,
    r#"[[routes]]
path = "/hooks"
upstream = "http://127.0.0.1:3000"
signature = { scheme = "github", secrets = [{ env = "GITHUB_WEBHOOK_SECRET" }, { value = "hunter2", name = "old" }] }
methods = ["POST"]
mode = "observe"
"#,
    r#"signature.scheme = "propify"
[[signature.secrets]]
name = "current"
value = "hunter2" # for now
encoding = "utf8"
[[routes]]
path = "/webhook/{model}"
upstream = "http://127.0.0.1:3000"
"#,
];

/// A typing error: some characters are removed and others inserted, at a distance from the secret.
#[derive(Clone, Debug)]
struct Slip {
    distance: isize,
    out: usize,
    into: String,
}

fn slip() -> impl Strategy<Value = Slip> {
    let distance = prop_oneof![3 => -60_isize..60, 1 => -400_isize..200];
    let out = prop_oneof![2 => Just(0_usize), 1 => 0_usize..7];
    let signs =
        ["\"", "'", "[", "]", "{", "}", "=", "\n", ",", "#", ".", "-", "\"\"\"", "'''", "\\", " ", "=1"];
    let sign = prop::sample::select(signs.to_vec()).prop_map(str::to_owned);
    let into = prop_oneof![3 => sign, 1 => piece(), 1 => Just(String::new())];
    (distance, out, into).prop_map(|(distance, out, into)| Slip { distance, out, into })
}

impl Slip {
    fn make(self, text: &mut String, secret: &str) {
        let near = text.find(secret).unwrap_or(text.len() / 2);
        let at = near.saturating_add_signed(self.distance).min(text.len());
        let end = text.ceil_char_boundary((at + self.out).min(text.len()));
        text.replace_range(text.floor_char_boundary(at)..end, &self.into);
    }
}

/// Puts a secret in place of each string and each key of the example. Does this with both quotation marks,
/// and with one missing.
#[test]
fn no_credential_of_a_url_is_in_any_rendering() {
    // The comments, which are most of the text, only make each reading slower.
    let example: String =
        EXAMPLE.split_inclusive('\n').filter(|line| !line.starts_with(['#', '\n'])).collect();
    let mut places = Vec::new();
    let mut at = 0;
    for line in example.split_inclusive('\n') {
        let code = line.split('#').next().unwrap();
        let quotes: Vec<usize> = code.match_indices('"').map(|(quote, _)| at + quote).collect();
        places.extend(quotes.chunks_exact(2).map(|pair| pair[0]..pair[1] + 1));
        if let Some((key, _)) = code.split_once(" = ").filter(|(key, _)| !key.contains(['{', '[', ' '])) {
            places.push(at..at + key.len());
        }
        at += line.len();
    }
    assert!(places.len() > 20, "{}", places.len());
    let urls = [
        "http://hunter2@app:3000",
        "http://me:hunter2@app:3000/hooks",
        "postgres://me:12/hunter2@app/db?sslmode=hunter2",
        "http://me:hunter2",
        "//me:hunter2@app",
        "me:hunter2@app:3000",
        "https://app/hook?token=hunter2",
        "https://app/#hunter2",
        "http://me:1,hunter2=@app",
        "http://me:1 hunter2@app",
    ];
    let quotes = [("\"", "\""), ("'", "'"), ("\"", ""), ("", "\""), ("", ""), ("[\"", "\"]")];
    for (url, turn) in urls.iter().zip(0..) {
        for (place, (before, behind)) in places.iter().zip(quotes.iter().cycle().skip(turn)) {
            let (start, end) = (&example[..place.start], &example[place.end..]);
            let shown = everything_about(&format!("{start}{before}{url}{behind}{end}"));
            assert!(!shown.contains("hunter2"), "{before}{url}{behind} at {place:?}:\n{shown}");
        }
    }
}

/// The secret is written as the value of the wrong key in its table.
#[test]
fn a_secret_in_the_place_of_a_word_is_not_shown() {
    let text = "[signature]\nscheme = \"propify\"\nsecrets = [{ value = \"0123456789abcdef\", encoding = \"hunter2hunter2\" }]";
    let shown = everything_about(text);
    assert!(shown.contains("`encoding` cannot be") && !shown.contains("hunter2"), "{shown}");
}

proptest! {
    #[test]
    fn no_text_panics(text: String) {
        everything_about(&text);
    }

    #[test]
    fn no_text_that_looks_like_a_configuration_panics(pieces in prop::collection::vec(piece(), 0..40)) {
        everything_about(&pieces.concat());
    }

    /// Damages the lines around a secret, and the secret's own line up to its key.
    #[test]
    fn a_secret_in_a_broken_file_is_in_no_rendering(
        at in 0..INLINE.len(), length in 0_usize..40, piece in piece()
    ) {
        let secret = INLINE.find("value").unwrap()..INLINE.find("\" },\n]").unwrap();
        let end = at.saturating_add(length).min(INLINE.len());
        if (at < secret.end && secret.start < end) || piece.contains("hunter2") {
            return Ok(());
        }
        let shown = everything_about(&format!("{}{piece}{}", &INLINE[..at], &INLINE[end..]));
        prop_assert!(!shown.contains("hunter2"), "{}", shown);
    }

    /// Makes random typing errors, near the secret and far from it.
    #[test]
    fn no_slip_shows_a_piece_of_a_secret(
        secret in prop::collection::vec(prop::sample::select(LETTERS.chars().collect::<Vec<_>>()), 12..40),
        layout in prop::sample::select(LAYOUTS.to_vec()),
        slips in prop::collection::vec(slip(), 1..5),
    ) {
        let secret: String = secret.into_iter().collect();
        let mut text = layout.replace("hunter2", &secret);
        for slip in slips {
            slip.make(&mut text, &secret);
        }
        let shown = everything_about(&text);
        for at in 0..secret.len() - 5 {
            let piece = &secret[at..at + 6];
            prop_assert!(!shown.contains(piece), "{piece:?} of\n{text}\nin\n{shown}");
        }
    }

    #[test]
    fn no_change_to_the_example_panics(at in 0..EXAMPLE.len(), length in 0_usize..40, piece in piece()) {
        let start = EXAMPLE.floor_char_boundary(at);
        let end = EXAMPLE.ceil_char_boundary(at.saturating_add(length).min(EXAMPLE.len()));
        everything_about(&format!("{}{piece}{}", &EXAMPLE[..start], &EXAMPLE[end..]));
    }
}
