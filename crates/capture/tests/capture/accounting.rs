//! Every packet has its outcome, and keys and duplicates are told apart.

use std::time::Duration;

use pintail_capture::{AuthKey, CaptureOptions, HepOptions, SipOptions};

use crate::site::{Site, encode, fixture, named, options, packet, request};

fn keyed<'a>(key: Option<&'a [u8]>, payload: &'a [u8]) -> Vec<u8> {
    encode(&pintail_hep::Packet { auth_key: key, ..packet(payload) })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_datagram_ends_in_one_outcome() {
    let directory = tempfile::tempdir().unwrap();
    let hep = HepOptions {
        auth_keys: vec![AuthKey::everywhere("secret"), AuthKey::everywhere("other")],
        ..HepOptions::default()
    };
    let sip = SipOptions { discard_methods: vec!["OPTIONS".to_owned()], ..SipOptions::default() };
    let site = Site::open(directory.path(), CaptureOptions { hep, sip, ..options() }).await;
    let invite = request("INVITE", "one");
    let good = keyed(Some(b"other"), invite.as_bytes());
    let bad_chunk = {
        let mut bytes = good.clone();
        bytes[10..12].copy_from_slice(&[0, 5]);
        bytes
    };
    let bad_size = {
        let mut bytes = b"HEP3\0\x0e".to_vec();
        bytes.extend_from_slice(&[0, 0, 0, 7, 0, 8, 1, 2]);
        bytes[9] = 9;
        bytes
    };
    let cases: [(&str, &str, Vec<u8>); 9] = [
        ("stored", "", good.clone()),
        ("stored", "", keyed(Some(b"secret"), invite.as_bytes())),
        ("rejected", "auth_missing", keyed(None, invite.as_bytes())),
        ("rejected", "auth_wrong", keyed(Some(b"secre"), invite.as_bytes())),
        ("rejected", "not_hep", b"OPTIONS sip:x SIP/2.0".to_vec()),
        ("rejected", "bad_length", good[..good.len() - 1].to_vec()),
        ("rejected", "bad_chunk", bad_chunk),
        ("rejected", "bad_field_size", bad_size),
        ("rejected", "discarded", keyed(Some(b"secret"), request("OPTIONS", "two").as_bytes())),
    ];
    for (outcome, reason, bytes) in &cases {
        let before = site.account("udp", outcome, reason);
        site.send_udp(std::slice::from_ref(bytes)).await;
        let after = site.account("udp", outcome, reason);
        assert_eq!(after.packets - before.packets, 1, "{outcome} {reason}");
        assert_eq!(after.bytes.unwrap() - before.bytes.unwrap(), bytes.len() as u64, "{outcome} {reason}");
    }
    assert_eq!(site.count("udp", "received", ""), cases.len() as u64);
    site.stop().await;
    assert_eq!(site.query("SELECT uuid FROM hep_proto_1_call").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_in_no_row_and_not_in_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let hep = HepOptions { auth_keys: vec![AuthKey::everywhere("myHepKey")], ..HepOptions::default() };
    let site = Site::open(directory.path(), CaptureOptions { hep, ..options() }).await;
    let answer = site.post("/api/hep", &fixture("kamailio_0.bin")).await;
    assert_eq!(answer.body["stored"], 1);
    site.stop().await;
    assert!(!site.only_row("hep_proto_1_call").await.to_string().contains("myHepKey"));
    for entry in std::fs::read_dir(directory.path().join("journal")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"myHepKey"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_can_be_switched_off() {
    let directory = tempfile::tempdir().unwrap();
    let hep = HepOptions { hepv2_enable: false, ..HepOptions::default() };
    let site = Site::open(directory.path(), CaptureOptions { hep, ..options() }).await;
    site.send_udp(&[
        fixture("kamailio_hepv1_0.bin"),
        fixture("kamailio_hepv2_1.bin"),
        fixture("hepjs_0.bin"),
    ])
    .await;
    assert_eq!(site.count("udp", "rejected", "version_disabled"), 2);
    assert_eq!(site.count("udp", "stored", ""), 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_within_the_window_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let hep = HepOptions { dedup_window: Duration::from_millis(500), ..HepOptions::default() };
    let site = Site::open(directory.path(), CaptureOptions { hep, ..options() }).await;
    let packets = named("kamailio_", |name| !name.contains("stream") && !name.contains("hepv"));
    assert_eq!(packets.len(), 10);
    // The agent sent each message twice, some microseconds apart.
    site.send_udp(&packets).await;
    assert_eq!(site.count("udp", "stored", ""), 5);
    assert_eq!(site.count("udp", "rejected", "duplicate"), 5);
    site.clock.advance(500_000);
    let answer = site.post("/api/hep", &packets.concat()).await;
    assert_eq!((answer.body["stored"].as_u64(), answer.body["rejected"].as_u64()), (Some(5), Some(5)));
    site.stop().await;
}
