//! Shell. The commands of one commit, and the records for the next commit.

use tokio::sync::oneshot;

use crate::queue::event::{DuplicateKey, Event, Receipt, RouteName};
use crate::queue::handle::{Command, Held, Refused};
use crate::queue::store::{Change, Completion, DeliveryId, Settled};

/// The most commands of one commit.
pub(super) const MOST_COMMANDS: usize = 1024;

/// When the events of a commit have this many bytes, the commit takes no more. The memory budget bounds these
/// bytes.
pub(super) const MOST_BYTES: u64 = 16 << 20;

/// The most records that are kept while the store fails. Further records are lost, and their deliveries are
/// made once more.
pub const MOST_UNSAVED: usize = 16 * 1024;

/// An event that waits for its commit.
pub(super) struct Waiting {
    pub(super) event: Box<Event>,
    pub(super) held: Held,
    pub(super) reply: oneshot::Sender<Result<Receipt, Refused>>,
}

impl Waiting {
    /// Refuses the event.
    pub(super) fn refuse(self, why: Refused) {
        // A request that was given up gets no answer.
        let _gone = self.reply.send(Err(why));
    }
}

/// A change that waits for its commit.
pub(super) struct Asked {
    pub(super) change: Change,
    pub(super) reply: oneshot::Sender<Result<u64, Refused>>,
}

impl Asked {
    /// Answers the change.
    pub(super) fn answer(self, answer: Result<u64, Refused>) {
        let _gone = self.reply.send(answer);
    }
}

/// A finished attempt that waits to be recorded.
pub(super) struct Completed {
    pub(super) completion: Completion,
    pub(super) reply: oneshot::Sender<Result<Settled, Refused>>,
}

/// A delivery whose record is damaged, which waits to be marked.
pub(super) struct SetAside {
    pub(super) damaged: DeliveryId,
    pub(super) reply: oneshot::Sender<Result<(), Refused>>,
}

/// The commands of one commit.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) events: Vec<Waiting>,
    pub(super) changes: Vec<Asked>,
    commands: usize,
    bytes: u64,
}

/// Records that are not on disk yet. Each record is kept until it is on disk.
#[derive(Default)]
pub(super) struct Unsaved {
    pub(super) completions: Vec<Completed>,
    pub(super) seen: Vec<(RouteName, DuplicateKey)>,
    pub(super) damaged: Vec<SetAside>,
    pub(super) released: Vec<(RouteName, [u8; 32])>,
}

impl Gathered {
    /// Changes without events.
    pub(super) fn of_changes(changes: Vec<Asked>) -> Self {
        Self { changes, ..Self::default() }
    }

    /// Adds a command.
    pub(super) fn add(&mut self, command: Command, unsaved: &mut Unsaved) {
        self.commands = self.commands.saturating_add(1);
        match command {
            Command::Store { event, held, reply } => {
                self.bytes = self.bytes.saturating_add(event.size());
                self.events.push(Waiting { event, held, reply });
            }
            Command::Complete { completion, reply } => {
                if let Err(Completed { reply, .. }) =
                    push(&mut unsaved.completions, Completed { completion, reply })
                {
                    let _gone = reply.send(Err(Refused::Unavailable));
                }
            }
            Command::Seen(route, key) => drop(push(&mut unsaved.seen, (route, key))),
            Command::SetAside { damaged, reply } => {
                if let Err(SetAside { reply, .. }) = push(&mut unsaved.damaged, SetAside { damaged, reply }) {
                    let _gone = reply.send(Err(Refused::Unavailable));
                }
            }
            Command::Release(route, digest) => drop(push(&mut unsaved.released, (route, digest))),
            Command::Change { change, reply } => self.changes.push(Asked { change, reply }),
        }
    }

    /// Whether the commit takes no further command.
    pub(super) fn is_full(&self) -> bool {
        self.commands >= MOST_COMMANDS || self.bytes >= MOST_BYTES
    }

    /// Refuses everything that waits.
    pub(super) fn refuse(self, why: Refused) {
        for waiting in self.events {
            waiting.refuse(why);
        }
        for asked in self.changes {
            asked.answer(Err(why));
        }
    }
}

impl Unsaved {
    /// Whether there is nothing to record.
    pub(super) fn is_empty(&self) -> bool {
        let Self { completions, seen, damaged, released } = self;
        completions.is_empty() && seen.is_empty() && damaged.is_empty() && released.is_empty()
    }

    /// Takes the first `most` records of each kind.
    pub(super) fn take(&mut self, most: usize) -> Self {
        Self {
            completions: take(&mut self.completions, most),
            seen: take(&mut self.seen, most),
            damaged: take(&mut self.damaged, most),
            released: take(&mut self.released, most),
        }
    }

    /// Puts records that were not committed back, before the other records.
    pub(super) fn put_back(&mut self, records: Self) {
        let Self { completions, seen, damaged, released } = records;
        self.completions.splice(..0, completions);
        self.seen.splice(..0, seen);
        self.damaged.splice(..0, damaged);
        self.released.splice(..0, released);
    }
}

/// Adds a record. Gives the record back if there is no room.
fn push<T>(records: &mut Vec<T>, record: T) -> Result<(), T> {
    if records.len() >= MOST_UNSAVED {
        return Err(record);
    }
    records.push(record);
    Ok(())
}

fn take<T>(records: &mut Vec<T>, most: usize) -> Vec<T> {
    let rest = records.split_off(most.min(records.len()));
    std::mem::replace(records, rest)
}
