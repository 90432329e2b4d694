//! Shell. The server: binds the listeners, starts one thread for each worker, and ends them.

pub mod background;
pub mod control;
pub mod deadline;
pub mod error;
pub mod front_end;
pub mod held_events_log;
pub mod process;
pub mod queue_threads;
pub mod reload;
pub mod request_scope;
pub mod resource_use;
pub mod restart_required;
pub mod supervise;
pub mod supervised_part;
pub mod worker;
pub mod worker_view;

use std::io;
use std::mem;
use std::sync::{Arc, Weak, mpsc};
use std::thread::{self, JoinHandle};

use tokio::runtime::{self, LocalOptions, LocalRuntime};

use crate::admin::{self, Admin};
use crate::admission::client::Network;
use crate::config::{Address, Config};
use crate::diagnosis::{self, Diagnosis};

use crate::admission::connections::ConnectionLimit;
use crate::listen::inherit::Inherited;
use crate::listen::listener::{Listener, Listening, SocketFile};
use crate::runtime::control::{CompileError, Control};
pub use crate::runtime::error::StartError;
use crate::runtime::front_end::FrontEnd;
use crate::runtime::queue_threads::QueueThreads;
use crate::runtime::supervise::{PartGuard, ServerPart};
use crate::runtime::worker::Worker;
use crate::tls::acme::thread::{self as acme, AcmeThread};

/// A running server.
#[derive(Debug)]
pub struct Handle {
    addresses: Vec<Address>,
    /// The files of the unix sockets of the workers.
    files: Vec<Weak<SocketFile>>,
    workers: Vec<JoinHandle<usize>>,
    control: Arc<Control>,
    /// The queue is dropped before the admin listener. So the admin listener shows the waiting deliveries to
    /// the end.
    queue: Option<QueueThreads>,
    admin: Option<Admin>,
    diagnosis: Option<Diagnosis>,
    acme: Option<AcmeThread>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every request under way was finished.
    Drained,
    /// This many connections were cut off.
    CutOff(usize),
    /// This part of the server failed first, before the server was asked to end.
    Failed(ServerPart),
}

/// Binds every listener, and serves requests on threads of its own.
///
/// # Errors
/// [`StartError`]. After an error, no thread runs.
pub fn start(config: &Config) -> Result<Handle, StartError> {
    start_with(config, Vec::new(), FrontEnd::default())
}

/// Starts as [`start`] does, with another front end. If `inherited` has listening sockets, they replace those
/// of the configuration.
///
/// # Errors
/// [`StartError`]. After an error, no thread runs.
pub fn start_with(
    config: &Config,
    inherited: Vec<Inherited>,
    front_end: FrontEnd,
) -> Result<Handle, StartError> {
    let (submitter, backlog) = diagnosis::submitter::channel();
    let control = Control::new(config, submitter.clone());
    let control = control.map_err(|error| match error {
        CompileError::Routes(conflicts) => StartError::Routes(conflicts),
        CompileError::Tls(error) => StartError::Tls(error),
    })?;
    let workers = config.server.workers.get();
    let claims = crate::listen::bind::claim(&config.server, config.tls.as_ref(), inherited)?;
    let addresses = claims.iter().map(|(claim, _)| claim.address()).collect();
    let admin = config.admin.as_ref().map(|admin| admin::bind(admin, config.server.sharing));
    let admin = admin.transpose()?;
    let connection_limit = ConnectionLimit::new(process::places(config, process::descriptors_allowed()));
    let mut handle = Handle {
        addresses,
        files: Vec::new(),
        workers: Vec::new(),
        control: Arc::clone(&control),
        queue: None,
        admin: None,
        diagnosis: None,
        acme: None,
    };
    let mut listening: Vec<Vec<Listening>> = (0..workers).map(|_| Vec::new()).collect();
    for (claim, speaks) in claims {
        let proxies = proxies(config, &claim.address());
        for (of_worker, socket) in listening.iter_mut().zip(claim.listen(workers)?) {
            handle.files.extend(socket.file().map(|file| Arc::downgrade(&file)));
            of_worker.push(socket.behind(proxies).speaking(speaks));
        }
    }
    // Clients that connect from now on wait until the store is open.
    handle.queue = queue_threads::start(config, &control)?;
    handle.diagnosis = Some(diagnosis::start(&control, submitter, backlog)?);
    if config.tls.is_some() {
        // A reload may add `[tls.acme]`.
        handle.acme = Some(acme::start(&control).map_err(StartError::Thread)?);
    }
    handle.admin = admin.map(|bound| bound.start(&control)).transpose()?;
    for (index, listening) in listening.into_iter().enumerate() {
        let (control, connection_limit) = (Arc::clone(&control), Arc::clone(&connection_limit));
        let plan = WorkerPlan { control, connection_limit, workers, listening, front_end };
        let started = plan.start(index).inspect_err(|_error| handle.control.abort());
        handle.workers.push(started.map_err(StartError::Thread)?);
    }
    handle.control.set_ready(handle.addresses.clone());
    held_events_log::tell(&control);
    Ok(handle)
}

impl Handle {
    /// The addresses on which the server listens. For port 0, with the port that the system chose.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The addresses of the admin listener. Empty if the admin listener is off.
    #[must_use]
    pub fn admin_addresses(&self) -> &[Address] {
        self.admin.as_ref().map(Admin::addresses).unwrap_or_default()
    }

    /// Returns a function that removes the files of the workers' and the admin listener's unix sockets. It is
    /// for an end of the process that waits for nothing.
    pub fn remover(&self) -> impl Fn() + Send + use<> {
        let (files, remover) = (self.files.clone(), self.admin.as_ref().map(Admin::remover));
        move || {
            files.iter().filter_map(Weak::upgrade).for_each(|file| file.remove());
            remover.iter().for_each(|remove| remove());
        }
    }

    /// The controls. Any thread may hold them.
    #[must_use]
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Stops accepting, and lets the requests under way finish within the grace period. Returns immediately.
    pub fn drain(&self) {
        self.control.drain();
    }

    /// Waits until every worker has ended. Then waits for the admin listener and the diagnosis thread.
    #[must_use]
    pub fn wait(self) -> Ended {
        let cut_off =
            self.workers.into_iter().map(|worker| worker.join().unwrap_or(1)).fold(0, usize::saturating_add);
        match self.control.failed() {
            Some(part) => Ended::Failed(part),
            None if cut_off == 0 => Ended::Drained,
            None => Ended::CutOff(cut_off),
        }
    }
}

/// The inputs of a worker thread.
struct WorkerPlan {
    control: Arc<Control>,
    connection_limit: Arc<ConnectionLimit>,
    workers: usize,
    listening: Vec<Listening>,
    front_end: FrontEnd,
}

impl WorkerPlan {
    /// Starts the thread, and waits until it accepts connections.
    fn start(mut self, index: usize) -> io::Result<JoinHandle<usize>> {
        let (report, reported) = mpsc::channel();
        let work = move || {
            let begun = begin(mem::take(&mut self.listening));
            let (runtime, listeners) = match begun {
                Ok(begun) => begun,
                Err(error) => {
                    let _no_receiver = report.send(Err(error));
                    return 0;
                }
            };
            let _no_receiver = report.send(Ok(()));
            self.run(runtime, listeners)
        };
        let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(work)?;
        // The thread reports success or an error, unless it panicked.
        reported.recv().map_err(|_silent| io::Error::other("the thread has ended"))??;
        Ok(thread)
    }

    fn run(self, runtime: LocalRuntime, listeners: Vec<Listener>) -> usize {
        let guard = PartGuard::over(ServerPart::Worker, &self.control);
        let cut_off = runtime.block_on(async {
            let signals = self.control.signals().clone();
            let worker = Worker::new(self.control, self.connection_limit, self.workers);
            crate::listen::accept::run(worker, self.front_end, listeners, signals).await
        });
        guard.end();
        // The shutdown does not wait for a name lookup that is under way.
        runtime.shutdown_background();
        cut_off
    }
}

/// The runtime of this thread, with its listeners.
fn begin(listening: Vec<Listening>) -> io::Result<(LocalRuntime, Vec<Listener>)> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let listeners = {
        let _entered = runtime.enter();
        listening.into_iter().map(Listening::into_listener).collect::<io::Result<_>>()?
    };
    Ok((runtime, listeners))
}

/// The proxies that announce clients at an address. If the system chose the port, or if the socket is
/// inherited, the configuration does not contain this address. For such addresses, the setting applies to all
/// listeners or to none.
fn proxies<'c>(config: &'c Config, address: &Address) -> &'c [Network] {
    let Some(protocol) = &config.server.proxy_protocol else { return &[] };
    let all = config.listen().eq(&protocol.listen);
    if all || protocol.listen.contains(address) { &protocol.trusted } else { &[] }
}
