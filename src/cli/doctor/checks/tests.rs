//! Tests for each row of the tables of findings.

use super::*;
use crate::cli::doctor::finding::Level;

fn state() -> State {
    State {
        version: "1".to_owned(),
        generation: 3,
        differences: Some(Vec::new()),
        restart: Vec::new(),
        outdated: false,
        listening: Vec::new(),
        now: 0,
        descriptors_allowed: Some(1000),
        descriptors_needed: 1000,
        acme: Vec::new(),
    }
}

fn levels(state: &State) -> Vec<Level> {
    configuration(state, "1", "gateway.toml").iter().map(|finding| finding.level).collect()
}

#[test]
fn an_upstream_is_well_only_if_it_accepts_connections() {
    let origin = Origin::parse("http://127.0.0.1:3000").unwrap();
    let level = |reached| upstream(&origin, Duration::from_secs(2), &reached).level;
    assert_eq!(level(Ok(())), Level::Ok);
    let of_kind = |kind: ErrorKind| level(Err(kind.into()));
    assert_eq!(of_kind(ErrorKind::PermissionDenied), Level::Warning, "the gateway's user may be another");
    for kind in [ErrorKind::ConnectionRefused, ErrorKind::NotFound, ErrorKind::TimedOut, ErrorKind::Other] {
        assert_eq!(of_kind(kind), Level::Problem, "{kind}");
    }
}

#[test]
fn a_running_configuration_that_differs_from_the_file_is_reported() {
    assert_eq!(levels(&state()), [Level::Ok]);
    let differences = vec![
        Difference::Changed("[limits]".into()),
        Difference::OnlyAsked("route /a".into()),
        Difference::OnlyRunning("route /b".into()),
    ];
    let differs = State { differences: Some(differences), ..state() };
    assert_eq!(levels(&differs), [Level::Problem]);
    let text = configuration(&differs, "1", "gateway.toml")[0].text();
    assert!(text.ends_with("[limits], route /a (only in the file), route /b (not in the file)"), "{text}");
    assert_eq!(levels(&State { differences: None, ..state() }), [Level::Warning]);
    assert_eq!(
        levels(&State { restart: vec!["server.listen".into()], ..state() }),
        [Level::Ok, Level::Warning]
    );
    assert_eq!(levels(&State { outdated: true, ..state() }), [Level::Ok, Level::Warning]);
    let outdated = State { outdated: true, ..differs };
    let to_do = configuration(&outdated, "1", "gateway.toml")[0].to_do.clone().unwrap();
    assert!(to_do.contains("not reloaded"), "{to_do}");
}

#[test]
fn the_limit_on_open_files_suffices_exactly_at_the_need() {
    let level = |allowed| descriptors(&State { descriptors_allowed: allowed, ..state() }).level;
    assert_eq!((level(Some(999)), level(Some(1000)), level(None)), (Level::Warning, Level::Ok, Level::Ok));
}

#[test]
fn a_clock_that_is_off_matters_most_where_time_is_signed() {
    let windows = |count| vec!["/hooks/stripe (5m back, 5m ahead)".to_owned(); count];
    for (ahead, count, level) in [
        (0, 0, Level::Ok),
        (2, 1, Level::Ok),
        (-2, 1, Level::Ok),
        (3, 0, Level::Warning),
        (3, 1, Level::Problem),
        (-3, 1, Level::Problem),
    ] {
        assert_eq!(clock(ahead, &windows(count)).level, level, "{ahead} {count}");
    }
    assert!(clock(-9, &windows(1)).text().contains("9 s behind"));
    assert!(clock(0, &windows(1)).text().contains("/hooks/stripe (5m back, 5m ahead)"));
}

#[test]
fn a_secret_is_well_only_if_the_gateway_verifies_by_the_one_of_that_name() {
    let examination = |secret: Option<&str>, reason: Option<&str>| {
        Probed::Examined(Examination {
            verifies: secret.is_some(),
            route: None,
            secret: secret.map(str::to_owned),
            reason: reason.map(str::to_owned),
            observed: false,
            generation: 1,
        })
    };
    for (probed, level) in [
        (examination(Some("current"), None), Level::Ok),
        (examination(Some("previous"), None), Level::Warning),
        (examination(None, Some("signature_mismatch")), Level::Problem),
        (examination(None, Some("timestamp_expired")), Level::Problem),
        (examination(None, Some("no_route")), Level::Problem),
        (examination(None, None), Level::Problem),
        (Probed::OnlySenderSigns, Level::Ok),
        (Probed::TokenStaysHere, Level::Ok),
        (Probed::NoAnswer("gone".into()), Level::Problem),
    ] {
        assert_eq!(secret("/a", "current", &probed).level, level, "{probed:?}");
    }
}

#[test]
fn a_route_is_found_only_if_it_refuses_for_the_expected_reason() {
    let level = |heard: Heard| route("/a", "127.0.0.1:1", &heard).level;
    assert_eq!(level(Heard::Refused), Level::Ok);
    assert_eq!(level(Heard::RefusedAs("no_route".into())), Level::Problem);
    assert_eq!(level(Heard::OtherServer(200)), Level::Problem);
    assert_eq!(level(Heard::NoAnswer("refused".into())), Level::Problem);
}

#[test]
fn a_certificate_is_a_problem_only_if_there_is_no_valid_one() {
    let of = |expires, failure: Option<&str>, is_early| {
        let failure = failure.map(str::to_owned);
        let name = "a.example".to_owned();
        certificate(&IssuedState { name, expires, failure, next: Some(100_000), is_early }, 1000)
    };
    let refused = Some("too many certificates");
    for (expires, failure, want, text) in [
        (Some(400_000), None, Level::Ok, "expires in 4 days, and is renewed in 27 hours"),
        (Some(400_000), refused, Level::Warning, "the old one stays: too many certificates"),
        (Some(1000), refused, Level::Problem, "is not obtained: too many certificates"),
        (Some(1000), None, Level::Problem, "has expired"),
        (None, refused, Level::Problem, "is not obtained: too many certificates"),
        (None, None, Level::Warning, "is not obtained yet"),
    ] {
        let finding = of(expires, failure, false);
        assert_eq!(finding.level, want, "{finding:?}");
        assert!(
            finding.text().starts_with("certificate for a.example: ") && finding.text().ends_with(text),
            "{finding:?}"
        );
    }
    let early = of(Some(400_000), None, true);
    let text = "expires in 4 days, and is renewed in 27 hours: the authority asks for an early renewal";
    assert!(early.level == Level::Ok && early.text().ends_with(text), "{early:?}");
}
