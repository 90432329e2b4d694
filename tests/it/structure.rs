//! The structure of the source files: which files are pure. Also that no files import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Names that only a shell file may use: the runtime, the network, the file system, the environment, a clock,
/// and hyper. The rules in pure files must not depend on them. A name matches if it ends here or continues
/// with `::`. With a final `*`, it may continue in any way.
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

/// The most lines of a file. A longer file has more than one responsibility.
const LONGEST: usize = 800;

/// The most columns of a comment, as in rustfmt.toml.
const WIDEST: usize = 110;

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

/// The path of a request, the types that it reads, and the proof. No version of HTTP, no socket and no
/// runtime may occur there.
#[test]
fn the_path_of_a_request_names_no_front_end_no_socket_and_no_runtime() {
    let outside = [
        "crate::connection",
        "crate::http1",
        "crate::listen",
        "crate::runtime",
        "crate::admin",
        "crate::cli",
    ];
    let mut wrong = Vec::new();
    let mut looked_at = BTreeSet::new();
    for file in sources() {
        let folder = file.name.split('/').next().unwrap_or_default();
        if !["gateway", "message", "routing", "signature"].contains(&folder)
            || file.name.ends_with("tests.rs")
        {
            continue;
        }
        looked_at.insert(folder.to_owned());
        if !file.text.starts_with("//! Pure. ") {
            wrong.push(format!("src/{} is not pure", file.name));
        }
        for name in paths(rules(&file.text)) {
            if outside.iter().any(|folder| name == *folder || name.starts_with(&format!("{folder}::"))) {
                wrong.push(format!("src/{} names {name}", file.name));
            }
        }
    }
    assert_eq!(looked_at.len(), 4, "{looked_at:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_first_whether_it_is_pure_or_shell() {
    for file in sources() {
        // lib.rs and main.rs are exempt. Tests are exempt too, because they belong to the file that they
        // test.
        if matches!(file.name.as_str(), "lib.rs" | "main.rs") || file.name.ends_with("tests.rs") {
            continue;
        }
        let first = file.text.lines().next().unwrap_or_default();
        let kinds = ["//! Pure. ", "//! Shell. "];
        assert!(kinds.iter().any(|kind| first.starts_with(kind)), "src/{} begins with {first:?}", file.name);
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let circles = circles(&imports(&sources()));
    assert!(circles.is_empty(), "files that import each other:\n{}", describe(&circles));
}

#[test]
fn a_circle_is_found_through_groups_reexports_and_bare_names_of_children() {
    let file = |name: &str, text: &str| Source { name: name.to_owned(), text: text.to_owned() };
    let circles_of = |files: &[Source]| circles(&imports(files)).len();
    let lib = || file("lib.rs", "pub mod a;\npub mod b;\n");
    for (a, b, want) in [
        ("use crate::b::B;", "use crate::a::A;", 1),
        ("use crate::{b::B};", "fn f() { super::a::f(); }", 1),
        ("use crate::b::B;", "\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}", 0),
        ("use crate::b::B;", "// crate::a::A\nuse std::fmt;", 0),
    ] {
        assert_eq!(circles_of(&[lib(), file("a.rs", a), file("b.rs", b)]), want, "{a} {b}");
    }
    // `a` re-exports what `c` defines. A file that imports it from `a` imports `c`.
    let a = file("a.rs", "mod c;\npub use c::C;\n");
    for (c, b, want) in [("", "use crate::a::C;", 0), ("use crate::b::B;", "use crate::a::C;", 1)] {
        assert_eq!(
            circles_of(&[lib(), file("a.rs", &a.text), file("a/c.rs", c), file("b.rs", b)]),
            want,
            "{c}"
        );
    }
    // `a` re-exports what `c` defines, and imports from `b` itself.
    let a = file("a.rs", "mod c;\npub use c::C;\nuse crate::b::B;\n");
    assert_eq!(circles_of(&[lib(), a, file("a/c.rs", ""), file("b.rs", "use crate::a::C;")]), 1);
    let parent = [lib(), file("a.rs", "mod c;\nfn f() { c::f(); }"), file("a/c.rs", "use super::A;")];
    assert_eq!(circles_of(&parent), 1, "a parent that calls its child, and the child that uses the parent's");
}

#[test]
fn no_file_is_too_long_to_be_read() {
    for file in sources() {
        let lines = file.text.lines().count();
        assert!(lines <= LONGEST, "src/{} has {lines} lines: look for the second noun", file.name);
    }
}

/// rustfmt leaves comments as they are.
#[test]
fn no_comment_is_wider_than_code() {
    let mut wrong = Vec::new();
    for file in sources() {
        for (number, line) in (1..).zip(file.text.lines()) {
            if line.trim_start().starts_with("//") && line.chars().count() > WIDEST {
                wrong.push(format!("src/{}:{number}", file.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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

/// The imports of each file, by the names of the files. Tests are left out. `lib.rs` is left out, because it
/// names everything.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn imports(files: &[Source]) -> Imports {
    let files: Vec<_> = files
        .iter()
        .filter(|file| {
            !matches!(file.name.as_str(), "lib.rs" | "main.rs") && !file.name.ends_with("tests.rs")
        })
        .map(|file| (module(&file.name), file))
        .collect();
    let modules: BTreeMap<String, &Source> =
        files.iter().map(|(module, file)| (module.clone(), *file)).collect();
    let mut imports = Imports::new();
    for (here, file) in &files {
        let of_file = imports.entry(file.name.clone()).or_default();
        for path in paths(rules(&file.text)) {
            let Some(absolute) = absolute(&path, here, &modules) else { continue };
            let passing = definer(&absolute, &modules, MOST_STEPS).filter(|passing| !only_passes_on(passing));
            for found in definer(&absolute, &modules, 0).into_iter().chain(passing) {
                if found.name != file.name {
                    of_file.insert(found.name.clone());
                }
            }
        }
    }
    imports
}

/// The module of a file: `a/b.rs` and `a/b/mod.rs` are `a::b`.
fn module(name: &str) -> String {
    let name = name.trim_end_matches(".rs");
    name.strip_suffix("/mod").unwrap_or(name).replace('/', "::")
}

/// A path from the root of the crate, without `crate`. `None` if the path leads out of the crate.
fn absolute(path: &str, here: &str, modules: &BTreeMap<String, &Source>) -> Option<String> {
    let mut base: Vec<&str> = here.split("::").collect();
    let mut names: Vec<&str> = path.trim_start_matches("::").split("::").collect();
    match *names.first()? {
        "crate" => return Some(names[1..].join("::")),
        "self" => {}
        "super" => {
            while names.first() == Some(&"super") {
                base.pop();
                names.remove(0);
            }
            return Some([base, names].concat().join("::"));
        }
        child => {
            modules.get(&format!("{here}::{child}"))?;
        }
    }
    names.retain(|name| *name != "self");
    Some([base, names].concat().join("::"))
}

/// The file that defines a path's last name. It is the module with the longest matching name. If that module
/// only re-exports the name (`pub use`), it is the module that defines the name.
fn definer<'s>(path: &str, modules: &BTreeMap<String, &'s Source>, depth: usize) -> Option<&'s Source> {
    let names: Vec<&str> = path.split("::").collect();
    let (at, file) =
        (1..=names.len()).rev().find_map(|n| Some((n, *modules.get(&names[..n].join("::"))?)))?;
    let (here, item) = (names[..at].join("::"), names.get(at));
    let passed_on = item.filter(|_| depth < MOST_STEPS).and_then(|item| {
        let reexports = rules(&file.text).lines().filter(|line| line.starts_with("pub use "));
        let mut paths = reexports.flat_map(paths);
        let target = paths.find(|path| path.rsplit("::").next() == Some(item))?;
        definer(&absolute(&target, &here, modules)?, modules, depth + 1)
    });
    Some(passed_on.unwrap_or(file))
}

/// How many files may re-export a name, one from the next.
const MOST_STEPS: usize = 4;

/// Whether a file only re-exports names. If a file also has code, an import of a name from it counts as an
/// import of that file too.
fn only_passes_on(file: &Source) -> bool {
    !rules(&file.text).lines().any(|line| line.starts_with("use ") || line.contains("fn "))
}

/// The groups of files in which each file leads to each other file.
fn circles(imports: &Imports) -> Vec<Vec<String>> {
    let reach = |from: &String| {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&String> = imports[from].iter().collect();
        while let Some(file) = next.pop() {
            if reached.insert(file) {
                next.extend(&imports[file]);
            }
        }
        reached
    };
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        imports.keys().map(|file| (file, reach(file))).collect();
    let mut circles = Vec::new();
    for (file, far) in &reached {
        let circle: Vec<String> =
            far.iter().filter(|other| reached[*other].contains(file)).map(|other| (*other).clone()).collect();
        if circle.first() == Some(*file) {
            circles.push(circle);
        }
    }
    circles
}

fn describe(circles: &[Vec<String>]) -> String {
    circles.iter().map(|circle| format!("  {}\n", circle.join(", "))).collect()
}

/// A file without its tests, which are at the end. Tests may use a clock, because they need a time.
fn rules(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default()
}

fn is_forbidden(path: &str) -> bool {
    let path = path.trim_start_matches("::");
    FORBIDDEN.iter().any(|forbidden| match forbidden.strip_suffix('*') {
        Some(beginning) => path.starts_with(beginning) || format!("{path}::") == beginning,
        None => {
            // `Instant::now` is forbidden with any prefix.
            let names = path.split("::").collect::<Vec<_>>();
            let wanted = forbidden.split("::").collect::<Vec<_>>();
            match wanted.first() {
                Some(&"std") => names.starts_with(&wanted),
                _ => names.windows(wanted.len()).any(|part| part == wanted),
            }
        }
    })
}

/// Every path of two or more names in the code of a file. Groups in `use` are expanded, and comments are
/// ignored.
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

/// Records each path that begins with `prefix` and continues with `after`. Returns the text after it.
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
            // This is not the group of a `use`.
            return group;
        }
        let (name, after) = group.split_at(end);
        group = expand(&format!("{prefix}::{name}"), after, paths);
        if let Some(renamed) = group.trim_start().strip_prefix("as ") {
            group = renamed.trim_start_matches(is_name);
        }
    }
}

/// A line without its comment. The `//` of a URL within a string does not begin a comment.
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

/// A source file.
struct Source {
    /// The path of the file below `src/`.
    name: String,
    /// The text of the file.
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
