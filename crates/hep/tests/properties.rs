//! Properties that hold for all packets and all bytes.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod fixtures;

use std::net::IpAddr;

use fixtures::WINDOW;
use pintail_hep::framing::{Frame, next_frame};
use pintail_hep::{
    CaptureTime, Extra, Packet, TimeWindow, VendorChunk, VendorChunks, Version, blank_auth_key, decode,
    decompress, encode, identify,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;

const DECOMPRESSED: usize = 64 * 1024;

/// The same cases in every run, and no files left behind.
fn cases(number: u32) -> ProptestConfig {
    ProptestConfig {
        cases: number,
        rng_seed: RngSeed::Fixed(0x4845_5033),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// What a packet borrows.
#[derive(Debug, Clone)]
struct Owned {
    /// Everything that needs no memory.
    plain: Packet<'static>,
    texts: Vec<Option<Vec<u8>>>,
    payload: Vec<u8>,
    vendor_chunks: Vec<u8>,
}

impl Owned {
    fn packet(&self) -> Packet<'_> {
        let text = |index: usize| self.texts[index].as_deref();
        Packet {
            payload: &self.payload,
            compressed: if self.payload.is_empty() { text(0) } else { None },
            auth_key: text(1),
            correlation_id: text(2),
            extra: Extra {
                node_name: text(3),
                geo_location: text(4),
                transaction_type: text(5),
                payload_keys: text(6),
                tags: text(7),
                group_id: text(8),
                ..self.plain.extra
            },
            vendor_chunks: VendorChunks::among(&self.vendor_chunks),
            ..self.plain.clone()
        }
    }
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn time() -> impl Strategy<Value = CaptureTime> {
    any::<(u32, u32)>().prop_map(|(seconds, micros)| CaptureTime { seconds, micros })
}

fn vendor_chunks() -> impl Strategy<Value = Vec<u8>> {
    vec((1..=u16::MAX, any::<u16>(), octets()), 0..4).prop_map(|chunks| {
        let mut bytes = Vec::new();
        for (vendor, kind, body) in chunks {
            VendorChunk { vendor, kind, body: &body }.write(&mut bytes);
        }
        bytes
    })
}

fn extra() -> impl Strategy<Value = Extra<'static>> {
    let numbers = any::<[Option<u16>; 8]>();
    (numbers, any::<[Option<u64>; 2]>(), any::<Option<u32>>()).prop_map(|(numbers, macs, jitter)| {
        let [vlan, ethernet_type, tcp_flags, type_of_service, mos, r_factor, tag_type, event_type] = numbers;
        let [source_mac, destination_mac] = macs;
        Extra {
            vlan,
            ethernet_type,
            tcp_flags,
            type_of_service,
            mos,
            r_factor,
            tag_type,
            event_type,
            source_mac,
            destination_mac,
            jitter,
            ..Extra::default()
        }
    })
}

/// Any packet of version 3.
fn version_3() -> impl Strategy<Value = Owned> {
    let bytes = any::<[Option<u8>; 3]>();
    let shorts = any::<[Option<u16>; 3]>();
    let addresses = any::<[Option<IpAddr>; 2]>();
    let plain = (bytes, shorts, addresses, of(time()), any::<Option<u32>>(), extra());
    (plain, vec(of(octets()), 9), vec(any::<u8>(), 0..900), vendor_chunks()).prop_map(
        |((bytes, shorts, addresses, time, capture_id, extra), texts, payload, vendor_chunks)| {
            let [family, ip_protocol, protocol_type] = bytes;
            let [source_port, destination_port, keep_alive] = shorts;
            let [source, destination] = addresses;
            let plain = Packet {
                family,
                ip_protocol,
                protocol_type,
                source_port,
                destination_port,
                keep_alive,
                source,
                destination,
                time,
                capture_id,
                extra,
                ..Packet::default()
            };
            Owned { plain, texts, payload, vendor_chunks }
        },
    )
}

/// Any packet of version 1 or 2.
fn legacy() -> impl Strategy<Value = (Packet<'static>, Vec<u8>)> {
    let addresses = prop_oneof![
        any::<[std::net::Ipv4Addr; 2]>().prop_map(|both| (2, both.map(IpAddr::from))),
        any::<[std::net::Ipv6Addr; 2]>().prop_map(|both| (10, both.map(IpAddr::from))),
    ];
    (any::<bool>(), addresses, any::<(u8, u16, u16, u16)>(), time(), vec(any::<u8>(), 0..900)).prop_map(
        |(is_v1, (family, [source, destination]), (ip_protocol, from, to, capture_id), time, payload)| {
            let packet = Packet {
                version: if is_v1 { Version::V1 } else { Version::V2 },
                family: Some(family),
                ip_protocol: Some(ip_protocol),
                source: Some(source),
                destination: Some(destination),
                source_port: Some(from),
                destination_port: Some(to),
                time: (!is_v1).then_some(time),
                capture_id: (!is_v1).then_some(u32::from(capture_id)),
                protocol_type: Some(1),
                ..Packet::default()
            };
            (packet, payload)
        },
    )
}

/// A captured packet with some bytes changed, perhaps cut, perhaps with a length that fits again.
fn mutated_fixture() -> impl Strategy<Value = Vec<u8>> {
    let packets: Vec<Vec<u8>> = fixtures::all().into_iter().map(|fixture| fixture.bytes).collect();
    let changes = vec((any::<Index>(), any::<u8>()), 0..8);
    (select(packets), changes, of(any::<Index>()), any::<bool>()).prop_map(
        |(mut bytes, changes, cut, mends_length)| {
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            for (place, value) in changes {
                // Most of a packet is payload; the first 120 bytes are what decoders look at.
                let reach = bytes.len().min(if value % 4 == 0 { usize::MAX } else { 120 });
                if reach > 0 {
                    bytes[place.index(reach)] = value;
                }
            }
            if mends_length && bytes.len() >= 6 {
                let length = (bytes.len() as u16).to_be_bytes();
                bytes[4..6].copy_from_slice(&length);
            }
            bytes
        },
    )
}

/// Runs everything that takes foreign bytes.
fn exercise(bytes: &[u8]) {
    if let Frame::Complete(length) = next_frame(bytes) {
        assert!((6..=bytes.len()).contains(&length));
    }
    let mut blanked = bytes.to_vec();
    blank_auth_key(&mut blanked);
    let mut out = Vec::new();
    if decompress(bytes, DECOMPRESSED, &mut out).is_err() {
        assert!(out.is_empty());
    }
    assert!(out.len() <= DECOMPRESSED);
    for window in [TimeWindow::ANY, WINDOW] {
        let Ok(packet) = decode(bytes, window) else { continue };
        assert_eq!(identify(bytes), Some(packet.version));
        assert!(packet.payload.len() <= bytes.len());
        assert_eq!(packet.vendor_chunks.iter().count(), packet.vendor_chunks.len());
        assert!(!format!("{packet:?}").is_empty());
        check_blanked(bytes, &blanked, &packet);

        let mut encoded = Vec::new();
        encode(&packet, &mut encoded).unwrap();
        let again = Packet { auth_key_range: None, ..decode(&encoded, window).unwrap() };
        assert_eq!(again, Packet { auth_key_range: None, repeated_chunks: 0, ..packet });
    }
}

/// The key and nothing else that the decoder sees is gone.
fn check_blanked(bytes: &[u8], blanked: &[u8], packet: &Packet<'_>) {
    if let Some(range) = packet.auth_key_range.clone() {
        assert_eq!(packet.auth_key, Some(&bytes[range.clone()]));
        assert!(blanked[range].iter().all(|byte| *byte == 0));
    }
    let after = decode(blanked, WINDOW).unwrap();
    let before = decode(bytes, WINDOW).unwrap();
    assert_eq!(Packet { auth_key: None, ..after }, Packet { auth_key: None, ..before });
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn version_3_packets_are_read_as_written(owned in version_3()) {
        let packet = owned.packet();
        let mut bytes = b"before".to_vec();
        encode(&packet, &mut bytes).unwrap();
        let bytes = &bytes[6..];
        prop_assert_eq!(next_frame(bytes), Frame::Complete(bytes.len()));
        let decoded = decode(bytes, TimeWindow::ANY).unwrap();
        prop_assert_eq!(decoded.auth_key_range.is_some(), packet.auth_key.is_some());
        prop_assert_eq!(Packet { auth_key_range: None, ..decoded }, packet);
    }

    #[test]
    fn version_1_and_2_packets_are_read_as_written((plain, payload) in legacy()) {
        let packet = Packet { payload: &payload, ..plain };
        let mut bytes = Vec::new();
        encode(&packet, &mut bytes).unwrap();
        prop_assert_eq!(decode(&bytes, TimeWindow::ANY), Ok(packet));
    }

    #[test]
    fn packets_in_a_stream_are_found_again(owned in vec(version_3(), 0..5), tail in octets()) {
        let mut stream = Vec::new();
        let mut lengths = Vec::new();
        for owned in &owned {
            let start = stream.len();
            encode(&owned.packet(), &mut stream).unwrap();
            lengths.push(stream.len() - start);
        }
        stream.extend_from_slice(&tail);
        let mut rest = &stream[..];
        for length in lengths {
            for cut in [0, 3, 5, 6, length - 1].into_iter().filter(|cut| *cut < length) {
                let need = if cut < 6 { 6 } else { length };
                prop_assert_eq!(next_frame(&rest[..cut]), Frame::Incomplete { need });
            }
            prop_assert_eq!(next_frame(rest), Frame::Complete(length));
            rest = &rest[length..];
        }
        prop_assert_eq!(rest, &tail[..]);
    }
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..300)) {
        exercise(&bytes);
    }

    #[test]
    fn random_chunks_do_no_harm(
        chunks in vec((select(vec![0_u16, 0, 0, 1]), 0..0x2b_u16, 0..20_u16, vec(any::<u8>(), 0..20)), 0..12),
    ) {
        let mut bytes = b"HEP3\0\0".to_vec();
        for (vendor, kind, length, body) in chunks {
            // Mostly a length that fits, else any small one.
            let length = if length < 18 { body.len() as u16 + 6 } else { length };
            for field in [vendor, kind, length] {
                bytes.extend_from_slice(&field.to_be_bytes());
            }
            bytes.extend_from_slice(&body);
        }
        let length = (bytes.len() as u16).to_be_bytes();
        bytes[4..6].copy_from_slice(&length);
        exercise(&bytes);
    }

    #[test]
    fn random_legacy_packets_do_no_harm(
        version in 1..=2_u8,
        length in select(vec![16_u8, 28, 40, 52]),
        family in select(vec![2_u8, 10]),
        after in vec(any::<u8>(), 0..120),
    ) {
        exercise(&[&[version, length, family][..], &after].concat());
    }

    #[test]
    fn damaged_packets_do_no_harm(bytes in mutated_fixture()) {
        exercise(&bytes);
    }

    #[test]
    fn damaged_streams_do_no_harm(
        envelope in select(vec![&[0x1f_u8, 0x8b, 8, 0][..], &[0x78, 0x9c], &[]]),
        bytes in vec(any::<u8>(), 0..200),
    ) {
        exercise(&[envelope, &bytes].concat());
    }
}
