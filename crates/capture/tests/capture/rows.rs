//! What stands in the rows.

use std::io::Write as _;

use pintail_capture::{CaptureOptions, HepOptions, SipOptions};
use pintail_hep::{CaptureTime, Extra, Packet, VendorChunk, VendorChunks};
use serde_json::{Value, json};

use crate::site::{NOW, Site, encode, fixture, options, packet, request};

const RECEIVED: &str = "2026-11-20T10:30:00.000000Z";

/// Posts packets, each of which must be stored, and stops.
async fn stored(directory: &tempfile::TempDir, options: CaptureOptions, packets: &[Vec<u8>]) -> Site {
    let site = Site::open(directory.path(), options).await;
    for packet in packets {
        let answer = site.post("/api/hep", packet).await;
        assert_eq!(answer.body, json!({"stored": 1, "rejected": 0}));
    }
    site.stop().await;
    site
}

/// Checks the members of `expected`, and that those that are null there are absent or null.
#[track_caller]
fn check(name: &str, row: &Value, expected: &Value) {
    for (key, value) in expected.as_object().unwrap() {
        if let (Value::Object(_), Value::Object(_)) = (&row[key], value) {
            check(name, &row[key], value);
        } else {
            assert_eq!(&row[key], value, "{name}: {key} in {row}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn captured_packets_become_the_rows_they_should() {
    let cases = [
        (
            "hepjs_0.bin",
            "hep_proto_1_call",
            json!({
                "timestamp": "2026-11-20T10:10:52.430", "date": "2026-11-20", "src_ip": "192.0.2.1",
                "dst_ip": "192.0.2.2", "src_port": 5060, "dst_port": 5060, "protocol": 17, "node_id": "2001",
                "session_id": "hepjs-1", "cid": "hepjs-1", "method": "INVITE", "response_code": null,
                "cseq_method": "INVITE", "caller": "a", "callee": "b", "storage_volume": "buffer",
                "data_extra": {"receive_time": RECEIVED, "version": 2, "node_name": "node-a", "cseq": "1 INVITE",
                    "request_uri": "sip:bob@example.org", "proto_type": null, "message_index": null,
                    "parse_error": null, "original_time": null, "payload_base64": null},
            }),
        ),
        (
            "hepjs_1.bin",
            "hep_proto_100_default",
            json!({
                "timestamp": "2026-11-20T10:10:52.431", "session_id": "hepjs-1", "node_id": "2001",
                "src_ip": "192.0.2.1", "dst_ip": "192.0.2.2", "payload": "log line here",
                "data_extra": {"proto_type": 100, "node_name": "node-a", "src_port": 5060, "dst_port": 5060,
                    "protocol": 17},
            }),
        ),
        (
            "hepjs_3.bin",
            "hep_proto_34_default",
            json!({
                "session_id": "hepjs-1", "cid": "hepjs-1", "payload": "{\"MOS\":4.1}",
                "data_extra": {"proto_type": 34, "mos": null},
            }),
        ),
        (
            "kamailio_4.bin",
            "hep_proto_1_call",
            json!({
                "timestamp": "2026-11-20T10:08:36.041800", "src_port": 5080, "dst_port": 5070,
                "session_id": "1-22177@127.0.0.1", "method": "INVITE",
            }),
        ),
        (
            "kamailio_8.bin",
            "hep_proto_1_call",
            json!({
                "timestamp": "2026-11-20T10:08:36.042166", "method": "180", "response_code": "180",
                "cseq_method": "INVITE",
                "data_extra": {"response_code": 180, "response_reason": "Ringing", "request_uri": null},
            }),
        ),
        (
            "kamailio_hepv1_0.bin",
            "hep_proto_1_default",
            json!({
                "timestamp": "2026-11-20T10:30:00", "src_ip": "127.0.0.1", "src_port": 5071, "dst_port": 5080,
                "node_id": null, "method": "OPTIONS", "session_id": "1-24053@127.0.0.1",
            }),
        ),
        (
            "kamailio_hepv2_1.bin",
            "hep_proto_1_default",
            json!({
                "timestamp": "2026-11-20T10:10:13.169362", "node_id": "2001", "method": "200",
                "response_code": "200", "session_id": "1-24284@127.0.0.1",
            }),
        ),
        (
            "rtpengine_0.bin",
            "hep_proto_5_default",
            json!({
                "timestamp": "2026-11-20T10:09:22.924750", "session_id": "rtpe-call-1", "cid": "rtpe-call-1",
                "src_ip": "127.0.0.1", "src_port": 41001, "dst_port": 30017, "node_id": "3001", "protocol": 17,
                "data_extra": {"proto_type": 5, "version": 2},
            }),
        ),
        (
            "sngrep_5.bin",
            "hep_proto_1_call",
            json!({
                "timestamp": "2026-11-20T10:08:16.556562", "node_id": "2002", "method": "200",
                "cseq_method": "BYE", "session_id": "1-21724@127.0.0.1",
                "data_extra": {"capture_id_raw": 131_203_072},
            }),
        ),
    ];
    for (name, table, expected) in cases {
        let directory = tempfile::tempdir().unwrap();
        let site = stored(&directory, options(), &[fixture(name)]).await;
        check(name, &site.only_row(table).await, &expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_have_their_own_columns() {
    let directory = tempfile::tempdir().unwrap();
    let message = "REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/TCP [2001:db8::9]:5061;branch=z9hG4bKr\r\n\
        f: \"A <x>\" <sips:alice:pw@[2001:db8::1]:5061>;tag=ft\r\nt: <sip:alice@example.org>\r\n\
        i: reg-1\r\nCSeq: 7 REGISTER\r\nm: <sip:alice@192.0.2.9:5070>;expires=600\r\nExpires: 3600\r\n\
        User-Agent: Phone \"1\"\r\nMax-Forwards: 70\r\nAuthorization: Digest username=\"alice\"\r\n\
        X-Trunk: north\r\nl: 0\r\n\r\n";
    let six = Packet {
        family: Some(10),
        source: Some("2001:db8::9".parse().unwrap()),
        destination: Some("2001:db8::1".parse().unwrap()),
        correlation_id: Some(b"agent-cid"),
        ..packet(message.as_bytes())
    };
    let sip = SipOptions { custom_headers: vec!["X-Trunk".into(), "X-None".into()], ..SipOptions::default() };
    let site = stored(&directory, CaptureOptions { sip, ..options() }, &[encode(&six)]).await;
    let row = site.only_row("hep_proto_1_registration").await;
    check(
        "register",
        &row,
        &json!({
            "session_id": "reg-1", "aor": "alice@example.org", "contact": "<sip:alice@192.0.2.9:5070>;expires=600",
            "expires": "600", "user_agent": "Phone \"1\"", "src_ip": "2001:db8::9", "dst_ip": "2001:db8::1",
            "method": "REGISTER", "payload": message,
            "data_extra": {"version": 10, "from_host": "2001:db8::1", "from_tag": "ft", "expires": 3600,
                "max_forwards": 70, "content_length": 0, "cid": "agent-cid", "branch": "z9hG4bKr",
                "via": "SIP/2.0/TCP [2001:db8::9]:5061;branch=z9hG4bKr", "authorization": "Digest username=\"alice\"",
                "custom_headers": {"x-trunk": "north"}},
        }),
    );
    assert_eq!(row["data_extra"]["custom_headers"], json!({"x-trunk": "north"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_messages_of_one_packet_are_several_rows() {
    let directory = tempfile::tempdir().unwrap();
    let payload = [request("INVITE", "first"), "\r\n\r\n".into(), request("BYE", "second")].concat();
    let site = stored(&directory, options(), &[encode(&packet(payload.as_bytes()))]).await;
    let rows = site.query("SELECT * FROM hep_proto_1_call ORDER BY session_id").await;
    assert_eq!(rows.len(), 2);
    for (index, (method, call_id)) in [("INVITE", "first"), ("BYE", "second")].into_iter().enumerate() {
        let extra: Value = serde_json::from_str(rows[index]["data_extra"].as_str().unwrap()).unwrap();
        assert_eq!(extra["message_index"], index);
        assert_eq!(rows[index]["session_id"], call_id);
        assert_eq!(rows[index]["payload"].as_str().unwrap().trim_end(), request(method, call_id).trim_end());
    }
    assert_ne!(rows[0]["uuid"], rows[1]["uuid"]);
    assert_eq!(site.note("several_messages", "http"), 1);
    assert_eq!(site.count("http", "stored", ""), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sip_is_kept_with_the_reason() {
    let no_cseq = request("INVITE", "x").replace("CSeq: 1 INVITE\r\n", "");
    let no_call_id = request("INVITE", "x").replace("Call-ID: x\r\n", "");
    let cases = [
        ("sip_unparsable", "hello\0there".to_owned(), json!({"session_id": null, "payload": "hello\0there"})),
        ("no_cseq", no_cseq, json!({"session_id": "x", "method": "INVITE"})),
        ("no_call_id", no_call_id, json!({"session_id": null, "cid": null, "method": "INVITE"})),
        ("sip_unparsable", String::new(), json!({"payload": null})),
    ];
    for (reason, payload, expected) in cases {
        let directory = tempfile::tempdir().unwrap();
        let site = stored(&directory, options(), &[encode(&packet(payload.as_bytes()))]).await;
        let row = site.only_row("hep_proto_1_default").await;
        check(reason, &row, &expected);
        assert_eq!(row["data_extra"]["parse_error"], reason, "{payload:?}");
        assert_eq!(site.note(reason, "http"), 1, "{payload:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_text_are_kept_exactly() {
    let directory = tempfile::tempdir().unwrap();
    let rtcp = Packet { protocol_type: Some(61), correlation_id: Some(b"c\xff"), ..packet(b"\x80\xc8 ok") };
    let site = stored(&directory, options(), &[encode(&rtcp)]).await;
    let row = site.only_row("hep_proto_61_default").await;
    check(
        "binary",
        &row,
        &json!({
            "payload": "\u{fffd}\u{fffd} ok", "session_id": "c\u{fffd}", "data_extra": {"payload_base64": "gMggb2s=", "proto_type": 61},
        }),
    );
    assert_eq!(site.note("payload_binary", "http"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_without_a_type_is_of_type_zero() {
    let directory = tempfile::tempdir().unwrap();
    let unknown = Packet { protocol_type: None, ..packet(b"what") };
    let site = stored(&directory, options(), &[encode(&unknown)]).await;
    check("type 0", &site.only_row("hep_proto_0_default").await, &json!({"payload": "what"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_payloads_are_opened_up_to_the_limit() {
    let message = request("INVITE", "zipped");
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(message.as_bytes()).unwrap();
    let zipped = encoder.finish().unwrap();
    let compressed = encode(&Packet { compressed: Some(&zipped), ..packet(b"") });
    {
        let directory = tempfile::tempdir().unwrap();
        let site = stored(&directory, options(), std::slice::from_ref(&compressed)).await;
        check(
            "opened",
            &site.only_row("hep_proto_1_call").await,
            &json!({"session_id": "zipped", "payload": message}),
        );
    }
    let hep = HepOptions { max_decompressed_bytes: message.len() - 1, ..HepOptions::default() };
    let directory = tempfile::tempdir().unwrap();
    let site = stored(&directory, CaptureOptions { hep, ..options() }, &[compressed]).await;
    let row = site.only_row("hep_proto_1_default").await;
    check("too long", &row, &json!({"payload": null, "data_extra": {"parse_error": "decompress_failed"}}));
    assert!(row["data_extra"]["compressed_base64"].is_string());
    assert_eq!(site.note("decompress_failed", "http"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_times_are_replaced_and_kept() {
    let now = u32::try_from(NOW / 1_000_000).unwrap();
    let cases = [
        ((now, 1_000_001), "2026-11-20T10:30:00.999999", "time_micros_clamped"),
        ((now + 2_208_988_800, 5), "2026-11-20T10:30:00.000005", "time_ntp"),
        ((1_000, 5), "2026-11-20T10:30:00", "time_implausible"),
    ];
    for ((seconds, micros), timestamp, note) in cases {
        let directory = tempfile::tempdir().unwrap();
        let message = request("INVITE", "x");
        let wrong = Packet { time: Some(CaptureTime { seconds, micros }), ..packet(message.as_bytes()) };
        let site = stored(&directory, options(), &[encode(&wrong)]).await;
        let original = json!({"seconds": seconds, "micros": micros});
        let expected = json!({
            "timestamp": timestamp, "date": "2026-11-20",
            "data_extra": {"receive_time": RECEIVED, "original_time": original},
        });
        check(note, &site.only_row("hep_proto_1_call").await, &expected);
        assert_eq!(site.note(note, "http"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rare_chunks_are_in_data_extra() {
    let mut chunks = Vec::new();
    for (vendor, kind, body) in [(3, 9, &b"\x01\xab"[..]), (2, 1, b""), (3, 9, b"\xff")] {
        VendorChunk { vendor, kind, body }.write(&mut chunks);
    }
    let extra = Extra {
        vlan: Some(12),
        node_name: Some(b"node \"1\""),
        source_mac: Some(0x0011_2233_4455),
        tcp_flags: Some(18),
        type_of_service: Some(184),
        mos: Some(405),
        r_factor: Some(93),
        jitter: Some(7),
        geo_location: Some(b"Krak\xc3\xb3w"),
        event_type: Some(1),
        group_id: Some(b"g"),
        ..Extra::default()
    };
    let full = Packet {
        extra,
        protocol_type: Some(35),
        vendor_chunks: VendorChunks::among(&chunks),
        ..packet(b"{}")
    };
    let expected = json!({
        "vlan": 12, "node_name": "node \"1\"", "src_mac": "00:11:22:33:44:55", "tcp_flags": 18, "tos": 184,
        "mos": 4.05, "mos_raw": 405, "r_factor": 93, "jitter": 7, "geo_location": "Kraków", "event_type": 1,
        "group_id": "g", "vendor_3_9": null,
    });
    let directory = tempfile::tempdir().unwrap();
    let site = stored(&directory, options(), &[encode(&full)]).await;
    check("chunks", &site.only_row("hep_proto_35_default").await["data_extra"], &expected);
    assert_eq!(site.note("vendor_chunk", "http"), 3);

    let directory = tempfile::tempdir().unwrap();
    let hep = HepOptions { keep_vendor_chunks: true, ..HepOptions::default() };
    let site = stored(&directory, CaptureOptions { hep, ..options() }, &[encode(&full)]).await;
    let expected = json!({"vendor_3_9": "ff", "vendor_2_1": ""});
    check("vendors", &site.only_row("hep_proto_35_default").await["data_extra"], &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_correlation_id_has_its_order() {
    let with_header = request("INVITE", "own").replace("CSeq", "X-CID: other-leg\r\nCSeq");
    let plain = request("INVITE", "own");
    let cases = [
        (None, &plain, false, "own"),
        (None, &with_header, false, "other-leg"),
        (Some("agent"), &with_header, false, "agent"),
        (Some("agent"), &with_header, true, "other-leg"),
        (Some("agent"), &plain, true, "agent"),
    ];
    for (correlation_id, message, force_aleg_id, cid) in cases {
        let directory = tempfile::tempdir().unwrap();
        let sip = SipOptions { aleg_ids: vec!["x-cid".into()], force_aleg_id, ..SipOptions::default() };
        let correlated =
            Packet { correlation_id: correlation_id.map(str::as_bytes), ..packet(message.as_bytes()) };
        let site = stored(&directory, CaptureOptions { sip, ..options() }, &[encode(&correlated)]).await;
        let row = site.only_row("hep_proto_1_call").await;
        assert_eq!(
            (&row["cid"], &row["session_id"]),
            (&json!(cid), &json!("own")),
            "{correlation_id:?} {force_aleg_id}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_censored_methods_are_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let head = request("MESSAGE", "quiet").replace("Content-Length: 0", "Content-Length: 6");
    let message = format!("{head}secret");
    let sip = SipOptions { censored_methods: vec!["MESSAGE".into()], ..SipOptions::default() };
    let site =
        stored(&directory, CaptureOptions { sip, ..options() }, &[encode(&packet(message.as_bytes()))]).await;
    let row = site.only_row("hep_proto_1_default").await;
    assert_eq!(row["payload"], format!("{head}xxxxxx"));
    assert_eq!(site.note("censored", "http"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_messages_only_the_wanted_are_stored() {
    let directory = tempfile::tempdir().unwrap();
    let payload = [request("OPTIONS", "unwanted"), request("INVITE", "wanted")].concat();
    let sip = SipOptions { discard_methods: vec!["OPTIONS".into()], ..SipOptions::default() };
    let site =
        stored(&directory, CaptureOptions { sip, ..options() }, &[encode(&packet(payload.as_bytes()))]).await;
    let row = site.only_row("hep_proto_1_call").await;
    check("wanted", &row, &json!({"session_id": "wanted", "data_extra": {"message_index": 1}}));
    assert!(site.query("SELECT uuid FROM hep_proto_1_default").await.is_empty());
}
