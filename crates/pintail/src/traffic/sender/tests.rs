use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket as Socket};
use std::thread::JoinHandle;

use super::*;

fn options(transport: Transport, target: SocketAddr) -> SendOptions {
    SendOptions {
        transport,
        target: target.to_string(),
        auth_token: Some("t0ken".to_owned()),
        batch_frames: 100,
    }
}

/// `count` HEP3 packets that differ in length.
fn batch(count: usize) -> FrameBatch {
    let mut batch = FrameBatch::default();
    for index in 0..count {
        let payload = vec![b'x'; index % 50];
        let packet = pintail_hep::Packet { payload: &payload, ..pintail_hep::Packet::default() };
        let mut frame = Vec::new();
        pintail_hep::encode(&packet, &mut frame).unwrap();
        batch.push(&frame);
    }
    batch
}

#[test]
fn udp_sends_one_datagram_for_each_packet() {
    let receiver = Socket::bind("127.0.0.1:0").unwrap();
    let progress = Progress::default();
    let batch = batch(150);
    let mut sender = Sender::connect(&options(Transport::Udp, receiver.local_addr().unwrap())).unwrap();
    sender.send(&batch, &progress).unwrap();
    sender.finish(&progress).unwrap();
    let mut datagram = [0; 1024];
    for frame in batch.frames() {
        let length = receiver.recv(&mut datagram).unwrap();
        assert_eq!(&datagram[..length], frame);
    }
    assert_eq!((progress.frames(), progress.bytes()), (150, batch.bytes().len() as u64));
}

#[test]
fn tcp_sends_all_packets_and_waits_until_they_are_read() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    let reader = std::thread::spawn(move || {
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
        received
    });
    let progress = Progress::default();
    let batch = batch(5_000);
    let mut sender = Sender::connect(&options(Transport::Tcp, target)).unwrap();
    sender.send(&batch, &progress).unwrap();
    sender.finish(&progress).unwrap();
    assert_eq!(reader.join().unwrap(), batch.bytes());
    assert_eq!((progress.frames(), progress.bytes()), (5_000, batch.bytes().len() as u64));
}

#[test]
fn a_broken_connection_tells_how_many_packets_were_handed_over() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = Sender::connect(&options(Transport::Tcp, listener.local_addr().unwrap())).unwrap();
    drop(listener.accept().unwrap());
    let progress = Progress::default();
    let batch = batch(20_000);
    let error = (0..1000).find_map(|_| sender.send(&batch, &progress).err()).unwrap();
    assert_eq!(error.kind(), pintail_types::ErrorKind::Unavailable);
    let start = format!("after {} packets handed over: ", progress.frames());
    assert!(error.message().starts_with(&start), "{error}");
}

#[test]
fn a_target_that_is_none_is_refused() {
    for (target, kind) in [
        ("localhost", pintail_types::ErrorKind::Invalid),
        ("127.0.0.1:port", pintail_types::ErrorKind::Invalid),
    ] {
        let mut options = options(Transport::Tcp, ([127, 0, 0, 1], 1).into());
        options.target = target.to_owned();
        assert_eq!(Sender::connect(&options).unwrap_err().kind(), kind, "{target}");
    }
}

/// An HTTP server that gives these answers, one for each request, and hands back the requests' heads.
fn http_server(answers: Vec<String>) -> (SocketAddr, JoinHandle<Vec<(String, usize)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let mut requests = Vec::new();
        for answer in answers {
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let start = head.len();
                assert!(stream.read_line(&mut head).unwrap() > 0);
                let line = head[start..].to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            requests.push((head, length));
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
        requests
    });
    (address, server)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

#[test]
fn http_counts_what_the_server_says_and_waits_when_asked_to() {
    let (target, server) = http_server(vec![
        answer("200 OK", "", r#"{"stored":99,"rejected":1}"#),
        answer("503 Service Unavailable", "retry-after: 0\r\n", "{}"),
        answer("200 OK", "", r#"{"stored":100,"rejected":0}"#),
    ]);
    let progress = Progress::default();
    let batch = batch(100);
    let mut sender = Sender::connect(&options(Transport::Http, target)).unwrap();
    sender.send(&batch, &progress).unwrap();
    sender.send(&batch, &progress).unwrap();
    sender.finish(&progress).unwrap();
    let requests = server.join().unwrap();
    assert!(requests.iter().all(|(head, length)| {
        head.starts_with("POST /api/hep HTTP/1.1\r\n")
            && head.contains("authorization: Bearer t0ken\r\n")
            && *length == batch.bytes().len()
    }));
    assert_eq!((progress.frames(), progress.acknowledged(), progress.rejected()), (200, 199, 1));
    assert_eq!((requests.len(), progress.waited()), (3, 1));
}

#[test]
fn http_errors_and_lost_answers_are_not_counted_as_acknowledged() {
    let refused = answer("400 Bad Request", "", r#"{"error":"no HEP"}"#);
    for (answers, words) in
        [(vec![refused], "400 Bad Request"), (vec![String::new()], "the connection broke")]
    {
        let (target, server) = http_server(answers);
        let progress = Progress::default();
        let mut sender = Sender::connect(&options(Transport::Http, target)).unwrap();
        let error = sender.send(&batch(10), &progress).unwrap_err();
        server.join().unwrap();
        assert!(error.message().contains(words), "{error}");
        assert_eq!((progress.frames(), progress.acknowledged()), (10, 0));
    }
}
