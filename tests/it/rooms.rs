//! The rooms: which files are pure, and that they stay so.

use std::fs;
use std::path::{Path, PathBuf};

/// What only a shell room may name: the runtime, the network, the file system, the environment, a clock, and hyper, of
/// which the rules must not depend. A name ends here or with `::`; one that ends with `*` also with more letters.
const FORBIDDEN: [&str; 13] = [
    "tokio::*",
    "tokio_util::*",
    "hyper::*",
    "hyper_util::*",
    "std::net::Tcp*",
    "std::net::Udp*",
    "std::net::ToSocketAddrs",
    "std::os::*",
    "std::fs",
    "std::env",
    "std::thread",
    "SystemTime::now",
    "Instant::now",
];

/// A file longer than this has two nouns in it.
const LONGEST: usize = 800;

#[test]
fn pure_files_name_no_runtime_network_file_system_environment_or_clock() {
    let mut wrong = Vec::new();
    let mut pure = 0;
    for file in sources() {
        if !file.text.starts_with("//! Pure.") {
            continue;
        }
        pure += 1;
        for name in paths(rules(&file.text)) {
            if is_forbidden(&name) {
                wrong.push(format!("src/{} names {name}", file.name));
            }
        }
    }
    assert!(pure > 10, "only {pure} pure files were found");
    assert!(wrong.is_empty(), "pure files that are not:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_first_whether_it_is_pure_or_shell() {
    for file in sources() {
        // The map, the door, and tests, which belong to the room that they test.
        if matches!(file.name.as_str(), "lib.rs" | "main.rs") || file.name.ends_with("tests.rs") {
            continue;
        }
        let first = file.text.lines().next().unwrap_or_default();
        let kinds = ["//! Pure. ", "//! Shell. "];
        assert!(kinds.iter().any(|kind| first.starts_with(kind)), "src/{} begins with {first:?}", file.name);
    }
}

#[test]
fn no_file_is_too_long_to_be_read() {
    for file in sources() {
        let lines = file.text.lines().count();
        assert!(lines <= LONGEST, "src/{} has {lines} lines: look for the second noun", file.name);
    }
}

#[test]
fn a_forbidden_name_is_found_however_it_is_written() {
    let found = |text: &str| paths(text).iter().any(|path| is_forbidden(path));
    for text in [
        "use tokio::net::TcpStream;",
        "use std::net::{IpAddr, TcpStream};",
        "use std::{fmt, fs};",
        "use std::{\n    fmt,\n    net::{IpAddr, TcpListener as L},\n};",
        "pub(crate) use std::env;",
        "let now = SystemTime::now();",
        "let now = std::time::Instant::now();",
        "let text = std::fs::read_to_string(path);",
        "let text = ::std::fs::read_to_string(path);",
        "fn f(error: hyper::Error) {}",
        "let text = url.strip_prefix(\"http://\").map(std::fs::read);",
    ] {
        assert!(found(text), "{text}");
    }
    for text in [
        "use std::net::{IpAddr, SocketAddr};",
        "use std::time::{Instant, SystemTime};",
        "// Not std::fs: that is the shell's.",
        "/// See [`std::env::var`].",
        "use crate::environment::Environment;",
        "let now = context.now;",
        "use crate::hyperbole;",
    ] {
        assert!(!found(text), "{text}");
    }
}

/// A file without its tests, which stand last: those may need a clock to have a moment at all.
fn rules(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default()
}

fn is_forbidden(path: &str) -> bool {
    let path = path.trim_start_matches("::");
    FORBIDDEN.iter().any(|forbidden| match forbidden.strip_suffix('*') {
        Some(beginning) => path.starts_with(beginning) || format!("{path}::") == beginning,
        None => {
            // `Instant::now` is forbidden under any longer name too.
            let names = path.split("::").collect::<Vec<_>>();
            let wanted = forbidden.split("::").collect::<Vec<_>>();
            match wanted.first() {
                Some(&"std") => names.starts_with(&wanted),
                _ => names.windows(wanted.len()).any(|part| part == wanted),
            }
        }
    })
}

/// Every path of two or more names in a file's code, `use` groups taken apart. Comments do not count.
fn paths(text: &str) -> Vec<String> {
    let code = text.lines().map(without_comment).collect::<Vec<_>>().join("\n");
    let mut paths = Vec::new();
    let mut rest = code.as_str();
    while let Some(at) = rest.find("::") {
        let (before, after) = rest.split_at(at);
        let start = before.rfind(|c: char| !is_name(c)).map_or(0, |at| at + 1);
        rest = expand(&before[start..], after, &mut paths);
    }
    paths
}

/// Takes in the path that begins with `prefix` and goes on with `after`, and gives back what follows it.
fn expand<'t>(prefix: &str, after: &'t str, paths: &mut Vec<String>) -> &'t str {
    let Some(after) = after.strip_prefix("::") else {
        paths.push(prefix.to_owned());
        return after;
    };
    let Some(mut group) = after.strip_prefix('{') else {
        let end = after.find(|c: char| !is_name(c)).unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        return expand(&format!("{prefix}::{name}"), after, paths);
    };
    loop {
        group = group.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ',' | '*'));
        if let Some(after) = group.strip_prefix('}') {
            return after;
        }
        let end = group.find(|c: char| !is_name(c)).unwrap_or(group.len());
        if end == 0 {
            // Not the group of a `use`.
            return group;
        }
        let (name, after) = group.split_at(end);
        group = expand(&format!("{prefix}::{name}"), after, paths);
        if let Some(renamed) = group.trim_start().strip_prefix("as ") {
            group = renamed.trim_start_matches(is_name);
        }
    }
}

/// A line up to its comment. The `//` of a URL in a string begins none.
fn without_comment(line: &str) -> &str {
    let mut from = 0;
    while let Some(at) = line[from..].find("//").map(|at| from + at) {
        if !line[..at].ends_with(':') {
            return &line[..at];
        }
        from = at + 2;
    }
    line
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// A file of the sources.
struct Source {
    /// Its path below `src/`.
    name: String,
    /// All of it.
    text: String,
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    let source = |path: PathBuf| {
        let name = path.strip_prefix(&src).expect("it was found there").display().to_string();
        Source { name, text: fs::read_to_string(&path).expect("a source file can be read") }
    };
    files.into_iter().map(source).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the sources can be read") {
        let path = entry.expect("its entries, too").path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
