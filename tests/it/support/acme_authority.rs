//! An authority that speaks ACME, as far as the tests need it: it validates by a real handshake, and fails as
//! a test wants.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection, SignatureScheme,
    StreamOwned,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::request::CertReq;

use crate::support::PATIENCE;
use crate::support::tls::Authority;

/// What the authority does with orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// It validates, and issues a certificate that is valid for so long.
    Issues(Duration),
    /// It takes no orders, for this number of seconds.
    RateLimited(u64),
    /// It says that it could not connect to the name.
    CannotConnect,
    /// It closes every connection.
    Down,
    /// It answers 503 with a page in HTML.
    Unavailable,
    /// It does not know the account that orders next.
    Forgets,
}

/// What the authority says about the renewal of every certificate that it knows (RFC 9773).
#[derive(Clone, Debug)]
pub(crate) enum RenewalInfo {
    /// Its directory offers no renewal information.
    NotOffered,
    /// It suggests this window.
    Window {
        /// The begin.
        start: SystemTime,
        /// The end.
        end: SystemTime,
        /// The value of `retry-after`, if there is one.
        retry_after: Option<&'static str>,
    },
    /// It answers 500.
    Fails,
}

/// The page that explains the windows.
pub(crate) const EXPLANATION: &str = "https://authority.example/why";

/// The authority.
pub(crate) struct AcmeAuthority {
    /// Whose roots clients believe.
    pub(crate) issuer: Arc<Authority>,
    /// Whose roots the gateway believes, for the directory.
    pub(crate) of_directory: Authority,
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    issuer: Arc<Authority>,
    url: String,
    conduct: Mutex<Conduct>,
    takes_only_customers: AtomicBool,
    renewal_info: Mutex<RenewalInfo>,
    refuses_replaces: AtomicBool,
    requests: AtomicU64,
    accounts: AtomicU64,
    state: Mutex<State>,
    /// Tells that `State::gateway` is set.
    known: Condvar,
}

#[derive(Default)]
struct State {
    /// Where challenges are validated, whatever the name is.
    gateway: Option<SocketAddr>,
    thumbprint: String,
    orders: Vec<Order>,
    /// The `replaces` of each request for an order, also of those that were refused.
    replaced: Vec<Option<String>>,
    /// The certificates whose renewal was asked about.
    asked: Vec<String>,
    /// Identifiers of certificates from elsewhere.
    known_certificates: Vec<String>,
}

#[derive(Clone)]
struct Order {
    domain: String,
    status: &'static str,
    error: Option<Value>,
    certificate: Option<String>,
    replaces: Option<String>,
}

impl AcmeAuthority {
    pub(crate) fn start(conduct: Conduct) -> Self {
        let (issuer, of_directory) = (Arc::new(Authority::new("issuer")), Authority::new("directory"));
        let own = of_directory.issue(&["localhost"]);
        let chain = vec![CertificateDer::from_pem_slice(own.cert.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            issuer: Arc::clone(&issuer),
            url: format!("https://localhost:{}", address.port()),
            conduct: Mutex::new(conduct),
            takes_only_customers: AtomicBool::new(false),
            renewal_info: Mutex::new(RenewalInfo::NotOffered),
            refuses_replaces: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            accounts: AtomicU64::new(0),
            state: Mutex::default(),
            known: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (shared, config) = (Arc::clone(&of_thread), Arc::clone(&config));
                std::thread::spawn(move || shared.serve(socket.unwrap(), &config));
            }
        });
        Self { issuer, of_directory, shared, address }
    }

    /// The lines of `[tls.acme]` that name this authority. The file is `directory.pem`.
    pub(crate) fn lines(&self) -> String {
        format!("directory = \"{}/dir\"\ndirectory_ca = \"directory.pem\"", self.shared.url)
    }

    /// The folder of this authority in `storage`.
    pub(crate) fn folder(&self) -> String {
        format!("localhost-{}-dir", self.address.port())
    }

    /// Challenges are validated at this address.
    pub(crate) fn validates_at(&self, gateway: SocketAddr) {
        self.shared.state.lock().unwrap().gateway = Some(gateway);
        self.shared.known.notify_all();
    }

    /// From now on, challenges wait for [`validates_at`](Self::validates_at).
    pub(crate) fn validates_nowhere(&self) {
        self.shared.state.lock().unwrap().gateway = None;
    }

    /// From now on, accounts must be bound to [`CUSTOMER`].
    pub(crate) fn takes_only_customers(&self) {
        self.shared.takes_only_customers.store(true, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, conduct: Conduct) {
        *self.shared.conduct.lock().unwrap() = conduct;
    }

    /// From now on, the authority says this about renewals.
    pub(crate) fn says(&self, info: RenewalInfo) {
        *self.shared.renewal_info.lock().unwrap() = info;
    }

    /// A certificate in PEM that the authority answers questions about. Returns its identifier.
    pub(crate) fn knows(&self, certificate: &str) -> String {
        let identifier = identifier(certificate);
        self.shared.state.lock().unwrap().known_certificates.push(identifier.clone());
        identifier
    }

    /// From now on, no order may name a certificate that it replaces.
    pub(crate) fn refuses_replaces(&self) {
        self.shared.refuses_replaces.store(true, Ordering::Relaxed);
    }

    /// The certificates whose renewal was asked about, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().asked.clone()
    }

    /// The certificates that the requests for orders named as replaced, in order. `None` for a request that
    /// named none.
    pub(crate) fn replaced(&self) -> Vec<Option<String>> {
        self.shared.state.lock().unwrap().replaced.clone()
    }

    /// The number of requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// The number of accounts so far.
    pub(crate) fn accounts(&self) -> u64 {
        self.shared.accounts.load(Ordering::Relaxed)
    }

    /// The names that were ordered, in order.
    pub(crate) fn ordered(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().orders.iter().map(|order| order.domain.clone()).collect()
    }
}

/// A request to the authority.
struct Request {
    path: String,
    protected: Value,
    payload: Value,
}

impl Shared {
    fn serve(&self, socket: TcpStream, config: &Arc<ServerConfig>) -> Option<()> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let conduct = *self.conduct.lock().unwrap();
        if conduct == Conduct::Down {
            return None;
        }
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), socket);
        let request = read(&mut stream)?;
        let (status, fields, content) = if conduct == Conduct::Unavailable {
            (503, "content-type: text/html\r\nretry-after: 7200\r\n".to_owned(), "<html>".to_owned())
        } else {
            self.answer(&request, conduct)
        };
        let head = format!(
            "HTTP/1.1 {status} x\r\nreplay-nonce: AAAA\r\n{fields}content-length: {}\r\nconnection: close\r\n\r\n",
            content.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(content.as_bytes()).ok()?;
        stream.conn.send_close_notify();
        stream.flush().ok()
    }

    fn answer(&self, request: &Request, conduct: Conduct) -> (u16, String, String) {
        let url = &self.url;
        let json = |status, fields: String, value: Value| {
            (status, format!("content-type: application/json\r\n{fields}"), value.to_string())
        };
        let problem = |status, fields: &str, kind: &str, detail: &str| {
            let kind = format!("urn:ietf:params:acme:error:{kind}");
            let value = json!({ "type": kind, "detail": detail, "status": status });
            (status, format!("content-type: application/problem+json\r\n{fields}"), value.to_string())
        };
        let mut path = request.path.trim_start_matches('/').split('/');
        let (what, which) = (path.next().unwrap(), path.next().unwrap_or_default());
        let number = which.parse::<usize>().unwrap_or_default();
        match what {
            "dir" => {
                let mut directory = json!({
                    "newNonce": format!("{url}/nonce"), "newAccount": format!("{url}/account"),
                    "newOrder": format!("{url}/order"), "revokeCert": format!("{url}/no"), "keyChange": format!("{url}/no"),
                });
                if !matches!(*self.renewal_info.lock().unwrap(), RenewalInfo::NotOffered) {
                    directory["renewalInfo"] = json!(format!("{url}/renewal"));
                }
                json(200, String::new(), directory)
            }
            "renewal" => {
                let mut state = self.state.lock().unwrap();
                state.asked.push(which.to_owned());
                let issued = state.orders.iter().filter_map(|order| order.certificate.as_deref());
                let is_known = issued.map(identifier).any(|known| known == which);
                if !is_known && state.known_certificates.iter().all(|known| known != which) {
                    return problem(404, "", "malformed", "no such certificate");
                }
                match &*self.renewal_info.lock().unwrap() {
                    RenewalInfo::NotOffered => problem(404, "", "malformed", "no such path"),
                    RenewalInfo::Fails => problem(500, "", "serverInternal", "no window"),
                    RenewalInfo::Window { start, end, retry_after } => {
                        let [start, end] = [*start, *end].map(|time| {
                            jiff::Timestamp::try_from(time)
                                .unwrap()
                                .strftime("%Y-%m-%dT%H:%M:%S+00:00")
                                .to_string()
                        });
                        let window = json!({ "start": start, "end": end });
                        let fields = retry_after.map(|value| format!("retry-after: {value}\r\n"));
                        json(
                            200,
                            fields.unwrap_or_default(),
                            json!({ "suggestedWindow": window, "explanationURL": EXPLANATION }),
                        )
                    }
                }
            }
            "nonce" => (200, String::new(), String::new()),
            "account" if self.takes_only_customers.load(Ordering::Relaxed) && !is_bound(request, url) => {
                problem(403, "", "externalAccountRequired", "only for customers")
            }
            "account" => {
                let number = self.accounts.fetch_add(1, Ordering::Relaxed);
                self.state.lock().unwrap().thumbprint = thumbprint(&request.protected["jwk"]);
                json(201, format!("location: {url}/account/{number}\r\n"), json!({ "status": "valid" }))
            }
            "order" if request.payload.is_object() => {
                match conduct {
                    Conduct::RateLimited(seconds) => {
                        let fields = format!("retry-after: {seconds}\r\n");
                        return problem(429, &fields, "rateLimited", "too many certificates");
                    }
                    Conduct::Forgets => {
                        *self.conduct.lock().unwrap() = Conduct::Issues(Duration::from_secs(90 * 24 * 3600));
                        return problem(400, "", "accountDoesNotExist", "who are you?");
                    }
                    Conduct::Issues(_) | Conduct::CannotConnect | Conduct::Down | Conduct::Unavailable => {}
                }
                let domain = request.payload["identifiers"][0]["value"].as_str().unwrap().to_owned();
                let replaces = request.payload["replaces"].as_str().map(str::to_owned);
                let mut state = self.state.lock().unwrap();
                state.replaced.push(replaces.clone());
                if replaces.is_some() && self.refuses_replaces.load(Ordering::Relaxed) {
                    return problem(409, "", "alreadyReplaced", "another order replaces it");
                }
                let order = Order { domain, status: "pending", error: None, certificate: None, replaces };
                state.orders.push(order.clone());
                let number = state.orders.len() - 1;
                json(201, format!("location: {url}/order/{number}\r\n"), self.order(number, &order))
            }
            "order" => {
                let order = self.state.lock().unwrap().orders[number].clone();
                json(200, String::new(), self.order(number, &order))
            }
            "authorization" => {
                let order = self.state.lock().unwrap().orders[number].clone();
                let status = if order.status == "ready" { "valid" } else { order.status };
                let challenges = json!([
                    { "type": "http-01", "url": format!("{url}/no"), "token": "x", "status": "pending" },
                    self.challenge(number, &order),
                ]);
                let identifier = json!({ "type": "dns", "value": order.domain });
                json(
                    200,
                    String::new(),
                    json!({ "status": status, "identifier": identifier, "challenges": challenges }),
                )
            }
            "challenge" => {
                let order = self.state.lock().unwrap().orders[number].clone();
                let answer = self.challenge(number, &order);
                let error = match conduct {
                    Conduct::CannotConnect => Some("Timeout during connect".to_owned()),
                    Conduct::Issues(_)
                    | Conduct::RateLimited(_)
                    | Conduct::Down
                    | Conduct::Unavailable
                    | Conduct::Forgets => self.validate(number, &order.domain).err(),
                };
                let mut state = self.state.lock().unwrap();
                let kind = if conduct == Conduct::CannotConnect { "connection" } else { "unauthorized" };
                let kind = format!("urn:ietf:params:acme:error:{kind}");
                state.orders[number].status = if error.is_some() { "invalid" } else { "ready" };
                state.orders[number].error = error.map(|detail| json!({ "type": kind, "detail": detail }));
                json(200, String::new(), answer)
            }
            "finalize" => {
                let Conduct::Issues(life) = conduct else { return problem(500, "", "serverInternal", "no") };
                let request = BASE64.decode(request.payload["csr"].as_str().unwrap()).unwrap();
                let request = CertReq::from_der(&request).unwrap();
                let key = request.info.public_key.subject_public_key.as_bytes().unwrap().to_vec();
                let mut state = self.state.lock().unwrap();
                let order = &mut state.orders[number];
                assert_eq!(order.status, "ready");
                let now = SystemTime::now();
                order.certificate = Some(self.issuer.sign(&order.domain, &PublicKey(key), (now, now + life)));
                order.status = "valid";
                json(200, String::new(), self.order(number, order))
            }
            "certificate" => {
                let certificate = self.state.lock().unwrap().orders[number].certificate.clone().unwrap();
                (200, "content-type: application/pem-certificate-chain\r\n".to_owned(), certificate)
            }
            _ => problem(404, "", "malformed", "no such path"),
        }
    }

    fn order(&self, number: usize, order: &Order) -> Value {
        let url = &self.url;
        let mut document = json!({
            "status": order.status,
            "identifiers": [{ "type": "dns", "value": order.domain }],
            "authorizations": [format!("{url}/authorization/{number}")],
            "finalize": format!("{url}/finalize/{number}"),
        });
        if let Some(replaces) = &order.replaces {
            document["replaces"] = json!(replaces);
        }
        if order.certificate.is_some() {
            document["certificate"] = json!(format!("{url}/certificate/{number}"));
        }
        document
    }

    fn challenge(&self, number: usize, order: &Order) -> Value {
        let status = match order.status {
            "pending" | "invalid" => order.status,
            _ => "valid",
        };
        let url = format!("{}/challenge/{number}", self.url);
        let mut challenge =
            json!({ "type": "tls-alpn-01", "url": url, "token": token(number), "status": status });
        if let Some(error) = &order.error {
            challenge["error"] = error.clone();
        }
        challenge
    }

    /// Shakes hands with the gateway as RFC 8737, section 3, says.
    fn validate(&self, number: usize, domain: &str) -> Result<(), String> {
        let state = self.state.lock().unwrap();
        let (state, waited) =
            self.known.wait_timeout_while(state, PATIENCE, |state| state.gateway.is_none()).unwrap();
        assert!(!waited.timed_out(), "the test says where the gateway is");
        let authorization = format!("{}.{}", token(number), state.thumbprint);
        let gateway = state.gateway.unwrap();
        drop(state);
        let certificate = shown(gateway, domain, &[b"acme-tls/1"])?.ok_or("no certificate")?;
        let digest: [u8; 32] = Sha256::digest(authorization).into();
        judge(&certificate, domain, &digest)
    }
}

/// The identifier and the key of an account outside of ACME.
pub(crate) const CUSTOMER: (&str, &[u8]) = ("kid-1", b"0123456789abcdef0123456789abcdef");

/// Whether a request for an account is bound to [`CUSTOMER`] (RFC 8555, section 7.3.4).
fn is_bound(request: &Request, url: &str) -> bool {
    let binding = &request.payload["externalAccountBinding"];
    let part = |name: &str| binding[name].as_str().unwrap_or_default();
    let decoded = |name: &str| -> Value {
        serde_json::from_slice(&BASE64.decode(part(name)).unwrap()).unwrap_or_default()
    };
    let protected = json!({ "alg": "HS256", "kid": CUSTOMER.0, "url": format!("{url}/account") });
    let mut mac = Hmac::<Sha256>::new_from_slice(CUSTOMER.1).unwrap();
    mac.update(format!("{}.{}", part("protected"), part("payload")).as_bytes());
    decoded("protected") == protected
        && decoded("payload") == request.protected["jwk"]
        && mac.verify_slice(&BASE64.decode(part("signature")).unwrap()).is_ok()
}

/// The identifier of the first certificate in PEM (RFC 9773, section 4.1).
fn identifier(certificate: &str) -> String {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let certificate = x509_cert::Certificate::from_der(&certificate).unwrap();
    let certificate = certificate.tbs_certificate();
    let authority = certificate.get_extension::<x509_cert::ext::pkix::AuthorityKeyIdentifier>().unwrap();
    let key = authority.unwrap().1.key_identifier.unwrap();
    let serial = certificate.serial_number().to_der().unwrap();
    format!("{}.{}", BASE64.encode(key.as_bytes()), BASE64.encode(&serial[2..]))
}

fn token(number: usize) -> String {
    format!("token-{number}")
}

/// Reads a request over a connection of its own.
fn read(stream: &mut StreamOwned<ServerConnection, TcpStream>) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, content)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if content.len() >= length {
                let path = head.split(' ').nth(1).unwrap().to_owned();
                let message: Value = serde_json::from_str(content).unwrap_or_default();
                let part = |name: &str| {
                    let bytes = BASE64.decode(message[name].as_str().unwrap_or_default()).unwrap();
                    serde_json::from_slice(&bytes).unwrap_or_default()
                };
                return Some(Request { path, protected: part("protected"), payload: part("payload") });
            }
        }
        let mut piece = [0; 16 * 1024];
        let n = stream.read(&mut piece).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&piece[..n]);
    }
}

/// RFC 7638
fn thumbprint(key: &Value) -> String {
    let [x, y] = ["x", "y"].map(|name| key[name].as_str().unwrap());
    BASE64.encode(Sha256::digest(format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\"}}")))
}

/// The certificate that a gateway shows for a name to a client with these protocols. `Err` if it ends the
/// handshake, or takes another protocol.
pub(crate) fn shown(
    gateway: SocketAddr,
    name: &str,
    protocols: &[&[u8]],
) -> Result<Option<CertificateDer<'static>>, String> {
    let stream = shake_hands(gateway, name, protocols)?;
    if stream.conn.alpn_protocol() != protocols.first().copied() {
        return Err(format!("the protocol is {:?}", stream.conn.alpn_protocol()));
    }
    Ok(stream.conn.peer_certificates().and_then(|chain| chain.first()).map(|own| own.clone().into_owned()))
}

/// Shakes hands as a client that believes every certificate.
pub(crate) fn shake_hands(
    gateway: SocketAddr,
    name: &str,
    protocols: &[&[u8]],
) -> Result<StreamOwned<ClientConnection, TcpStream>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let socket = TcpStream::connect_timeout(&gateway, PATIENCE).map_err(|error| error.to_string())?;
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(session, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).map_err(|error| error.to_string())?;
    }
    Ok(stream)
}

/// Judges the certificate that answers a challenge.
fn judge(certificate: &CertificateDer<'_>, domain: &str, digest: &[u8; 32]) -> Result<(), String> {
    let certificate = x509_cert::Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let certificate = certificate.tbs_certificate();
    let names = certificate.get_extension::<x509_cert::ext::pkix::SubjectAltName>().unwrap();
    let names = names.ok_or("no names")?.1.to_der().unwrap();
    let mut want = vec![0x30, 0, 0x82, 0];
    want.extend_from_slice(domain.as_bytes());
    (want[1], want[3]) = (u8::try_from(domain.len() + 2).unwrap(), u8::try_from(domain.len()).unwrap());
    if names != want {
        return Err(format!("the names are {names:?}"));
    }
    let extensions = certificate.extensions().ok_or("no extensions")?;
    let proof = extensions.iter().find(|extension| extension.extn_id.to_string() == "1.3.6.1.5.5.7.1.31");
    let proof = proof.ok_or("no extension acmeIdentifier")?;
    let value = [&[0x04, 32][..], digest].concat();
    if proof.critical && proof.extn_value.as_bytes() == value {
        Ok(())
    } else {
        Err(format!("the proof is {proof:?}"))
    }
}

/// A public key of P-256.
struct PublicKey(Vec<u8>);

impl rcgen::PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
