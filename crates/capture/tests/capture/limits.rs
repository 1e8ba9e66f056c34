//! A lake that is full.

use pintail_lake::{HotBufferOptions, LakeOptions};

use crate::site::{Site, encode, end_tcp, fixture, lake_options, options, packet, request};
use tokio::io::AsyncWriteExt as _;

/// A lake that takes nothing more once it holds a row.
fn tiny(directory: &std::path::Path) -> LakeOptions {
    LakeOptions { hot_buffer: HotBufferOptions { max_bytes: 1, high_water: 1.0 }, ..lake_options(directory) }
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_are_dropped_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::open_with(tiny(directory.path()), options()).await;
    site.send_udp(&[fixture("kamailio_0.bin")]).await;
    site.send_udp(&[fixture("kamailio_0.bin"), fixture("kamailio_1.bin")]).await;
    assert_eq!(site.count("udp", "stored", ""), 1);
    assert_eq!(site.count("udp", "dropped", "queue_full"), 2);
    site.check_sums();
    site.lake.flush().await.unwrap();
    site.send_udp(&[fixture("kamailio_0.bin")]).await;
    assert_eq!(site.count("udp", "stored", ""), 2);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_clients_are_sent_away_for_a_while() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::open_with(tiny(directory.path()), options()).await;
    let body = fixture("kamailio_0.bin");
    assert_eq!(site.post("/api/hep", &body).await.status, 200);
    let answer = site.post("/api/hep", &body).await;
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
    assert_eq!(site.note("http_busy", "http"), 1);
    assert_eq!(site.count("http", "received", ""), 1);
    site.lake.flush().await.unwrap();
    assert_eq!(site.post("/api/hep", &body).await.status, 200);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_wait_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::open_with(tiny(directory.path()), options()).await;
    site.send_udp(&[fixture("kamailio_0.bin")]).await;
    let mut stream = site.connect_tcp().await;
    let packets: Vec<u8> = (0..100)
        .flat_map(|number| encode(&packet(request("INVITE", &number.to_string()).as_bytes())))
        .collect();
    stream.write_all(&packets).await.unwrap();
    assert_eq!(site.count("tcp", "stored", ""), 0);
    while site.count("tcp", "stored", "") < 100 {
        site.lake.flush().await.unwrap();
        site.check_sums();
    }
    // The last of them filled the lake again, and while it is full not even the end of a stream is read.
    site.lake.flush().await.unwrap();
    end_tcp(stream).await;
    assert_eq!(site.count("tcp", "dropped", "queue_full"), 0);
    site.stop().await;
}
