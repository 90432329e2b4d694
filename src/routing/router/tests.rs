//! Tests of the router: which route a path leads to, and which routes conflict.

use super::*;

fn table(routes: &[(&str, ModelRule)]) -> Result<Router, Vec<Conflict>> {
    let routes: Vec<_> =
        routes.iter().map(|(path, rule)| (Pattern::parse(path).unwrap(), rule.clone())).collect();
    Router::build(routes.iter().map(|(pattern, rule)| (pattern, rule)))
}

fn any(paths: &[&str]) -> Router {
    table(&paths.iter().map(|path| (*path, ModelRule::Any)).collect::<Vec<_>>()).unwrap()
}

fn find(router: &Router, path: &str) -> Option<usize> {
    router.find(path).map(|matched| matched.candidates().first().0)
}

#[test]
fn a_literal_takes_precedence_over_a_name_and_a_name_over_the_rest() {
    let router = any(&["/{*rest}", "/a/{x}", "/a/b", "/a/{x}/c", "/a/{*rest}"]);
    for (path, want) in [("/a/b", 2), ("/a/x", 1), ("/a/b/c", 3), ("/a/b/d", 4), ("/z", 0), ("/z/y", 0)] {
        assert_eq!(find(&router, path), Some(want), "{path}");
    }
    assert_eq!(find(&router, "/"), Some(0), "a rest may be empty");
}

#[test]
fn paths_are_compared_byte_for_byte() {
    let router = any(&["/webhook/leases", "/w/{x}", "/%C3%a9"]);
    for path in [
        "/webhook/leases/",
        "//webhook/leases",
        "/webhook//leases",
        "/webhook/./leases",
        "/webhook/%6ceases",
        "/Webhook/leases",
        "/webhook/lease",
        "/w/",
        "/w/a/b",
        "/%C3%A9",
        "/é",
        "",
        "*",
    ] {
        assert_eq!(find(&router, path), None, "{path}");
    }
    for (path, want) in [("/webhook/leases", 0), ("/w/..", 1), ("/w/%2e", 1), ("/w/{x}", 1), ("/%C3%a9", 2)] {
        assert_eq!(find(&router, path), Some(want), "{path}");
    }
}

fn check(router: &Router, path: &str) -> Result<(), Ambiguity> {
    router.find(path).unwrap().check()
}

#[test]
fn what_a_parameter_matches_is_checked_and_nothing_else() {
    let router = any(&["/a/..", "/%61", "/w/{x}/y", "/r/%2e/{*rest}", "/m/{a}/{b}"]);
    for path in ["/a/..", "/%61", "/w/x/y", "/w/...;/y", "/r/%2e/", "/r/%2e/x", "/r/%2e/x/", "/m/a/b"] {
        assert_eq!(check(&router, path), Ok(()), "{path}");
    }
    for path in ["/w/../y", "/r/%2e/..", "/r/%2e/./", "/r/%2e/a/b/../c", "/m/../b", "/m/a/.."] {
        assert_eq!(check(&router, path), Err(Ambiguity::Dots), "{path}");
    }
    assert_eq!(check(&router, "/m/a/%62"), Err(Ambiguity::EncodedUnreserved));
}

#[test]
fn slashes_that_follow_each_other_are_refused_where_they_hide_another_route() {
    let router = any(&["/{*rest}", "/a/b", "/a//{*rest}", "/{x}/c/d", "/e/"]);
    for path in
        ["/", "//", "///", "//x", "/x//y", "/x//", "//a/b/", "//a/c", "/a//", "/a//b", "/a//b//c", "/e//x"]
    {
        assert_eq!(check(&router, path), Ok(()), "{path}");
    }
    for path in ["//a/b", "///a//b", "/x//c/d", "//x/c//d", "//e/", "//a", "/e//"] {
        let want = if path == "//a" { Ok(()) } else { Err(Ambiguity::Slashes) };
        assert_eq!(check(&router, path), want, "{path}");
    }
}

#[test]
fn a_path_can_pass_for_another_if_its_parameter_stands_where_that_has_a_literal_or_ends() {
    for (one, other, want) in [
        ("/hooks/{t}", "/hooks/admin", true),
        ("/Hooks/{t}", "/hooks/admin", true),
        ("/{*rest}", "/hooks/admin", true),
        ("/hooks/{*rest}", "/hooks", true),
        ("/hooks/{*rest}", "/hooks/{t}", true),
        ("/{a}/{b}", "/hooks/{t}", true),
        ("/{a}/{b}", "/{a}/x", true),
        ("/{a}/{*b}", "/x/{*b}", true),
        ("/{*rest}", "/", true),
        ("/hooks/admin", "/hooks/{t}", false),
        ("/hooks/admin", "/hooks/admin", false),
        ("/hooks/{t}", "/hooks/{u}", false),
        ("/hooks/{t}", "/other/admin", false),
        ("/hooks/{t}", "/hooks/a/b", false),
        ("/hooks/{t}", "/hooks", false),
        ("/hooks/{t}", "/hooks/", false),
        ("/hooks/{t}", "/hooks/{*rest}", false),
        ("/hooks/{*rest}", "/hooks/{*other}", false),
        ("/a/{*rest}", "/b/{x}", false),
    ] {
        let [one, other] = [one, other].map(|path| Pattern::parse(path).unwrap());
        assert_eq!(one.can_pass_for(&other), want, "{one} {other}");
    }
}

#[test]
fn an_ambiguous_literal_segment_is_reported_with_its_position() {
    for (path, want) in [
        ("/a/../b", Some((3..5, Ambiguity::Dots))),
        ("/{x}/%61dmin", Some((5..12, Ambiguity::EncodedUnreserved))),
        ("/a%2Fb", Some((1..6, Ambiguity::EncodedSlash))),
        ("/{x}/a%20b/{*rest}", None),
    ] {
        assert_eq!(Pattern::parse(path).unwrap().ambiguity(), want, "{path}");
    }
}

#[test]
fn routes_of_one_path_are_told_apart_by_model() {
    let named = |name: &str| ModelRule::Named(name.to_owned());
    let router = table(&[
        ("/w", named("leads")),
        ("/w", ModelRule::Any),
        ("/w", named("leases")),
        ("/x/{model}", ModelRule::Segment),
    ])
    .unwrap();
    let matched = router.find("/w").unwrap().candidates();
    assert!(matched.asks_for_model());
    assert_eq!(matched.select("/w", Some("leads")), Some(RouteId(0)));
    assert_eq!(matched.select("/w", Some("leases")), Some(RouteId(2)));
    assert_eq!(matched.select("/w", Some("jobs")), Some(RouteId(1)));
    assert_eq!(matched.select("/w", None), Some(RouteId(1)));
    let matched = router.find("/x/leads").unwrap().candidates();
    assert_eq!(matched.select("/x/leads", Some("leads")), Some(RouteId(3)));
    assert_eq!(matched.select("/x/leads", Some("leases")), None);
    assert_eq!(matched.select("/x/leads", None), None);
}

#[test]
fn routes_that_would_take_the_same_requests_conflict() {
    let conflict = |earlier, later| vec![Conflict { earlier: RouteId(earlier), later: RouteId(later) }];
    let named = |name: &str| ModelRule::Named(name.to_owned());
    assert_eq!(
        table(&[("/a", ModelRule::Any), ("/b", ModelRule::Any), ("/a", ModelRule::Any)]).unwrap_err(),
        conflict(0, 2)
    );
    assert_eq!(table(&[("/a", named("x")), ("/a", named("x"))]).unwrap_err(), conflict(0, 1));
    assert_eq!(table(&[("/{a}", ModelRule::Any), ("/{b}", ModelRule::Any)]).unwrap_err(), conflict(0, 1));
    assert_eq!(
        table(&[("/{a}", ModelRule::Any), ("/{model}", ModelRule::Segment)]).unwrap_err(),
        conflict(0, 1)
    );
    assert!(
        table(&[("/{a}", ModelRule::Any), ("/{*b}", ModelRule::Any), ("/{a}/x", ModelRule::Any)]).is_ok()
    );
}

#[test]
fn an_invalid_pattern_is_reported_with_its_position() {
    for (text, at, fault) in [
        ("webhook", 0..7, PatternFault::NoLeadingSlash),
        ("", 0..0, PatternFault::NoLeadingSlash),
        ("/a b", 2..3, PatternFault::NotPath),
        ("/a?b", 2..3, PatternFault::NotPath),
        ("/a/é", 3..5, PatternFault::NotPath),
        ("/a|b", 2..3, PatternFault::NotPath),
        ("/a[b", 2..3, PatternFault::NotPath),
        ("/a\\b", 2..3, PatternFault::NotPath),
        ("/a/b%2", 4..5, PatternFault::BarePercent),
        ("/%20%", 4..5, PatternFault::BarePercent),
        ("/a/*", 3..4, PatternFault::OtherRouters),
        ("/*/b", 1..2, PatternFault::OtherRouters),
        ("/a/b*", 3..5, PatternFault::OtherRouters),
        ("/a/**/b", 3..5, PatternFault::OtherRouters),
        ("/a/*rest", 3..8, PatternFault::OtherRouters),
        ("/(.*)", 1..5, PatternFault::OtherRouters),
        ("/a/:id", 3..6, PatternFault::OtherRouters),
        ("/:id.json", 1..9, PatternFault::OtherRouters),
        ("/<int:id>/b", 1..9, PatternFault::OtherRouters),
        ("/a/[...id]", 3..10, PatternFault::OtherRouters),
        ("/a/$id", 3..6, PatternFault::OtherRouters),
        ("/a/$1/b", 3..5, PatternFault::OtherRouters),
        ("/a/b$", 3..5, PatternFault::OtherRouters),
        ("/a/(id)", 3..7, PatternFault::OtherRouters),
        ("/a/+", 3..4, PatternFault::OtherRouters),
        ("/a/...rest", 3..10, PatternFault::OtherRouters),
        ("/a/...", 3..6, PatternFault::OtherRouters),
        ("/a/x{y}", 3..7, PatternFault::NotWholeSegment),
        ("/a/{}", 3..5, PatternFault::BadName),
        ("/a/{x-y}", 3..8, PatternFault::BadName),
        ("/{x}/{x}", 5..8, PatternFault::RepeatedName),
        ("/{*rest}/a", 1..8, PatternFault::RestNotLast),
        ("/{*model}", 1..9, PatternFault::ModelIsOneSegment),
    ] {
        assert_eq!(Pattern::parse(text), Err(PatternError { at, fault }), "{text}");
    }
    for text in [
        "/",
        "//",
        "/v1/x:cancel",
        "/:",
        "/:1",
        "/a$b",
        "/Users(1)",
        "/a+b",
        "/a;b=c/@!$&'()+,",
        "/%C3%A9/%25",
        "/a/../%61",
    ] {
        assert!(Pattern::parse(text).is_ok(), "{text}");
    }
    assert!(Pattern::parse("/webhook/{model}").unwrap().binds_model());
}

/// The test has all combinations of literals, names and a rest in two segments. Patterns of different shapes
/// never conflict.
#[test]
fn patterns_of_different_shapes_never_conflict() {
    let paths = [
        "/",
        "/a",
        "/b",
        "/{x}",
        "/{*x}",
        "/a/",
        "/a/b",
        "/a/{x}",
        "/a/{*x}",
        "/{x}/",
        "/{x}/a",
        "/{x}/{y}",
        "/{x}/{*y}",
    ];
    for a in paths {
        for b in paths {
            let same = a == b;
            assert_eq!(table(&[(a, ModelRule::Any), (b, ModelRule::Any)]).is_err(), same, "{a} {b}");
        }
    }
}
