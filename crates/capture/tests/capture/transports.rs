//! The same packets make the same rows, whichever way they come.

use std::sync::Arc;

use pintail_capture::{Capture, CaptureOptions, HttpOptions, TcpOptions, UdpOptions};
use pintail_types::ErrorKind;
use tokio::io::AsyncWriteExt as _;

use crate::site::{Site, datagrams, end_tcp, options, packet, streams};

/// Identifiers differ: they are made of the journal's.
const OWN: [&str; 1] = ["uuid"];

/// Datagrams of versions 1 and 2, which a stream can't carry.
fn is_version_three(packet: &[u8]) -> bool {
    packet.starts_with(b"HEP3")
}

#[tokio::test(flavor = "multi_thread")]
async fn captured_datagrams_become_the_same_rows_over_udp_and_http() {
    let directory = tempfile::tempdir().unwrap();
    let over_udp = Site::open(&directory.path().join("udp"), options()).await;
    over_udp.send_udp(&datagrams()).await;
    over_udp.stop().await;
    assert_eq!(over_udp.count("udp", "stored", ""), datagrams().len() as u64);

    let over_http = Site::open(&directory.path().join("http"), options()).await;
    for datagram in datagrams() {
        let answer = over_http.post("/api/hep", &datagram).await;
        assert_eq!((answer.status, answer.body["stored"].as_u64()), (200, Some(1)), "{answer:?}");
    }
    over_http.stop().await;
    let rows = over_udp.dump(&OWN).await;
    assert_eq!(rows.len(), datagrams().len());
    assert_eq!(rows, over_http.dump(&OWN).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_become_the_same_rows_however_they_are_cut() {
    let directory = tempfile::tempdir().unwrap();
    let mut packets: Vec<Vec<u8>> = datagrams();
    packets.retain(|packet| is_version_three(packet));
    let mut stream_bytes = packets.concat();
    stream_bytes.extend(streams().concat());

    let at_once = Site::open(&directory.path().join("once"), options()).await;
    at_once.send_tcp(&stream_bytes).await;
    at_once.stop().await;

    let byte_by_byte = Site::open(&directory.path().join("bytes"), options()).await;
    let mut stream = byte_by_byte.connect_tcp().await;
    stream.set_nodelay(true).unwrap();
    for byte in &stream_bytes {
        stream.write_all(std::slice::from_ref(byte)).await.unwrap();
        tokio::task::yield_now().await;
    }
    end_tcp(stream).await;
    byte_by_byte.stop().await;

    let in_a_body = Site::open(&directory.path().join("body"), options()).await;
    let answer = in_a_body.post("/api/hep/binary", &stream_bytes).await;
    in_a_body.stop().await;

    let rows = at_once.dump(&OWN).await;
    assert_eq!(answer.body["stored"].as_u64(), Some(rows.len() as u64), "{answer:?}");
    assert_eq!(at_once.count("tcp", "stored", ""), rows.len() as u64);
    assert_eq!(at_once.account("tcp", "stored", "").bytes, Some(stream_bytes.len() as u64));
    assert_eq!(rows, byte_by_byte.dump(&OWN).await);
    assert_eq!(rows, in_a_body.dump(&OWN).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_packets_come_through_every_transport() {
    const COUNT: u32 = 20_000;
    let directory = tempfile::tempdir().unwrap();
    let site = Site::open(directory.path(), options()).await;
    let mut stream_bytes = Vec::new();
    for number in 0..COUNT {
        let line = format!("line {number}");
        let log = pintail_hep::Packet { protocol_type: Some(100), ..packet(line.as_bytes()) };
        stream_bytes.extend(crate::site::encode(&log));
    }
    site.send_tcp(&stream_bytes).await;
    let answer = site.post("/api/hep", &stream_bytes).await;
    assert_eq!(answer.body["stored"].as_u64(), Some(u64::from(COUNT)), "{answer:?}");
    site.stop().await;
    let sql = "SELECT count(*) AS n, count(DISTINCT uuid) AS ids, count(DISTINCT payload) AS texts \
               FROM hep_proto_100_default";
    let expected = serde_json::json!([{"n": 2 * COUNT, "ids": 2 * COUNT, "texts": COUNT}]);
    assert_eq!(serde_json::Value::from(site.query(sql).await), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_not_shared_with_others() {
    let directory = tempfile::tempdir().unwrap();
    let first = Site::open(&directory.path().join("first"), options()).await;
    let mut second_options = options();
    for listener in ["hep_udp", "hep_tcp", "hep_http"] {
        let mut same_port = CaptureOptions { udp: None, tcp: None, http: None, ..options() };
        let address = first.address(listener);
        match listener {
            "hep_udp" => same_port.udp = second_options.udp.take().map(|udp| UdpOptions { address, ..udp }),
            "hep_tcp" => same_port.tcp = second_options.tcp.take().map(|tcp| TcpOptions { address, ..tcp }),
            _ => same_port.http = second_options.http.take().map(|http| HttpOptions { address, ..http }),
        }
        let second = Capture::new(same_port, Arc::clone(&first.lake), Arc::clone(&first.clock) as _);
        let error = second.start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{listener}");
        assert!(error.message().contains(&address.to_string()), "{error}");
    }
    first.stop().await;
}
