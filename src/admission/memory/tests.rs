//! Tests of the memory budget: which request gets memory, and which holder is shed for it.

use super::*;
use std::task::Waker;
use std::time::Duration;

const KIB: u64 = 1024;

/// A budget that is large compared with an ordinary event.
fn budget() -> Arc<Budget> {
    Budget::new(1024 * KIB)
}

fn reservation(budget: &Arc<Budget>, client: u8) -> Reservation {
    budget.reservation(ClientAddress::ip([127, 0, 0, client].into()))
}

fn grow(reservation: &mut Reservation, kib: u64, now: Instant) -> Poll<Result<(), Exhausted>> {
    reservation.poll_grow_to(
        &mut Context::from_waker(Waker::noop()),
        usize::try_from(kib * KIB).unwrap(),
        now,
    )
}

fn hold_while_waiting(
    reservation: &mut Reservation,
    received: usize,
    since: Instant,
    now: Instant,
) -> Result<(), Exhausted> {
    reservation.hold_while_waiting(&Context::from_waker(Waker::noop()), received, since, now)
}

const GROWN: Poll<Result<(), Exhausted>> = Poll::Ready(Ok(()));
const REFUSED: Poll<Result<(), Exhausted>> = Poll::Ready(Err(Exhausted));

#[test]
fn a_budget_is_spent_to_its_last_byte_and_given_back_on_drop() {
    let (budget, now) = (budget(), Instant::now());
    let (mut a, mut b) = (reservation(&budget, 1), reservation(&budget, 2));
    assert_eq!(grow(&mut a, 600, now), GROWN);
    assert_eq!(grow(&mut b, 425, now), REFUSED);
    assert_eq!(budget.held(), 600 * KIB);
    assert_eq!(grow(&mut b, 424, now), GROWN);
    assert_eq!(grow(&mut a, 500, now), GROWN, "a share never shrinks");
    assert_eq!(budget.held(), 1024 * KIB);
    assert_eq!(grow(&mut a, 601, now), REFUSED);
    drop(a);
    assert_eq!(budget.held(), 424 * KIB);
    assert_eq!(grow(&mut b, 1024, now), GROWN);
    drop(b);
    assert_eq!(budget.held(), 0);
    assert!(budget.holders().is_empty());
}

#[test]
fn an_ordinary_event_is_read_in_a_full_budget_and_only_authentic_ones_shed_others() {
    let (budget, start) = (budget(), Instant::now());
    let now = start + Duration::from_secs(10);
    let (mut other, mut event) = (reservation(&budget, 1), reservation(&budget, 2));
    assert_eq!(grow(&mut other, 1024, start), GROWN);
    assert_eq!(hold_while_waiting(&mut other, 1, start, now), Ok(()));
    assert_eq!(grow(&mut event, 64, now), GROWN);
    assert!(!other.is_shed());
    event.complete_content();
    assert_eq!(event.authenticate(now), Ok(()));
    assert!(other.is_shed());
}

#[test]
fn the_reserve_is_not_for_requests_that_make_us_wait() {
    let (budget, now) = (budget(), Instant::now());
    let (mut whole, mut event) = (reservation(&budget, 1), reservation(&budget, 2));
    assert_eq!(grow(&mut whole, 1024, now), GROWN);
    assert_eq!(grow(&mut event, 16, now), GROWN);
    assert_eq!(hold_while_waiting(&mut event, 1, now, now), Err(Exhausted));
    event.complete_content();
    assert_eq!(event.authenticate(now), Err(Exhausted), "nor for what stays while all the rest is authentic");
    let mut large = reservation(&budget, 3);
    assert_eq!(grow(&mut large, 65, now), REFUSED);
}

#[test]
fn holders_are_shed_for_requests_that_do_not_wait_the_slowest_first() {
    let (budget, start) = (budget(), Instant::now());
    let now = start + Duration::from_secs(10);
    let holder = |(client, received): (u8, usize)| {
        let mut reservation = reservation(&budget, client);
        assert_eq!(grow(&mut reservation, 256, start), GROWN);
        assert_eq!(hold_while_waiting(&mut reservation, received, start, now), Ok(()));
        reservation
    };
    let mut holding: Vec<Reservation> = [(1, 10), (2, 500), (3, 20), (4, 400)].map(holder).into();
    let mut newcomer = reservation(&budget, 5);
    assert_eq!(grow(&mut newcomer, 300, now), Poll::Pending);
    let shed: Vec<bool> = holding.iter().map(Reservation::is_shed).collect();
    assert_eq!(shed, [true, false, true, false]);
    assert_eq!(grow(&mut newcomer, 300, now), Poll::Pending, "they have not left yet");
    drop(holding.remove(2));
    let mut late = reservation(&budget, 6);
    assert_eq!(grow(&mut late, 212, now), Poll::Pending, "what is free is meant for who came first");
    assert_eq!(
        holding.iter().filter(|reservation| reservation.is_shed()).count(),
        1,
        "what is freed is enough for both"
    );
    let mut last = reservation(&budget, 7);
    assert_eq!(grow(&mut last, 100, now), Poll::Pending);
    assert_eq!(
        holding.iter().filter(|reservation| reservation.is_shed()).count(),
        2,
        "for a third it is not"
    );
    holding.retain(|reservation| !reservation.is_shed());
    assert_eq!(grow(&mut late, 212, now), GROWN, "there is enough for both");
    assert_eq!(grow(&mut newcomer, 300, now), GROWN);
    assert_eq!(grow(&mut last, 100, now), GROWN);
}

#[test]
fn a_proxys_requests_count_for_the_clients_that_they_are_assigned_to() {
    let (budget, start) = (budget(), Instant::now());
    let now = start + Duration::from_secs(10);
    let holder = |(client, received): (u8, usize)| {
        let mut reservation = reservation(&budget, 9);
        reservation.assign(ClientAddress::ip([127, 0, 0, client].into()));
        assert_eq!(grow(&mut reservation, 256, start), GROWN);
        assert_eq!(hold_while_waiting(&mut reservation, received, start, now), Ok(()));
        reservation
    };
    // The first two are the fastest, but they are of one client.
    let holding: Vec<Reservation> = [(1, 400), (1, 500), (2, 10), (3, 20)].map(holder).into();
    let mut newcomer = reservation(&budget, 5);
    assert_eq!(grow(&mut newcomer, 200, now), Poll::Pending);
    let shed: Vec<bool> = holding.iter().map(Reservation::is_shed).collect();
    assert_eq!(shed, [true, false, false, false]);
}

#[test]
fn a_newcomer_takes_free_memory_before_a_holder_is_shed() {
    let (budget, start) = (budget(), Instant::now());
    let now = start + Duration::from_secs(10);
    let holder = |(client, kib): (u8, u64)| {
        let mut reservation = reservation(&budget, client);
        assert_eq!(grow(&mut reservation, kib, start), GROWN);
        assert_eq!(hold_while_waiting(&mut reservation, 1, start, now), Ok(()));
        reservation
    };
    let mut holding: Vec<Reservation> = [(1, 300), (2, 300)].map(holder).into();
    // A request waits for 500 KiB, and 424 KiB are free.
    let mut waiting = reservation(&budget, 3);
    assert_eq!(grow(&mut waiting, 500, now), Poll::Pending);
    assert_eq!(holding.iter().filter(|reservation| reservation.is_shed()).count(), 1, "76 KiB were missing");
    // When the shed holder has freed its memory, 724 KiB are free. 224 KiB of them are owed to no waiter.
    holding.retain(|reservation| !reservation.is_shed());
    let (mut large, mut larger) = (reservation(&budget, 4), reservation(&budget, 5));
    assert_eq!(grow(&mut large, 224, now), GROWN);
    assert!(!holding[0].is_shed());
    assert_eq!(grow(&mut larger, 70, now), Poll::Pending, "the rest is owed to who waits");
    assert!(holding[0].is_shed());
    assert_eq!(grow(&mut waiting, 500, now), GROWN);
    drop(holding);
    assert_eq!(grow(&mut larger, 70, now), GROWN);
}

/// Memory that is freed for the waiters must not go to a later request, however often that request tries.
#[test]
fn memory_goes_to_the_waiters_in_the_order_of_arrival() {
    let (budget, start) = (budget(), Instant::now());
    let now = start + Duration::from_secs(10);
    let mut holding: Vec<Reservation> = (0..8u8)
        .map(|n| {
            let mut reservation = reservation(&budget, n);
            assert_eq!(grow(&mut reservation, 128, start), GROWN);
            assert_eq!(hold_while_waiting(&mut reservation, 1, start, now), Ok(()));
            reservation
        })
        .collect();
    let mut waiting: Vec<Reservation> = (100..104u8).map(|n| reservation(&budget, n)).collect();
    for reservation in &mut waiting {
        assert_eq!(grow(reservation, 256, now), Poll::Pending);
    }
    assert!(holding.iter().all(Reservation::is_shed));
    let mut granted = Vec::new();
    while let Some(gone) = holding.pop() {
        drop(gone);
        for (index, reservation) in waiting.iter_mut().enumerate().rev() {
            if !granted.contains(&index) && grow(reservation, 256, now) == GROWN {
                granted.push(index);
            }
        }
    }
    assert_eq!(granted, [0, 1, 2, 3]);
    assert_eq!(grow(&mut reservation(&budget, 105), 128, now), REFUSED);
}

/// A waker that counts its uses.
#[derive(Default)]
struct Calls(AtomicUsize);

impl std::task::Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_waiter_is_woken_when_there_is_enough_for_it_and_those_before_it() {
    let (budget, start) = (budget(), Instant::now());
    let now = start + Duration::from_secs(10);
    let mut holding: Vec<Reservation> = (0..4u8)
        .map(|n| {
            let mut reservation = reservation(&budget, n);
            assert_eq!(grow(&mut reservation, 256, start), GROWN);
            assert_eq!(hold_while_waiting(&mut reservation, 1, start, now), Ok(()));
            reservation
        })
        .collect();
    let calls: [Arc<Calls>; 3] = Default::default();
    let poll = |reservation: &mut Reservation, calls: &Arc<Calls>| {
        let waker = Waker::from(Arc::clone(calls));
        reservation.poll_grow_to(&mut Context::from_waker(&waker), 300 * 1024, now)
    };
    let mut waiting: Vec<Reservation> = (10..13u8).map(|n| reservation(&budget, n)).collect();
    for (reservation, calls) in waiting.iter_mut().zip(&calls) {
        assert_eq!(poll(reservation, calls), Poll::Pending);
    }
    let woken = || calls.each_ref().map(|calls| calls.0.swap(0, Ordering::Relaxed));
    assert_eq!(woken(), [0, 0, 0]);
    drop(holding.pop());
    assert_eq!(woken(), [1, 0, 0], "the first sees for itself");
    drop(holding.pop());
    drop(holding.pop());
    assert_eq!(woken(), [2, 1, 0], "768 KiB are enough for two");
    assert_eq!(poll(&mut waiting[0], &calls[0]), GROWN);
    assert_eq!(woken(), [0, 1, 0], "the next is the first now");
    // When a waiter gives up, its memory goes to the next waiters.
    drop(waiting.remove(1));
    assert_eq!(woken(), [0, 0, 1]);
    assert_eq!(poll(&mut waiting[1], &calls[2]), GROWN);
    drop(waiting);
    drop(holding);
    assert_eq!(budget.held(), 0);
    assert!(budget.holders().is_empty());
}

#[test]
fn a_reservation_that_shrinks_gives_the_rest_back() {
    let (budget, now) = (budget(), Instant::now());
    let mut head = reservation(&budget, 1);
    assert_eq!(grow(&mut head, 33, now), GROWN);
    head.shrink_to(31 * 1024);
    assert_eq!((head.bytes(), budget.held()), (31 * 1024, 31 * KIB));
    head.shrink_to(32 * 1024);
    assert_eq!(budget.held(), 31 * KIB, "it does not grow by that");
    drop(head);
    assert_eq!(budget.held(), 0);
}

#[test]
fn unverified_content_sheds_no_holder_and_uses_no_reserve() {
    let (budget, start) = (budget(), Instant::now());
    let now = start + Duration::from_secs(10);
    let mut observed = reservation(&budget, 1);
    assert_eq!(observed.stay_unauthenticated(), Ok(()), "it holds nothing");
    assert_eq!(grow(&mut observed, 64, now), GROWN);
    assert_eq!(observed.stay_unauthenticated(), Ok(()), "there is room for it");
    let (mut other, mut event) = (reservation(&budget, 2), reservation(&budget, 3));
    assert_eq!(grow(&mut other, 960, start), GROWN);
    assert_eq!(hold_while_waiting(&mut other, 1, start, now), Ok(()));
    assert_eq!(grow(&mut event, 16, now), GROWN);
    assert_eq!(event.stay_unauthenticated(), Err(Exhausted));
    assert!(!other.is_shed());
    // While the delivery of the request makes the gateway wait, the request can be shed like any other
    // unverified request.
    drop(event);
    assert_eq!(hold_while_waiting(&mut observed, 64 * 1024, start, now), Ok(()));
    let holder = observed.holder().unwrap();
    let mut newcomer = reservation(&budget, 4);
    assert_eq!(grow(&mut newcomer, 1024, now), Poll::Pending);
    assert!(holder.is_shed() && observed.is_shed());
    drop((observed, other));
    assert!(holder.has_left());
    assert_eq!(grow(&mut newcomer, 1024, now), GROWN);
}

#[test]
fn a_slow_holder_cannot_shed_a_faster_one() {
    let (budget, start) = (budget(), Instant::now());
    let now = start + Duration::from_secs(2);
    let (mut slow, mut fast) = (reservation(&budget, 1), reservation(&budget, 2));
    assert_eq!(grow(&mut slow, 424, start), GROWN);
    assert_eq!(grow(&mut fast, 600, start), GROWN);
    assert_eq!(hold_while_waiting(&mut slow, 10, start, now), Ok(()));
    assert_eq!(hold_while_waiting(&mut fast, 60, start, now), Ok(()));
    assert_eq!(grow(&mut slow, 500, now), REFUSED);
    assert_eq!(grow(&mut fast, 700, now), Poll::Pending);
    assert!(slow.is_shed() && !fast.is_shed());
    assert_eq!(grow(&mut slow, 425, now), REFUSED);
    drop(slow);
    assert_eq!(grow(&mut fast, 700, now), GROWN);
}

#[test]
fn a_waiter_for_a_holder_that_completes_has_another_shed() {
    let (budget, start) = (budget(), Instant::now());
    let now = start + Duration::from_secs(2);
    let (mut first, mut second, mut newcomer) =
        (reservation(&budget, 1), reservation(&budget, 2), reservation(&budget, 3));
    assert_eq!(grow(&mut first, 512, start), GROWN);
    assert_eq!(grow(&mut second, 512, start), GROWN);
    assert_eq!(hold_while_waiting(&mut first, 1, start, now), Ok(()));
    assert_eq!(hold_while_waiting(&mut second, 9, start, now), Ok(()));
    assert_eq!(grow(&mut newcomer, 100, now), Poll::Pending);
    assert!(first.is_shed() && !second.is_shed());
    first.complete_content();
    assert_eq!(grow(&mut newcomer, 100, now), Poll::Pending);
    assert!(second.is_shed());
    drop(second);
    assert_eq!(grow(&mut newcomer, 100, now), GROWN);
}

#[test]
fn what_has_arrived_whole_is_never_shed_and_nothing_is_shed_in_vain() {
    let (budget, now) = (budget(), Instant::now());
    let (mut whole, mut holding, mut newcomer) =
        (reservation(&budget, 1), reservation(&budget, 2), reservation(&budget, 3));
    assert_eq!(grow(&mut whole, 900, now), GROWN);
    assert_eq!(hold_while_waiting(&mut whole, 50, now, now), Ok(()));
    whole.complete_content();
    assert_eq!(grow(&mut holding, 124, now), GROWN);
    assert_eq!(hold_while_waiting(&mut holding, 1, now, now), Ok(()));
    assert_eq!(grow(&mut newcomer, 200, now), REFUSED);
    assert!(!whole.is_shed() && !holding.is_shed());
}

#[test]
fn a_new_maximum_counts_for_what_is_taken_from_then_on() {
    let (budget, now) = (budget(), Instant::now());
    let (mut a, mut b) = (reservation(&budget, 1), reservation(&budget, 2));
    assert_eq!(grow(&mut a, 1024, now), GROWN);
    budget.set_max(512 * KIB);
    assert_eq!(grow(&mut b, 100, now), REFUSED);
    assert_eq!(budget.held(), 1024 * KIB, "what is held stays held");
    budget.set_max(1124 * KIB);
    assert_eq!(grow(&mut b, 100, now), GROWN);
    assert_eq!(grow(&mut b, 101, now), REFUSED);
}

#[test]
fn a_waiter_that_gives_up_leaves_nothing_behind() {
    let (budget, now) = (budget(), Instant::now());
    let (mut holding, mut newcomer) = (reservation(&budget, 1), reservation(&budget, 2));
    assert_eq!(grow(&mut holding, 1024, now), GROWN);
    assert_eq!(hold_while_waiting(&mut holding, 1, now, now), Ok(()));
    assert_eq!(grow(&mut newcomer, 200, now), Poll::Pending);
    drop(newcomer);
    drop(holding);
    assert_eq!(budget.held(), 0);
    assert_eq!(budget.waiting.load(Ordering::SeqCst), 0);
    assert!(budget.holders().is_empty());
}
