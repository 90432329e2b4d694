//! Waits with a deadline. They replace waits of the standard library that have no deadline.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::support::PATIENCE;

/// The time limit of a wait for the end of a thread or a process. Such an end may itself wait for
/// [`PATIENCE`].
const LONGEST: Duration = PATIENCE.saturating_mul(2);

/// The time between two looks.
const LOOK: Duration = Duration::from_millis(1);

/// Waits until the condition holds, at most for [`LONGEST`]. Returns whether it holds.
pub(crate) fn is_in_time(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + LONGEST;
    while !condition() {
        if Instant::now() >= end {
            return false;
        }
        thread::park_timeout(LOOK);
    }
    true
}

/// The result of a thread. Fails if the thread panics, or does not end in time.
#[track_caller]
pub(crate) fn joined<T>(thread: JoinHandle<T>) -> T {
    assert!(is_in_time(|| thread.is_finished()), "a thread does not end");
    thread.join().expect("a thread has failed")
}

/// Waits for the end of a thread in a destructor. A panic of the test is not followed by another one.
#[track_caller]
pub(crate) fn join_at_end<T>(thread: JoinHandle<T>) {
    let has_ended = is_in_time(|| thread.is_finished());
    assert!(has_ended || thread::panicking(), "a thread does not end");
    if has_ended {
        drop(thread.join());
    }
}

/// Accepts one connection. Reads from it have a time limit, too.
#[track_caller]
pub(crate) fn accepted(listener: &TcpListener) -> TcpStream {
    // On Linux, accept(2) has the time limit of reads.
    SockRef::from(listener).set_read_timeout(Some(PATIENCE)).unwrap();
    let (stream, _) = listener.accept().expect("a connection comes");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The output of a process whose standard output and standard error are pipes, or are not captured.
#[track_caller]
pub(crate) fn output_of(mut child: Child) -> Output {
    let (stdout, stderr) = (child.stdout.take().map(read), child.stderr.take().map(read));
    let mut status = None;
    let has_ended = is_in_time(|| {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    if !has_ended {
        drop(child.kill());
    }
    let all = |pipe: Option<JoinHandle<Vec<u8>>>| pipe.map(joined).unwrap_or_default();
    let (stdout, stderr) = (all(stdout), all(stderr));
    let text = String::from_utf8_lossy(&stderr);
    Output { status: status.unwrap_or_else(|| panic!("the process does not end: {text}")), stdout, stderr }
}

fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Runs commands with a deadline.
pub(crate) trait OutputInTime {
    /// Runs the command without standard input. Returns its output. Fails if it does not end in time.
    fn output_in_time(&mut self) -> Output;
}

impl OutputInTime for Command {
    #[track_caller]
    fn output_in_time(&mut self) -> Output {
        self.stdin(Stdio::null());
        output_of(self.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }
}
