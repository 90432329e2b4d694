//! A hookgate in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::support::in_time::is_in_time;

/// The time limit of every wait in this file.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running hookgate and its output.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    pub(crate) seen: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let child = command.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
        // Otherwise the command would keep its ends of the pipe, and the pipe would stay open.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(reader).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines, seen: String::new() }
    }

    /// The next line that contains `mark`.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, mark: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("no `{mark}`: {error}\n{}", self.seen));
            self.seen.push_str(&line);
            self.seen.push('\n');
            if line.contains(mark) {
                return line;
            }
        }
    }

    /// The CPU time of the process on all cores, in hundredths of a second.
    pub(crate) fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name is followed by the state, ten numbers, and then user time and system time
        // (proc_pid_stat(5)).
        let fields = stat.rsplit(')').next().unwrap().split_whitespace();
        fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// Sets the soft limit on open files. The hard limit does not change.
    pub(crate) fn limit_descriptors(&self, count: u64) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let limit = rustix::process::Rlimit { current: Some(count), maximum: Some(400) };
        rustix::process::prlimit(Some(pid), rustix::process::Resource::Nofile, limit).unwrap();
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end of the process. Returns its exit code.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> Option<i32> {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push_str(&line);
                    self.seen.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the process does not end\n{}", self.seen),
            }
        }
        is_in_time(|| self.child.try_wait().unwrap().is_some());
        let status = self.child.try_wait().unwrap();
        status.unwrap_or_else(|| panic!("the process does not end\n{}", self.seen)).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

/// The loopback address in a line of output.
pub(crate) fn address_in(line: &str) -> SocketAddr {
    let from = &line[line.find("127.0.0.1:").unwrap_or_else(|| panic!("no address: {line}"))..];
    let end = from.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(from.len());
    from[..end].parse().unwrap()
}
