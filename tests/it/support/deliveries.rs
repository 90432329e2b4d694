//! A delivery thread with a store in memory. Tests add rows to the store and read them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use hookgate::config::environment::Fixed;
use hookgate::config::{self, Config, DeliveryOptions, Retry};
use hookgate::queue::counts::DeliveryCounts;
use hookgate::queue::delivery::{self, DeliveryThread};
use hookgate::queue::event::{
    Attempt, EventInfo, OrderKey, Record, RouteName, StoredEvent, Upstream, checksum,
};
use hookgate::queue::handle::{self, Command, Handed, Queue, Refused, WriterEnd};
use hookgate::queue::id::EventId;
use hookgate::queue::store::{
    Bounds, Change, Class, Completion, DamagedDelivery, DeadCause, DeadPart, DeliveryId, Destination, Detail,
    Due, DueDelivery, DueQuery, Filter, Found, Job, Next, Reader, Settled, State, Statistics, StoreError,
    Summary,
};
use hookgate::queue::time::Time;
use hookgate::runtime::control::Control;
use sha2::Digest as _;

use crate::support::in_time::join_at_end;
use crate::support::{PATIENCE, SECRET, SECRET_NAME, signature};

/// A delivery in the store.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) destination: Destination,
    pub(crate) class: Class,
    pub(crate) due: Time,
    pub(crate) spent: u32,
    pub(crate) since: Time,
    pub(crate) event: StoredEvent,
    pub(crate) state: State,
    pub(crate) attempts: Vec<Attempt>,
}

#[derive(Default)]
pub(crate) struct Rows {
    rows: BTreeMap<i64, Row>,
    paused: Vec<RouteName>,
    /// The rows whose record is damaged.
    damaged: Vec<i64>,
    /// How often what is due was read.
    reads: usize,
    /// How many completions and damaged records the store does not take.
    refuses: usize,
    /// The deliveries that succeeded, in order.
    delivered: Vec<i64>,
}

/// The rows of the store, to which a test adds events.
pub(crate) struct Store<'r>(&'r mut Rows);

#[derive(Default)]
struct Shared {
    rows: Mutex<Rows>,
    changed: Condvar,
}

impl Shared {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap()
    }
}

/// A running delivery thread and its store.
pub(crate) struct Deliveries {
    pub(crate) control: Arc<Control>,
    pub(crate) counts: Arc<DeliveryCounts>,
    pub(crate) queue: Queue,
    shared: Arc<Shared>,
    writer: Arc<WriterHand>,
    thread: Option<DeliveryThread>,
    writing: Option<JoinHandle<()>>,
}

/// The writer's end of the handle, from which the commands were taken.
type WriterHand = WriterEnd;

/// A route of a test: its path, the URL of its upstream, and its options.
pub(crate) type RouteOf<'a> = (&'a str, String, DeliveryOptions);

/// Options with short waits.
pub(crate) fn quick() -> DeliveryOptions {
    let retry = Retry { schedule: vec![Duration::from_millis(20)], ..Retry::default() };
    DeliveryOptions { retry, ..DeliveryOptions::direct() }
}

/// A configuration with these routes. `signature` has the lines of `[signature]`.
pub(crate) fn config_with(routes: &[RouteOf<'_>], signature: &str) -> Config {
    let tables: String = routes
        .iter()
        .map(|(path, url, _)| format!("[[routes]]\npath = \"{path}\"\nupstream = \"{url}\"\n"))
        .collect();
    let text = format!(
        "[server]\nshutdown_grace = \"20s\"\n[upstream]\nconnect_timeout = \"2s\"\nresponse_timeout = \"5s\"\n[log]\naccess = \"off\"\n\
         [signature]\n{signature}\n{tables}"
    );
    let environment = Fixed::new(NonZeroUsize::MIN);
    let mut config = config::read("gateway.toml", &text, &environment, SystemTime::now()).unwrap().config;
    for (route, (_, _, options)) in config.routes.iter_mut().zip(routes) {
        route.delivery = options.clone();
    }
    config
}

pub(crate) fn config(routes: &[RouteOf<'_>]) -> Config {
    config_with(
        routes,
        &format!("scheme = \"propify\"\nsecrets = [{{ name = \"{SECRET_NAME}\", value = \"{SECRET}\" }}]"),
    )
}

/// The name of the route with this path.
pub(crate) fn route(path: &str) -> RouteName {
    RouteName { path: path.into(), model: None }
}

/// The main upstream of the route with this path.
pub(crate) fn main_of(path: &str) -> Destination {
    Destination { route: route(path), upstream: Upstream::Main }
}

/// The head that the gateway stores for a request with this content.
pub(crate) fn head(path: &str, content: &[u8]) -> Vec<u8> {
    let (signature, length) = (signature(content), content.len());
    format!(
        "POST {path}?a=b HTTP/1.1\r\nHOST: hooks.example\r\nX-Odd:   kept as it is \r\nPropify-Signature: {signature}\r\n\
         Content-Length: {length}\r\n\r\n"
    )
    .into_bytes()
}

/// An event of a route.
pub(crate) fn event(
    number: i64,
    path: &str,
    order: Option<&str>,
    head: Vec<u8>,
    content: &[u8],
) -> StoredEvent {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    let info = EventInfo {
        id: EventId::from_bytes(id),
        received: Time::of(SystemTime::now()),
        route: route(path),
        scheme: "propify".to_owned(),
        secret: SECRET_NAME.into(),
        model: None,
        client: "127.0.0.1".to_owned(),
        method: "POST".to_owned(),
        target: path.as_bytes().to_vec(),
        digest: sha2::Sha256::digest(content).into(),
        order: order.map(OrderKey::new),
        duplicate: None,
    };
    let content = bytes::Bytes::copy_from_slice(content);
    let checksum = checksum(&info, &head, &content);
    Record { info, head, content, checksum }.check().unwrap()
}

impl Store<'_> {
    /// Stores an event.
    pub(crate) fn add(
        &mut self,
        destination: &Destination,
        order: Option<&str>,
        head: Vec<u8>,
        content: &[u8],
    ) -> (i64, DueDelivery) {
        let rows = &mut self.0.rows;
        let id = rows.last_key_value().map_or(1, |(id, _)| id + 1);
        let event = event(id, &destination.route.path, order, head, content);
        let since = event.info().received;
        let row = Row {
            destination: destination.clone(),
            class: Class::New,
            due: since,
            spent: 0,
            since,
            event: event.clone(),
            state: State::Queued,
            attempts: Vec::new(),
        };
        rows.insert(id, row);
        (id, DueDelivery { id: DeliveryId(id), class: Class::New, attempts: 0, since, event })
    }
}

impl Deliveries {
    pub(crate) fn of(routes: &[RouteOf<'_>]) -> Self {
        Self::start(&config(routes))
    }

    pub(crate) fn start(config: &Config) -> Self {
        Self::start_with(config, |_| {})
    }

    /// Starts as [`Self::start`] does. Before the start, `add` stores events.
    pub(crate) fn start_with(config: &Config, add: impl FnOnce(&mut Store)) -> Self {
        let control = Control::new(config, hookgate::diagnosis::submitter::channel().0).unwrap();
        control.set_not_ready();
        let (queue, mut end, deliveries) = handle::channel();
        let shared = Arc::new(Shared::default());
        add(&mut Store(&mut shared.rows()));
        end.set_readers(Some([0, 1].map(|_| Box::new(TestReader(Arc::clone(&shared))) as Box<dyn Reader>)));
        // A thread of its own takes the commands. The test itself hands deliveries over.
        let commands = end.take_commands();
        let writer = Arc::new(end);
        let writing = std::thread::spawn({
            let (shared, writer) = (Arc::clone(&shared), Arc::downgrade(&writer));
            move || write(commands, &shared, &writer)
        });
        let counts = Arc::clone(queue.deliveries());
        let thread = delivery::start(&control, queue.clone(), deliveries).unwrap();
        Self { control, counts, queue, shared, writer, thread: Some(thread), writing: Some(writing) }
    }

    /// Stores an event for the main upstream of a route, and hands it over.
    pub(crate) fn add(&self, path: &str, content: &[u8]) -> i64 {
        self.add_to(&main_of(path), None, head(path, content), content)
    }

    /// Stores an event as [`Self::add`] does, with an order key.
    pub(crate) fn add_ordered(&self, path: &str, order: &str, content: &[u8]) -> i64 {
        self.add_to(&main_of(path), Some(order), head(path, content), content)
    }

    pub(crate) fn add_to(
        &self,
        destination: &Destination,
        order: Option<&str>,
        head: Vec<u8>,
        content: &[u8],
    ) -> i64 {
        // As the writer does: the event is handed over before its outcome can be recorded.
        let mut rows = self.shared.rows();
        let (id, due) = Store(&mut rows).add(destination, order, head, content);
        self.writer.hand(Handed::Due(destination.clone(), due));
        id
    }

    /// Waits until `is` returns true for a row.
    pub(crate) fn wait(&self, id: i64, what: &str, is: impl Fn(&Row) -> bool) -> Row {
        let rows = self.shared.rows();
        let waited = self.shared.changed.wait_timeout_while(rows, PATIENCE, |rows| !is(&rows.rows[&id]));
        let (rows, timeout) = waited.unwrap();
        assert!(!timeout.timed_out(), "delivery {id} is not {what}: {:?}", rows.rows[&id]);
        rows.rows[&id].clone()
    }

    pub(crate) fn wait_delivered(&self, id: i64) -> Row {
        self.wait(id, "delivered", |row| row.state == State::Delivered)
    }

    pub(crate) fn wait_attempts(&self, id: i64, count: usize) -> Row {
        self.wait(id, "attempted", |row| row.attempts.len() >= count)
    }

    pub(crate) fn row(&self, id: i64) -> Row {
        self.shared.rows().rows[&id].clone()
    }

    /// The ids of the deliveries, in the order in which they succeeded.
    pub(crate) fn delivered(&self) -> Vec<i64> {
        self.shared.rows().delivered.clone()
    }

    /// Replays a queued delivery, as a commit does, and says so.
    pub(crate) fn replay(&self, id: i64) {
        let mut rows = self.shared.rows();
        let row = rows.rows.get_mut(&id).unwrap();
        row.since = row.since.plus(Duration::from_millis(1));
        (row.due, row.spent) = (row.since, 0);
        let destination = row.destination.clone();
        drop(rows);
        assert!(self.writer.hand(Handed::Look(destination)));
    }

    /// Discards an event, as a commit does.
    pub(crate) fn discard(&self, id: i64) {
        let row = self.shared.rows().rows.remove(&id).unwrap();
        self.writer.note_discarded(row.event.info().id);
    }

    /// Damages the record of an event, makes it due, and says so.
    pub(crate) fn damage(&self, id: i64) {
        self.shared.rows().damaged.push(id);
        self.replay(id);
    }

    /// Stores an event whose record is damaged, and says that something is due.
    pub(crate) fn add_damaged(&self, path: &str, content: &[u8]) -> i64 {
        let mut rows = self.shared.rows();
        let (id, _) = Store(&mut rows).add(&main_of(path), None, head(path, content), content);
        rows.damaged.push(id);
        drop(rows);
        self.look(path);
        id
    }

    /// Says that something may be due.
    pub(crate) fn look(&self, path: &str) {
        assert!(self.writer.hand(Handed::Look(main_of(path))));
    }

    /// How often what is due was read.
    pub(crate) fn reads(&self) -> usize {
        self.shared.rows().reads
    }

    /// Makes the store refuse this many completions and damaged records.
    pub(crate) fn refuse(&self, completions: usize) {
        self.shared.rows().refuses = completions;
    }

    /// Makes a change in the way of an operator.
    pub(crate) fn change(&self, change: Change) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(self.queue.change(change)), Ok(1));
    }

    pub(crate) fn reload(&self, routes: &[RouteOf<'_>]) {
        self.control.reload(&config(routes)).unwrap();
    }

    /// Drains, and waits for the end of the thread.
    pub(crate) fn drain(&mut self) {
        self.control.drain();
        self.thread = None;
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.control.abort();
        self.thread = None;
        assert!(std::thread::panicking() || self.control.failed().is_none(), "the thread has failed");
        // The thread that stands for the writer ends with the last handle.
        let (queue, _, _) = handle::channel();
        self.queue = queue;
        if let Some(writing) = self.writing.take() {
            join_at_end(writing);
        }
    }
}

fn write(
    mut commands: tokio::sync::mpsc::Receiver<Command>,
    shared: &Shared,
    writer: &std::sync::Weak<WriterHand>,
) {
    while let Some(command) = commands.blocking_recv() {
        match command {
            Command::Complete { completion, reply } => {
                let mut rows = shared.rows();
                let done = if rows.refuses > 0 {
                    rows.refuses -= 1;
                    Err(Refused::Unavailable)
                } else {
                    Ok(complete(&mut rows, completion))
                };
                drop(rows);
                let _receiver_may_have_gone = reply.send(done);
            }
            Command::Change { change, reply } => {
                let mut rows = shared.rows();
                match change {
                    Change::Pause(route) => rows.paused.push(route),
                    Change::Resume(route) => rows.paused.retain(|paused| *paused != route),
                    Change::Replay(_)
                    | Change::ReplayDead(_)
                    | Change::Discard(_)
                    | Change::SaveJob(_)
                    | Change::RemoveJob(_) => panic!("not in these tests"),
                }
                let statistics = Statistics { paused: rows.paused.clone(), ..Statistics::default() };
                drop(rows);
                if let Some(writer) = writer.upgrade() {
                    writer.set_statistics(statistics);
                }
                let _receiver_may_have_gone = reply.send(Ok(1));
            }
            Command::SetAside { damaged, reply } => {
                let mut rows = shared.rows();
                let done = if rows.refuses > 0 {
                    rows.refuses -= 1;
                    Err(Refused::Unavailable)
                } else {
                    rows.rows.get_mut(&damaged.0).unwrap().state = State::Dead(DeadCause::Damaged);
                    Ok(())
                };
                drop(rows);
                let _receiver_may_have_gone = reply.send(done);
            }
            Command::Store { .. } | Command::Seen(..) | Command::Release(..) => panic!("not in these tests"),
        }
        shared.changed.notify_all();
    }
}

fn complete(rows: &mut Rows, completion: Completion) -> Settled {
    let Completion { id, since, attempt, next } = completion;
    let row = rows.rows.get_mut(&id.0).unwrap();
    assert_eq!(row.state, State::Queued, "{id:?} has ended twice");
    row.attempts.push(attempt);
    if row.since != since && next != Next::Delivered {
        row.class = Class::Retry;
        return Settled::No;
    }
    match next {
        Next::Delivered => row.state = State::Delivered,
        Next::Dead(cause) => row.state = State::Dead(cause),
        Next::Again { due, spends } => {
            row.due = due;
            row.spent += u32::from(spends);
            row.class = Class::Retry;
        }
    }
    if next == Next::Delivered {
        rows.delivered.push(id.0);
    }
    Settled::Yes
}

/// The store as the delivery thread reads it.
struct TestReader(Arc<Shared>);

impl Reader for TestReader {
    fn ids(
        &mut self,
        _filter: &Filter,
        _after: Option<EventId>,
        _bounds: Bounds,
    ) -> Result<Found<EventId>, StoreError> {
        panic!("not in these tests")
    }

    fn dead_part(&mut self, _before: Option<i64>, _most: usize) -> Result<DeadPart, StoreError> {
        panic!("not in these tests")
    }

    fn jobs(&mut self) -> Result<Vec<Job>, StoreError> {
        panic!("not in these tests")
    }

    fn due(&mut self, query: &DueQuery<'_>) -> Result<Due, StoreError> {
        let mut rows = self.0.rows();
        rows.reads += 1;
        self.0.changed.notify_all();
        let mut due = Due::default();
        let mut lanes = Vec::new();
        let mut found: Vec<(&i64, &Row)> = Vec::new();
        for (id, row) in &rows.rows {
            if row.state != State::Queued || row.destination != *query.destination {
                continue;
            }
            if let Some(lane) = &row.event.info().order {
                if lanes.contains(&lane) {
                    continue;
                }
                lanes.push(lane);
            }
            if row.class == query.class && !query.except.contains(&DeliveryId(*id)) {
                found.push((id, row));
            }
        }
        found.sort_by_key(|(id, row)| (row.due, **id));
        for (id, row) in found {
            if row.due > query.now {
                due.next = due.deliveries.is_empty().then_some(row.due);
                break;
            }
            if due.deliveries.len() >= query.most {
                due.has_more = true;
                break;
            }
            if rows.damaged.contains(id) {
                due.damaged.push(DamagedDelivery { id: DeliveryId(*id), event: Some(row.event.info().id) });
                continue;
            }
            due.deliveries.push(DueDelivery {
                id: DeliveryId(*id),
                class: row.class,
                attempts: row.spent,
                since: row.since,
                event: row.event.clone(),
            });
        }
        Ok(due)
    }

    fn page(&mut self, _: &Filter, _: Option<EventId>, _: Bounds) -> Result<Found<Summary>, StoreError> {
        Ok(Found::default())
    }

    fn count(&mut self, _: &Filter, _: u64) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn detail(&mut self, _: EventId) -> Result<Option<Detail>, StoreError> {
        Ok(None)
    }

    fn is_seen(&mut self, _: &RouteName, _: &[u8; 32], _: Time) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn is_waiting(&mut self, _: &RouteName, _: &OrderKey) -> Result<bool, StoreError> {
        Ok(false)
    }
}
