//! Tests of eviction with a controlled clock: which connection is evicted for which other connection.

use tokio::task::{JoinHandle, LocalSet, yield_now};
use tokio::time::advance;

use super::*;
use crate::admission::eviction::{FRESH, Waits};
use crate::runtime::deadline::LazyNow;

const MILLI: Duration = Duration::from_millis(1);

fn address(address: &str) -> ClientAddress {
    ClientAddress::ip(address.parse().unwrap())
}

/// Makes a connection wait for another request.
fn rest(place: &Place) {
    place.entry().wait_for_content(Instant::now());
    place.entry().wait_for_head(true, &mut LazyNow::default());
}

async fn at_rest(connection_limit: &Arc<ConnectionLimit>, count: usize) -> Vec<Place> {
    let mut places = Vec::new();
    for _ in 0..count {
        places.push(connection_limit.enter(ClientAddress::Unix, None).await.unwrap());
    }
    places.iter().for_each(rest);
    places
}

fn evicted(places: &[Place]) -> Vec<usize> {
    (0..places.len()).filter(|index| places[*index].entry().is_evicted()).collect()
}

fn newcomer(connection_limit: &Arc<ConnectionLimit>) -> JoinHandle<Place> {
    let connection_limit = Arc::clone(connection_limit);
    tokio::task::spawn_local(async move { connection_limit.enter(ClientAddress::Unix, None).await.unwrap() })
}

async fn run(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn exactly_one_is_evicted_for_each_that_waits_however_long_it_takes() {
    run(async {
        let connection_limit = ConnectionLimit::new(4);
        let mut places = at_rest(&connection_limit, 4).await;
        assert!(!connection_limit.is_wanting());
        let first = newcomer(&connection_limit);
        yield_now().await;
        assert!(connection_limit.is_wanting());
        advance(RECALL * 5).await;
        yield_now().await;
        assert_eq!(evicted(&places).len(), 1);
        let second = newcomer(&connection_limit);
        advance(RECALL * 5).await;
        yield_now().await;
        let leaving = evicted(&places);
        assert_eq!(leaving.len(), 2);
        for index in leaving.iter().rev() {
            drop(places.remove(*index));
            // The check runs before the connection that got the place runs.
            let registry = connection_limit.registry();
            assert_eq!(registry.evicting, registry.waiters.len());
        }
        let _second = (first.await.unwrap(), second.await.unwrap());
        assert!(!connection_limit.is_wanting());
        assert_eq!((connection_limit.free(), evicted(&places).len()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_becomes_authentic_stays_and_another_is_evicted() {
    run(async {
        let connection_limit = ConnectionLimit::new(2);
        let places = at_rest(&connection_limit, 2).await;
        let waits = newcomer(&connection_limit);
        yield_now().await;
        let [first] = evicted(&places)[..] else { panic!("{:?}", evicted(&places)) };
        places[first].entry().wait_for_content(Instant::now());
        assert!(places[first].entry().is_evicted(), "content that is there does not make it authentic");
        places[first].entry().wait_for_upstream();
        assert_eq!(evicted(&places), [1 - first]);
        places[first].entry().wait_for_head(true, &mut LazyNow::default());
        assert_eq!(evicted(&places), [1 - first]);
        drop(places);
        drop(waits.await.unwrap());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_connection_with_an_authentic_request_at_its_upstream_is_evicted() {
    run(async {
        let connection_limit = ConnectionLimit::new(2);
        let places = at_rest(&connection_limit, 2).await;
        places.iter().for_each(|place| place.entry().wait_for_upstream());
        let waits = newcomer(&connection_limit);
        advance(RECALL * 5).await;
        yield_now().await;
        assert_eq!(evicted(&places), [0; 0]);
        places[1].entry().wait_for_observed();
        advance(RECALL).await;
        yield_now().await;
        assert_eq!(evicted(&places), [1]);
        drop(places);
        drop(waits.await.unwrap());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_leaves_nothing_behind() {
    run(async {
        let connection_limit = ConnectionLimit::new(1);
        let place = connection_limit.enter(ClientAddress::Unix, None).await.unwrap();
        let waits = newcomer(&connection_limit);
        yield_now().await;
        waits.abort();
        assert!(waits.await.is_err());
        assert!(!connection_limit.is_wanting());
        assert!(connection_limit.registry().waiters.is_empty());
        let waits = newcomer(&connection_limit);
        yield_now().await;
        // The connection has got the place, and ends before it runs.
        drop(place);
        waits.abort();
        assert!(waits.await.is_err());
        assert_eq!((connection_limit.free(), connection_limit.registry().evicting), (1, 0));
        let registry = connection_limit.registry();
        assert!(registry.members.is_empty() && registry.places.is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_is_evicted_for_its_descriptor_even_if_places_are_free() {
    run(async {
        let connection_limit = ConnectionLimit::new(5);
        let mut places = at_rest(&connection_limit, 2).await;
        let room = Arc::clone(&connection_limit);
        let waits = tokio::task::spawn_local(async move { room.make_room().await });
        yield_now().await;
        let [index] = evicted(&places)[..] else { panic!("{:?}", evicted(&places)) };
        drop(connection_limit.enter(ClientAddress::Unix, None).await.unwrap());
        advance(RECALL * 2).await;
        drop(places.remove(index));
        waits.await.unwrap();
        assert_eq!((connection_limit.free(), evicted(&places)), (4, vec![]));
    })
    .await;
}

/// The order in which the places of these clients are evicted. All are in the same state.
async fn order(clients: &[&str]) -> Vec<usize> {
    let connection_limit = ConnectionLimit::new(clients.len());
    let mut places = Vec::new();
    for client in clients {
        places.push(Some(connection_limit.enter(address(client), None).await.unwrap()));
        advance(MILLI).await;
    }
    advance(FRESH).await;
    let mut order = Vec::new();
    for _ in clients {
        let now = connection_limit.since_epoch(Instant::now());
        assert!(connection_limit.registry().evict_one(now));
        let gone = places.iter_mut().enumerate().find_map(|(index, place)| {
            let is_evicted = place.as_ref().is_some_and(|place| place.entry().is_evicted());
            is_evicted.then(|| (index, place.take()))
        });
        order.extend(gone.map(|(index, _place)| index));
    }
    order
}

#[tokio::test(start_paused = true)]
async fn the_client_with_most_places_loses_them_first_and_an_ipv6_network_is_one_client() {
    assert_eq!(order(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]).await, [0, 1, 2], "who has waited longest");
    assert_eq!(order(&["192.0.2.1", "192.0.2.2", "192.0.2.2"]).await, [1, 0, 2]);
    assert_eq!(order(&["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:1::2"]).await, [1, 0, 2]);
    assert_eq!(order(&["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"]).await, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_counts_for_the_client_that_its_proxy_announces() {
    let connection_limit = ConnectionLimit::new(3);
    let mut places = Vec::new();
    for _ in 0..3 {
        places.push(connection_limit.enter(address("10.0.0.1"), None).await.unwrap());
        advance(MILLI).await;
    }
    for (place, client) in places.iter().zip(["192.0.2.1", "192.0.2.2", "192.0.2.2"]) {
        place.belongs_to(address(client), None).unwrap();
    }
    advance(FRESH).await;
    let now = connection_limit.since_epoch(Instant::now());
    assert!(connection_limit.registry().evict_one(now));
    assert_eq!(evicted(&places), [1]);
    drop(places);
    assert!(connection_limit.registry().places.is_empty());
}

/// The registry's data: what the connection waits for, and for how long.
fn known(place: &Place) -> (Waits, Duration) {
    let standing = place.entry().standing(place.connection_limit.since_epoch(Instant::now()), 1);
    (standing.waits, standing.waited)
}

#[tokio::test(start_paused = true)]
async fn one_byte_does_not_make_a_connection_younger() {
    let second = Duration::from_secs(1);
    let connection_limit = ConnectionLimit::new(1);
    let place = connection_limit.enter(ClientAddress::Unix, None).await.unwrap();
    let entry = place.entry();
    advance(second).await;
    entry.wait_for_head(false, &mut LazyNow::default());
    assert_eq!(known(&place), (Waits::Head, second), "its time begins with the connection");
    entry.wait_for_content(Instant::now());
    advance(second).await;
    entry.wait_for_more_content(1);
    advance(second).await;
    entry.wait_for_more_content(2);
    assert_eq!(known(&place), (Waits::Content, second * 2));
    entry.wait_for_head(true, &mut LazyNow::default());
    advance(second).await;
    entry.wait_for_head(false, &mut LazyNow::default());
    assert_eq!(known(&place), (Waits::Head, second), "the time for a head begins with the wait for it");
    // A client that pipelines requests reads an answer now and then.
    for round in 0..3 {
        entry.wait_for_content(Instant::now());
        entry.wait_for_reader();
        assert_eq!(known(&place), (Waits::Unread, second * round));
        advance(second).await;
        entry.wait_for_head(false, &mut LazyNow::default());
    }
    entry.wait_for_head(true, &mut LazyNow::default());
    entry.wait_for_content(Instant::now());
    entry.wait_for_reader();
    assert_eq!(known(&place), (Waits::Unread, Duration::ZERO), "it has taken all in between");
    // The upstream pauses between two pieces. The client does not read the first.
    advance(second).await;
    entry.wait_for_observed();
    assert_eq!(known(&place), (Waits::Observed, second));
    entry.wait_for_reader();
    assert_eq!(known(&place), (Waits::Unread, second));
}

#[tokio::test(start_paused = true)]
async fn a_search_is_bounded_unless_none_can_be_evicted_and_the_next_one_continues_it() {
    let connection_limit = ConnectionLimit::new(4 * LOOKED_AT);
    let places = at_rest(&connection_limit, 4 * LOOKED_AT).await;
    let now = connection_limit.since_epoch(Instant::now());
    assert!(connection_limit.registry().least(now).is_some());
    assert_eq!(connection_limit.registry().next, LOOKED_AT);
    let (last, others) = places.split_last().unwrap();
    others.iter().for_each(|place| place.entry().wait_for_upstream());
    assert!(connection_limit.registry().least(now).is_some_and(|entry| Arc::ptr_eq(&entry, last.entry())));
    assert_eq!(connection_limit.registry().next, 4 * LOOKED_AT);
    last.entry().wait_for_upstream();
    assert!(connection_limit.registry().least(now).is_none());
}

#[tokio::test]
async fn members_are_found_after_any_others_have_left() {
    let connection_limit = ConnectionLimit::new(5);
    let mut places: Vec<Place> = Vec::new();
    for number in 0..5 {
        places.push(connection_limit.enter(address(&format!("192.0.2.{number}")), None).await.unwrap());
    }
    for index in [1, 2, 0] {
        drop(places.remove(index));
        for place in &places {
            let index = place.entry().index.load(Ordering::Relaxed);
            assert!(Arc::ptr_eq(&connection_limit.registry().members[index].entry, place.entry()));
        }
        let registry = connection_limit.registry();
        assert_eq!((registry.members.len(), registry.places.len()), (places.len(), places.len()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_has_at_most_its_limit_of_places_and_closes_no_other_connection_for_more() {
    let connection_limit = ConnectionLimit::new(3);
    let most = NonZeroUsize::new(2);
    let enter = |client: &str| connection_limit.enter(address(client), most);
    let mut places = vec![enter("2001:db8::1").await.unwrap(), enter("2001:db8::2").await.unwrap()];
    places.push(enter("2001:db8:0:1::1").await.unwrap());
    advance(FRESH).await;
    // All places are taken, and the client has its two. So no connection is evicted for the client.
    assert_eq!(enter("2001:db8::3").await.unwrap_err(), ClientIsFull);
    assert_eq!((connection_limit.free(), evicted(&places)), (0, vec![]));
    drop(places.remove(0));
    assert_eq!(connection_limit.free(), 1);
    places.push(enter("2001:db8::3").await.unwrap());
    assert_eq!(enter("2001:db8::4").await.unwrap_err(), ClientIsFull);
    drop(places);
    // The counts of clients without a connection are gone.
    assert_eq!((connection_limit.free(), connection_limit.registry().places.len()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_beyond_the_limit_of_the_announced_client_stays_the_proxys_until_it_closes() {
    let connection_limit = ConnectionLimit::new(9);
    let (proxy, client) = (address("10.0.0.1"), address("192.0.2.1"));
    let mut places = Vec::new();
    for _ in 0..3 {
        places.push(connection_limit.enter(proxy, None).await.unwrap());
    }
    let announced: Vec<_> =
        places.iter().map(|place| place.belongs_to(client, NonZeroUsize::new(2))).collect();
    assert_eq!(announced, [Ok(()), Ok(()), Err(ClientIsFull)]);
    // A connection does not stand in its own way.
    assert_eq!(places[0].belongs_to(client, NonZeroUsize::new(2)), Ok(()));
    let count = |client: ClientAddress| connection_limit.registry().places.get(&client.group()).copied();
    assert_eq!((count(client), count(proxy)), (Some(2), Some(1)));
    places.remove(0);
    assert_eq!(places[1].belongs_to(client, NonZeroUsize::new(2)), Ok(()));
    drop(places);
    assert_eq!((count(client), count(proxy)), (None, None));
}

/// Two workers wait for a place at the same time. Both found the client below its limit when they began.
#[tokio::test(start_paused = true)]
async fn the_limit_of_a_client_is_exact_for_connections_that_waited_for_a_place() {
    let connection_limit = ConnectionLimit::new(2);
    let held = [
        connection_limit.enter(address("192.0.2.1"), None).await.unwrap(),
        connection_limit.enter(address("192.0.2.2"), None).await.unwrap(),
    ];
    for place in &held {
        place.entry().authenticate();
        place.entry().wait_for_upstream();
    }
    let most = NonZeroUsize::new(1);
    let enter = || connection_limit.enter(address("192.0.2.3"), most);
    let free_both = async { drop(held) };
    let (one, other, ()) = tokio::join!(enter(), enter(), free_both);
    assert!(one.is_ok() != other.is_ok());
    // The place of the refused connection is free again.
    assert_eq!(connection_limit.free(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_proxys_connections_count_for_the_clients_of_their_requests() {
    run(async {
        let connection_limit = ConnectionLimit::new(6);
        let mut places = Vec::new();
        for _ in 0..4 {
            places.push(connection_limit.enter(address("10.0.0.1"), None).await.unwrap());
        }
        for _ in 0..2 {
            places.push(connection_limit.enter(address("192.0.2.9"), None).await.unwrap());
        }
        places.iter().for_each(rest);
        // The proxy's connections have requests of four clients, so the two others are of one client.
        for (client, place) in
            ["198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"].iter().zip(&places)
        {
            place.entry().belongs_to(address(client));
        }
        let waits = newcomer(&connection_limit);
        yield_now().await;
        let leaving = evicted(&places);
        assert!(matches!(leaving[..], [4 | 5]), "{leaving:?}");
        drop(places);
        drop(waits.await.unwrap());
        assert!(connection_limit.registry().places.is_empty());
    })
    .await;
}
