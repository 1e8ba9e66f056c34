//! Streams that misbehave.

use std::time::Duration;

use pintail_capture::{CaptureOptions, TcpOptions};
use tokio::io::AsyncWriteExt as _;

use crate::site::{Site, encode, fixture, options, packet, read_to_end, request};

fn with_tcp(change: impl FnOnce(&mut TcpOptions)) -> CaptureOptions {
    let mut options = options();
    change(options.tcp.as_mut().unwrap());
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_packet_ends_the_connection() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::open(directory.path(), options()).await;
    let good = fixture("kamailio_0.bin");
    let streams: [(&str, Vec<u8>); 3] = [
        ("garbage", [good.clone(), b"GET / HTTP/1.1\r\n\r\n".to_vec()].concat()),
        ("a length of five", [good.clone(), b"HEP3\0\x05".to_vec()].concat()),
        ("version 1", [good.clone(), fixture("kamailio_hepv1_0.bin")].concat()),
    ];
    for (number, (name, bytes)) in (1..).zip(&streams) {
        let mut stream = site.connect_tcp().await;
        stream.write_all(bytes).await.unwrap();
        // It is the server that closes.
        read_to_end(&mut stream).await;
        assert_eq!(site.count("tcp", "stored", ""), number, "{name}");
        assert_eq!(site.count("tcp", "rejected", "framing"), number, "{name}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_packet_does_not_end_the_connection() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::open(directory.path(), options()).await;
    let good = encode(&packet(request("INVITE", "one").as_bytes()));
    let mut bad = good.clone();
    bad[10..12].copy_from_slice(&[0, 5]);
    site.send_tcp(&[good.clone(), bad, good].concat()).await;
    assert_eq!(site.count("tcp", "stored", ""), 2);
    assert_eq!(site.count("tcp", "rejected", "bad_chunk"), 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_within_a_packet_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::open(directory.path(), options()).await;
    let good = fixture("kamailio_0.bin");
    site.send_tcp(&[&good, &good[..100]].concat()).await;
    assert_eq!(site.count("tcp", "stored", ""), 1);
    let cut = site.account("tcp", "rejected", "framing");
    assert_eq!((cut.packets, cut.bytes), (1, Some(100)));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_packets_pass() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::open(directory.path(), options()).await;
    let empty = encode(&pintail_hep::Packet { protocol_type: Some(100), ..packet(b"") });
    let line = vec![b'x'; 65_535 - 6 - empty.len()];
    let longest = encode(&pintail_hep::Packet { protocol_type: Some(100), ..packet(&line) });
    assert_eq!(longest.len(), 65_535);
    site.send_tcp(&longest.repeat(5)).await;
    assert_eq!(site.count("tcp", "stored", ""), 5);
    site.stop().await;
    let rows = site.query("SELECT octet_length(payload) AS n FROM hep_proto_100_default").await;
    assert_eq!(rows.len(), 5);
    assert!(rows.iter().all(|row| row["n"] == line.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limit_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::open(directory.path(), with_tcp(|tcp| tcp.max_connections = 1)).await;
    let mut first = site.connect_tcp().await;
    first.write_all(&fixture("kamailio_0.bin")).await.unwrap();
    site.until("the first is served", || site.count("tcp", "stored", "") == 1).await;
    read_to_end(&mut site.connect_tcp().await).await;
    assert_eq!(site.note("connection_refused", "tcp"), 1);
    crate::site::end_tcp(first).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_are_closed() {
    let directory = tempfile::tempdir().unwrap();
    // No patience at all: whoever has sent nothing by the first look is silent.
    let options = with_tcp(|tcp| tcp.idle_timeout = Duration::ZERO);
    let site = Site::open(directory.path(), options).await;
    read_to_end(&mut site.connect_tcp().await).await;
    assert_eq!(site.note("connection_idle", "tcp"), 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_waits_for_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    // So little may be read ahead that every read waits for a sync.
    let site = Site::open(directory.path(), with_tcp(|tcp| tcp.read_ahead_bytes = 1)).await;
    let stream_bytes = fixture("kamailio_0.bin").repeat(1000);
    site.send_tcp(&stream_bytes).await;
    assert_eq!(site.count("tcp", "stored", ""), 1000);
    site.stop().await;
}
