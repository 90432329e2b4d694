//! A gateway on a port of its own, from the text of a configuration.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::SystemTime;

use hookgate::config::environment::Fixed;
use hookgate::config::problem::Style;
use hookgate::config::{self, Config};
use hookgate::runtime::control::Control;
use hookgate::runtime::{self, Ended, Handle, StartError};

use crate::support::hyper;
use crate::support::request::PATH;
use crate::support::sign::{SECRET, SECRET_NAME};
use crate::support::upstream::Upstream;

/// A gateway that serves until it is dropped.
pub(crate) struct Gateway {
    handle: Option<Handle>,
    address: SocketAddr,
    admin: Option<SocketAddr>,
}

impl Gateway {
    /// The common case: one route, `/webhook/leases`, to this upstream.
    pub(crate) fn before(upstream: &Upstream) -> Self {
        gateway().route(PATH, &upstream.url()).start()
    }

    /// Where the admin listener is.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin.expect("the test has turned it on")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn control(&self) -> &Arc<Control> {
        self.handle.as_ref().unwrap().control()
    }

    /// Puts another configuration in force, and gives back what takes a restart.
    pub(crate) fn reload(&self, setup: Setup) -> Vec<&'static str> {
        self.control().reload(&setup.config(1)).unwrap()
    }

    /// Stops accepting, and finishes what is under way.
    pub(crate) fn drain(&self) {
        self.handle.as_ref().unwrap().drain();
    }

    /// Waits for the end of it.
    pub(crate) fn wait(mut self) -> Ended {
        self.handle.take().unwrap().wait()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.abort();
            let _cut_off = handle.wait();
        }
    }
}

/// A configuration in the making.
pub(crate) struct Setup {
    server: String,
    limits: String,
    upstream: String,
    forward: String,
    admin: String,
    signature: String,
    routes: String,
}

/// A configuration that has a secret and still needs a route.
pub(crate) fn gateway() -> Setup {
    Setup {
        server: String::new(),
        limits: String::new(),
        upstream: String::new(),
        forward: String::new(),
        admin: String::new(),
        signature: format!(
            "scheme = \"propify\"\nsecrets = [{{ name = \"{SECRET_NAME}\", value = \"{SECRET}\" }}]"
        ),
        routes: String::new(),
    }
}

impl Setup {
    /// Lines for `[server]`.
    pub(crate) fn server(mut self, lines: &str) -> Self {
        self.server = lines.to_owned();
        self
    }

    /// Lines for `[limits]`.
    pub(crate) fn limits(mut self, lines: &str) -> Self {
        self.limits = lines.to_owned();
        self
    }

    /// Lines for `[upstream]`.
    pub(crate) fn upstream(mut self, lines: &str) -> Self {
        self.upstream = lines.to_owned();
        self
    }

    /// Lines for `[forward]`.
    pub(crate) fn forward(mut self, lines: &str) -> Self {
        self.forward = lines.to_owned();
        self
    }

    /// With an admin listener.
    pub(crate) fn admin(self) -> Self {
        self.admin_on(([127, 0, 0, 1], 0).into())
    }

    /// With an admin listener at this address.
    pub(crate) fn admin_on(mut self, address: SocketAddr) -> Self {
        self.admin = format!("[admin]\nlisten = \"{address}\"");
        self
    }

    /// Lines for `[signature]`, instead of the scheme and the secret it has.
    pub(crate) fn signature(mut self, lines: &str) -> Self {
        self.signature = lines.to_owned();
        self
    }

    /// Another route.
    pub(crate) fn route(self, path: &str, url: &str) -> Self {
        self.route_with(path, url, "")
    }

    /// Another route, and further lines for it.
    pub(crate) fn route_with(mut self, path: &str, url: &str, lines: &str) -> Self {
        self.routes += &format!("[[routes]]\npath = \"{path}\"\nupstream = \"{url}\"\n{lines}\n");
        self
    }

    pub(crate) fn start(self) -> Gateway {
        self.start_on(1)
    }

    /// Starts it with so many workers.
    pub(crate) fn start_on(self, workers: usize) -> Gateway {
        self.try_start(workers).expect("the gateway starts")
    }

    pub(crate) fn try_start(self, workers: usize) -> Result<Gateway, StartError> {
        let handle = runtime::start_behind(&self.config(workers), hyper::chosen())?;
        let (address, admin) =
            (handle.addresses()[0].tcp().unwrap(), handle.admin_addresses().first().copied());
        Ok(Gateway { handle: Some(handle), address, admin })
    }

    fn config(self, workers: usize) -> Config {
        let Self { server, limits, upstream, forward, admin, signature, routes } = self;
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = {workers}\n{server}\n[limits]\n{limits}\n[upstream]\n\
             {upstream}\n[forward]\n{forward}\n{admin}\n[log]\naccess = \"off\"\n[signature]\n{signature}\n{routes}"
        );
        let environment = Fixed::new(NonZeroUsize::MIN);
        match config::read("gateway.toml", &text, &environment, SystemTime::now()) {
            Ok(loaded) => loaded.config,
            Err(report) => panic!("{}", report.render(Style::Plain)),
        }
    }
}
