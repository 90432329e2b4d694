//! Tests of the values that are read from content: which models and required values are accepted, and which
//! content is refused.

use super::*;

const NO_MODEL: &[&str] = &[];

fn model(content: &str) -> Result<Option<String>, NoModel> {
    read(content.as_bytes(), &["/meta/object", "/data/object"])
}

fn named(name: &str) -> Result<Option<String>, NoModel> {
    Ok(Some(name.to_owned()))
}

#[test]
fn the_model_is_read_from_either_place() {
    assert_eq!(
        model(r#"{"meta":{"object":"leases","x":[{}]},"diff":{"meta":{"object":"no"}}}"#),
        named("leases")
    );
    assert_eq!(model(r#" {"data": {"event":"x", "object": "leads"}} "#), named("leads"));
    assert_eq!(model(r#"{"data":{"object":"jobs"},"meta":{"object":"jobs"}}"#), named("jobs"));
    assert_eq!(model(r#"{"meta":{"object":"leases"}}"#), named("leases"));
    assert_eq!(model(r#"{"meta":{"ob\u006aect":"\u006ceases"}}"#), named("leases"));
}

#[test]
fn content_without_a_model_is_reported_as_such() {
    for content in [
        "{}",
        "[]",
        "1",
        "null",
        "\"leases\"",
        r#"{"meta":{}}"#,
        r#"{"meta":[{"object":"x"}]}"#,
        r#"{"meta":"object"}"#,
        r#"{"object":"x"}"#,
        r#"{"x":{"meta":{"object":"x"}}}"#,
    ] {
        assert_eq!(model(content), Ok(None), "{content}");
    }
}

#[test]
fn json_that_can_be_read_in_two_ways_is_refused() {
    for (content, fault) in [
        (r#"{"meta":{"object":"a"},"meta":{"object":"a"}}"#, NoModel::RepeatedKey),
        (r#"{"meta":{"object":"a","object":"a"}}"#, NoModel::RepeatedKey),
        (r#"{"meta":{"object":"a","\u006fbject":"a"}}"#, NoModel::RepeatedKey),
        (r#"{"meta":1,"meta":{"object":"a"}}"#, NoModel::RepeatedKey),
        (r#"{"meta":{"object":"a"},"Meta":{"object":"b"}}"#, NoModel::RepeatedKey),
        (r#"{"meta":{"object":"a","\u004fBJECT":"a"}}"#, NoModel::RepeatedKey),
        (r#"{"META":{"object":"a"},"meta":{"object":"a"}}"#, NoModel::OtherCase),
        (r#"{"Meta":{"object":"a"}}"#, NoModel::OtherCase),
        (r#"{"meta":{"object":"a"},"DATA":null}"#, NoModel::OtherCase),
        (r#"{"meta":{"object":"a"},"data":{"object":"b"}}"#, NoModel::Disagreement),
        (r#"{"meta":{"object":null}}"#, NoModel::NotText),
        (r#"{"meta":{"object":1}}"#, NoModel::NotText),
        (r#"{"meta":{"object":["a"]}}"#, NoModel::NotText),
        (r#"{"meta":{"object":{"object":"a"}}}"#, NoModel::NotText),
        (r#"{"meta":{"object":"a"},"data":{"object":false}}"#, NoModel::NotText),
        (r#"{"meta":{"object":"a",}}"#, NoModel::NotJson),
        (r#"{"meta":{"object":"a"}} x"#, NoModel::NotJson),
        (r#"{"meta":{"object":"a"}}{}"#, NoModel::NotJson),
        (r#"{"meta":{"object":"\ud800"}}"#, NoModel::NotJson),
        ("", NoModel::NotJson),
        ("\u{feff}{}", NoModel::NotJson),
    ] {
        assert_eq!(model(content), Err(fault), "{content}");
    }
}

/// Case is folded as Go folds it (encoding/json, `foldName`), and slightly more.
#[test]
fn a_key_in_another_case_is_the_same_key_to_some_readers() {
    for (token, key) in [
        ("kind", "KIND"),
        ("kind", "\u{212a}ind"),
        ("\u{212a}ind", "kind"),
        ("status", "\u{17f}tatu\u{17f}"),
        ("STATUS", "\u{17f}tatus"),
        ("größe", "GRÖ\u{1e9e}E"),
        ("σ", "ς"),
        ("\u{1c6}", "\u{1c5}"),
        ("i", "\u{131}"),
    ] {
        let pointer = format!("/{token}");
        let read = |content: &str| read(content.as_bytes(), &[&pointer]);
        assert_eq!(read(&format!(r#"{{"{key}":"x"}}"#)), Err(NoModel::OtherCase), "{token}, {key}");
        let both = format!(r#"{{"{token}":"x","{key}":"x"}}"#);
        assert_eq!(read(&both), Err(NoModel::RepeatedKey), "{token}, {key}");
    }
    for (token, key) in [("kind", "kinds"), ("kind", "kin"), ("ss", "ß"), ("a_b", "aB"), ("k", "x")] {
        let content = format!(r#"{{"{token}":"x","{key}":"y"}}"#);
        assert_eq!(read(content.as_bytes(), &[format!("/{token}")]), named("x"), "{token}, {key}");
    }
    let off_the_way =
        r#"{"x":{"Meta":1,"meta":2},"diff":{"OBJECT":1},"meta":{"object":"a","x":{"Object":1}}}"#;
    assert_eq!(model(off_the_way), named("a"));
}

/// Each key on a path is compared once with each pointer, even if the key is repeated many times.
#[test]
fn the_work_is_linear_in_the_content_whatever_it_holds() {
    let pointers = ["/meta/object", "/data/object"].map(tokens);
    let work = |content: &str| {
        let mut findings = Findings::of(1);
        let _verdict = walk(content.as_bytes(), &[&pointers], &mut findings);
        findings.compared
    };
    let object = |pair: &str, many: usize| format!("{{{}}}", vec![pair; many].join(","));
    for pair in [
        r#""meta":1"#,
        r#""Meta":{}"#,
        r#""meta":{"object":"a"}"#,
        r#""data":{"object":"a","object":"b"}"#,
        r#""\u006deta":[]"#,
        r#""x":{"meta":1}"#,
    ] {
        let (once, many) = (work(&object(pair, 1)), work(&object(pair, 1000)));
        assert_eq!(many, once * 1000, "{pair}");
    }
    // A quadratic comparison of keys would take seconds for a megabyte.
    let both =
        |many: usize| object(r#""meta":1"#, many).replace('}', ",") + &object(r#""data":1"#, many)[1..];
    assert_eq!(work(&both(1000)), work(&both(1)) * 1000);
    let deep = format!("{}1{}", r#"{"meta":"#.repeat(100_000), "}".repeat(100_000));
    assert_eq!(work(&deep), 2 + 1, "what is off the way is not looked at");
    let long = format!(r#"{{"{}":1}}"#, "meta".repeat(100_000));
    assert_eq!(work(&long), 2);
}

#[test]
fn an_array_element_is_addressed_by_its_index() {
    for (content, pointer, want) in [
        (r#"[{"a":"x"},{"a":"y"}]"#, "/1/a", Some("y")),
        (r#"{"a":["x",["y","z"]]}"#, "/a/1/0", Some("y")),
        (r#"{"a":["x"]}"#, "/a/0", Some("x")),
        (r#"{"a":{"0":"x"}}"#, "/a/0", Some("x")),
        (r#"{"a":["x"]}"#, "/a/1", None),
        (r#"{"a":["x"]}"#, "/a/00", None),
        (r#"{"a":["x"]}"#, "/a/+0", None),
        (r#"{"a":["x"]}"#, "/a/", None),
        (r#"{"a":["x"]}"#, "/a/-", None),
        (r#"{"a":[]}"#, "/a/0", None),
    ] {
        let got = read(content.as_bytes(), &[pointer]).unwrap();
        assert_eq!(got.as_deref(), want, "{pointer} in {content}");
    }
    assert_eq!(read(br#"{"a":["x"],"a":["x"]}"#, &["/a/0"]), Err(NoModel::RepeatedKey));
    assert_eq!(read(br#"{"a":[["x"]]}"#, &["/a/0"]), Err(NoModel::NotText));
    assert_eq!(read(br#"{"a":["x","y"]}"#, &["/a/0", "/a/1"]), Err(NoModel::Disagreement));
}

#[test]
fn repeated_keys_outside_the_paths_are_accepted() {
    assert_eq!(
        model(r#"{"x":1,"x":2,"meta":{"y":1,"y":2,"object":"a"},"diff":{"object":"b","object":"c"}}"#),
        named("a")
    );
}

/// Values that no query reads are skipped without recursion. So deep nesting cannot exhaust the stack.
#[test]
fn nesting_costs_no_stack() {
    for depth in [100, 100_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        assert_eq!(model(&format!(r#"{{"x":{open}{close},"meta":{{"object":"a"}}}}"#)), named("a"));
        assert_eq!(model(&format!(r#"{{"meta":{open}{close}}}"#)), Ok(None));
        assert_eq!(model(&format!(r#"{{"meta":{{"object":{open}{close}}}}}"#)), Err(NoModel::NotText));
        assert_eq!(model(&format!(r#"{{"x":{open}}}"#)), Err(NoModel::NotJson));
    }
}

/// RFC 8259, section 6, sets no limit on numbers. So a number that no query reads need not fit into any type.
#[test]
fn a_number_off_the_way_may_have_any_size() {
    let long = "9".repeat(400);
    for number in ["614E44444444444441", "-1e-99999", &long, &format!("0.{long}")] {
        let text = |number: &str| format!(r#"{{"x":[{number}],"meta":{{"object":"a"}}}}"#);
        assert_eq!(model(&text(number)), named("a"), "{number}");
        assert_eq!(model(&text(&format!("{number}e"))), Err(NoModel::NotJson), "{number}");
    }
    assert!(model(r#"{"meta":{"object":1e999}}"#).is_err());
}

#[test]
fn content_that_is_not_utf_8_is_no_json() {
    assert_eq!(read(b"{\"meta\":{\"object\":\"\xff\"}}", &["/meta/object"]), Err(NoModel::NotJson));
    let skipped = b"{\"meta\":{\"object\":\"a\"},\"x\":\"\xff\"}";
    assert_eq!(read(skipped, &["/meta/object"]), Err(NoModel::NotJson));
}

#[test]
fn a_required_value_must_be_present_and_unambiguous() {
    let requirements = [
        Requirement::new(["/meta/integration_id", "/data/integration_id"], "cuid_1"),
        Requirement::new(["/type"], "x"),
    ];
    let questions = Questions::new(NO_MODEL, &[&requirements]);
    let met = |content: &str| {
        let mut facts = questions.read(content.as_bytes())?;
        assert_eq!(facts.model(), Ok(None));
        facts.met_by(0)
    };
    assert_eq!(met(r#"{"type":"x","meta":{"integration_id":"cuid_1"}}"#), Ok(()));
    assert_eq!(met(r#"{"data":{"integration_id":"cuid_1"},"type":"x","z":1,"z":2}"#), Ok(()));
    for (content, why) in [
        (r#"{"type":"x"}"#, NoModel::NotAsRequired),
        (r#"{"type":"x","meta":{"integration_id":"cuid_2"}}"#, NoModel::NotAsRequired),
        (r#"{"meta":{"integration_id":"cuid_1"}}"#, NoModel::NotAsRequired),
        (r#"{"type":"x","type":"x","meta":{"integration_id":"cuid_1"}}"#, NoModel::RepeatedKey),
        (r#"{"type":"x","meta":{"integration_id":"cuid_1"},"meta":1}"#, NoModel::RepeatedKey),
        (r#"{"type":"x","Type":"y","meta":{"integration_id":"cuid_1"}}"#, NoModel::RepeatedKey),
        (r#"{"Type":"x","meta":{"integration_id":"cuid_1"}}"#, NoModel::OtherCase),
        (
            r#"{"type":"x","meta":{"integration_id":"cuid_1"},"data":{"integration_id":"cuid_2"}}"#,
            NoModel::Disagreement,
        ),
        (r#"{"type":1,"meta":{"integration_id":"cuid_1"}}"#, NoModel::NotText),
        ("", NoModel::NotJson),
    ] {
        assert_eq!(met(content), Err(why), "{content}");
    }
    assert!(Questions::new(NO_MODEL, &[&[]]).is_empty() && !questions.is_empty());
}

#[test]
fn only_the_requirements_of_the_selected_route_count() {
    let (one, other) =
        ([Requirement::new(["/a"], "1"), Requirement::new(["/b"], "2")], [Requirement::new(["/b"], "3")]);
    let questions = Questions::new(&["/model"], &[&one, &[], &other]);
    let asked = |content: &str, route| {
        let mut facts = questions.read(content.as_bytes()).unwrap();
        (facts.model(), facts.met_by(route))
    };
    let content = r#"{"b":"3","model":"x","a":["1"]}"#;
    assert_eq!(asked(content, 0), (named("x"), Err(NoModel::NotText)));
    assert_eq!(asked(content, 1), (named("x"), Ok(())));
    assert_eq!(asked(content, 2), (named("x"), Ok(())));
    assert_eq!(asked(r#"{"a":"1","b":"2"}"#, 0), (Ok(None), Ok(())));
    assert_eq!(asked(r#"{"a":"1","b":"2"}"#, 2), (Ok(None), Err(NoModel::NotAsRequired)));
}

/// A condition that demands an absent value must not hold if some parser finds a value.
#[test]
fn a_member_is_absent_if_no_parser_finds_a_value() {
    let found = |content: &str| {
        let all = members(content.as_bytes(), ["/a", "/b/0", "/c/d"]).unwrap();
        all.into_iter().map(|member| member == Member::Absent).collect::<Vec<_>>()
    };
    for (content, want) in [
        ("{}", [true; 3]),
        ("[]", [true; 3]),
        (r#"{"b":[],"c":{"e":1}}"#, [true; 3]),
        (r#"{"b":"x","c":1}"#, [true; 3]),
        (r#"{"a":null,"b":[null],"c":{"d":null}}"#, [false; 3]),
        (r#"{"a":{},"b":[{}],"c":{"d":[]}}"#, [false; 3]),
        (r#"{"A":1,"b":{"0":1},"C":{}}"#, [false; 3]),
        (r#"{"a":"x","b":[1,2],"c":{"D":1}}"#, [false; 3]),
        (r#"{"c":{"d":1},"c":{}}"#, [true, true, false]),
    ] {
        assert_eq!(found(content), want, "{content}");
    }
}

#[test]
fn a_scalar_is_an_unambiguous_string_or_number() {
    let found = |content: &str| scalars(content.as_bytes(), ["/type", "/a/b"]);
    let text = |text: &str| Some(Scalar::Text(text.to_owned()));
    assert_eq!(found(r#"{"type":1,"a":{"b":"x"}}"#), Ok(vec![Some(Scalar::Number(1)), text("x")]));
    assert_eq!(found(r#"{"type":"1"}"#), Ok(vec![text("1"), None]));
    for doubtful in
        ["-1", "1.0", "1e0", "true", "null", "[1]", "{}", "1,\"type\":1", "1,\"Type\":1", "1,\"TYPE\":2"]
    {
        let content = format!("{{\"type\":{doubtful},\"a\":{{\"b\":\"x\"}}}}");
        assert_eq!(found(&content), Ok(vec![None, text("x")]), "{content}");
    }
    assert_eq!(found("{"), Err(NoModel::NotJson));
}

#[test]
fn tokens_are_unescaped_in_the_order_that_rfc_6901_asks_for() {
    assert_eq!(tokens("/a~1b/~01/"), ["a/b", "~1", ""]);
    assert_eq!(read(br#"{"a/b":{"~1":{"":"x"}}}"#, &["/a~1b/~01/"]), named("x"));
}
