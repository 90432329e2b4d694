//! The public surface of the library: `tests/public_surface.txt` lists it, and these tests compare the list
//! with the code. `BLESS=1 cargo test public_surface` writes the list.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const LIST: &str = "tests/public_surface.txt";

/// What hides a module of the program from the documentation.
const HIDDEN: &str = "#[cfg_attr(not(hookgate_internals), doc(hidden))]";

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The modules of lib.rs that are public and not hidden.
fn modules() -> Vec<String> {
    let text = text("src/lib.rs");
    let lines: Vec<_> = text.lines().collect();
    let is_shown = |at: &usize| {
        lines[at + 1].starts_with("pub mod ") && lines[*at] != HIDDEN || lines[at + 1].starts_with("pub use ")
    };
    let shown = (0..lines.len() - 1).filter(is_shown);
    shown.map(|at| lines[at + 1].trim_start_matches("pub mod ").trim_end_matches(';').to_owned()).collect()
}

#[test]
fn only_the_check_and_the_layer_are_public() {
    assert_eq!(modules(), ["layer", "verify"], "a module of the program needs {HIDDEN}");
}

#[test]
fn the_public_surface_is_what_its_list_says() {
    let mut list = String::new();
    for module in modules() {
        writeln!(list, "hookgate::{module}").unwrap();
        let texts: Vec<String> = files(&module).into_iter().map(text).collect();
        let code: Vec<Vec<String>> = texts.iter().map(|text| items(text)).collect();
        let names: Vec<String> = code.iter().flatten().filter_map(|item| name(item)).collect();
        for item in code.iter().flatten().filter(|item| is_shown(item, &names)) {
            writeln!(list, "  {item}").unwrap();
            // A type of the program that the module passes on.
            if let Some((folder, name)) =
                item.strip_prefix("pub use crate::").and_then(|path| path.split_once("::"))
            {
                let name = name.trim_end_matches(';');
                let texts = files(folder).into_iter().map(text);
                let definition = texts.flat_map(|text| items(&text)).find(|item| {
                    item.starts_with(&format!("pub trait {name} ")) || item == &format!("pub trait {name}")
                });
                let definition = definition.unwrap_or_else(|| panic!("{name} is not found"));
                writeln!(list, "  {definition}").unwrap();
            }
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(LIST);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &list).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == list,
        "the public surface has changed. If that is meant, BLESS=1 writes {LIST}:\n{list}"
    );
}

/// The source files of a module, in the order of their names.
fn files(module: &str) -> Vec<PathBuf> {
    let folder = Path::new("src").join(module);
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(&folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    let mut files: Vec<_> =
        names.filter(|name| name.to_string_lossy().ends_with(".rs")).map(|name| folder.join(name)).collect();
    files.sort();
    files
}

/// Whether an item is public. The implementations count that are for public types or for foreign types.
fn is_shown(item: &str, names: &[String]) -> bool {
    if !item.starts_with("impl") {
        return true;
    }
    let target = item.rsplit_once(" for ").map_or_else(|| item.trim_start_matches("impl "), |(_, of)| of);
    let base = target.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    target.starts_with('[') || base == "HeaderMap" || names.iter().any(|name| name == base)
}

/// The name that a public item declares, if it is a type.
fn name(item: &str) -> Option<String> {
    let rest = ["pub struct ", "pub enum ", "pub trait "].iter().find_map(|word| item.strip_prefix(word))?;
    Some(rest.chars().take_while(|c| c.is_alphanumeric()).collect())
}

/// The public items of a file, and the heads of implementations: each on one line, without bodies. An enum
/// and a trait have their members.
fn items(text: &str) -> Vec<String> {
    let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let mut lines = code.lines().filter(|line| {
        let line = line.trim_start();
        !line.starts_with("//") && !line.starts_with("#[")
    });
    let mut items = Vec::new();
    while let Some(line) = lines.next() {
        let is_public = line.trim_start().starts_with("pub ");
        if !is_public && !line.starts_with("impl") || line.trim_start().starts_with("pub mod ") {
            continue;
        }
        let mut item = line.trim().to_owned();
        let has_members = ["pub enum ", "pub trait "].iter().any(|word| item.starts_with(word));
        let is_whole = |item: &str| match has_members {
            true => item.ends_with(" }") || item.ends_with("{}"),
            false => item.ends_with(['{', ';', '}']) || is_field(item),
        };
        while !is_whole(&item) {
            let Some(more) = lines.next() else { break };
            item = format!("{item} {}", more.trim());
        }
        if !has_members
            && let Some((head, _)) = item.split_once('{')
            && !item.starts_with("pub use")
        {
            item = head.to_owned();
        }
        items.push(item.trim_end().trim_end_matches(',').to_owned());
    }
    items
}

/// Whether an item is a complete field of a struct.
fn is_field(item: &str) -> bool {
    let is_item = ["pub fn ", "pub struct ", "pub use ", "impl"].iter().any(|word| item.starts_with(word));
    !is_item && item.ends_with(',')
}
