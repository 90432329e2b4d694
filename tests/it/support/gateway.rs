//! A gateway on a port of its own, started from the text of a configuration.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::SystemTime;

use tempfile::TempDir;

use hookgate::config::environment::Fixed;
use hookgate::config::problem::Style;
use hookgate::config::{self, Address, Config};
use hookgate::listen::inherit::Inherited;
use hookgate::runtime::control::Control;
use hookgate::runtime::{self, Ended, Handle, StartError};

use crate::support::hyper;
use crate::support::in_time::{join_at_end, joined};
use crate::support::request::PATH;
use crate::support::sign::{SECRET, SECRET_NAME};
use crate::support::upstream::Upstream;

/// A gateway that serves until it is dropped.
pub(crate) struct Gateway {
    handle: Option<Handle>,
    address: SocketAddr,
    admin: Option<SocketAddr>,
    _folder: Option<Arc<TempDir>>,
}

impl Gateway {
    /// The usual gateway: one route, `/webhook/leases`, which forwards to this upstream.
    pub(crate) fn before(upstream: &Upstream) -> Self {
        gateway().route(PATH, &upstream.url()).start()
    }

    /// The address of the admin listener.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin.expect("the test has turned it on")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the listener that speaks TLS.
    pub(crate) fn tls_address(&self) -> SocketAddr {
        self.handle.as_ref().unwrap().addresses()[1].tcp().unwrap()
    }

    pub(crate) fn control(&self) -> &Arc<Control> {
        self.handle.as_ref().unwrap().control()
    }

    /// Reloads another configuration. Returns the settings that need a restart.
    pub(crate) fn reload(&self, setup: Setup) -> Vec<&'static str> {
        self.control().reload(&setup.config(1)).unwrap()
    }

    /// Begins the drain.
    pub(crate) fn drain(&self) {
        self.handle.as_ref().unwrap().drain();
    }

    /// Waits for the end of the gateway.
    pub(crate) fn wait(mut self) -> Ended {
        let handle = self.handle.take().unwrap();
        joined(std::thread::spawn(move || handle.wait()))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.control().abort();
            join_at_end(std::thread::spawn(move || handle.wait()));
        }
    }
}

/// The value of the environment variable `VIEWER`.
pub(crate) const VIEWER: &str = "0123456789abcdef-read";

/// The value of the environment variable `OPERATOR`.
pub(crate) const OPERATOR: &str = "0123456789abcdef-operate";

/// Builds the text of a configuration.
pub(crate) struct Setup {
    server: String,
    limits: String,
    upstream: String,
    forward: String,
    admin: String,
    queue: String,
    /// The folder of the store. It must live as long as the gateway.
    folder: Option<Arc<TempDir>>,
    signature: String,
    routes: String,
    /// `[tls]` and what else stands in a table of its own.
    tables: String,
    files: Vec<(String, Vec<u8>)>,
}

/// A configuration with a secret. It still needs a route.
pub(crate) fn gateway() -> Setup {
    Setup {
        server: String::new(),
        limits: String::new(),
        upstream: String::new(),
        forward: String::new(),
        admin: String::new(),
        queue: String::new(),
        folder: None,
        signature: format!(
            "scheme = \"propify\"\nsecrets = [{{ name = \"{SECRET_NAME}\", value = \"{SECRET}\" }}]"
        ),
        routes: String::new(),
        tables: String::new(),
        files: Vec::new(),
    }
}

impl Setup {
    /// Adds lines to `[server]`.
    pub(crate) fn server(mut self, lines: &str) -> Self {
        self.server = lines.to_owned();
        self
    }

    /// Adds lines to `[limits]`.
    pub(crate) fn limits(mut self, lines: &str) -> Self {
        self.limits = lines.to_owned();
        self
    }

    /// Adds lines to `[upstream]`.
    pub(crate) fn upstream(mut self, lines: &str) -> Self {
        self.upstream = lines.to_owned();
        self
    }

    /// Adds lines to `[forward]`.
    pub(crate) fn forward(mut self, lines: &str) -> Self {
        self.forward = lines.to_owned();
        self
    }

    /// Adds `[tls]` with a listener on a port of its own, and with these lines.
    pub(crate) fn tls(mut self, lines: &str) -> Self {
        self.tables += &format!("[tls]\nlisten = \"127.0.0.1:0\"\n{lines}\n");
        self
    }

    /// Adds `[tls]` with a listener at this address.
    pub(crate) fn tls_on(mut self, address: SocketAddr, lines: &str) -> Self {
        self.tables += &format!("[tls]\nlisten = \"{address}\"\n{lines}\n");
        self
    }

    /// Adds a file that the configuration may name.
    pub(crate) fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.to_owned(), content.into()));
        self
    }

    /// Adds an admin listener.
    pub(crate) fn admin(self) -> Self {
        self.admin_on(([127, 0, 0, 1], 0).into())
    }

    /// Adds an admin listener at this address.
    pub(crate) fn admin_on(mut self, address: SocketAddr) -> Self {
        self.admin = format!("[admin]\nlisten = \"{address}\"");
        self
    }

    /// Adds a store in a folder of its own. `lines` are further lines of `[queue]`, and tables that follow.
    pub(crate) fn queue(self, lines: &str) -> Self {
        let folder = Arc::new(TempDir::new().unwrap());
        self.queue_in(&folder, lines)
    }

    /// Adds a store in this folder.
    pub(crate) fn queue_in(mut self, folder: &Arc<TempDir>, lines: &str) -> Self {
        let store = folder.path().join("events.db");
        self.queue = format!("[queue]\nstore = \"{}\"\nmin_free = 1\n{lines}", store.display());
        self.folder = Some(Arc::clone(folder));
        self
    }

    /// Adds an admin listener with further lines.
    pub(crate) fn admin_with(self, lines: &str) -> Self {
        let mut with = self.admin();
        with.admin = format!("{}\n{lines}", with.admin);
        with
    }

    /// Replaces the scheme and the secret of `[signature]` with these lines.
    pub(crate) fn signature(mut self, lines: &str) -> Self {
        self.signature = lines.to_owned();
        self
    }

    /// Adds a route.
    pub(crate) fn route(self, path: &str, url: &str) -> Self {
        self.route_with(path, url, "")
    }

    /// Adds a route with further lines.
    pub(crate) fn route_with(mut self, path: &str, url: &str, lines: &str) -> Self {
        self.routes += &format!("[[routes]]\npath = \"{path}\"\nupstream = \"{url}\"\n{lines}\n");
        self
    }

    /// Adds a route whose upstream has several origins, with further lines.
    pub(crate) fn route_to_one_of(mut self, path: &str, urls: &[&str], lines: &str) -> Self {
        self.routes += &format!("[[routes]]\npath = \"{path}\"\nupstream = {urls:?}\n{lines}\n");
        self
    }

    pub(crate) fn start(self) -> Gateway {
        self.start_on(1)
    }

    /// Starts the gateway with this number of workers.
    pub(crate) fn start_on(self, workers: usize) -> Gateway {
        self.try_start(workers).expect("the gateway starts")
    }

    pub(crate) fn try_start(self, workers: usize) -> Result<Gateway, StartError> {
        let folder = self.folder.clone();
        let handle = runtime::start_with(&self.config(workers), Vec::new(), hyper::chosen())?;
        let (address, admin) =
            (handle.addresses()[0].tcp().unwrap(), handle.admin_addresses().first().and_then(Address::tcp));
        Ok(Gateway { handle: Some(handle), address, admin, _folder: folder })
    }

    /// Starts the gateway with these sockets in the place of its own.
    pub(crate) fn start_with(self, sockets: Vec<(TcpListener, SocketAddr)>) -> Result<Gateway, StartError> {
        let inherited =
            sockets.into_iter().map(|(socket, address)| Inherited::Tcp(socket, address)).collect();
        let folder = self.folder.clone();
        let handle = runtime::start_with(&self.config(1), inherited, hyper::chosen())?;
        let address = handle.addresses()[0].tcp().unwrap();
        Ok(Gateway { handle: Some(handle), address, admin: None, _folder: folder })
    }

    fn config(self, workers: usize) -> Config {
        let Self {
            server,
            limits,
            upstream,
            forward,
            admin,
            queue,
            folder: _,
            signature,
            routes,
            tables,
            files,
        } = self;
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = {workers}\n{server}\n[limits]\n{limits}\n[upstream]\n\
             {upstream}\n[forward]\n{forward}\n{admin}\n{tables}\n{queue}\n[log]\naccess = \"off\"\n[signature]\n{signature}\n{routes}"
        );
        let environment =
            Fixed::new(NonZeroUsize::MIN).with_variable("VIEWER", VIEWER).with_variable("OPERATOR", OPERATOR);
        let environment = files
            .into_iter()
            .fold(environment, |environment, (name, content)| environment.with_file(name, content));
        match config::read("gateway.toml", &text, &environment, SystemTime::now()) {
            Ok(loaded) => loaded.config,
            Err(report) => panic!("{}", report.render(Style::Plain)),
        }
    }
}
