//! Every packet that a real agent sent decodes to what the README of `fixtures/hep` says about it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod fixtures;

use fixtures::{Fixture, WINDOW};
use pintail_hep::{CaptureTime, Packet, Version, decode, encode};

#[test]
fn every_captured_packet_decodes_to_its_row() {
    let fixtures = fixtures::all();
    assert_eq!(fixtures.len(), 42);
    for fixture in &fixtures {
        let packet =
            decode(&fixture.bytes, WINDOW).unwrap_or_else(|error| panic!("{}: {error}", fixture.name));
        check(fixture, &packet);
    }
}

fn check(fixture: &Fixture, packet: &Packet<'_>) {
    let name = &fixture.name;
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
    let endpoint = |address: Option<std::net::IpAddr>, port: Option<u16>| {
        Some(format!("{}:{}", address.unwrap(), port.unwrap()))
    };
    let number = |heading: &str| fixture.cell(heading).map(|cell| cell.parse::<u32>().unwrap());

    assert_eq!(endpoint(packet.source, packet.source_port).as_deref(), fixture.cell("source"), "{name}");
    let destination = endpoint(packet.destination, packet.destination_port);
    assert_eq!(destination.as_deref(), fixture.cell("destination"), "{name}");
    assert_eq!((packet.family, packet.ip_protocol), (Some(2), Some(17)), "{name}");
    assert_eq!(packet.time, fixture.cell("HEP time (UTC)").map(time), "{name}");
    assert_eq!(text(packet.auth_key).as_deref(), fixture.cell("auth (0x0e)"), "{name}");
    assert_eq!(text(packet.extra.node_name).as_deref(), fixture.cell("node (0x13)"), "{name}");
    assert_eq!(text(packet.correlation_id).as_deref(), fixture.cell("cid (0x11)"), "{name}");
    assert!(packet.vendor_chunks.is_empty(), "{name}");
    assert_eq!((packet.repeated_chunks, packet.compressed, packet.keep_alive), (0, None, None), "{name}");
    if let Some(range) = packet.auth_key_range.clone() {
        assert_eq!(packet.auth_key, Some(&fixture.bytes[range]), "{name}");
    }

    let payload = std::str::from_utf8(packet.payload).unwrap();
    let start = fixture.cell("payload starts with").unwrap();
    assert!(payload.starts_with(start.trim_end_matches("...")), "{name}: {payload}");

    if let Some(header) = fixture.cell("header bytes (hex)") {
        let offset = number("payload offset").unwrap() as usize;
        let hex: String = fixture.bytes[..offset].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, header, "{name}");
        let version = if hex.starts_with("01") { Version::V1 } else { Version::V2 };
        assert_eq!((packet.version, packet.protocol_type), (version, Some(1)), "{name}");
        assert_eq!(packet.capture_id, number("capture id"), "{name}");
        assert_eq!(packet.payload, &fixture.bytes[offset..], "{name}");
        return;
    }
    assert_eq!(packet.version, Version::V3, "{name}");
    assert_eq!(packet.protocol_type.map(u32::from), number("type (0x0b)"), "{name}");
    assert_eq!(packet.capture_id, number("capture id (0x0c)"), "{name}");
    assert_eq!(payload.len(), number("payload bytes").unwrap() as usize, "{name}");
}

/// Reads `2026-11-20 10:10:52.430000`.
fn time(text: &str) -> CaptureTime {
    let numbers: Vec<u32> =
        text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap()).collect();
    let [year, month, day, hour, minute, second, micros] = numbers[..] else {
        panic!("not a time: {text}");
    };
    let leap_days = |year: u32| year / 4 - year / 100 + year / 400;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let before_month = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1];
    let days = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969)
        + before_month
        + u32::from(is_leap && month > 2)
        + day
        - 1;
    CaptureTime { seconds: ((days * 24 + hour) * 60 + minute) * 60 + second, micros }
}

#[test]
fn sngrep_writes_its_number_into_the_upper_half() {
    let fixtures = fixtures::all();
    let numbers = |agent: &str| -> Vec<u32> {
        let of_agent = fixtures.iter().filter(|fixture| fixture.name.starts_with(agent));
        of_agent.filter_map(|fixture| decode(&fixture.bytes, WINDOW).unwrap().agent_number()).collect()
    };
    assert_eq!(numbers("sngrep"), [2002; 8]);
    assert_eq!(numbers("rtpengine"), [3001; 7]);
    assert_eq!(numbers("hepjs"), [2001; 3]);
}

#[test]
fn captured_packets_survive_encoding() {
    for fixture in fixtures::all() {
        let packet = Packet { auth_key_range: None, ..decode(&fixture.bytes, WINDOW).unwrap() };
        let mut bytes = Vec::new();
        encode(&packet, &mut bytes).unwrap();
        // Agents order their chunks differently, but none is lost or added.
        assert_eq!(bytes.len(), fixture.bytes.len(), "{}", fixture.name);
        let again = Packet { auth_key_range: None, ..decode(&bytes, WINDOW).unwrap() };
        assert_eq!(again, packet, "{}", fixture.name);
    }
}
