//! Shell. The turns of the handshakes of one worker: only a few handshakes compute between two turns of the
//! worker's other tasks.
//!
//! A handshake computes for about 100 µs when the client's first message has arrived, because of the key
//! exchange and the signature. Without turns, the messages of many new clients are served one after the
//! other, and a request on an open connection waits for all of them.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn;

/// How many handshakes compute before the worker's other tasks have their turn. With only one, new
/// connections of senders would be slow while many requests are served.
const AT_ONCE: usize = 4;

/// The turns of the handshakes of one worker. Handshakes that wait for a turn are served in the order in
/// which they began to wait. At most `max_connections` handshakes wait, and the wait counts towards
/// `handshake_timeout`.
#[derive(Debug)]
pub struct HandshakeTurns(Arc<Semaphore>);

impl Default for HandshakeTurns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl HandshakeTurns {
    /// Awaits a handshake. Each poll of the handshake takes a turn. `begin` makes the handshake's future in
    /// the first turn, so a handshake that waits for it takes no memory for its state.
    pub(crate) async fn await_in_turn<F: Future>(&self, begin: impl FnOnce() -> F) -> F::Output {
        let first = self.next().await;
        let mut handshake = pin!(begin());
        let mut turn = Some(first);
        let mut waiting = pin!(None);
        poll_fn(|cx| {
            let current = match turn.take() {
                Some(turn) => turn,
                None => {
                    if waiting.is_none() {
                        waiting.set(Some(self.next()));
                    }
                    let Some(next) = waiting.as_mut().as_pin_mut() else { return Poll::Pending };
                    let next = ready!(next.poll(cx));
                    waiting.set(None);
                    next
                }
            };
            let polled = handshake.as_mut().poll(cx);
            // The new task is polled after all tasks that are ready now.
            spawn(async move { drop(current) });
            polled
        })
        .await
    }

    /// The next turn. `None` never occurs, because the semaphore is never closed.
    async fn next(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::pin::Pin;
    use std::rc::Rc;

    use tokio::task::{LocalSet, spawn_local, yield_now};

    use super::*;

    /// Runs 50 handshakes of two steps each beside a task that is always ready. Returns the most steps
    /// between two polls of this task, and the order in which the handshakes took their first step.
    fn most_steps_at_once(
        serve: fn(Rc<HandshakeTurns>, Step) -> Pin<Box<dyn Future<Output = ()>>>,
    ) -> (usize, Vec<usize>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let turns = Rc::new(HandshakeTurns::default());
            let (steps, order) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
            let handshakes: Vec<_> = (0..50)
                .map(|number| {
                    let step = Step { number, steps: Rc::clone(&steps), order: Rc::clone(&order) };
                    spawn_local(serve(Rc::clone(&turns), step))
                })
                .collect();
            let mut most = 0;
            while !handshakes.iter().all(tokio::task::JoinHandle::is_finished) {
                yield_now().await;
                most = most.max(steps.take());
            }
            let order = order.borrow().clone();
            (most, order)
        })
    }

    struct Step {
        number: usize,
        steps: Rc<Cell<usize>>,
        order: Rc<RefCell<Vec<usize>>>,
    }

    impl Step {
        async fn handshake(self) {
            for step in 0..2 {
                self.steps.set(self.steps.get() + 1);
                if step == 0 {
                    self.order.borrow_mut().push(self.number);
                    yield_now().await;
                }
            }
        }
    }

    #[test]
    fn a_ready_task_waits_for_few_steps_of_handshakes() {
        let (most, order) = most_steps_at_once(|turns, step| {
            Box::pin(async move { turns.await_in_turn(|| step.handshake()).await })
        });
        assert!((1..=2 * AT_ONCE).contains(&most), "{most}");
        assert_eq!(order, (0..50).collect::<Vec<_>>());
        // Without turns, the task waits for all handshakes.
        let (most, _) = most_steps_at_once(|_, step| Box::pin(step.handshake()));
        assert!(most >= 50, "{most}");
    }

    #[tokio::test]
    async fn a_handshake_that_is_given_up_gives_its_turn_back() {
        let turns = HandshakeTurns::default();
        for _ in 0..10 * AT_ONCE {
            let mut given_up = Box::pin(turns.await_in_turn(std::future::pending::<()>));
            poll_fn(|cx| {
                assert!(given_up.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            drop(given_up);
            yield_now().await;
        }
        assert_eq!(turns.0.available_permits(), AT_ONCE);
    }
}
