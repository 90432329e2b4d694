//! Path parameters. The text that `{name}` or `{*rest}` matches must not become another path in an app that
//! decodes or normalises paths.

use crate::support::process::{Running, address_in};
use crate::support::{
    Client, FIXTURE, Gateway, Post, SECRET, Upstream, assert_refused, exchange, gateway, nothing_reached,
    post, unsigned,
};

/// Asserts that the request is refused with 400, and that its connection is closed.
fn assert_malformed(gateway: &Gateway, request: &Post) {
    let mut client = Client::to(gateway);
    client.offer(request.bytes());
    assert_refused(&client.response(), 400, None);
    client.assert_closed();
}

/// A gateway with parameters of each kind. The tests sign with the secret of these routes.
fn captures(upstream: &Upstream) -> Gateway {
    let url = upstream.url();
    let other =
        "signature = { scheme = \"propify\", secrets = [{ value = \"another secret, of a tenant\" }] }";
    gateway()
        .route("/hooks/{tenant}", &url)
        .route_with("/hooks/admin", &url, other)
        .route("/partner/{*rest}", &url)
        .route("/a/{one}/b/{two}", &url)
        .route_with("/webhook/leases", &url, other)
        .route_with("/observed/{*rest}", &url, "mode = \"observe\"")
        .start()
}

/// Segments that a parameter must not match.
const AMBIGUOUS: [&str; 29] = [
    // Dot segments, alone and with the parameters that Tomcat and Jetty remove.
    ".",
    "..",
    "%2e",
    "%2E%2e",
    ".%2E",
    "%2e.",
    "..;",
    ".;x=y",
    "..%3Bx",
    // Encoded slashes and backslashes.
    "x%2fy",
    "x%2Fy",
    "x%5cy",
    "x%5Cy",
    "x\\y",
    "..%2fadmin",
    // Encodings of characters that need no encoding.
    "%61dmin",
    "admi%6e",
    "%41dmin",
    "x%39",
    "x%2D",
    "x%5F",
    "x%7E",
    // Control characters.
    "x%00",
    "x%0d%0A",
    "x%1f",
    "x%7f",
    // A `%` that does not begin an encoding.
    "x%",
    "x%4",
    "x%zz",
];

/// Segments that a parameter may match. `%25` is decoded at most once.
const PLAIN: [&str; 16] = [
    "admin2",
    "Admin",
    "...",
    "..x",
    ".well-known",
    "x..",
    "a;b=c",
    "@:!$&'()*+,=-._~",
    "%252e%252e",
    "%2561dmin",
    "%25",
    "a%20b",
    "%3A%3b%40%26",
    "M%C3%BCller",
    "%E9%ff",
    "%22%3c%5B%7c",
];

#[test]
fn a_captured_segment_that_could_be_read_otherwise_is_refused() {
    let upstream = Upstream::ok();
    let gateway = captures(&upstream);
    for segment in AMBIGUOUS {
        for target in [
            format!("/hooks/{segment}"),
            format!("/hooks/{segment}?a=b"),
            format!("/partner/{segment}"),
            format!("/partner/x/{segment}/y"),
            format!("/a/{segment}/b/x"),
            format!("/a/x/b/{segment}"),
            format!("/observed/{segment}"),
            format!("http://gateway.test/hooks/{segment}"),
        ] {
            assert_malformed(&gateway, &post(FIXTURE).target(&target));
        }
        // The path is checked before the method and the signature.
        let target = format!("/hooks/{segment}");
        assert_malformed(&gateway, &unsigned(FIXTURE).target(&target));
        assert_malformed(&gateway, &post(FIXTURE).target(&target).method("GET"));
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn no_path_leads_out_of_the_routes_that_its_secret_is_for() {
    let upstream = Upstream::ok();
    let gateway = captures(&upstream);
    for target in [
        "/partner/../webhook/leases",
        "/partner/x/../../webhook/leases",
        "/partner/%2e%2e/webhook/leases",
        "/partner/..%2fwebhook/leases",
        "/partner/..%5cwebhook%5cleases",
        "/partner/..;/webhook/leases",
        "/hooks/%61dmin",
        "/partner//../webhook/leases",
    ] {
        assert_malformed(&gateway, &post(FIXTURE).target(target));
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn a_captured_segment_that_can_be_read_in_one_way_passes_byte_for_byte() {
    let upstream = Upstream::ok();
    let gateway = captures(&upstream);
    let mut want = Vec::new();
    for segment in PLAIN {
        for target in [
            format!("/hooks/{segment}"),
            format!("/partner/{segment}"),
            format!("/partner/{segment}/"),
            format!("/partner/x//{segment}"),
            format!("/partner//{segment}/x"),
            format!("/a/{segment}/b/{segment}?%2e%2e/=%61/../"),
        ] {
            exchange(&gateway, &post(FIXTURE).target(&target)).assert_answer("ok");
            want.push(target);
        }
    }
    let got: Vec<_> = upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(got, want);
}

#[test]
fn what_the_path_of_no_route_means_is_not_asked() {
    let upstream = Upstream::ok();
    let gateway = captures(&upstream);
    for target in ["/elsewhere/../webhook/leases", "/hooks/../webhook/leases", "/hooks/x/%61", "/%2e%2e"] {
        assert_refused(&exchange(&gateway, &post(FIXTURE).target(target)), 404, Some("no_route"));
    }
    nothing_reached(gateway, upstream);
}

#[test]
fn a_path_that_is_another_routes_with_its_slashes_merged_is_refused() {
    let upstream = Upstream::ok();
    let url = upstream.url();
    let other =
        "signature = { scheme = \"propify\", secrets = [{ value = \"another secret, of a tenant\" }] }";
    let gateway = gateway()
        .route("/{*rest}", &url)
        .route_with("/webhook/leases", &url, other)
        .route_with("/hooks/{tenant}", &url, other)
        .start();
    for target in [
        "//webhook/leases",
        "/webhook//leases",
        "///webhook////leases",
        "//hooks/x",
        "/hooks//x",
        "/hooks///x?a",
    ] {
        assert_malformed(&gateway, &post(FIXTURE).target(target));
    }
    let fine = ["//", "/a//b", "//a//b//", "/webhook//", "/webhook//leases/", "//webhook/leases2"];
    for target in fine {
        exchange(&gateway, &post(FIXTURE).target(target)).assert_answer("ok");
    }
    let got: Vec<_> = upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(got, fine);
}

#[test]
fn literal_parts_are_compared_byte_for_byte_whatever_they_mean() {
    let upstream = Upstream::ok();
    let url = upstream.url();
    let gateway =
        gateway().route("/%61/..", &url).route("/%2e%2e/{x}", &url).route("/a//{*rest}", &url).start();
    let fine = ["/%61/..", "/%2e%2e/x", "/a//x"];
    for target in fine {
        exchange(&gateway, &post(FIXTURE).target(target)).assert_answer("ok");
    }
    for target in ["/a/..", "/../x", "/%2E%2e/x", "/a/x"] {
        assert_refused(&exchange(&gateway, &post(FIXTURE).target(target)), 404, Some("no_route"));
    }
    assert_malformed(&gateway, &post(FIXTURE).target("/%2e%2e/%2e%2e"));
    let got: Vec<_> = upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(got, fine);
}

#[test]
fn the_log_says_what_is_wrong_with_a_captured_part() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[log]\nformat = \"json\"\n\
         [signature]\nscheme = \"propify\"\nsecrets = [{{ value = \"{SECRET}\" }}]\n\
         [[routes]]\npath = \"/{{*rest}}\"\nupstream = \"http://127.0.0.1:9\"\n"
    );
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.current_dir(folder.path()).stdin(std::process::Stdio::null());
    let mut running = Running::start(&mut command);
    let address = address_in(&running.wait_for("\"listening\""));
    let said = [
        ("/a/..", "a captured part of the path has a dot segment"),
        ("/a%2fb", "a captured part of the path has an encoded slash"),
        ("/%61", "a captured part of the path has an encoding of a character that needs none"),
        ("/%0a", "a captured part of the path has an encoded control character"),
        ("/%c0%ae", "a captured part of the path has an overlong encoding"),
    ];
    for (target, _) in said {
        let request = post(FIXTURE).target(target);
        assert_eq!(Client::connect(address).send(request.bytes()).response().status, 400);
    }
    running.signal("-TERM");
    assert_eq!(running.ended(), Some(0));
    let requests = running.seen.lines().filter(|line| line.contains("\"message\":\"request\""));
    let lines: Vec<serde_json::Value> = requests.map(|line| serde_json::from_str(line).unwrap()).collect();
    let got: Vec<_> = lines.iter().map(|line| line["detail"].as_str().unwrap()).collect();
    assert_eq!(got, said.map(|(_, detail)| detail));
    assert!(lines.iter().all(|line| line["route"] == "/{*rest}"));
}
