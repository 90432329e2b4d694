//! Certificates from an authority: obtained, kept, renewed, and what happens if the authority or the way to
//! it fails.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use tempfile::TempDir;

use hookgate::tls::acme::issued::Orders;

use crate::support::acme_authority::{AcmeAuthority, CUSTOMER, Conduct, shake_hands, shown};
use crate::support::request::PATH;
use crate::support::tls::{TlsClient, until};
use crate::support::{Client, FIXTURE, Gateway, Post, Setup, Upstream, gateway, nothing_reached, post};

pub(crate) const NAME: &str = "hooks.example";
pub(crate) const LONG: Conduct = Conduct::Issues(Duration::from_secs(90 * 24 * 3600));

/// A gateway for these names, with certificates from this authority.
pub(crate) fn setup(authority: &AcmeAuthority, storage: &Path, names: &[&str], upstream: &Upstream) -> Setup {
    let lines = format!(
        "[tls.acme]\ndomains = {names:?}\nstorage = \"{}\"\ncontact = \"ops@example.com\"\n{}",
        storage.display(),
        authority.lines()
    );
    gateway()
        .file("directory.pem", authority.of_directory.pem.as_str())
        .tls(&lines)
        .route(PATH, &upstream.url())
}

pub(crate) fn start(authority: &AcmeAuthority, storage: &Path, upstream: &Upstream) -> Gateway {
    authority.validates_nowhere();
    let gateway = setup(authority, storage, &[NAME], upstream).start();
    authority.validates_at(gateway.tls_address());
    gateway
}

fn to(name: &str, post: Post) -> Vec<u8> {
    post.without("host").line(format!("host: {name}")).bytes()
}

/// Sends a signed event to a gateway by this name, and returns the status. `None` if there is no handshake.
fn send(gateway: &Gateway, name: &str, config: &Arc<ClientConfig>) -> Option<u16> {
    let mut client = TlsClient::connect(gateway.tls_address(), name, config).ok()?;
    Some(client.send(to(name, post(FIXTURE))).response().status)
}

pub(crate) fn orders(gateway: &Gateway, name: &str) -> Orders {
    let all = gateway.control().issued().orders();
    all.into_iter().find(|(domain, ..)| **domain == *name).unwrap().1
}

pub(crate) fn obtained(gateway: &Gateway, name: &str, count: u64) {
    until("a certificate is obtained", || {
        let orders = orders(gateway, name);
        assert_eq!((orders.failed, orders.failure), (0, None));
        orders.succeeded == count
    });
}

fn failed(gateway: &Gateway, name: &str) -> Orders {
    until("the order fails", || orders(gateway, name).failed == 1);
    orders(gateway, name)
}

fn handshakes(gateway: &Gateway, result: &str) -> u64 {
    let mut counts = gateway.control().meters().handshakes().counts();
    counts.find(|(label, _)| *label == result).unwrap().1
}

/// The certificate that a client sees which offers HTTP/1.1.
pub(crate) fn certificate(gateway: &Gateway, name: &str) -> Option<CertificateDer<'static>> {
    shown(gateway.tls_address(), name, &[b"http/1.1"]).ok().flatten()
}

/// How long to wait for the next order.
pub(crate) fn wait(orders: &Orders) -> Duration {
    orders.next.unwrap().duration_since(SystemTime::now()).unwrap_or_default()
}

/// The file with what the authority has said about the renewal.
pub(crate) fn record_path(authority: &AcmeAuthority, storage: &Path) -> PathBuf {
    storage.join(authority.folder()).join(format!("{NAME}.renewal.json"))
}

/// The record after the first question about the renewal.
pub(crate) fn recorded(authority: &AcmeAuthority, storage: &Path) -> Value {
    let path = record_path(authority, storage);
    let read = || -> Option<Value> { serde_json::from_slice(&fs::read(&path).ok()?).ok() };
    until("the question about the renewal has ended", || read().is_some_and(|record| record["ask"] != 0));
    read().unwrap()
}

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_certificate_is_obtained_through_the_listener_and_kept_so_that_only_the_owner_reads_it() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    let storage = folder.path().join("acme");
    let gateway = start(&authority, &storage, &upstream);
    obtained(&gateway, NAME, 1);
    let config = authority.issuer.client().config();
    assert_eq!(send(&gateway, NAME, &config), Some(200));
    assert_eq!(send(&gateway, "HOOKS.example", &config), Some(200), "in any case");
    let mut other = TlsClient::connect(gateway.tls_address(), NAME, &config).unwrap();
    assert_eq!(other.send(to("other.example", post(FIXTURE))).response().status, 421);
    let wait = wait(&orders(&gateway, NAME));
    assert!(wait > HOUR * 24 * 58 && wait <= HOUR * 24 * 60, "two thirds of 90 days: {wait:?}");
    until("it is counted", || handshakes(&gateway, "acme_challenge") == 1);
    let of_authority = storage.join(authority.folder());
    for (path, want) in [
        (storage.clone(), 0o700),
        (of_authority.clone(), 0o700),
        (of_authority.join("account.json"), 0o600),
        (of_authority.join("hooks.example.pem"), 0o600),
    ] {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, want, "{}", path.display());
    }
}

#[test]
fn a_restart_uses_the_certificate_in_storage_and_asks_the_authority_for_nothing() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    let first = start(&authority, folder.path(), &upstream);
    obtained(&first, NAME, 1);
    let before = certificate(&first, NAME).unwrap();
    recorded(&authority, folder.path());
    drop(first);
    let requests = authority.requests();
    authority.set(Conduct::Down);
    let second = start(&authority, folder.path(), &upstream);
    // At once: nothing is waited for.
    assert_eq!(certificate(&second, NAME), Some(before));
    assert_eq!(send(&second, NAME, &authority.issuer.client().config()), Some(200));
    let orders = orders(&second, NAME);
    assert!(wait(&orders) > HOUR * 24 * 58, "{orders:?}");
    assert_eq!((authority.requests(), orders.failed), (requests, 0));
}

#[test]
fn a_certificate_is_renewed_before_it_expires_and_no_connection_is_closed() {
    let authority = AcmeAuthority::start(Conduct::Issues(Duration::from_secs(6)));
    let (upstream, folder) = (Upstream::ok(), TempDir::new().unwrap());
    let gateway = start(&authority, folder.path(), &upstream);
    obtained(&gateway, NAME, 1);
    let config = authority.issuer.client().config();
    let mut kept = TlsClient::connect(gateway.tls_address(), NAME, &config).unwrap();
    assert_eq!(kept.send(to(NAME, post(FIXTURE))).response().status, 200);
    let before = certificate(&gateway, NAME).unwrap();
    authority.set(LONG);
    obtained(&gateway, NAME, 2);
    assert_ne!(certificate(&gateway, NAME), Some(before));
    assert_eq!(send(&gateway, NAME, &authority.issuer.client().config()), Some(200));
    assert_eq!(kept.send(to(NAME, post(FIXTURE))).response().status, 200);
    assert_eq!((authority.accounts(), authority.ordered().len()), (1, 2));
}

/// Puts a certificate into storage of which more than two thirds of the life have passed.
fn keep_old(authority: &AcmeAuthority, storage: &Path) {
    let old = authority.issuer.issue_with(&[NAME], |params| {
        params.not_before = (SystemTime::now() - HOUR * 24 * 80).into();
        params.not_after = (SystemTime::now() + HOUR * 24 * 10).into();
    });
    let folder = storage.join(authority.folder());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("hooks.example.pem"), format!("{}{}", old.cert, old.key)).unwrap();
}

#[test]
fn a_renewal_that_fails_leaves_the_old_certificate_in_place_and_waits_as_long_as_the_authority_says() {
    for (conduct, least, most, reason) in [
        (Conduct::RateLimited(100_000), 99_000, 100_000, "too many certificates"),
        (Conduct::CannotConnect, 0, 60, "Timeout during connect"),
        (Conduct::Unavailable, 7_100, 7_200, "answers with the status 503"),
        (Conduct::Down, 0, 60, "cannot be reached"),
    ] {
        let (authority, upstream, folder) =
            (AcmeAuthority::start(conduct), Upstream::ok(), TempDir::new().unwrap());
        keep_old(&authority, folder.path());
        let gateway = start(&authority, folder.path(), &upstream);
        let orders = failed(&gateway, NAME);
        assert!(orders.failure.as_ref().unwrap().contains(reason), "{orders:?}");
        let wait = wait(&orders).as_secs();
        assert!((least..=most).contains(&wait), "{conduct:?}: {wait} s");
        assert_eq!(send(&gateway, NAME, &authority.issuer.client().config()), Some(200), "{conduct:?}");
    }
}

#[test]
fn an_old_certificate_in_storage_is_shown_until_the_new_one_is_there() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    keep_old(&authority, folder.path());
    let gateway = setup(&authority, folder.path(), &[NAME], &upstream).start();
    // The authority does not know yet where to validate.
    assert_eq!(send(&gateway, NAME, &authority.issuer.client().config()), Some(200));
    let old = certificate(&gateway, NAME);
    authority.validates_at(gateway.tls_address());
    obtained(&gateway, NAME, 1);
    assert_ne!(certificate(&gateway, NAME), old);
    assert_eq!(send(&gateway, NAME, &authority.issuer.client().config()), Some(200));
}

#[test]
fn without_a_certificate_handshakes_end_and_the_plain_listener_serves() {
    let authority = AcmeAuthority::start(Conduct::Down);
    let (upstream, folder) = (Upstream::ok(), TempDir::new().unwrap());
    let gateway = setup(&authority, folder.path(), &[NAME], &upstream).admin().start();
    failed(&gateway, NAME);
    for name in [NAME, "other.example"] {
        assert_eq!(certificate(&gateway, name), None);
    }
    until("both are counted", || handshakes(&gateway, "no_certificate") == 2);
    assert_eq!(handshakes(&gateway, "failed"), 0);
    Client::to(&gateway).send(post(FIXTURE).bytes()).response().assert_answer("ok");
    // A balancer that sends connections only to gateways that are ready would keep the authority's check
    // away.
    let ask = |path: &str| {
        let mut client = Client::connect(gateway.admin());
        client.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).response()
    };
    assert_eq!(ask("/readyz").status, 200);
    let metrics = ask("/metrics").text();
    for line in [
        "hookgate_acme_orders_total{name=\"hooks.example\",result=\"failure\"} 1",
        "hookgate_acme_orders_total{name=\"hooks.example\",result=\"success\"} 0",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(!metrics.contains("expiry_timestamp_seconds{"), "{metrics}");
}

#[test]
fn the_metrics_say_when_the_certificate_expires() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    let gateway = setup(&authority, folder.path(), &[NAME], &upstream).admin().start();
    authority.validates_at(gateway.tls_address());
    obtained(&gateway, NAME, 1);
    let mut client = Client::connect(gateway.admin());
    let text = client.send(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").response().text();
    let start = "hookgate_tls_certificate_expiry_timestamp_seconds{name=\"hooks.example\"} ";
    let end: u64 = text.lines().find_map(|line| line.strip_prefix(start)).unwrap().parse().unwrap();
    let left = SystemTime::UNIX_EPOCH + Duration::from_secs(end);
    assert!(left.duration_since(SystemTime::now()).unwrap() > HOUR * 24 * 89);
}

#[test]
fn the_handshake_of_a_challenge_never_reaches_http() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    keep_old(&authority, folder.path());
    let gateway = setup(&authority, folder.path(), &[NAME], &upstream).start();
    let challenge: &[u8] = b"acme-tls/1";
    // The authority waits for the address of the gateway: the challenge is under way until then.
    until("a challenge is answered", || shown(gateway.tls_address(), NAME, &[challenge]).is_ok());
    let own = certificate(&gateway, NAME).unwrap();
    let proof = shown(gateway.tls_address(), NAME, &[challenge]).unwrap();
    assert!(proof.is_some() && proof.as_ref() != Some(&own));
    let mut stream = shake_hands(gateway.tls_address(), NAME, &[challenge]).unwrap();
    drop(stream.write_all(&to(NAME, post(FIXTURE))));
    drop(stream.flush());
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    assert_eq!(answer, b"");
    // A client that offers more than the challenge gets the certificate and HTTP.
    let offered = shown(gateway.tls_address(), NAME, &[b"http/1.1", challenge]);
    assert_eq!(offered, Ok(Some(own)));
    // Another name has no challenge.
    assert!(shown(gateway.tls_address(), "other.example", &[challenge]).is_err());
    authority.validates_at(gateway.tls_address());
    obtained(&gateway, NAME, 1);
    assert!(shown(gateway.tls_address(), NAME, &[challenge]).is_err(), "no challenge is under way any more");
    nothing_reached(gateway, upstream);
}

#[test]
fn a_reload_adds_names_and_removes_them() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    let setup = |names: &[&str]| setup(&authority, folder.path(), names, &upstream);
    let gateway = setup(&["a.example"]).start();
    authority.validates_at(gateway.tls_address());
    obtained(&gateway, "a.example", 1);
    // A new client each time: no session is resumed.
    let send = |name: &str| send(&gateway, name, &authority.issuer.client().config());
    assert_eq!(send("b.example"), None);
    assert_eq!(gateway.reload(setup(&["a.example", "b.example"])), [""; 0]);
    until("the new name is known", || gateway.control().issued().orders().len() == 2);
    obtained(&gateway, "b.example", 1);
    assert_eq!((send("a.example"), send("b.example")), (Some(200), Some(200)));
    assert_eq!(gateway.reload(setup(&["b.example"])), [""; 0]);
    assert_eq!((send("a.example"), send("b.example")), (None, Some(200)));
    // It is still in storage.
    gateway.reload(setup(&["b.example", "a.example"]));
    until("the old name is served again", || send("a.example") == Some(200));
    assert_eq!(authority.ordered(), ["a.example", "b.example"]);
}

#[test]
fn a_reload_adds_an_authority_to_files() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    let file = authority.issuer.issue(&["file.example"]);
    let gateway = gateway()
        .file("a.pem", file.cert.as_str())
        .file("a.key", file.key.as_str())
        .tls("certificates = [{ cert = \"a.pem\", key = \"a.key\" }]")
        .route(PATH, &upstream.url())
        .start();
    authority.validates_at(gateway.tls_address());
    assert_eq!(gateway.reload(setup(&authority, folder.path(), &[NAME], &upstream)), [""; 0]);
    until("the name is known", || !gateway.control().issued().orders().is_empty());
    obtained(&gateway, NAME, 1);
    assert_eq!(send(&gateway, NAME, &authority.issuer.client().config()), Some(200));
}

#[test]
fn two_gateways_with_one_storage_order_one_certificate() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    let first = setup(&authority, folder.path(), &[NAME], &upstream).start();
    until("the first one orders", || authority.ordered().len() == 1);
    let second = setup(&authority, folder.path(), &[NAME], &upstream).start();
    until("the second one waits", || {
        orders(&second, NAME).next.is_some_and(|next| next > SystemTime::now() + Duration::from_secs(30))
    });
    authority.validates_at(first.tls_address());
    obtained(&first, NAME, 1);
    drop(second);
    // It finds the certificate when it looks again, or when it starts.
    let second = setup(&authority, folder.path(), &[NAME], &upstream).start();
    assert_eq!(certificate(&second, NAME), certificate(&first, NAME));
    assert_eq!((orders(&second, NAME).failed, authority.ordered().len()), (0, 1));
}

#[test]
fn a_name_that_fails_does_not_keep_others_from_a_certificate() {
    let authority = AcmeAuthority::start(Conduct::CannotConnect);
    let (upstream, folder) = (Upstream::ok(), TempDir::new().unwrap());
    let gateway = setup(&authority, folder.path(), &["a.example"], &upstream).start();
    authority.validates_at(gateway.tls_address());
    failed(&gateway, "a.example");
    authority.set(LONG);
    gateway.reload(setup(&authority, folder.path(), &["b.example"], &upstream));
    until("the new name is known", || gateway.control().issued().orders()[0].0.as_ref() == "b.example");
    obtained(&gateway, "b.example", 1);
}

#[test]
fn files_come_before_the_authority_for_their_names() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    let file = authority.issuer.issue(&["file.example"]);
    let lines = format!(
        "certificates = [{{ cert = \"a.pem\", key = \"a.key\" }}]\n[tls.acme]\ndomains = [\"{NAME}\"]\nstorage = \"{}\"\n{}",
        folder.path().display(),
        authority.lines()
    );
    let gateway = gateway()
        .file("a.pem", file.cert.as_str())
        .file("a.key", file.key.as_str())
        .file("directory.pem", authority.of_directory.pem.as_str())
        .tls(&lines)
        .route(PATH, &upstream.url())
        .start();
    let of_file = certificate(&gateway, "file.example").unwrap();
    assert_eq!(certificate(&gateway, NAME), Some(of_file.clone()), "the default, until there is one");
    authority.validates_at(gateway.tls_address());
    obtained(&gateway, NAME, 1);
    let config = authority.issuer.client().config();
    assert_eq!(
        (send(&gateway, NAME, &config), send(&gateway, "file.example", &config)),
        (Some(200), Some(200))
    );
    assert_eq!(certificate(&gateway, "other.example"), Some(of_file));
}

#[test]
fn an_account_that_the_authority_has_forgotten_is_made_again() {
    let authority = AcmeAuthority::start(Conduct::Forgets);
    let (upstream, folder) = (Upstream::ok(), TempDir::new().unwrap());
    let gateway = start(&authority, folder.path(), &upstream);
    obtained(&gateway, NAME, 1);
    assert_eq!(authority.accounts(), 2);
}

/// Otherwise a gateway that is restarted again and again would use up the authority's limits.
#[test]
fn a_restart_goes_on_with_the_wait_after_a_failure_until_an_order_succeeds() {
    let authority = AcmeAuthority::start(Conduct::RateLimited(100_000));
    let (upstream, folder) = (Upstream::ok(), TempDir::new().unwrap());
    let first = start(&authority, folder.path(), &upstream);
    let before = failed(&first, NAME);
    drop(first);
    let kept = folder.path().join(authority.folder()).join(format!("{NAME}.failures.json"));
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    authority.set(LONG);
    let requests = authority.requests();
    let second = start(&authority, folder.path(), &upstream);
    let after = orders(&second, NAME);
    let difference = wait(&before).abs_diff(wait(&after));
    assert!(difference < Duration::from_secs(60), "{before:?} {after:?}");
    assert_eq!((after.failed, authority.requests()), (0, requests));
    drop(second);
    fs::remove_file(&kept).unwrap();
    let third = start(&authority, folder.path(), &upstream);
    obtained(&third, NAME, 1);
    assert!(!kept.exists());
}

#[test]
fn an_order_that_succeeds_ends_the_count_of_failures() {
    let authority = AcmeAuthority::start(LONG);
    let (upstream, folder) = (Upstream::ok(), TempDir::new().unwrap());
    let of_authority = folder.path().join(authority.folder());
    fs::create_dir_all(&of_authority).unwrap();
    let kept = of_authority.join(format!("{NAME}.failures.json"));
    fs::write(&kept, r#"{"count":7,"failed_at":1,"next":2,"not_before":0}"#).unwrap();
    let gateway = start(&authority, folder.path(), &upstream);
    obtained(&gateway, NAME, 1);
    until("the failures are forgotten", || !kept.exists());
}

#[test]
fn an_authority_that_takes_only_customers_gets_an_account_that_is_bound_to_the_customers() {
    let authority = AcmeAuthority::start(LONG);
    authority.takes_only_customers();
    let upstream = Upstream::ok();
    for has_account in [false, true] {
        authority.validates_nowhere();
        let folder = TempDir::new().unwrap();
        let account = match has_account {
            true => format!(
                "external_account = {{ key_id = \"{}\", key = {{ file = \"customer\" }} }}",
                CUSTOMER.0
            ),
            false => String::new(),
        };
        let storage = folder.path().display();
        let lines = format!(
            "[tls.acme]\ndomains = [\"{NAME}\"]\nstorage = \"{storage}\"\n{}\n{account}",
            authority.lines()
        );
        let gateway = gateway()
            .file("directory.pem", authority.of_directory.pem.as_str())
            .file("customer", URL_SAFE_NO_PAD.encode(CUSTOMER.1))
            .tls(&lines)
            .route(PATH, &upstream.url())
            .start();
        authority.validates_at(gateway.tls_address());
        if has_account {
            obtained(&gateway, NAME, 1);
        } else {
            let orders = failed(&gateway, NAME);
            assert!(orders.failure.as_ref().unwrap().contains("only for customers"), "{orders:?}");
        }
    }
}

#[test]
fn a_storage_that_cannot_be_written_asks_the_authority_for_nothing() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    let storage = folder.path().join("file");
    fs::write(&storage, "").unwrap();
    let gateway = start(&authority, &storage, &upstream);
    let orders = failed(&gateway, NAME);
    assert!(orders.failure.as_ref().unwrap().contains("cannot be used"), "{orders:?}");
    assert_eq!(authority.requests(), 0);
}

#[test]
fn a_certificate_that_could_not_be_kept_is_not_ordered() {
    let (authority, upstream, folder) = (AcmeAuthority::start(LONG), Upstream::ok(), TempDir::new().unwrap());
    // A folder that cannot be removed, where the file is to be written.
    let in_the_way = folder.path().join(authority.folder()).join(format!("{NAME}.pem.new"));
    fs::create_dir_all(in_the_way.join("full")).unwrap();
    let gateway = start(&authority, folder.path(), &upstream);
    let orders = failed(&gateway, NAME);
    assert!(orders.failure.as_ref().unwrap().contains("cannot be used"), "{orders:?}");
    assert_eq!(authority.requests(), 0);
}

#[test]
fn a_new_certificate_that_has_expired_is_not_shown() {
    let authority = AcmeAuthority::start(Conduct::Issues(Duration::ZERO));
    let (upstream, folder) = (Upstream::ok(), TempDir::new().unwrap());
    let gateway = start(&authority, folder.path(), &upstream);
    let orders = failed(&gateway, NAME);
    assert!(orders.failure.as_ref().unwrap().contains("expired"), "{orders:?}");
    assert_eq!(certificate(&gateway, NAME), None);
}
