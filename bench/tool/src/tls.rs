//! A client's side of TLS, by rustls over a socket of the load generator.

use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{self, Read};
use std::mem::ManuallyDrop;
use std::net::TcpStream;
use std::os::fd::FromRawFd;
use std::sync::Arc;

/// Which server to connect to, and how.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// Connections to `name`, verified by the certificates in `authorities`. `groups` is `default`
    /// (X25519MLKEM768 first) or `x25519`. Without `resume`, each handshake is a full one.
    pub fn new(name: &str, authorities: &str, groups: &str, resume: bool) -> Self {
        let mut provider = default_provider();
        match groups {
            "default" => {}
            "x25519" => provider.kx_groups = vec![kx_group::X25519],
            _ => panic!("groups are default and x25519"),
        }
        let mut roots = RootCertStore::empty();
        for root in rustls::pki_types::CertificateDer::pem_file_iter(authorities).expect("authorities") {
            roots.add(root.expect("PEM")).expect("a certificate");
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if !resume {
            config.resumption = rustls::client::Resumption::disabled();
        }
        Self { config: Arc::new(config), name: ServerName::try_from(name.to_owned()).expect("a name") }
    }

    pub fn begin(&self) -> Box<ClientConnection> {
        Box::new(ClientConnection::new(Arc::clone(&self.config), self.name.clone()).expect("a client"))
    }

    /// A connection whose handshake is complete. The socket is blocking meanwhile.
    pub fn connect(&self, fd: i32) -> io::Result<Box<ClientConnection>> {
        let mut session = self.begin();
        let mut socket = socket(fd);
        socket.set_nonblocking(false)?;
        while session.is_handshaking() || session.wants_write() {
            session.complete_io(&mut *socket)?;
        }
        socket.set_nonblocking(true)?;
        Ok(session)
    }
}

/// The socket, for the standard library to read and write. It stays open.
pub fn socket(fd: i32) -> ManuallyDrop<TcpStream> {
    ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(fd) })
}

/// Writes the records that are encrypted. `WouldBlock` if the kernel does not take all of them.
pub fn flush(session: &mut ClientConnection, fd: i32) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(&mut *socket(fd))?;
    }
    Ok(())
}

/// Reads content. Zero at the end of the connection, and `WouldBlock` if none has arrived.
pub fn read(session: &mut ClientConnection, fd: i32, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match session.reader().read(buf) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
        if session.read_tls(&mut *socket(fd))? == 0 {
            return Ok(0);
        }
        session.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    }
}
