//! What the journal holds becomes the same rows again.

use std::sync::Arc;

use pintail_capture::{Capture, SipOptions};
use pintail_lake::Lake;
use pintail_types::ManualClock;

use crate::site::{NOW, Site, datagrams, encode, lake_options, options, packet, request, streams};

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_makes_identical_rows() {
    let directory = tempfile::tempdir().unwrap();
    let before = {
        let site = Site::open(directory.path(), options()).await;
        site.send_udp(&datagrams()).await;
        site.clock.advance(5_000_000);
        site.send_tcp(&streams().concat()).await;
        site.clock.advance(5_000_000);
        site.post("/api/hep", &streams().concat()).await;
        site.stop().await;
        site.dump(&[]).await
    };
    // Nothing was flushed: all rows are gone, and only the journal is left.
    let clock = Arc::new(ManualClock::at(NOW + 3_600_000_000));
    let lake = Lake::open(lake_options(directory.path()), Arc::clone(&clock) as _).await.unwrap();
    let capture = Capture::new(options(), Arc::clone(&lake), Arc::clone(&clock) as _);
    let replayed = Arc::clone(&capture);
    let report = tokio::task::spawn_blocking(move || replayed.replay()).await.unwrap().unwrap();
    assert_eq!(report.records, before.len() as u64);
    capture.start().await.unwrap();
    let site = Site { addresses: Vec::new(), capture, clock, lake };
    assert_eq!(site.dump(&[]).await, before);
    assert_eq!(site.count("udp", "received", ""), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_packets_stay_when_their_method_is_discarded_later() {
    let directory = tempfile::tempdir().unwrap();
    {
        let site = Site::open(directory.path(), options()).await;
        site.post("/api/hep", &encode(&packet(request("OPTIONS", "kept").as_bytes()))).await;
        site.stop().await;
    }
    let sip = SipOptions { discard_methods: vec!["OPTIONS".to_owned()], ..SipOptions::default() };
    let options = pintail_capture::CaptureOptions { sip, ..options() };
    let clock = Arc::new(ManualClock::at(NOW));
    let lake = Lake::open(lake_options(directory.path()), Arc::clone(&clock) as _).await.unwrap();
    let capture = Capture::new(options, Arc::clone(&lake), Arc::clone(&clock) as _);
    let replayed = Arc::clone(&capture);
    tokio::task::spawn_blocking(move || replayed.replay()).await.unwrap().unwrap();
    let site = Site { addresses: Vec::new(), capture, clock, lake };
    assert_eq!(site.only_row("hep_proto_1_default").await["session_id"], "kept");
}
