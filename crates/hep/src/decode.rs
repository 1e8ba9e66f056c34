//! Which version a packet is, and the decoder of version 3.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::chunk::{Chunk, PACKET_HEADER, VendorChunks, kind};
use crate::legacy;
use crate::packet::{CaptureTime, Packet, TimeWindow, Version};

/// Family number of IPv6 in chunk 0x0001 and in the headers of versions 1 and 2.
pub(crate) const FAMILY_IPV6: u8 = 10;

/// Why bytes are not a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecodeError {
    /// The first bytes are of no known version.
    NotHep,
    /// The packet is shorter than its header, or its length field is not the number of bytes.
    BadLength,
    /// A chunk is shorter than its own header or reaches past the end of the packet.
    BadChunk,
    /// A generic chunk of fixed size has a body of another size.
    BadFieldSize {
        /// Type id of the chunk.
        chunk: u16,
    },
}

impl DecodeError {
    /// The stable name that packets are counted under.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotHep => "not_hep",
            Self::BadLength => "bad_length",
            Self::BadChunk => "bad_chunk",
            Self::BadFieldSize { .. } => "bad_field_size",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHep => f.write_str("the first bytes are of no HEP version"),
            Self::BadLength => f.write_str("the packet does not have the length that its header says"),
            Self::BadChunk => f.write_str("a chunk does not fit the packet"),
            Self::BadFieldSize { chunk } => write!(f, "the body of chunk 0x{chunk:04x} has a wrong size"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// The version that the first bytes announce; whether the rest fits is for [`decode`] to say.
pub fn identify(bytes: &[u8]) -> Option<Version> {
    match bytes {
        [b'H' | b'E', b'E', b'P', b'3', ..] => Some(Version::V3),
        [1, 16 | 40, 2 | FAMILY_IPV6, ..] => Some(Version::V1),
        [2, 16 | 28 | 40 | 52, 2 | FAMILY_IPV6, ..] => Some(Version::V2),
        _ => None,
    }
}

/// Decodes the one packet that is all of `bytes`.
///
/// `window` is used only to settle the byte order of version 2.
///
/// # Errors
/// Says which rule the bytes break. Values are not judged, only sizes.
pub fn decode(bytes: &[u8], window: TimeWindow) -> Result<Packet<'_>, DecodeError> {
    match identify(bytes) {
        Some(Version::V3) => decode_v3(bytes),
        Some(Version::V1) => legacy::decode_v1(bytes),
        Some(Version::V2) => legacy::decode_v2(bytes, window),
        None => Err(DecodeError::NotHep),
    }
}

/// The chunks that only together make one field.
#[derive(Default)]
struct Parts {
    source_v4: Option<Ipv4Addr>,
    source_v6: Option<Ipv6Addr>,
    destination_v4: Option<Ipv4Addr>,
    destination_v6: Option<Ipv6Addr>,
    seconds: Option<u32>,
    micros: Option<u32>,
    has_payload: bool,
}

fn decode_v3(bytes: &[u8]) -> Result<Packet<'_>, DecodeError> {
    let Some((&[_, _, _, _, high, low], chunks)) = bytes.split_first_chunk::<PACKET_HEADER>() else {
        return Err(DecodeError::BadLength);
    };
    if usize::from(u16::from_be_bytes([high, low])) != bytes.len() {
        return Err(DecodeError::BadLength);
    }
    let mut packet = Packet { version: Version::V3, ..Packet::default() };
    let mut parts = Parts::default();
    let mut vendor_count = 0_u16;
    // The type ids of interest are below 64, so one word remembers which were seen.
    let mut seen = 0_u64;
    let mut rest = chunks;
    while !rest.is_empty() {
        let (chunk, after) = Chunk::split(rest).ok_or(DecodeError::BadChunk)?;
        if chunk.vendor != 0 {
            vendor_count += 1;
        } else {
            let bit = 1_u64.checked_shl(u32::from(chunk.kind)).unwrap_or(0);
            packet.repeated_chunks += u16::from(seen & bit != 0);
            seen |= bit;
            set_field(&mut packet, &mut parts, chunk)?;
            if chunk.kind == kind::AUTH_KEY {
                let end = bytes.len() - after.len();
                packet.auth_key_range = Some(end - chunk.body.len()..end);
            }
        }
        rest = after;
    }
    packet.vendor_chunks = VendorChunks::counted(chunks, vendor_count);
    Ok(assemble(packet, parts))
}

/// Fills the fields that several chunks make together.
fn assemble<'a>(mut packet: Packet<'a>, parts: Parts) -> Packet<'a> {
    let prefers_v6 = packet.family == Some(FAMILY_IPV6);
    packet.source = address(parts.source_v4, parts.source_v6, prefers_v6);
    packet.destination = address(parts.destination_v4, parts.destination_v6, prefers_v6);
    packet.time =
        parts.seconds.map(|seconds| CaptureTime { seconds, micros: parts.micros.unwrap_or_default() });
    if parts.has_payload {
        packet.compressed = None;
    }
    packet
}

/// The family decides only where a packet carries addresses of both.
fn address(v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>, prefers_v6: bool) -> Option<IpAddr> {
    let (v4, v6) = (v4.map(IpAddr::V4), v6.map(IpAddr::V6));
    if prefers_v6 { v6.or(v4) } else { v4.or(v6) }
}

/// Stores one generic chunk; unknown and reserved ones are skipped.
#[inline]
fn set_field<'a>(packet: &mut Packet<'a>, parts: &mut Parts, chunk: Chunk<'a>) -> Result<(), DecodeError> {
    let extra = &mut packet.extra;
    match chunk.kind {
        kind::FAMILY => packet.family = Some(chunk.u8()?),
        kind::IP_PROTOCOL => packet.ip_protocol = Some(chunk.u8()?),
        kind::SOURCE_V4 => parts.source_v4 = Some(Ipv4Addr::from(chunk.array::<4>()?)),
        kind::DESTINATION_V4 => parts.destination_v4 = Some(Ipv4Addr::from(chunk.array::<4>()?)),
        kind::SOURCE_V6 => parts.source_v6 = Some(Ipv6Addr::from(chunk.array::<16>()?)),
        kind::DESTINATION_V6 => parts.destination_v6 = Some(Ipv6Addr::from(chunk.array::<16>()?)),
        kind::SOURCE_PORT => packet.source_port = Some(chunk.u16()?),
        kind::DESTINATION_PORT => packet.destination_port = Some(chunk.u16()?),
        kind::SECONDS => parts.seconds = Some(chunk.u32()?),
        kind::MICROS => parts.micros = Some(chunk.u32()?),
        kind::PROTOCOL_TYPE => packet.protocol_type = Some(chunk.u8()?),
        kind::CAPTURE_ID => packet.capture_id = Some(chunk.u32()?),
        kind::KEEP_ALIVE => packet.keep_alive = Some(chunk.u16()?),
        kind::AUTH_KEY => packet.auth_key = Some(chunk.body),
        kind::PAYLOAD => {
            packet.payload = chunk.body;
            parts.has_payload = true;
        }
        kind::COMPRESSED => packet.compressed = Some(chunk.body),
        kind::CORRELATION_ID => packet.correlation_id = Some(chunk.body),
        kind::VLAN => extra.vlan = Some(chunk.u16()?),
        kind::NODE_NAME => extra.node_name = Some(chunk.body),
        kind::SOURCE_MAC => extra.source_mac = Some(chunk.u64()?),
        kind::DESTINATION_MAC => extra.destination_mac = Some(chunk.u64()?),
        kind::ETHERNET_TYPE => extra.ethernet_type = Some(chunk.u16()?),
        kind::TCP_FLAGS => extra.tcp_flags = Some(chunk.u8_or_u16()?),
        kind::TYPE_OF_SERVICE => extra.type_of_service = Some(chunk.u8_or_u16()?),
        kind::MOS => extra.mos = Some(chunk.u16()?),
        kind::R_FACTOR => extra.r_factor = Some(chunk.u16()?),
        kind::GEO_LOCATION => extra.geo_location = Some(chunk.body),
        kind::JITTER => extra.jitter = Some(chunk.u32()?),
        kind::TRANSACTION_TYPE => extra.transaction_type = Some(chunk.body),
        kind::PAYLOAD_KEYS => extra.payload_keys = Some(chunk.body),
        kind::TAGS => extra.tags = Some(chunk.body),
        kind::TAG_TYPE => extra.tag_type = Some(chunk.u16()?),
        kind::EVENT_TYPE => extra.event_type = Some(chunk.u16()?),
        kind::GROUP_ID => extra.group_id = Some(chunk.body),
        _ => {}
    }
    Ok(())
}

impl Chunk<'_> {
    fn array<const SIZE: usize>(&self) -> Result<[u8; SIZE], DecodeError> {
        self.body.try_into().map_err(|_| DecodeError::BadFieldSize { chunk: self.kind })
    }

    fn u8(&self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// One byte by the specification, two from some agents.
    fn u8_or_u16(&self) -> Result<u16, DecodeError> {
        if self.body.len() == 2 { self.u16() } else { self.u8().map(u16::from) }
    }
}
