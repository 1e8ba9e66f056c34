//! Packets to bytes.

use std::fmt;
use std::net::IpAddr;

use crate::chunk::{CHUNK_HEADER, PACKET_HEADER, kind};
use crate::decode::FAMILY_IPV6;
use crate::legacy::{HEADER_V4, HEADER_V6, TIME_BLOCK};
use crate::packet::{Packet, Version};

/// Family number of IPv4.
const FAMILY_IPV4: u8 = 2;

/// Why a packet cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EncodeError {
    /// A HEP3 packet would be longer than 65,535 bytes.
    TooLong,
    /// Versions 1 and 2 need both addresses, of one family.
    Addresses,
    /// The capture id does not fit the 16 bits that version 2 has.
    CaptureId,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "a HEP3 packet cannot be longer than 65535 bytes",
            Self::Addresses => "HEP versions 1 and 2 need two addresses of one family",
            Self::CaptureId => "the capture id of HEP version 2 cannot be above 65535",
        })
    }
}

impl std::error::Error for EncodeError {}

/// Appends `packet` to `out`.
///
/// Version 3 writes a chunk for each field that is there, the payload last; of `payload` and
/// `compressed` it writes only the one that counts. Versions 1 and 2 write the fields they have; absent
/// numbers are 0 and the family follows the addresses. Version 2 is little-endian, as from Kamailio.
///
/// # Errors
/// When the version cannot carry the packet; `out` is then as long as before.
pub fn encode(packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match packet.version {
        Version::V1 | Version::V2 => encode_legacy(packet, out),
        Version::V3 => encode_v3(packet, out),
    }
}

fn encode_legacy(packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let capture_id =
        u16::try_from(packet.capture_id.unwrap_or_default()).map_err(|_| EncodeError::CaptureId)?;
    let (family, header) = match (packet.source, packet.destination) {
        (Some(IpAddr::V4(_)), Some(IpAddr::V4(_))) => (FAMILY_IPV4, HEADER_V4),
        (Some(IpAddr::V6(_)), Some(IpAddr::V6(_))) => (FAMILY_IPV6, HEADER_V6),
        _ => return Err(EncodeError::Addresses),
    };
    out.reserve(usize::from(header) + TIME_BLOCK + packet.payload.len());
    out.extend_from_slice(&[packet.version.number(), header, family, packet.ip_protocol.unwrap_or_default()]);
    out.extend_from_slice(&packet.source_port.unwrap_or_default().to_be_bytes());
    out.extend_from_slice(&packet.destination_port.unwrap_or_default().to_be_bytes());
    for address in [packet.source, packet.destination].into_iter().flatten() {
        match address {
            IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
        }
    }
    if packet.version == Version::V2 {
        let time = packet.time.unwrap_or_default();
        out.extend_from_slice(&time.seconds.to_le_bytes());
        out.extend_from_slice(&time.micros.to_le_bytes());
        out.extend_from_slice(&capture_id.to_le_bytes());
        out.extend_from_slice(&[0, 0]);
    }
    out.extend_from_slice(packet.payload);
    Ok(())
}

fn encode_v3(packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    // Covers the chunks of an ordinary packet, so that the vector grows at most once.
    out.reserve(160 + packet.payload.len());
    out.extend_from_slice(b"HEP3\0\0");
    let is_written = write_chunks(packet, out).is_some();
    match u16::try_from(out.len() - start) {
        Ok(length) if is_written => {
            out[start + 4..start + PACKET_HEADER].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        _ => {
            out.truncate(start);
            Err(EncodeError::TooLong)
        }
    }
}

/// `None` if a body does not fit a chunk.
fn write_chunks(packet: &Packet<'_>, out: &mut Vec<u8>) -> Option<()> {
    fixed(out, kind::FAMILY, packet.family.map(u8::to_be_bytes));
    fixed(out, kind::IP_PROTOCOL, packet.ip_protocol.map(u8::to_be_bytes));
    write_address(out, [kind::SOURCE_V4, kind::SOURCE_V6], packet.source);
    write_address(out, [kind::DESTINATION_V4, kind::DESTINATION_V6], packet.destination);
    fixed(out, kind::SOURCE_PORT, packet.source_port.map(u16::to_be_bytes));
    fixed(out, kind::DESTINATION_PORT, packet.destination_port.map(u16::to_be_bytes));
    fixed(out, kind::SECONDS, packet.time.map(|time| time.seconds.to_be_bytes()));
    fixed(out, kind::MICROS, packet.time.map(|time| time.micros.to_be_bytes()));
    fixed(out, kind::PROTOCOL_TYPE, packet.protocol_type.map(u8::to_be_bytes));
    fixed(out, kind::CAPTURE_ID, packet.capture_id.map(u32::to_be_bytes));
    fixed(out, kind::KEEP_ALIVE, packet.keep_alive.map(u16::to_be_bytes));
    octets(out, kind::AUTH_KEY, packet.auth_key)?;
    octets(out, kind::CORRELATION_ID, packet.correlation_id)?;
    write_extra(packet, out)?;
    for chunk in packet.vendor_chunks {
        chunk.write(out);
    }
    if !packet.payload.is_empty() {
        return octets(out, kind::PAYLOAD, Some(packet.payload));
    }
    octets(out, kind::COMPRESSED, packet.compressed)
}

fn write_extra(packet: &Packet<'_>, out: &mut Vec<u8>) -> Option<()> {
    let extra = &packet.extra;
    fixed(out, kind::VLAN, extra.vlan.map(u16::to_be_bytes));
    octets(out, kind::NODE_NAME, extra.node_name)?;
    fixed(out, kind::SOURCE_MAC, extra.source_mac.map(u64::to_be_bytes));
    fixed(out, kind::DESTINATION_MAC, extra.destination_mac.map(u64::to_be_bytes));
    fixed(out, kind::ETHERNET_TYPE, extra.ethernet_type.map(u16::to_be_bytes));
    one_or_two_bytes(out, kind::TCP_FLAGS, extra.tcp_flags);
    one_or_two_bytes(out, kind::TYPE_OF_SERVICE, extra.type_of_service);
    fixed(out, kind::MOS, extra.mos.map(u16::to_be_bytes));
    fixed(out, kind::R_FACTOR, extra.r_factor.map(u16::to_be_bytes));
    octets(out, kind::GEO_LOCATION, extra.geo_location)?;
    fixed(out, kind::JITTER, extra.jitter.map(u32::to_be_bytes));
    octets(out, kind::TRANSACTION_TYPE, extra.transaction_type)?;
    octets(out, kind::PAYLOAD_KEYS, extra.payload_keys)?;
    octets(out, kind::TAGS, extra.tags)?;
    fixed(out, kind::TAG_TYPE, extra.tag_type.map(u16::to_be_bytes));
    fixed(out, kind::EVENT_TYPE, extra.event_type.map(u16::to_be_bytes));
    octets(out, kind::GROUP_ID, extra.group_id)
}

#[inline]
fn fixed<const SIZE: usize>(out: &mut Vec<u8>, kind: u16, body: Option<[u8; SIZE]>) {
    if let Some(body) = body {
        write_header(out, kind, (CHUNK_HEADER + SIZE) as u16);
        out.extend_from_slice(&body);
    }
}

fn octets(out: &mut Vec<u8>, kind: u16, body: Option<&[u8]>) -> Option<()> {
    if let Some(body) = body {
        write_header(out, kind, u16::try_from(CHUNK_HEADER + body.len()).ok()?);
        out.extend_from_slice(body);
    }
    Some(())
}

fn write_address(out: &mut Vec<u8>, [kind_v4, kind_v6]: [u16; 2], address: Option<IpAddr>) {
    match address {
        Some(IpAddr::V4(address)) => fixed(out, kind_v4, Some(address.octets())),
        Some(IpAddr::V6(address)) => fixed(out, kind_v6, Some(address.octets())),
        None => {}
    }
}

/// The specification has one byte; two only where the value needs them.
fn one_or_two_bytes(out: &mut Vec<u8>, kind: u16, value: Option<u16>) {
    match value.map(u8::try_from) {
        Some(Ok(byte)) => fixed(out, kind, Some([byte])),
        Some(Err(_)) => fixed(out, kind, value.map(u16::to_be_bytes)),
        None => {}
    }
}

#[inline]
fn write_header(out: &mut Vec<u8>, kind: u16, length: u16) {
    let ([kind_high, kind_low], [length_high, length_low]) = (kind.to_be_bytes(), length.to_be_bytes());
    out.extend_from_slice(&[0, 0, kind_high, kind_low, length_high, length_low]);
}
