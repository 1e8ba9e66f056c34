//! Versions 1 and 2: a fixed header, for SIP only.
//!
//! Version 2 adds a C structure of 12 bytes in the sender's byte order (seconds, microseconds, capture
//! id, padding). Its length byte does not count this block, except with some senders.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::decode::{DecodeError, FAMILY_IPV6};
use crate::packet::{CaptureTime, Packet, TimeWindow, Version};

/// Header bytes of version 1 with IPv4 addresses.
pub(crate) const HEADER_V4: u8 = 16;
/// Header bytes of version 1 with IPv6 addresses.
pub(crate) const HEADER_V6: u8 = 40;
/// Bytes of the block that version 2 adds.
pub(crate) const TIME_BLOCK: usize = 12;
/// The same block from senders that leave the padding out.
const PACKED_TIME_BLOCK: usize = 10;
/// What versions 1 and 2 carry, in the numbering of chunk 0x000b.
pub(crate) const PROTOCOL_TYPE_SIP: u8 = 1;

pub(crate) fn decode_v1(bytes: &[u8]) -> Result<Packet<'_>, DecodeError> {
    let (packet, after) = decode_header(bytes, Version::V1)?;
    Ok(Packet { payload: after, ..packet })
}

pub(crate) fn decode_v2(bytes: &[u8], window: TimeWindow) -> Result<Packet<'_>, DecodeError> {
    let (packet, after) = decode_header(bytes, Version::V2)?;
    let Some((&block, payload)) = after.split_first_chunk::<TIME_BLOCK>() else {
        return Err(DecodeError::BadLength);
    };
    let [s0, s1, s2, s3, m0, m1, m2, m3, id0, id1, _, _] = block;
    let (seconds, micros, id) = ([s0, s1, s2, s3], [m0, m1, m2, m3], [id0, id1]);
    let is_big_endian =
        !window.contains(u32::from_le_bytes(seconds)) && window.contains(u32::from_be_bytes(seconds));
    let (seconds, micros, capture_id) = if is_big_endian {
        (u32::from_be_bytes(seconds), u32::from_be_bytes(micros), u16::from_be_bytes(id))
    } else {
        (u32::from_le_bytes(seconds), u32::from_le_bytes(micros), u16::from_le_bytes(id))
    };
    let packed = &after[PACKED_TIME_BLOCK..];
    Ok(Packet {
        time: Some(CaptureTime { seconds, micros }),
        capture_id: Some(u32::from(capture_id)),
        payload: if lacks_padding(packed, payload) { packed } else { payload },
        ..packet
    })
}

/// The part that both versions share, and the bytes behind it.
fn decode_header(bytes: &[u8], version: Version) -> Result<(Packet<'_>, &[u8]), DecodeError> {
    let &[_, length, family, ip_protocol, sp0, sp1, dp0, dp1, ref after @ ..] = bytes else {
        return Err(DecodeError::BadLength);
    };
    let is_v6 = family == FAMILY_IPV6;
    let header = if is_v6 { HEADER_V6 } else { HEADER_V4 };
    let counts_time_block = version == Version::V2 && usize::from(length) == usize::from(header) + TIME_BLOCK;
    if length != header && !counts_time_block {
        return Err(DecodeError::BadLength);
    }
    let (source, destination, after) =
        if is_v6 { addresses::<16, Ipv6Addr>(after) } else { addresses::<4, Ipv4Addr>(after) }
            .ok_or(DecodeError::BadLength)?;
    let packet = Packet {
        version,
        family: Some(family),
        ip_protocol: Some(ip_protocol),
        source: Some(source),
        destination: Some(destination),
        source_port: Some(u16::from_be_bytes([sp0, sp1])),
        destination_port: Some(u16::from_be_bytes([dp0, dp1])),
        protocol_type: Some(PROTOCOL_TYPE_SIP),
        ..Packet::default()
    };
    Ok((packet, after))
}

fn addresses<const SIZE: usize, A>(bytes: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])>
where
    A: From<[u8; SIZE]> + Into<IpAddr>,
{
    let (&source, rest) = bytes.split_first_chunk::<SIZE>()?;
    let (&destination, rest) = rest.split_first_chunk::<SIZE>()?;
    Some((A::from(source).into(), A::from(destination).into(), rest))
}

/// Whether the payload starts at `packed`, two bytes before `padded`.
///
/// What is left of a method when two letters are cut off still looks like a method ("VITE sip:…"), and
/// "PRACK" even leaves a known one; so known methods are asked first, and the earlier start wins.
fn lacks_padding(packed: &[u8], padded: &[u8]) -> bool {
    match (StartLine::at(packed), StartLine::at(padded)) {
        (StartLine::Known, _) | (StartLine::Unknown, StartLine::Unknown | StartLine::None) => true,
        (StartLine::Unknown, StartLine::Known) | (StartLine::None, _) => false,
    }
}

/// How much the first bytes look like the start of a SIP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StartLine {
    Known,
    Unknown,
    None,
}

impl StartLine {
    fn at(bytes: &[u8]) -> Self {
        const METHODS: [&[u8]; 14] = [
            b"INVITE",
            b"ACK",
            b"BYE",
            b"CANCEL",
            b"OPTIONS",
            b"REGISTER",
            b"PRACK",
            b"UPDATE",
            b"INFO",
            b"SUBSCRIBE",
            b"NOTIFY",
            b"REFER",
            b"MESSAGE",
            b"PUBLISH",
        ];
        const VERSION: &[u8] = b"SIP/2.0";
        // No start line worth guessing about is longer, and a payload without one must stay cheap.
        const LONGEST: usize = 1024;
        let head = &bytes[..bytes.len().min(LONGEST)];
        let line = head.split(|&byte| byte == b'\r' || byte == b'\n').next().unwrap_or_default();
        let mut words = line.split(|&byte| byte == b' ');
        let first = words.next().unwrap_or_default();
        if first.eq_ignore_ascii_case(VERSION) && words.next().is_some() {
            return Self::Known;
        }
        let ends_with_version = words.next_back().is_some_and(|last| last.eq_ignore_ascii_case(VERSION));
        let is_token = !first.is_empty() && first.iter().all(|byte| byte.is_ascii_alphanumeric());
        match (is_token && ends_with_version, METHODS.contains(&first)) {
            (true, true) => Self::Known,
            (true, false) => Self::Unknown,
            (false, _) => Self::None,
        }
    }
}
