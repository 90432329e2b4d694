//! Tests that no rendering of a configuration shows a secret.

use super::*;

fn shown(text: &str) -> String {
    let (document, errors) = DeTable::parse_recoverable(text);
    let syntax = if errors.is_empty() { Syntax::Sound } else { Syntax::Broken };
    let shown = redact_secrets(text, document.get_ref(), syntax);
    assert_eq!(shown.len(), text.len(), "every place stays where it is: {text}");
    shown
}

#[test]
fn a_secret_is_hidden_and_nothing_else() {
    let text = "[signature]\nscheme = \"propify\"\nsecrets = [{ name = \"a\", value = \"hunter2é\" }, { env = \"HUNTER\" }]\n";
    let want = "[signature]\nscheme = \"propify\"\nsecrets = [{ name = \"a\", value = \"*********\" }, { env = \"HUNTER\" }]\n";
    assert_eq!(shown(text), want);
    assert_eq!(shown("path = \"/#value\" # x"), "path = \"/#value\" #  ");
    assert_eq!(
        shown("[[routes]]\nupstream = \"http://me:hunter2@app:3000\"\npath = '/a?b=c'\n"),
        "[[routes]]\nupstream = \"http://**********@app:3000\"\npath = '/a?***'\n"
    );
    assert_eq!(shown("lisen = \"::1\"\ncolour = \"a\""), "lisen = \"::1\"\ncolour = \"*\"");
    assert_eq!(shown("[server]\nlisten = \"127.0.0.1:80\"\n"), "[server]\nlisten = \"127.0.0.1:80\"\n");
}

/// The test has every known way to write a secret, in right and in wrong places.
#[test]
fn a_secret_is_hidden_wherever_it_stands() {
    for text in [
        "signature = { scheme = \"propify\", secrets = [{ value = 'hunter2' }] }",
        "signature.secrets = [{ value = \"\"\"\nhunter2\nhunter2\"\"\" }]",
        "[signature]\nsecrets = [{ vlaue = \"hunter2\" }]",
        "[signature]\nsecrets = [{ env = \"hunter2!\" }]",
        "[signature]\nsecrets = [\"hunter2\", ['hunter2']]",
        "[signature]\nsecrets = \"hunter2\"",
        "[signature]\nsecret = \"hunter2\"",
        "[admin]\ntokens = [\"hunter2\"]",
        "[admin]\ntokens = \"hunter2\"",
        "[admin]\ntokens = [{ value = \"hunter2\" }]",
        "[admin]\ntokens = [{ token = \"hunter2\", role = \"read\" }]",
        "[admin]\ntoken = \"hunter2\"",
        "[admin]\ntokens = [\"hunter2\"",
        "[queue]\nstore = \"postgres://me:hunter2@db/events\"",
        "[queue]\nstore = \"postgres://db/events?password=hunter2\"",
        "[signature]\nverify_token = \"hunter2\"",
        "[signature]\nverify_token = { value = \"hunter2\" }",
        "verify_token = { value = \"hunter2\" }",
        "verify_token = { value = \"hunter2\" ",
        "[signature]\nfoo = { bar = [\"hunter2\"] }",
        "[[routes]]\nsecret = \"hunter2\"",
        "[[routes]]\nsignature = \"hunter2\"",
        "[[routes]]\nsecrets = [{ foo = \"hunter2\" }]",
        "[[routes]]\nsignatur = { secrets = [{ value = \"hunter2\" }] }",
        "webhook_secret = \"hunter2\"",
        "value = \"hunter2\"",
        "a = 1 # value = \"hunter2\"",
        "a = \"#\" # secrets = [\"hunter2\"] # ",
        "# secret: hunter2",
        "# hunter2",
        "[signature]\nfoo = { name = \"hunter2\" }",
        "[signature]\nsecrets = [{ \"hunter2\" = 1 }]",
        "[signature]\nsecrets = [{ value.hunter2 = 1 }]",
        "[signature]\nsecrets = [{ name = \"a, value = hunter2\" }]",
        "[signature]\nsecrets = [{ name = \"\"\"a\", value = \"hunter2\"\"\"\" }]",
        "[sign]\nname = \"hunter2\"",
        // The texts from here on are not TOML.
        "value = hunter2",
        "value = hunter2 hunter2, hunter2",
        "value = \"hunter2",
        "value = \"hunter2\"hunter2\"",
        "value \"hunter2\"",
        "value: \"hunter2\"",
        "\"value\" == 'hunter2'",
        "vlaue = 'hunter2",
        "value = \"\"\"\nhunter2\nhunter2",
        "secrets = [hunter2]",
        "secrets = [ \"hunter2\", \"hunter2\"",
        "secrets = [{ value = \"hunter2\"",
        "secrets = [\n{ name = \"a\", value = \"hunter2\" \"b\" }\n",
        "secrets = [{ value = \"a\", value = \"hunter2\" }]",
        "[signature\nvalue = \"hunter2\"\n",
        "secrets = [{value = {\"hunter2\"}}]",
        "secrets = [{ value -= \"hunter2\" }]",
        "secrets = [{ val,ue = \"hunter2\" }]",
        "secrets = [{ va]lue = \"hunter2\" }]",
        "secrets = [{ va=lue = \"hunter2\" }]",
        "secrets = [{ va\"hunter2\" }]",
        "secrets = [{ valu\ne = \"hunter2\" }]",
        "secrets = [{ value [signature]= \"hunter2\" }]",
        "secrets = [{ name = \"currentlue = \"hunter2\" }]",
        "secrets = [{ name = \"current\" \"hunter2\" }]",
        "secrets = [{ name = \"current, value = \"hunter2\" }]",
        "secrets = [{ name = \"current\" name = \"hunter2\" }]",
        "secrets = [{ name = value = \"hunter2\" }]",
        "secrets = [{ name == \"hunter2\" }]",
        "secrets = [{ name value = \"hunter2\" }]",
        "secrets = [{ foo.name = \"hunter2\" x }]",
        "secrets = [{ name = \"a\", # value = \"hunter2\" }]",
        "secrets = [{ name = \"a\"\"\", value = \"hunter2\" }]",
        "secrets = [{ name = 'a\", value = \"hunter2\" }]",
        "secrets = [\n\"a\",\n\"hunter2\"\nname",
        "listen = [\n\"hunter2\"\nname",
        "secrets = [{ value = \"hunter\nhunter2#hunter2\" }]",
        "[hunter2",
        "hunter2",
        // The texts from here on have credentials in URLs.
        "[[routes]]\nupstream = \"http://me:hunter2@app\"",
        "[[routes]]\nupstream = \"http://hunter2@app\"",
        "[[routes]]\nupstream = 'http://me:hunter2'",
        "[[routes]]\nupstream = 'me:hunter2@app:1'",
        "[[routes]]\nupstream = ['http://me:hunter2@app', 'http://me:hunter2@app']",
        "[[routes]]\nupstream = \"http://me:hunt\\u0065r2hunter2@app\"",
        "[[routes]]\nupstream = \"http://me:hunter2\\u0040app\"",
        "[[routes]]\nupstream = \"\"\"http://me:hunter2@app\"\"\"",
        "[[routes]]\nupstraem = \"http://me:hunter2@app\"",
        "[[routes]]\npublic_url = \"https://app/?token=hunter2\"",
        "[[routes]]\npublic_url = \"https://app/#hunter2\"",
        "[[routes]]\npath = \"http://me:hunter2@app/\"",
        "[[routes]]\npath = \"/webhook?token=hunter2\"",
        "[server]\nlisten = \"http://me:hunter2@127.0.0.1:80\"",
        "[server]\nlisten = [\"http://me:hunter2@127.0.0.1:80\"]",
        "[server]\nworkers = \"http://me:hunter2@app\"",
        "[admin]\n\"http://me:hunter2@app\" = 1",
        "\"http://me:hunter2@app\" = 1",
        "[\"http://me:hunter2@app\"]\na = 1",
        "[signature]\nsecrets = [{ file = \"http://me:hunter2@app\" }]",
        "[signature]\nscheme = \"http://me:hunter2@app\"",
        "upstream = http://me:hunter2@app",
        "upstream = http://me:hunter2",
        "upstream = \"http://me:hunter2@app",
        "upstream = \"http://me:hunter2",
        "upstream = \"http://me:1\"hunter2@app\"",
        "upstream = \"http://1,hunter2@app",
        "upstream = http://1,hunter2@app",
        "upstream = http://hunter2,1@app",
        "upstream = http://hunter2#1@app",
        "upstream = http://1#hunter2@app",
        "upstream = [http://hunter2,1@app",
        "upstream = \"http://app/?hunter2",
        "upstream = http://app/?a=hunter2",
        "path = \"/webhook?token=hunter2",
        "[[routes]]\npath = http://me:hunter2@app x",
        "upstream \"http://me:hunter2@app\"",
        "upstream: http://me:hunter2@app",
    ] {
        assert!(!shown(text).contains("hunter2"), "{text}\n{}", shown(text));
    }
}

#[test]
fn a_broken_file_still_shows_public_values() {
    for (line, want) in [
        ("[server", "[server"),
        ("[[routes]", "[[routes]"),
        ("listen = 127.0.0.1:80 # the secret", "listen = 127.0.0.1:80 #           "),
        ("max_body = \"1MiB", "max_body = \"1MiB"),
        ("path = /a", "path = /a"),
        ("secrets = [{ env = \"A_SECRET\" }", "secrets = [{ env = \"A_SECRET\" }"),
        (
            "signature.secrets = [{ file = '/a' }, { nmae = \"a\" }]",
            "signature.secrets = [{ file = ***********************",
        ),
        ("{ name = \"a\" value = \"b\" },", "{ name = ******************"),
        ("methods = [\"GET\"]", "methods = [\"GET\"]"),
        ("methods = [\"GET\", \"POST\"]", "methods = [**************"),
        ("mode = \"observe\" all, of", "mode = *****************"),
        ("listen = [\n  \"::1\",\n]", "listen = [\n  *****,\n]"),
        ("lisen = \"::1\"", "lisen = *****"),
        ("colour = \"red\"", "****** = *****"),
    ] {
        assert_eq!(shown(&format!("{line}\n=")), format!("{want}\n="));
    }
}

/// In `named_fields`, `key` is the name of a list, as in `timestamp`. Elsewhere it may be a secret.
#[test]
fn the_name_under_which_a_signature_names_fields_is_shown() {
    let text = "[schemes.acme]\nnamed_fields = { key = \"h\", fields = [\"x-event-type\"], any = \"x-event-type\" }\n";
    assert_eq!(shown(text), text);
    assert_eq!(shown("[forward]\nassertion = { key = \"h\" }\n"), "[forward]\nassertion = { key = \"*\" }\n");
}
