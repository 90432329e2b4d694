//! Shell. Tests with clients that read their answers slowly, late, or not at all.

use super::*;

/// A client that pipelines requests and never reads makes the gateway hold one or two responses, but not a
/// full buffer.
#[tokio::test(start_paused = true)]
async fn no_request_is_taken_from_a_client_that_does_not_take_its_answers() {
    run_paused(async {
        let (mut client, gateway) = tokio::io::duplex(512);
        let serve = serve(worker(), gateway, ClientAddress::Unix, CancellationToken::new());
        let served = tokio::task::spawn_local(serve);
        let request = format!("POST /no HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(960));
        let requests = request.repeat(64);
        let mut taken = 0;
        while let Some(rest) = requests.as_bytes().get(taken..)
            && let Ok(sent) = timeout(Duration::from_secs(1), client.write(rest)).await
        {
            taken += sent.unwrap();
            assert!(taken < requests.len(), "all of the requests were taken");
        }
        assert!(taken < 16 * 1024, "{taken} bytes of requests were taken");
        // When the client reads again, the gateway reads again.
        let mut answers = [0; 512];
        client.read_exact(&mut answers).await.unwrap();
        let rest = &requests.as_bytes()[taken..];
        let sent = timeout(Duration::from_secs(1), client.write(rest)).await;
        assert!(sent.is_ok_and(|sent| sent.is_ok_and(|sent| sent > 0)));
        drop(client);
        served.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_writer_does_not_wait_for_a_client_that_leaves_the_rest_unread() {
    const ROUNDS: usize = 5;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let worker = worker_before(&listener.local_addr().unwrap().to_string());
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 303\r\n\r\n{}}}\n", "z".repeat(301));
    let (answers, request) = (answer.clone(), "POST /w HTTP/1.1\r\nhost: a\r\n\r\n");
    let upstream = std::thread::spawn(move || {
        let stream = accepted(&listener);
        let mut stream = std::io::BufReader::new(stream);
        for _ in 0..ROUNDS {
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                assert_ne!(stream.read_line(&mut line).unwrap(), 0);
            }
            stream.get_mut().write_all(answers.as_bytes()).unwrap();
        }
    });
    let run = async {
        let (mut client, gateway) = tokio::io::duplex(100);
        let place = worker.connection_limit().enter_uncounted(ClientAddress::Unix);
        let entry = Arc::clone(place.entry());
        let limits = *worker.view().limits();
        let requests = request.repeat(ROUNDS).into_bytes().into();
        let (scratch, reservation) =
            (Rc::clone(worker.scratch()), worker.budget().reservation(ClientAddress::Unix));
        let connection = Connection::new(gateway, requests, limits, scratch, Arc::clone(&entry), reservation);
        let known = Rc::clone(&connection);
        let served = tokio::task::spawn_local(async move {
            exchanges(&worker, &connection, ClientAddress::Unix).await.unwrap();
        });
        for round in 0..ROUNDS {
            let sent_away = async {
                // There are two references: this one and the connection's own. A writer that waits would hold
                // a third.
                while !(known.has_unsent() && Rc::strong_count(&known) == 2) {
                    settle().await;
                }
            };
            assert!(timeout(PATIENCE, sent_away).await.is_ok(), "{round}");
            assert_eq!(response(&mut client).await, answer);
        }
        client.shutdown().await.unwrap();
        served.await.unwrap();
    };
    run_in_time(run).await;
    joined(upstream);
}

#[tokio::test(start_paused = true)]
async fn a_client_gets_the_100_it_waits_for_however_little_it_takes_at_once() {
    for size in [1, 10, 24, 25] {
        let run = async {
            let (mut client, gateway) = tokio::io::duplex(size);
            let served = tokio::task::spawn_local(serve(
                worker(),
                gateway,
                ClientAddress::Unix,
                CancellationToken::new(),
            ));
            let head = b"POST /w HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
            client.write_all(head).await.unwrap();
            settle().await;
            let mut interim = [0; 25];
            let interim_read = timeout(Duration::from_secs(1), client.read_exact(&mut interim)).await;
            assert!(interim_read.is_ok(), "{size}: {}", interim.escape_ascii());
            assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
            client.write_all(b"hi").await.unwrap();
            assert!(response(&mut client).await.starts_with("HTTP/1.1 502 "));
            drop(client);
            served.await.unwrap();
        };
        run_paused(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_the_unsent_tail_is_given_up_within_the_limit() {
    for last in ["", "connection: close\r\n"] {
        let run = async {
            let (mut client, gateway) = tokio::io::duplex(100);
            let worker = worker();
            let limit = worker.view().limits().write_timeout;
            let served = tokio::task::spawn_local(serve(
                worker,
                gateway,
                ClientAddress::Unix,
                CancellationToken::new(),
            ));
            let begin = tokio::time::Instant::now();
            let request = format!("POST /no HTTP/1.1\r\nhost: a\r\n{last}\r\n").repeat(2);
            // The request is longer than one read, so the gateway reads several times.
            assert!(timeout(limit / 2, client.write_all(request.as_bytes())).await.is_ok());
            let ended = timeout(2 * limit, served).await;
            assert!(ended.is_ok_and(|ended| ended.is_ok()), "{last:?}");
            let took = begin.elapsed();
            assert!(took >= limit && took < limit + Duration::from_secs(1), "{last:?}: {took:?}");
        };
        run_paused(run).await;
    }
}

/// A client that reads a byte now and then gets no more time than a client that reads nothing.
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_less_than_the_least_rate_is_given_up_within_the_limit() {
    let limit = *worker().view().limits();
    assert_eq!((limit.write_timeout.as_secs(), limit.min_write_rate), (30, 1024));
    for pause in [1, 10, 29] {
        let run = async {
            let (mut client, gateway) = tokio::io::duplex(1);
            let served = tokio::task::spawn_local(serve(
                worker(),
                gateway,
                ClientAddress::Unix,
                CancellationToken::new(),
            ));
            client.write_all(b"POST /no HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            let begin = tokio::time::Instant::now();
            let mut taken = 0;
            while timeout(Duration::from_secs(pause), std::future::pending::<()>()).await.is_err()
                && !served.is_finished()
            {
                let _maybe_the_end = client.read_u8().await;
                taken += 1;
            }
            served.await.unwrap();
            let took = begin.elapsed();
            assert!(took >= limit.write_timeout, "{pause}: {took:?}");
            assert!(took <= limit.write_timeout + Duration::from_secs(pause), "{pause}: {took:?}");
            assert!(taken <= 30, "{taken} bytes were taken");
        };
        run_paused(run).await;
    }
}

/// A client that reads at the least rate or faster may take any time for an answer.
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_the_least_rate_gets_all_of_its_answers() {
    let run = async {
        let (mut client, gateway) = tokio::io::duplex(1);
        let served =
            tokio::task::spawn_local(serve(worker(), gateway, ClientAddress::Unix, CancellationToken::new()));
        let begin = tokio::time::Instant::now();
        // Each answer is measured alone: all together take longer than the limit.
        for _ in 0..20 {
            client.write_all(b"POST /no HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            let mut text = Vec::new();
            while !text.ends_with(b"}\n") {
                assert!(timeout(Duration::from_millis(50), std::future::pending::<()>()).await.is_err());
                text.push(client.read_u8().await.unwrap());
            }
        }
        assert!(begin.elapsed() > 3 * worker().view().limits().write_timeout);
        drop(client);
        served.await.unwrap();
    };
    run_paused(run).await;
}

#[tokio::test]
async fn a_part_of_an_answer_reaches_a_client_that_takes_little_at_once_though_its_upstream_pauses() {
    for reads_at_once in [true, false] {
        parts_arrive(reads_at_once).await;
    }
}

async fn parts_arrive(reads_at_once: bool) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let worker = worker_before(&listener.local_addr().unwrap().to_string());
    let (part, rest) = ("a".repeat(300), "b".repeat(300));
    let (go_on, signal) = std::sync::mpsc::channel::<()>();
    let (first, second) = (part.clone(), rest.clone());
    let upstream = std::thread::spawn(move || {
        let mut stream = accepted(&listener);
        assert_ne!(stream.read(&mut [0; 1024]).unwrap(), 0);
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: 600\r\n\r\n{first}").as_bytes())
            .unwrap();
        signal.recv_timeout(PATIENCE).unwrap();
        stream.write_all(second.as_bytes()).unwrap();
    });
    let run = async {
        let (mut client, gateway) = tokio::io::duplex(100);
        let served =
            tokio::task::spawn_local(serve(worker, gateway, ClientAddress::Unix, CancellationToken::new()));
        client.write_all(b"POST /w HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let until = async |client: &mut DuplexStream, answer: &mut Vec<u8>, end: &str| {
            while !answer.ends_with(end.as_bytes()) {
                answer.push(client.read_u8().await.unwrap());
            }
        };
        if !reads_at_once {
            go_on.send(()).unwrap();
            // The client does not see a second part that arrives while the first is unsent.
            for _ in 0..50 {
                settle().await;
            }
        }
        let came = timeout(PATIENCE, until(&mut client, &mut answer, &part)).await;
        assert!(came.is_ok(), "{}", answer.escape_ascii());
        if reads_at_once {
            go_on.send(()).unwrap();
        }
        let came = timeout(PATIENCE, until(&mut client, &mut answer, &rest)).await;
        assert!(came.is_ok(), "{}", answer.escape_ascii());
        drop(client);
        served.await.unwrap();
    };
    run_in_time(run).await;
    joined(upstream);
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_is_whole_though_its_client_begins_to_read_late() {
    for size in [1, 100, 200, 4096] {
        let run = async {
            let (mut client, gateway) = tokio::io::duplex(size);
            let (mut reading, mut writing) = tokio::io::split(&mut client);
            let served = tokio::task::spawn_local(serve(
                worker(),
                gateway,
                ClientAddress::Unix,
                CancellationToken::new(),
            ));
            writing.write_all(b"POST /no HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
            settle().await;
            assert!(!served.is_finished() || size == 4096, "{size}");
            let mut answer = String::new();
            reading.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 404 ") && answer.ends_with("}\n"), "{size}: {answer}");
            served.await.unwrap();
        };
        run_paused(run).await;
    }
}
