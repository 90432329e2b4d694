//! Certificates that are made as a test runs, and a client that speaks TLS.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PublicKeyData,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::PATIENCE;
use crate::support::client::uninterrupted;

/// Waits until the condition holds.
#[track_caller]
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for these names, for servers and clients.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |_params| {})
    }

    pub(crate) fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Issued { cert: cert.pem(), key: key.serialize_pem() }
    }

    /// A certificate for this name and a key of which only the public half is known, in PEM.
    pub(crate) fn sign(
        &self,
        name: &str,
        key: &impl PublicKeyData,
        valid: (SystemTime, SystemTime),
    ) -> String {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (valid.0.into(), valid.1.into());
        params.use_authority_key_identifier_extension = true;
        params.signed_by(key, &self.issuer).unwrap().pem()
    }

    /// A client that believes this authority.
    pub(crate) fn client(&self) -> ClientSetup {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        ClientSetup { roots, own: None, versions: rustls::ALL_VERSIONS, protocols: Vec::new() }
    }
}

/// How a client speaks TLS.
#[derive(Clone)]
pub(crate) struct ClientSetup {
    roots: RootCertStore,
    own: Option<Issued>,
    versions: &'static [&'static rustls::SupportedProtocolVersion],
    protocols: Vec<Vec<u8>>,
}

impl ClientSetup {
    /// With a certificate of its own.
    pub(crate) fn with(mut self, own: &Issued) -> Self {
        self.own = Some(own.clone());
        self
    }

    pub(crate) fn versions(mut self, versions: &'static [&'static rustls::SupportedProtocolVersion]) -> Self {
        self.versions = versions;
        self
    }

    /// Offers these protocols by ALPN.
    pub(crate) fn protocols(mut self, protocols: &[&str]) -> Self {
        self.protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    pub(crate) fn config(self) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_protocol_versions(self.versions).unwrap();
        let builder = builder.with_root_certificates(self.roots);
        let mut config = match self.own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = CertificateDer::pem_slice_iter(own.cert.as_bytes()).map(Result::unwrap).collect();
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = self.protocols;
        Arc::new(config)
    }
}

/// A TLS connection to the gateway.
pub(crate) struct TlsClient {
    pub(crate) stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct TlsResponse {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl TlsClient {
    /// Connects and shakes hands.
    pub(crate) fn connect(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        Self::over(socket, name, config)
    }

    /// Shakes hands over a socket.
    pub(crate) fn over(socket: TcpStream, name: &str, config: &Arc<ClientConfig>) -> io::Result<Self> {
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { stream, buffer: Vec::new() })
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self.stream.flush().unwrap();
        self
    }

    /// Sends what the gateway takes: it may have ended the connection.
    pub(crate) fn send_if_possible(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        drop(self.stream.write_all(bytes.as_ref()));
        drop(self.stream.flush());
        self
    }

    /// Sends `close_notify`, and goes on reading.
    pub(crate) fn close_notify(&mut self) -> &mut Self {
        self.stream.conn.send_close_notify();
        while self.stream.conn.wants_write() {
            self.stream.conn.write_tls(&mut self.stream.sock).unwrap();
        }
        self
    }

    /// Ends the writing side of the socket, without `close_notify`.
    pub(crate) fn truncate(&mut self) -> &mut Self {
        self.stream.sock.shutdown(Shutdown::Write).unwrap();
        self
    }

    /// The next response. Its content has a `content-length`.
    pub(crate) fn response(&mut self) -> TlsResponse {
        self.try_response().unwrap()
    }

    pub(crate) fn try_response(&mut self) -> io::Result<TlsResponse> {
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|part| part == b"\r\n\r\n") {
                break end + 4;
            }
            self.read_more()?;
        };
        let text = String::from_utf8(self.buffer[..head].to_vec()).unwrap();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while self.buffer.len() < head + length {
            self.read_more()?;
        }
        let body = String::from_utf8(self.buffer[head..head + length].to_vec()).unwrap();
        self.buffer.drain(..head + length);
        Ok(TlsResponse { status: text[9..12].parse().unwrap(), body })
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        let n = uninterrupted(|| self.stream.read(&mut piece))?;
        if n == 0 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.buffer.extend_from_slice(&piece[..n]);
        Ok(())
    }

    /// Whether the gateway has ended the connection with `close_notify`, and sent nothing more.
    pub(crate) fn ends_properly(&mut self) -> bool {
        let mut rest = Vec::new();
        self.buffer.is_empty() && matches!(self.stream.read_to_end(&mut rest), Ok(0))
    }
}
