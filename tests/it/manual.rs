//! The manual pages. They are generated from the definition of the command line and from the tables of keys,
//! and are committed.

use std::fmt::Write as _;
use std::fs;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use hookgate::cli::definition;
use hookgate::config::json_schema::{Explained, reference};

/// Compares a page with the committed file. With `BLESS=1`, writes the file instead.
fn expect(path: &str, page: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, page).unwrap();
    }
    assert!(
        fs::read_to_string(path).unwrap_or_default() == page,
        "{path} is not what it should be: BLESS=1 writes it"
    );
}

#[test]
fn the_manual_page_of_the_command_says_what_its_help_says() {
    expect("deploy/package/man/hookgate.1", &hookgate_1());
}

#[test]
fn the_manual_page_of_the_configuration_has_every_key() {
    let page = gateway_toml_5();
    for table in reference() {
        for key in &table.keys {
            assert!(
                page.contains(&format!("\\fB{}\\fR", key.name.replace('-', "\\-"))),
                "{}: {}",
                table.title,
                key.name
            );
        }
    }
    expect("deploy/package/man/gateway.toml.5", &page);
}

#[test]
fn every_command_has_its_place_in_the_manual_page() {
    let page = hookgate_1();
    for command in definition().get_subcommands() {
        assert!(page.contains(&format!(".SS \"hookgate {}\"", command.get_name())), "{}", command.get_name());
    }
}

fn hookgate_1() -> String {
    let mut definition = definition();
    definition.build();
    let mut options = Vec::new();
    Man::new(definition.clone()).render_options_section(&mut options).unwrap();
    let options = String::from_utf8(options).unwrap();
    let commands: String = commands(&definition).map(|command| subcommand(command, "hookgate")).collect();
    template("deploy/package/man/hookgate.1.in")
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@OPTIONS@\n", &options)
        .replace("@COMMANDS@\n", &commands)
}

/// The template that is written by hand, with placeholders for the generated parts.
fn template(path: &str) -> String {
    fs::read_to_string(path).unwrap()
}

/// The commands below a command. `help` is left out, because it prints what the page says.
fn commands(above: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    above.get_subcommands().filter(|command| command.get_name() != "help")
}

/// A command with its subcommands. Each has its synopsis and options, one heading level below the generator's
/// level.
fn subcommand(command: &clap::Command, above: &str) -> String {
    let name = format!("{above} {}", command.get_name());
    let below: String = commands(command).map(|command| subcommand(command, &name)).collect();
    let command = command.clone();
    let title = format!(".SS \"{name}\"\n");
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let usage =
        command.clone().render_usage().to_string().replace("Usage: ", "").replace("[OPTIONS]", "[options]");
    let own = command
        .mut_arg("config", |config| config.hide(true))
        .mut_arg("help", |help| help.hide(true))
        .mut_args(with_few_values);
    let mut rendered = Vec::new();
    Man::new(own).render_options_section(&mut rendered).unwrap();
    let rendered = String::from_utf8(rendered).unwrap();
    let mut text =
        title + &verbatim(&usage) + ".PP\n" + &Roff::new().text([roman(format!("{about}."))]).to_roff();
    for line in rendered.lines() {
        match line {
            // The generator's definitions are needed only once, at the beginning of the page.
            ".ie \\n(.g .ds Aq \\(aq" | ".el .ds Aq '" | ".PP" => {}
            // Option groups get no headings, so each command has one list.
            line if line.starts_with(".SH") => {}
            line => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    if !examples.is_empty() {
        text.push_str(".PP\n");
        text.push_str(&verbatim(&examples));
    }
    text + &below
}

/// The text unchanged, in a fixed-width font.
fn verbatim(text: &str) -> String {
    format!(".EX\n{}\n.EE\n", escaped(text))
}

fn escaped(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
        if line.starts_with('.') { format!("\\&{line}") } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn gateway_toml_5() -> String {
    let mut tables = String::new();
    for table in reference() {
        let title = table.title.replace('`', "");
        writeln!(tables, ".SH \"{}\"", escaped(&title)).unwrap();
        table.keys.iter().for_each(|key| tables.push_str(&entry(key)));
    }
    template("deploy/package/man/gateway.toml.5.in")
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@TABLES@\n", &tables)
}

fn entry(key: &Explained) -> String {
    let mut head = vec![bold(key.name)];
    if let Some(default) = key.default {
        head.extend([roman(" = "), italic(default)]);
    } else if key.required {
        head.push(roman(" (needed)"));
    }
    let mut about = key.about.replace('`', "");
    if !key.words.is_empty() {
        let words: Vec<String> = key.words.iter().map(|word| format!("{word:?}")).collect();
        write!(about, " One of {}.", words.join(", ")).unwrap();
    }
    Roff::new().control("TP", []).text(head).text([roman(about)]).to_roff()
}

/// Lists the values of an option in its help line. An option with very many values has a command that prints
/// them.
fn with_few_values(arg: clap::Arg) -> clap::Arg {
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    match values.len() {
        _ if !arg.get_action().takes_values() => arg,
        0 => arg,
        1..=MANY => arg.help(format!("{help}: {}", values.join(", "))).hide_possible_values(true),
        _ => arg.hide_possible_values(true),
    }
}

/// The most values of an option that are listed.
const MANY: usize = 8;
