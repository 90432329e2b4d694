//! Tests of the notations: which field values contain tags.

use super::*;
use proptest::prelude::*;

fn plain(prefix: &'static str, encoding: Encoding) -> Notation {
    Notation { format: Format::Plain { prefix: prefix.into() }, encoding }
}

fn list(separator: Separator, equals: char, tag: &'static str) -> Notation {
    Notation { format: Format::list_of(separator, equals, tag), encoding: Encoding::Hex }
}

fn key(name: &'static str) -> Place {
    Place::Key(name.into())
}

fn read(notation: &Notation, value: &str) -> Result<Vec<u8>, MisreadField> {
    let reading = notation.read(Algorithm::HmacSha256, value.as_bytes(), None)?;
    Ok(reading.tags.iter().next().unwrap().as_bytes().to_vec())
}

#[test]
fn sixty_four_digits_in_either_case_are_a_tag() {
    let lower = "0123456789abcdef".repeat(4);
    for (prefix, value) in
        [("", lower.clone()), ("", lower.to_uppercase()), ("sha256=", format!("sha256={lower}"))]
    {
        let bytes = hex::decode(&lower).unwrap();
        assert_eq!(read(&plain(prefix, Encoding::Hex), &value).unwrap(), bytes);
    }
}

#[test]
fn anything_else_is_malformed() {
    let tag = "0123456789abcdef".repeat(4);
    for value in [
        String::new(),
        tag[1..].to_owned(),
        format!("{tag}0"),
        format!("{tag}00"),
        format!(" {tag}"),
        format!("{tag} "),
        format!("0x{}", &tag[2..]),
        format!("\"{tag}\""),
        format!("sha256={tag}"),
        format!("g{}", &tag[1..]),
        "é".repeat(32),
    ] {
        let got = read(&plain("", Encoding::Hex), &value);
        assert_eq!(got, Err(MisreadField::Malformed), "{value:?}");
    }
    for value in
        [tag.clone(), format!("SHA256={tag}"), format!("sha1={tag}"), format!("sha256={}", &tag[1..])]
    {
        let got = read(&plain("sha256=", Encoding::Hex), &value);
        assert_eq!(got, Err(MisreadField::Malformed), "{value:?}");
    }
}

#[test]
fn base64_is_read_with_and_without_padding_and_in_its_own_alphabet() {
    let bytes = [0xfb_u8; 32];
    let (standard, url) = (Encoding::Base64.write(&bytes), Encoding::Base64Url.write(&bytes));
    assert!(standard.ends_with('=') && !url.ends_with('=') && standard.contains('+') && url.contains('-'));
    let (in_standard, in_url) = (plain("", Encoding::Base64), plain("", Encoding::Base64Url));
    assert_eq!(read(&in_standard, &standard).unwrap(), bytes);
    assert_eq!(read(&in_standard, standard.trim_end_matches('=')).unwrap(), bytes);
    assert_eq!(read(&in_url, &url).unwrap(), bytes);
    for (notation, value) in [
        (&in_standard, url.clone()),
        (&in_url, standard.clone()),
        (&in_standard, Encoding::Base64.write(&bytes[1..])),
        (&in_standard, Encoding::Base64.write(&[7; 33])),
        (&in_standard, "A".repeat(10_000)),
        (&in_standard, format!("{standard}\n")),
        (&in_standard, String::new()),
    ] {
        assert_eq!(read(notation, &value), Err(MisreadField::Malformed), "{value:?}");
    }
}

#[test]
fn a_list_is_an_error_of_its_own() {
    let tag = "0123456789abcdef".repeat(4);
    for value in [format!("{tag}, {tag}"), ",".to_owned()] {
        assert_eq!(read(&plain("", Encoding::Hex), &value), Err(MisreadField::List));
    }
}

#[test]
fn a_prefix_may_have_commas_and_only_a_further_comma_makes_a_list() {
    let tag = "0123456789abcdef".repeat(4);
    for prefix in ["V2-HMAC-SHA256, Signature: ", "a,b,", ","] {
        let notation = plain(prefix, Encoding::Hex);
        assert_eq!(read(&notation, &format!("{prefix}{tag}")).unwrap(), hex::decode(&tag).unwrap());
        for value in [format!("{prefix}{tag},{tag}"), format!("{tag},{prefix}{tag}"), format!("{prefix},")] {
            assert_eq!(read(&notation, &value), Err(MisreadField::List), "{value}");
        }
        for value in [tag.clone(), format!("x{prefix}{tag}"), prefix.to_owned(), format!("{prefix}{tag}0")] {
            assert_eq!(read(&notation, &value), Err(MisreadField::Malformed), "{value}");
        }
    }
}

#[test]
fn an_entry_without_a_value_says_nothing() {
    let a = "aa".repeat(32);
    let values = |name: &str, equals: char, separator: &str| {
        let good = format!("{name}{equals}{a}");
        let empty = format!("{name}{equals}");
        let t = format!("t{equals}");
        let entries: [&[&str]; 8] = [
            &[name, &good],
            &[&good, name],
            &["", &good],
            &[&good, ""],
            &["", "", &good, "", name, ""],
            &[&empty, &good],
            &["noise", "t", &t, &good],
            &[empty.as_str(); MOST_TAGS + 1],
        ];
        let mut values: Vec<String> = entries.iter().map(|entries| entries.join(separator)).collect();
        values.last_mut().unwrap().push_str(&format!("{separator}{good}"));
        values
    };
    for (separator, equals) in [(Separator::Comma, '='), (Separator::Semicolon, '='), (Separator::Space, ',')]
    {
        let notation = list(separator, equals, "v1");
        for value in values("v1", equals, separator.as_str()) {
            let got = notation.read(Algorithm::HmacSha256, value.as_bytes(), Some(&key("t")));
            let reading = got.unwrap_or_else(|error| panic!("{value:?}: {error:?}"));
            assert_eq!(reading.tags.len(), 1, "{value:?}");
            assert_eq!(reading.named, None, "{value:?}");
        }
        for value in ["v1", "", "v1 v1", ",,", "v1=,v1="] {
            let got = notation.read(Algorithm::HmacSha256, value.as_bytes(), Some(&key("t"))).map(|_| ());
            assert_eq!(got, Err(MisreadField::Malformed), "{value:?}");
        }
    }
}

#[test]
fn a_list_has_its_tags_and_another_value_under_their_names() {
    let (a, b) = ("aa".repeat(32), "bb".repeat(32));
    let cases = [
        (list(Separator::Comma, '=', "v1"), format!("t=17,v1={a},v0={b},v1={b}"), Some("17")),
        (list(Separator::Comma, '=', "v1"), format!("v1={a}, v1={b} , t=17"), Some("17")),
        (list(Separator::Comma, '=', "v1"), format!("v1={a},v1={b}"), None),
        (list(Separator::Semicolon, '=', "h1"), format!("t=17;h1={a};h1={b}"), Some("17")),
        (list(Separator::Space, ',', "v1"), format!("v1,{a} v1a,zz v1,{b}"), None),
    ];
    for (notation, value, named) in cases {
        let reading = notation.read(Algorithm::HmacSha256, value.as_bytes(), Some(&key("t"))).unwrap();
        let tags: Vec<_> = reading.tags.iter().map(|tag| hex::encode(tag.as_bytes())).collect();
        assert_eq!(tags, [a.clone(), b.clone()], "{value}");
        assert_eq!(reading.named, named.map(str::as_bytes), "{value}");
    }
}

#[test]
fn a_list_of_another_form_or_without_a_tag_is_malformed() {
    let a = "aa".repeat(32);
    let many = |n: usize| vec![format!("v1={a}"); n].join(",");
    let notation = list(Separator::Comma, '=', "v1");
    let read =
        |value: &str| notation.read(Algorithm::HmacSha256, value.as_bytes(), Some(&key("t"))).map(|_| ());
    assert_eq!(read(&many(MOST_TAGS)), Ok(()));
    assert_eq!(read(&format!("v1=no tag,v1={a},v1={}", &a[1..])), Ok(()));
    for value in [
        String::new(),
        many(MOST_TAGS + 1),
        "t=17".to_owned(),
        format!("t=17,t=17,v1={a}"),
        format!("v1=no tag,v1={}", &a[1..]),
        format!("{},v1=no tag", many(MOST_TAGS)),
        format!("v0={a}"),
        format!("V1={a}"),
        format!("v1={a} v1={a}"),
    ] {
        assert_eq!(read(&value), Err(MisreadField::Malformed), "{value}");
    }
}

#[test]
fn basic_credentials_are_read_with_their_scheme_in_any_case() {
    let notation = Notation { format: Format::Basic, encoding: Encoding::Hex };
    let tag = Tag::of_token(b"user:pass, word").unwrap();
    let credentials = Encoding::Base64.write(b"user:pass, word");
    assert_eq!(notation.frame("user:pass, word", None), format!("Basic {credentials}"));
    let unpadded = credentials.trim_end_matches('=');
    let read = |value: &str| {
        let reading = notation.read(Algorithm::Token, value.as_bytes(), None)?;
        Ok(reading.tags.iter().map(|tag| tag.as_bytes().to_vec()).collect::<Vec<_>>())
    };
    for value in [
        format!("Basic {credentials}"),
        format!("basic {credentials}"),
        format!("BASIC {unpadded}"),
        format!("bAsIc   {credentials}"),
    ] {
        assert_eq!(read(&value).unwrap(), [tag.as_bytes().to_vec()], "{value}");
    }
    for value in [
        String::new(),
        "Basic".into(),
        "Basic ".into(),
        credentials.clone(),
        format!("Basic{credentials}"),
        format!("Bearer {credentials}"),
        format!("Basic {credentials},"),
        format!("Basic {credentials} "),
        "Basic user:pass".into(),
    ] {
        assert_eq!(read(&value), Err(MisreadField::Malformed), "{value}");
    }
    let value = format!("Basic {credentials}");
    let hmac = notation.read(Algorithm::HmacSha256, value.as_bytes(), None);
    assert_eq!(hmac.map(|_| ()), Err(MisreadField::Malformed));
}

#[test]
fn an_authentication_scheme_before_a_tag_may_have_any_case_and_another_prefix_may_not() {
    let tag = "0123456789abcdef".repeat(4);
    for (prefix, value, fine) in [
        ("HMAC ", "hmac ", true),
        ("Bearer ", "BEARER ", true),
        ("HMAC ", "HMAC", false),
        ("HMAC ", "HMAD ", false),
        ("HMAC-SHA256 ", "hmac-sha256 ", true),
        ("sha256=", "SHA256=", false),
        ("V2, Signature: ", "v2, signature: ", false),
        ("v1= ", "V1= ", false),
    ] {
        let read = read(&plain(prefix, Encoding::Hex), &format!("{value}{tag}"));
        assert_eq!(read.is_ok(), fine, "{prefix} {value}");
    }
}

#[test]
fn a_token_is_any_text_that_is_not_empty() {
    let notation = plain("", Encoding::Hex);
    for (value, fine) in [("a, b", true), ("x", true), ("", false)] {
        assert_eq!(notation.read(Algorithm::Token, value.as_bytes(), None).is_ok(), fine, "{value}");
    }
}

/// Every kind of format, with the place of the time in it.
fn every_format() -> Vec<(Format, Option<Place>)> {
    let mut all: Vec<(Format, Option<Place>)> = ["", "sha256=", "V2, Signature: "]
        .map(|prefix| (Format::Plain { prefix: prefix.into() }, None))
        .into();
    let seconds = [("=", '='), (",", ','), (":", ':'), ("/", '/')];
    for (text, equals) in seconds {
        for separator in Separator::ALL.map(|(_, separator)| separator) {
            if separator.as_str() == text {
                continue;
            }
            for names in [&["v1"][..], &["v1", "v2"], &["s*"], &["*-SHA256", "x"]] {
                let tags = names.iter().map(|name| (*name).into()).collect();
                let format = Format::List { separator, equals, tags, sets: None };
                all.push((format.clone(), None));
                all.push((format, Some(key("t"))));
            }
            for place in [None, Some(Place::Entry(1)), Some(Place::Entry(2))] {
                all.push((Format::List { separator, equals, tags: Vec::new(), sets: None }, place));
            }
        }
    }
    let sets = Some(Separator::Space);
    let tags = vec!["v1".into()];
    all.push((Format::List { separator: Separator::Comma, equals: '=', tags, sets }, Some(key("t"))));
    all
}

fn hex_list(tags: &[&'static str], equals: char, sets: Option<Separator>) -> Notation {
    let tags = tags.iter().map(|tag| (*tag).into()).collect();
    let format = Format::List { separator: Separator::Comma, equals, tags, sets };
    Notation { format, encoding: Encoding::Hex }
}

/// The tags of each set in hexadecimal, with the time of the set.
fn sets_of(notation: &Notation, value: &str, place: Option<&Place>) -> Vec<(String, Option<String>)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let first = notation
        .read(Algorithm::HmacSha256, value.as_bytes(), place)
        .unwrap_or_else(|error| panic!("{value}: {error:?}"));
    let set = |set: &Reading<'_>| {
        let tags: Vec<_> = set.tags.iter().map(|tag| hex::encode(&tag.as_bytes()[..1])).collect();
        (tags.join(" "), set.named.map(text))
    };
    std::iter::once(&first).chain(&first.others).map(set).collect()
}

#[test]
fn a_list_may_have_one_name_several_names_or_none() {
    let (a, b) = ("aa".repeat(32), "bb".repeat(32));
    let both = |time: Option<&str>| vec![("aa bb".to_owned(), time.map(str::to_owned))];
    for (names, equals, place, value, time) in [
        (&["v1", "v2"][..], '=', Some(key("t")), format!("t=17,v1={a},v2={b},v3={a}"), Some("17")),
        (&["v1", "v2"], '=', Some(key("t")), format!("v1={a},t=17,v2={b}"), Some("17")),
        (&["s*"], '=', None, format!("s0={a},s1={b},s={a},st={a},s0x={a}"), None),
        (&["*/SHA256"], '/', None, format!("1/SHA256/{a},12/SHA256/{b},1/SHA1/{a},/SHA256/{a}"), None),
        (&["1/SHA256", "2/SHA256"], '/', None, format!("1/SHA256/{a},2/SHA256/{b},3/SHA256/{a}"), None),
        (&[], '=', None, format!("{a},{b}"), None),
        (&[], '=', None, format!(",{a}, {b} ,noise,"), None),
        (&[], '=', Some(Place::Entry(1)), format!("1700000000000,{a},{b}"), Some("1700000000000")),
        (&[], '=', Some(Place::Entry(2)), format!(" {a},17,{b}"), Some("17")),
    ] {
        assert_eq!(sets_of(&hex_list(names, equals, None), &value, place.as_ref()), both(time), "{value}");
    }
    let nameless = hex_list(&[], '=', None);
    for value in ["", ",,", "17", "17,,", "17,zz"] {
        let got = nameless.read(Algorithm::HmacSha256, value.as_bytes(), Some(&Place::Entry(1)));
        assert_eq!(got.map(|_| ()), Err(MisreadField::Malformed), "{value}");
    }
    for (count, fine) in [(MOST_TAGS, true), (MOST_TAGS + 1, false)] {
        let value = vec![&*a; count].join(",");
        assert_eq!(nameless.read(Algorithm::HmacSha256, value.as_bytes(), None).is_ok(), fine, "{count}");
    }
}

#[test]
fn a_tag_counts_with_the_time_of_its_own_set() {
    let [a, b, c] = ["aa", "bb", "cc"].map(|byte| byte.repeat(32));
    let notation = hex_list(&["v1"], '=', Some(Separator::Space));
    let (t, set) = (key("t"), |tags: &str, time: &str| (tags.to_owned(), Some(time.to_owned())));
    for (value, want) in [
        (format!("t=17,v1={a} t=17,v1={b}"), vec![set("aa bb", "17")]),
        (format!(" t=17,v1={a},v1={b}  v1={c},t=18 "), vec![set("aa bb", "17"), set("cc", "18")]),
        (format!("t=17,v1={a} t=18,v1={b} t=17,v1={c}"), vec![set("aa cc", "17"), set("bb", "18")]),
        (format!("t=18,v1={b} t=17,v1={a} t=17,v1={c}"), vec![set("bb", "18"), set("aa cc", "17")]),
        (format!("t=17 t=18,v1={a}"), vec![set("aa", "18")]),
        (format!("v1={a} t=18,v1={b}"), vec![("aa".to_owned(), None), set("bb", "18")]),
    ] {
        assert_eq!(sets_of(&notation, &value, Some(&t)), want, "{value}");
    }
    // Without a time in the field, all sets are one.
    assert_eq!(sets_of(&notation, &format!("v1={a} v1={b}"), None), [("aa bb".to_owned(), None)]);
    let read = |value: &str| notation.read(Algorithm::HmacSha256, value.as_bytes(), Some(&t)).map(|_| ());
    let sets = |count: usize| (0..count).map(|n| format!("t={n},v1={a}")).collect::<Vec<_>>().join(" ");
    assert_eq!(read(&sets(MOST_SETS)), Ok(()));
    for value in [
        sets(MOST_SETS + 1),
        format!("t=1,t=2,v1={a} t=3,v1={b}"),
        vec![format!("t=1,{}", vec![format!("v1={a}"); 9].join(",")); 2].join(" "),
        "t=1 t=2".to_owned(),
    ] {
        assert_eq!(read(&value), Err(MisreadField::Malformed), "{value}");
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(bytes: [u8; 32], time in 0_u64..10_000_000_000_000) {
        let time = time.to_string();
        for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64Url] {
            for (format, place) in every_format() {
                let notation = Notation { format, encoding };
                let tag = Tag::of(&bytes).unwrap();
                let value = notation.write(&tag, place.as_ref().map(|place| (place, time.as_str())));
                let reading = notation.read(Algorithm::HmacSha256, value.as_bytes(), place.as_ref()).unwrap();
                let tags: Vec<_> = reading.tags.iter().map(Tag::as_bytes).collect();
                prop_assert_eq!(tags, [&bytes[..]], "{}", value);
                prop_assert_eq!(reading.named, place.map(|_| time.as_bytes()), "{}", value);
                prop_assert!(reading.others.is_empty());
            }
        }
    }

    #[test]
    fn a_credential_that_is_written_reads_back(token in "[ -~]{1,80}") {
        let notation = Notation { format: Format::Basic, encoding: Encoding::Hex };
        let value = notation.frame(&token, None);
        let (before, credentials) = basic_credentials(value.as_bytes()).unwrap();
        prop_assert_eq!(credentials, token.as_bytes());
        prop_assert_eq!(before, BASIC.len());
        prop_assert_eq!(&value.as_bytes()[before..], &*notation.token_text(token.as_bytes()));
    }

    #[test]
    fn only_64_hex_digits_read_as_a_tag(value: Vec<u8>) {
        let is_tag = value.len() == 64 && value.iter().all(u8::is_ascii_hexdigit);
        let read = plain("", Encoding::Hex).read(Algorithm::HmacSha256, &value, None).is_ok();
        prop_assert_eq!(read, is_tag);
    }
}
