//! Tests of single rules; `tests/` holds the golden packets and the properties.

use std::io::Write;
use std::net::IpAddr;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use crate::framing::{Frame, next_frame};
use crate::{
    CaptureTime, DecodeError, DecompressError, EncodeError, Extra, Packet, TimeWindow, VendorChunk,
    VendorChunks, Version, blank_auth_key, decode, decompress, encode, identify,
};

/// A HEP3 packet of chunks that are given as vendor, type and body.
fn hep3(chunks: &[(u16, u16, &[u8])]) -> Vec<u8> {
    let mut bytes = b"HEP3\0\0".to_vec();
    for (vendor, kind, body) in chunks {
        VendorChunk { vendor: *vendor, kind: *kind, body }.write(&mut bytes);
    }
    with_length(bytes)
}

fn with_length(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    bytes[4..6].copy_from_slice(&length);
    bytes
}

#[track_caller]
fn check_error(bytes: &[u8], expected: DecodeError) {
    assert_eq!(decode(bytes, TimeWindow::ANY).unwrap_err(), expected, "{bytes:02x?}");
}

#[test]
fn versions_are_told_by_their_first_bytes() {
    let cases: [(&[u8], Option<Version>); 16] = [
        (b"HEP3", Some(Version::V3)),
        (b"EEP3....", Some(Version::V3)),
        (&[1, 0x10, 2], Some(Version::V1)),
        (&[1, 0x28, 10], Some(Version::V1)),
        (&[2, 0x10, 2], Some(Version::V2)),
        (&[2, 0x28, 10], Some(Version::V2)),
        (&[2, 28, 2], Some(Version::V2)),
        (&[2, 52, 10], Some(Version::V2)),
        (&[1, 28, 2], None),
        (&[3, 0x10, 2], None),
        (&[1, 0x10, 3], None),
        (&[1, 0x10], None),
        (b"HEP4", None),
        (b"HEP", None),
        (b"GET / HTTP/1.1", None),
        (b"", None),
    ];
    for (bytes, expected) in cases {
        assert_eq!(identify(bytes), expected, "{bytes:02x?}");
    }
    check_error(b"INVITE sip:a@b SIP/2.0\r\n", DecodeError::NotHep);
}

#[test]
fn lengths_that_do_not_fit_are_errors() {
    let good = hep3(&[(0, 1, &[2])]);
    let mut longer = good.clone();
    longer.push(0);
    check_error(&longer, DecodeError::BadLength);
    check_error(&good[..good.len() - 1], DecodeError::BadLength);
    check_error(b"HEP3", DecodeError::BadLength);
    check_error(b"HEP3\0\x05", DecodeError::BadLength);
    assert_eq!(decode(b"HEP3\0\x06", TimeWindow::ANY), Ok(Packet::default()));

    for tail in [&[0][..], &[0, 0, 0, 1, 0], &[0, 0, 0, 15, 0, 5], &[0, 0, 0, 15, 0, 0], &[0, 0, 0, 15, 0, 7]]
    {
        check_error(&with_length([b"HEP3\0\0", tail].concat()), DecodeError::BadChunk);
    }
}

#[test]
fn fixed_fields_have_their_size() {
    let sizes: [(usize, &[u16]); 5] = [
        (1, &[0x01, 0x02, 0x0b]),
        (2, &[0x07, 0x08, 0x0d, 0x12, 0x16, 0x20, 0x21, 0x27, 0x28]),
        (4, &[0x03, 0x04, 0x09, 0x0a, 0x0c, 0x23]),
        (8, &[0x14, 0x15]),
        (16, &[0x05, 0x06]),
    ];
    for (size, kinds) in sizes {
        for &kind in kinds {
            for wrong in [0, size - 1, size + 1].into_iter().filter(|&wrong| wrong != size) {
                let bytes = hep3(&[(0, kind, &vec![0; wrong])]);
                check_error(&bytes, DecodeError::BadFieldSize { chunk: kind });
            }
            decode(&hep3(&[(0, kind, &vec![0; size])]), TimeWindow::ANY).unwrap();
        }
    }
    for kind in [0x17, 0x18] {
        check_error(&hep3(&[(0, kind, b"")]), DecodeError::BadFieldSize { chunk: kind });
        check_error(&hep3(&[(0, kind, b"abc")]), DecodeError::BadFieldSize { chunk: kind });
    }
    let bytes = hep3(&[(0, 0x17, &[0x12]), (0, 0x18, &[0x01, 0xb8])]);
    let extra = decode(&bytes, TimeWindow::ANY).unwrap().extra;
    assert_eq!((extra.tcp_flags, extra.type_of_service), (Some(0x12), Some(0x1b8)));
}

#[test]
fn vendor_chunks_stay_apart() {
    let bytes = hep3(&[
        (3, 0x0f, b"not the payload"),
        (0, 0x0f, b"payload"),
        (0, 0x1b, b"reserved"),
        (0, 0xffff, b"unknown"),
        (2, 0x01, b"wrong size for a generic chunk"),
    ]);
    let packet = decode(&bytes, TimeWindow::ANY).unwrap();
    assert_eq!(packet.payload, b"payload");
    assert_eq!(packet.family, None);
    assert_eq!(packet.repeated_chunks, 0);
    assert_eq!(packet.vendor_chunks.len(), 2);
    let chunks: Vec<_> = packet.vendor_chunks.iter().collect();
    assert_eq!(
        chunks,
        [
            VendorChunk { vendor: 3, kind: 0x0f, body: b"not the payload" },
            VendorChunk { vendor: 2, kind: 0x01, body: b"wrong size for a generic chunk" },
        ]
    );
}

#[test]
fn the_last_of_repeated_chunks_counts() {
    let bytes = hep3(&[(0, 0x0f, b"one"), (0, 0x0f, b"two"), (0, 0x0e, b"old"), (0, 0x0e, b"key")]);
    let packet = decode(&bytes, TimeWindow::ANY).unwrap();
    assert_eq!(packet.payload, b"two");
    assert_eq!(packet.auth_key, Some(&b"key"[..]));
    assert_eq!(&bytes[packet.auth_key_range.clone().unwrap()], b"key");
    assert_eq!(packet.repeated_chunks, 2);
}

#[test]
fn chunks_that_make_one_field_come_in_any_order() {
    let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let text = |address: Option<IpAddr>| address.map(|address| address.to_string());
    for (family, expected) in [(2, "192.0.2.1"), (10, "2001:db8::1")] {
        let bytes = hep3(&[(0, 5, &v6), (0, 3, &[192, 0, 2, 1]), (0, 1, &[family])]);
        let packet = decode(&bytes, TimeWindow::ANY).unwrap();
        assert_eq!(text(packet.source).as_deref(), Some(expected));
        assert_eq!(packet.destination, None);
    }
    let bytes = hep3(&[(0, 10, &[0, 0, 0, 7]), (0, 9, &[0, 0, 0, 5])]);
    let packet = decode(&bytes, TimeWindow::ANY).unwrap();
    assert_eq!(packet.time, Some(CaptureTime { seconds: 5, micros: 7 }));
    let bytes = hep3(&[(0, 10, &[0, 0, 0, 7])]);
    assert_eq!(decode(&bytes, TimeWindow::ANY).unwrap().time, None);
}

#[test]
fn a_plain_payload_wins_over_a_compressed_one() {
    for chunks in [[(0, 0x0f, &b"plain"[..]), (0, 0x10, b"zip")], [(0, 0x10, b"zip"), (0, 0x0f, b"plain")]] {
        let bytes = hep3(&chunks);
        let packet = decode(&bytes, TimeWindow::ANY).unwrap();
        assert_eq!((packet.payload, packet.compressed), (&b"plain"[..], None));
    }
    let bytes = hep3(&[(0, 0x10, b"zip")]);
    assert_eq!(decode(&bytes, TimeWindow::ANY).unwrap().compressed, Some(&b"zip"[..]));
}

#[test]
fn agent_numbers_in_the_upper_half_are_found() {
    let number =
        |version, raw| Packet { version, capture_id: Some(raw), ..Packet::default() }.agent_number().unwrap();
    assert_eq!(number(Version::V3, 2001), 2001);
    assert_eq!(number(Version::V3, 0x07d2_0000), 2002);
    assert_eq!(number(Version::V3, 0x07d2_0001), 0x07d2_0001);
    assert_eq!(number(Version::V3, 0), 0);
    assert_eq!(number(Version::V2, 2001), 2001);
    assert_eq!(Packet::default().agent_number(), None);
}

/// A version 1 or 2 packet: the header, then whatever follows it.
fn legacy(version: u8, length: u8, family: u8, after: &[u8]) -> Vec<u8> {
    let mut bytes = vec![version, length, family, 17, 0x13, 0xc4, 0x13, 0xc5];
    bytes.resize(bytes.len() + if family == 10 { 32 } else { 8 }, 1);
    bytes.extend_from_slice(after);
    bytes
}

#[test]
fn legacy_headers_are_bounded() {
    for (version, length, family, shortest) in
        [(1, 16, 2, 16), (1, 40, 10, 40), (2, 16, 2, 28), (2, 28, 2, 28), (2, 40, 10, 52), (2, 52, 10, 52)]
    {
        let bytes = legacy(version, length, family, &[0; 12]);
        let packet = decode(&bytes[..shortest], TimeWindow::ANY).unwrap();
        assert_eq!(packet.payload, b"");
        assert_eq!((packet.source_port, packet.destination_port), (Some(5060), Some(5061)));
        assert_eq!(packet.protocol_type, Some(1));
        for cut in 3..shortest {
            check_error(&bytes[..cut], DecodeError::BadLength);
        }
    }
    // A family whose addresses do not fill the header length.
    for (version, length, family) in [(1, 16, 10), (1, 40, 2), (2, 28, 10), (2, 52, 2)] {
        check_error(&legacy(version, length, family, &[0; 40]), DecodeError::BadLength);
    }
}

#[test]
fn version_2_finds_its_byte_order_by_the_time() {
    let window = TimeWindow { earliest: 1_447_000_000, latest: 1_763_000_000 };
    let block = |seconds: [u8; 4], micros: [u8; 4], id: [u8; 2]| {
        legacy(2, 16, 2, &[&seconds[..], &micros, &id, &[0, 0]].concat())
    };
    let (seconds, micros, id) = (1_700_000_000_u32, 250_000_u32, 2001_u16);
    let little = block(seconds.to_le_bytes(), micros.to_le_bytes(), id.to_le_bytes());
    let big = block(seconds.to_be_bytes(), micros.to_be_bytes(), id.to_be_bytes());
    for bytes in [little, big] {
        let packet = decode(&bytes, window).unwrap();
        assert_eq!(packet.time, Some(CaptureTime { seconds, micros }));
        assert_eq!(packet.capture_id, Some(2001));
    }
    // Neither order is plausible: little-endian, as most senders.
    let bytes = block([1, 0, 0, 0], [2, 0, 0, 0], [3, 0]);
    let packet = decode(&bytes, window).unwrap();
    assert_eq!(packet.time, Some(CaptureTime { seconds: 1, micros: 2 }));
    assert_eq!(packet.capture_id, Some(3));
}

#[test]
fn version_2_payloads_may_follow_without_padding() {
    let cases: [(&[u8], &[u8]); 11] = [
        (b"\0\0INVITE sip:a@b SIP/2.0\r\n", b"INVITE sip:a@b SIP/2.0\r\n"),
        (b"INVITE sip:a@b SIP/2.0\r\n", b"INVITE sip:a@b SIP/2.0\r\n"),
        (b"PRACK sip:a@b SIP/2.0\n", b"PRACK sip:a@b SIP/2.0\n"),
        (b"\0\0ACK sip:a@b SIP/2.0\n", b"ACK sip:a@b SIP/2.0\n"),
        (b"xyACK sip:a@b SIP/2.0\n", b"ACK sip:a@b SIP/2.0\n"),
        (b"SIP/2.0 200 OK\r\n", b"SIP/2.0 200 OK\r\n"),
        (b"\xff\xffSIP/2.0 200 OK\r\n", b"SIP/2.0 200 OK\r\n"),
        (b"DANCE sip:a@b sip/2.0\r\n", b"DANCE sip:a@b sip/2.0\r\n"),
        (b"\0\0DANCE sip:a@b SIP/2.0\r\n", b"DANCE sip:a@b SIP/2.0\r\n"),
        (b"INVITE sip:a@b\r\n", b"VITE sip:a@b\r\n"),
        (b"\0\0", b""),
    ];
    for (behind_capture_id, payload) in cases {
        let bytes = legacy(2, 16, 2, &[&[0; 10], behind_capture_id].concat());
        let packet = decode(&bytes, TimeWindow::ANY).unwrap();
        assert_eq!(packet.payload.escape_ascii().to_string(), payload.escape_ascii().to_string());
    }
}

#[test]
fn frames_are_found_in_a_stream() {
    let cases: [(&[u8], Frame); 12] = [
        (b"", Frame::Incomplete { need: 6 }),
        (b"H", Frame::Incomplete { need: 6 }),
        (b"EEP", Frame::Incomplete { need: 6 }),
        (b"HEP3\0", Frame::Incomplete { need: 6 }),
        (b"HEP3\0\x06", Frame::Complete(6)),
        (b"EEP3\0\x06HEP3", Frame::Complete(6)),
        (b"HEP3\0\x08\0", Frame::Incomplete { need: 8 }),
        (b"HEP3\xff\xff", Frame::Incomplete { need: 65_535 }),
        (b"HEP3\0\x05", Frame::NotHep),
        (b"HEP3\0\0", Frame::NotHep),
        (b"HEX", Frame::NotHep),
        (&[2, 0x10, 2], Frame::NotHep),
    ];
    for (bytes, expected) in cases {
        assert_eq!(next_frame(bytes), expected, "{bytes:02x?}");
    }
}

#[test]
fn every_key_is_blanked_and_nothing_else() {
    let chunks = |key: &'static [u8]| {
        hep3(&[(0, 0x0e, key), (2, 0x0e, b"vendor"), (0, 0x0f, b"payload"), (0, 0x0e, key)])
    };
    let mut bytes = chunks(b"secret");
    blank_auth_key(&mut bytes);
    assert_eq!(bytes, chunks(b"\0\0\0\0\0\0"));

    let mut cut = hep3(&[(0, 0x0e, b"secret")]);
    cut.truncate(cut.len() - 2);
    blank_auth_key(&mut cut);
    assert!(cut.ends_with(&[0, 0, 0, 14, 0, 12, 0, 0, 0, 0]), "{cut:02x?}");

    for bytes in [&b"HEP3"[..], b"HEP3\0\x0c\0\0\0\x0e\0\0secret", b"\x01\x10\x02 no key here", b""] {
        let mut blanked = bytes.to_vec();
        blank_auth_key(&mut blanked);
        assert_eq!(blanked, bytes);
    }
}

#[test]
fn a_packet_shows_neither_key_nor_payload() {
    let packet = Packet { auth_key: Some(b"sesame"), payload: b"private", ..Packet::default() };
    let shown = format!("{packet:?}");
    assert!(!shown.contains("sesame") && !shown.contains("private"), "{shown}");
    assert!(!shown.contains(&format!("{:?}", b"sesame")), "{shown}");
}

#[test]
fn packets_that_a_version_cannot_carry_are_not_written() {
    let long = vec![b'x'; 65_530];
    let (v4, v6) = (Some("192.0.2.1".parse().unwrap()), Some("::1".parse().unwrap()));
    let v2 = Packet { version: Version::V2, source: v4, destination: v4, ..Packet::default() };
    let cases = [
        (Packet { payload: &long, ..Packet::default() }, EncodeError::TooLong),
        (Packet { payload: &long[..65_524], ..Packet::default() }, EncodeError::TooLong),
        (Packet { source: None, ..v2.clone() }, EncodeError::Addresses),
        (Packet { destination: v6, version: Version::V1, ..v2.clone() }, EncodeError::Addresses),
        (Packet { capture_id: Some(65_536), ..v2.clone() }, EncodeError::CaptureId),
    ];
    for (packet, expected) in cases {
        let mut out = b"before".to_vec();
        assert_eq!(encode(&packet, &mut out), Err(expected));
        assert_eq!(out, b"before");
    }
    let longest = Packet { payload: &long[..65_523], ..Packet::default() };
    let mut out = Vec::new();
    encode(&longest, &mut out).unwrap();
    assert_eq!(out.len(), 65_535);
    assert_eq!(decode(&out, TimeWindow::ANY), Ok(longest));
}

#[test]
fn every_generic_field_is_written_and_read() {
    let mut vendor = Vec::new();
    VendorChunk { vendor: 5, kind: 1, body: b"v" }.write(&mut vendor);
    let packet = Packet {
        version: Version::V3,
        family: Some(10),
        ip_protocol: Some(132),
        source: Some("2001:db8::1".parse().unwrap()),
        destination: Some("2001:db8::2".parse().unwrap()),
        source_port: Some(1),
        destination_port: Some(65_535),
        time: Some(CaptureTime { seconds: 1_700_000_000, micros: 999_999 }),
        protocol_type: Some(100),
        capture_id: Some(u32::MAX),
        keep_alive: Some(30),
        auth_key: Some(b"key"),
        auth_key_range: None,
        payload: b"",
        compressed: Some(b"zip"),
        correlation_id: Some(b""),
        extra: Extra {
            vlan: Some(1),
            node_name: Some(b"node1"),
            source_mac: Some(0x0102_0304_0506),
            destination_mac: Some(0x0a0b_0c0d_0e0f),
            ethernet_type: Some(0x86dd),
            tcp_flags: Some(0x18),
            type_of_service: Some(0x1b8),
            mos: Some(410),
            r_factor: Some(93),
            geo_location: Some(b"52.5,13.4"),
            jitter: Some(70_000),
            transaction_type: Some(b"call"),
            payload_keys: Some(b"{}"),
            tags: Some(b"a;b"),
            tag_type: Some(1),
            event_type: Some(2),
            group_id: Some(b"g"),
        },
        repeated_chunks: 0,
        vendor_chunks: VendorChunks::among(&vendor),
    };
    let mut bytes = Vec::new();
    encode(&packet, &mut bytes).unwrap();
    let mut decoded = decode(&bytes, TimeWindow::ANY).unwrap();
    let range = decoded.auth_key_range.take().unwrap();
    assert_eq!(&bytes[range], b"key");
    assert_eq!(decoded, packet);
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn all_envelopes_of_deflate_are_opened_within_the_limit() {
    let text = b"SIP/2.0 200 OK\r\n".repeat(4_000);
    let inputs: [&[u8]; 4] = [b"", b"x", b"INVITE sip:a@b SIP/2.0\r\n", &text];
    for compress in [gzip, zlib, deflate] {
        for data in inputs {
            let stream = compress(data);
            for limit in [data.len(), data.len() + 1, 1 << 20, usize::MAX] {
                let mut out = b"kept".to_vec();
                decompress(&stream, limit, &mut out).unwrap();
                assert_eq!(out[..4], *b"kept");
                assert!(out[4..] == *data);
            }
            let mut out = b"kept".to_vec();
            if let Some(limit) = data.len().checked_sub(1) {
                assert_eq!(decompress(&stream, limit, &mut out), Err(DecompressError::TooLong));
            }
            for cut in 0..stream.len().min(200) {
                assert!(decompress(&stream[..cut], 1 << 20, &mut out).is_err(), "{cut} of {}", stream.len());
            }
            assert_eq!(out, b"kept");
        }
    }
}

#[test]
fn damaged_streams_are_refused() {
    let text = b"INVITE sip:bob@example.org SIP/2.0\r\n".repeat(3);
    for compress in [gzip, zlib] {
        let mut stream = compress(&text);
        let checksum = stream.len() - 6;
        stream[checksum] ^= 1;
        assert_eq!(decompress(&stream, 1 << 20, &mut Vec::new()), Err(DecompressError::Invalid));
    }
    assert_eq!(decompress(b"", 10, &mut Vec::new()), Err(DecompressError::Invalid));
    assert_eq!(decompress(b"no stream at all", 10, &mut Vec::new()), Err(DecompressError::Invalid));
}
