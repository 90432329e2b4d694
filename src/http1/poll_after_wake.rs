//! Pure. A future that is polled only after its own wake-up.
//!
//! A task that waits for several futures polls all of them at every wake-up. This wrapper polls its future
//! only if the future itself was woken. Polling the shutdown future at every wake-up of a request would cost
//! as much as routing the request.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A future that is polled only after its own wake-up.
#[derive(Debug)]
pub(crate) struct PollAfterWake<'f, F> {
    future: Pin<&'f mut F>,
    flag: Arc<WakeFlag>,
    /// The waker that the future gets. Waking it sets the flag.
    waker: Waker,
    /// The task's waker. Setting the flag wakes it.
    listener: Option<Waker>,
}

#[derive(Debug)]
struct WakeFlag {
    is_set: AtomicBool,
    listener: Mutex<Option<Waker>>,
}

impl<'f, F: Future> PollAfterWake<'f, F> {
    /// Wraps `future`.
    #[must_use]
    pub(crate) fn new(future: Pin<&'f mut F>) -> Self {
        // The flag is set at the beginning, so the first poll polls the future.
        let flag = Arc::new(WakeFlag { is_set: AtomicBool::new(true), listener: Mutex::new(None) });
        let waker = Arc::clone(&flag).into();
        Self { future, flag, waker, listener: None }
    }
}

impl<F: Future> Future for PollAfterWake<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        if !this.listener.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            this.listener = Some(cx.waker().clone());
            *this.flag.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        }
        if this.flag.is_set.load(Ordering::Acquire) {
            this.flag.is_set.store(false, Ordering::Relaxed);
            this.future.as_mut().poll(&mut Context::from_waker(&this.waker))
        } else {
            Poll::Pending
        }
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_set.store(true, Ordering::Release);
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(listener) = listener {
            listener.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn it_is_polled_when_it_was_woken_and_only_then() {
        let polls = Cell::new(0);
        let known = Cell::new(None);
        let future = pin!(poll_fn(|cx: &mut Context<'_>| {
            polls.set(polls.get() + 1);
            known.set(Some(cx.waker().clone()));
            if polls.get() == 2 { Poll::Ready("now") } else { Poll::Pending }
        }));
        let mut seldom = pin!(PollAfterWake::new(future));
        let first = Arc::new(Count::default());
        let last = Arc::new(Count::default());
        for task in [&first, &first, &last] {
            let waker = Waker::from(Arc::clone(task));
            assert!(seldom.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            assert_eq!(polls.get(), 1);
        }
        known.take().unwrap().wake();
        assert_eq!((first.0.load(Ordering::Relaxed), last.0.load(Ordering::Relaxed)), (0, 1));
        let waker = Waker::from(last);
        assert_eq!(seldom.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready("now"));
    }
}
