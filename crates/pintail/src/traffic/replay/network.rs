//! HEP, SIP and RTCP in UDP, out of pcap and pcapng files.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::net::IpAddr;

use etherparse::defrag::IpDefragPool;
use etherparse::{EtherType, IpNumber, NetSlice, SlicedPacket, TransportSlice, UdpSlice};
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{PcapError, TsResolution};
use pintail_hep::{Packet, Version};
use pintail_types::{Error, Micros, Result};

use super::ReplayFormat;
use crate::traffic::Progress;
use crate::traffic::dialogs::capture_time;

/// Fragments are kept for so long, as RFC 791 advises a receiver.
const FRAGMENT_LIFETIME: Micros = 30_000_000;
/// Fragments that wait are thinned out whenever so many new ones came.
const FRAGMENTS_BETWEEN_CLEANUPS: u32 = 4096;
/// Resolution of pcapng times when an interface does not say: microseconds.
const DEFAULT_RESOLUTION: u8 = 6;

/// A capture file.
pub(super) struct NetworkFile {
    reader: Reader,
    fragments: IpDefragPool<Micros, ()>,
    fragments_seen: u32,
}

enum Reader {
    Pcap { reader: PcapReader<File>, link: DataLink, nanoseconds: bool },
    PcapNg { reader: PcapNgReader<File>, resolutions: HashMap<u32, u8> },
}

impl fmt::Debug for NetworkFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkFile").field("fragments_seen", &self.fragments_seen).finish_non_exhaustive()
    }
}

/// A UDP datagram of the capture.
struct Datagram<'a> {
    source: IpAddr,
    destination: IpAddr,
    source_port: u16,
    destination_port: u16,
    time: Micros,
    payload: &'a [u8],
}

impl NetworkFile {
    pub(super) fn pcap(file: File) -> Result<Self> {
        let reader = PcapReader::new(file).map_err(broken)?;
        let header = reader.header();
        let nanoseconds = header.ts_resolution == TsResolution::NanoSecond;
        Ok(Self::new(Reader::Pcap { reader, link: header.datalink, nanoseconds }))
    }

    pub(super) fn pcapng(file: File) -> Result<Self> {
        let reader = PcapNgReader::new(file).map_err(broken)?;
        Ok(Self::new(Reader::PcapNg { reader, resolutions: HashMap::new() }))
    }

    fn new(reader: Reader) -> Self {
        Self { reader, fragments: IpDefragPool::new(), fragments_seen: 0 }
    }

    /// Appends the next packet to `out`, which stays empty at the end of the file; gives its capture time.
    pub(super) fn next(
        &mut self,
        format: &ReplayFormat,
        progress: &Progress,
        out: &mut Vec<u8>,
    ) -> Result<Option<Micros>> {
        let Self { reader, fragments, fragments_seen } = self;
        while let Some((link, time, bytes)) = reader.next()? {
            let reassembled;
            let Some(packet) = slice(link, &bytes) else {
                progress.skip(1);
                continue;
            };
            let udp = match &packet.transport {
                Some(TransportSlice::Udp(udp)) => udp.clone(),
                _ if packet.is_ip_payload_fragmented() => {
                    *fragments_seen += 1;
                    if *fragments_seen % FRAGMENTS_BETWEEN_CLEANUPS == 0 {
                        fragments.retain(|seen| time.saturating_sub(*seen) < FRAGMENT_LIFETIME);
                    }
                    match fragments.process_sliced_packet(&packet, time, ()) {
                        Ok(None) => continue,
                        Ok(Some(whole)) if whole.ip_number == IpNumber::UDP => reassembled = whole.payload,
                        Ok(Some(_)) | Err(_) => {
                            progress.skip(1);
                            continue;
                        }
                    }
                    let Ok(udp) = UdpSlice::from_slice(&reassembled) else {
                        progress.skip(1);
                        continue;
                    };
                    udp
                }
                _ => {
                    progress.skip(1);
                    continue;
                }
            };
            let Some((source, destination)) = addresses(&packet) else { continue };
            let datagram = Datagram {
                source,
                destination,
                source_port: udp.source_port(),
                destination_port: udp.destination_port(),
                time,
                payload: udp.payload(),
            };
            if write(&datagram, format, out)? {
                return Ok(Some(time));
            }
            progress.skip(1);
        }
        Ok(None)
    }
}

impl Reader {
    /// The next captured packet: link type, time, bytes.
    fn next(&mut self) -> Result<Option<(DataLink, Micros, Vec<u8>)>> {
        match self {
            Self::Pcap { reader, link, nanoseconds } => {
                // The raw packet, because captures exist whose lengths exceed their own snap length.
                let Some(packet) = reader.next_raw_packet() else { return Ok(None) };
                let packet = packet.map_err(broken)?;
                let fraction = Micros::from(packet.ts_frac) / if *nanoseconds { 1000 } else { 1 };
                let time = Micros::from(packet.ts_sec) * 1_000_000 + fraction;
                Ok(Some((*link, time, packet.data.into_owned())))
            }
            Self::PcapNg { reader, resolutions } => next_pcapng(reader, resolutions),
        }
    }
}

fn next_pcapng(
    reader: &mut PcapNgReader<File>,
    resolutions: &mut HashMap<u32, u8>,
) -> Result<Option<(DataLink, Micros, Vec<u8>)>> {
    loop {
        let Some(block) = reader.next_block() else { return Ok(None) };
        let packet = match block.map_err(broken)? {
            Block::EnhancedPacket(packet) => packet.into_owned(),
            // Interfaces are numbered anew in each section.
            Block::SectionHeader(_) => {
                resolutions.clear();
                continue;
            }
            _ => continue,
        };
        let Some(interface) = reader.packet_interface(&packet) else {
            return Err(Error::invalid(format!(
                "names interface {} and does not have it",
                packet.interface_id
            )));
        };
        let link = interface.linktype;
        let resolution = *resolutions.entry(packet.interface_id).or_insert_with(|| resolution(interface));
        // The crate hands out the interface's own units as if they were nanoseconds.
        let time = scale(packet.timestamp.as_nanos(), resolution);
        return Ok(Some((link, time, packet.data.into_owned())));
    }
}

/// `if_tsresol`: a negative power of ten, or of two when the highest bit is set.
fn resolution(interface: &InterfaceDescriptionBlock<'_>) -> u8 {
    let stated = interface.options.iter().find_map(|option| match option {
        InterfaceDescriptionOption::IfTsResol(resolution) => Some(*resolution),
        _ => None,
    });
    stated.unwrap_or(DEFAULT_RESOLUTION)
}

/// `units` of a resolution as microseconds.
fn scale(units: u128, resolution: u8) -> Micros {
    let per_second = match resolution {
        binary @ 128.. => 1_u128.checked_shl(u32::from(binary & 127)),
        decimal => 10_u128.checked_pow(u32::from(decimal)),
    };
    let micros = per_second.and_then(|per_second| Some(units.checked_mul(1_000_000)? / per_second));
    Micros::try_from(micros.unwrap_or(0)).unwrap_or(0)
}

fn slice(link: DataLink, bytes: &[u8]) -> Option<SlicedPacket<'_>> {
    match link {
        DataLink::ETHERNET => SlicedPacket::from_ethernet(bytes).ok(),
        DataLink::LINUX_SLL => SlicedPacket::from_linux_sll(bytes).ok(),
        // Its header has the protocol first and is 20 bytes long.
        DataLink::LINUX_SLL2 => {
            let protocol = u16::from_be_bytes(*bytes.first_chunk::<2>()?);
            SlicedPacket::from_ether_type(EtherType(protocol), bytes.get(20..)?).ok()
        }
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => SlicedPacket::from_ip(bytes).ok(),
        // Four bytes of address family, in the capturing machine's order; IP tells its version itself.
        DataLink::NULL | DataLink::LOOP => SlicedPacket::from_ip(bytes.get(4..)?).ok(),
        _ => None,
    }
}

fn addresses(packet: &SlicedPacket<'_>) -> Option<(IpAddr, IpAddr)> {
    match packet.net.as_ref()? {
        NetSlice::Ipv4(ipv4) => {
            Some((ipv4.header().source_addr().into(), ipv4.header().destination_addr().into()))
        }
        NetSlice::Ipv6(ipv6) => {
            Some((ipv6.header().source_addr().into(), ipv6.header().destination_addr().into()))
        }
        NetSlice::Arp(_) => None,
    }
}

/// Writes the datagram as a HEP packet; `false` when it is of no use.
fn write(datagram: &Datagram<'_>, format: &ReplayFormat, out: &mut Vec<u8>) -> Result<bool> {
    let protocol_type = match recognise(datagram.payload) {
        Some(Content::Hep) => {
            out.extend_from_slice(datagram.payload);
            return Ok(true);
        }
        Some(Content::Sip) => 1,
        Some(Content::Rtcp) => 5,
        None => return Ok(false),
    };
    let packet = Packet {
        version: Version::V3,
        family: Some(if datagram.source.is_ipv4() { 2 } else { 10 }),
        ip_protocol: Some(17),
        source: Some(datagram.source),
        destination: Some(datagram.destination),
        source_port: Some(datagram.source_port),
        destination_port: Some(datagram.destination_port),
        time: Some(capture_time(datagram.time)),
        protocol_type: Some(protocol_type),
        capture_id: Some(format.capture_id),
        auth_key: format.auth_key.as_deref().map(str::as_bytes),
        payload: datagram.payload,
        ..Packet::default()
    };
    // Only a payload near 64 KiB does not fit; it is skipped like other foreign things.
    Ok(pintail_hep::encode(&packet, out).is_ok())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Hep,
    Sip,
    Rtcp,
}

/// What a UDP payload is, by its first bytes.
pub(super) fn recognise(payload: &[u8]) -> Option<Content> {
    if is_hep(payload) {
        return Some(Content::Hep);
    }
    if is_rtcp(payload) {
        return Some(Content::Rtcp);
    }
    is_sip(payload).then_some(Content::Sip)
}

fn is_hep(payload: &[u8]) -> bool {
    pintail_hep::decode(payload, pintail_hep::TimeWindow::ANY).is_ok()
}

/// A SIP start line: `SIP/2.0 …`, or a method and ` SIP/2.0` at the line's end.
fn is_sip(payload: &[u8]) -> bool {
    let line = payload.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    let is_response = line.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/2.0 "));
    let is_request = line.first().is_some_and(u8::is_ascii_uppercase)
        && line.len() > 8
        && line[line.len() - 8..].eq_ignore_ascii_case(b" SIP/2.0");
    is_response || is_request
}

/// A compound RTCP packet: version 2, first a report (RFC 3550, 6.1), and lengths that add up.
fn is_rtcp(payload: &[u8]) -> bool {
    let mut rest = payload;
    let mut first = true;
    while let Some(&[flags, kind, high, low]) = rest.first_chunk::<4>() {
        let length = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
        let known = if first { matches!(kind, 200 | 201) } else { matches!(kind, 200..=207) };
        if flags >> 6 != 2 || !known || length > rest.len() {
            return false;
        }
        rest = &rest[length..];
        first = false;
    }
    !first && rest.is_empty()
}

fn broken(error: PcapError) -> Error {
    Error::invalid(format!("is not a sound network capture: {error}")).with_source(error)
}
