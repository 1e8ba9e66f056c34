use std::io::Read;
use std::net::TcpListener;

use super::*;
use crate::traffic::Mix;

fn options(target: String) -> GenerateOptions {
    GenerateOptions {
        traffic: GeneratorOptions { mix: Mix::REALISTIC, ..GeneratorOptions::default() },
        send: SendOptions { transport: Transport::Tcp, target, auth_token: None, batch_frames: 64 },
        pace: Pace::Unlimited,
        limits: Limits { packets: Some(1001), duration: None },
        connections: 2,
    }
}

/// Counts the HEP3 packets of a stream.
fn count_frames(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let pintail_hep::framing::Frame::Complete(length) = pintail_hep::framing::next_frame(bytes) {
        bytes = &bytes[length..];
        count += 1;
    }
    assert!(bytes.is_empty());
    count
}

#[test]
fn connections_share_the_load_and_it_adds_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = options(listener.local_addr().unwrap().to_string());
    let reader = std::thread::spawn(move || {
        let read = |_| {
            let mut received = Vec::new();
            let mut stream = listener.accept().unwrap().0;
            std::thread::spawn(move || {
                stream.read_to_end(&mut received).unwrap();
                count_frames(&received)
            })
        };
        let readers: Vec<_> = (0..2).map(read).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    let progress = Arc::new(Progress::default());
    generate(&options, &progress, &CancellationToken::new()).unwrap();
    let mut counts = reader.join().unwrap();
    counts.sort_unstable();
    assert_eq!(counts, [500, 501]);
    assert_eq!(progress.frames(), 1001);
}

#[test]
fn a_stopped_load_sends_nothing_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = options(listener.local_addr().unwrap().to_string());
    options.limits.packets = None;
    options.connections = 1;
    let stop = CancellationToken::new();
    stop.cancel();
    let reader = std::thread::spawn(move || {
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
        received.len()
    });
    let progress = Arc::new(Progress::default());
    generate(&options, &progress, &stop).unwrap();
    assert_eq!((progress.frames(), reader.join().unwrap()), (0, 0));
}

#[test]
fn a_lost_receiver_ends_all_connections_with_its_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = options(listener.local_addr().unwrap().to_string());
    options.limits.packets = None;
    let acceptor = std::thread::spawn(move || drop((listener.accept(), listener.accept())));
    let progress = Arc::new(Progress::default());
    let error = generate(&options, &progress, &CancellationToken::new()).unwrap_err();
    acceptor.join().unwrap();
    assert_eq!(error.kind(), pintail_types::ErrorKind::Unavailable);
    assert!(error.message().contains("packets handed over"), "{error}");
}

#[test]
fn a_timed_source_is_due_as_its_times_and_the_speed_tell() {
    let start = Instant::now();
    let mut gate = Gate::new(Pace::Timed(2.0), 1, start);
    let first = 5_000_000;
    assert_eq!(gate.due_in(first, start), Duration::ZERO);
    assert_eq!(gate.due_in(first + 3_000_000, start), Duration::from_millis(1500));
    assert_eq!(gate.due_in(first + 3_000_000, start + Duration::from_secs(1)), Duration::from_millis(500));
    assert_eq!(gate.due_in(first + 3_000_000, start + Duration::from_secs(2)), Duration::ZERO);
    // A packet with an earlier time than the first one goes at once.
    assert_eq!(gate.due_in(first - 1, start), Duration::ZERO);
}

#[test]
fn parts_add_up() {
    for (total, of) in [(0, 3), (2, 3), (1001, 2), (u64::MAX, 7)] {
        assert_eq!((0..of).map(|index| share(total, index, of)).sum::<u64>(), total);
    }
}
