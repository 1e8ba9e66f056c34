//! What a decoded packet holds.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use crate::chunk::VendorChunks;

/// The version of the encapsulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Version {
    /// Version 1: a fixed header without time.
    V1,
    /// Version 2: version 1 with time and capture id.
    V2,
    /// Version 3: chunks. The identifier "EEP3" counts as version 3 too.
    #[default]
    V3,
}

impl Version {
    /// The version as a number.
    pub const fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// When the agent says that it captured, exactly as on the wire: neither value is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CaptureTime {
    /// Seconds since 1970 UTC.
    pub seconds: u32,
    /// Microseconds to add; senders also write values above 999,999.
    pub micros: u32,
}

/// The capture times that are plausible, in seconds since 1970 UTC, both ends included.
///
/// Version 2 does not say its byte order; only the time can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeWindow {
    /// The earliest plausible second.
    pub earliest: u32,
    /// The latest plausible second.
    pub latest: u32,
}

impl TimeWindow {
    /// Every time is plausible: version 2 is then always read in little-endian order.
    pub const ANY: Self = Self { earliest: 0, latest: u32::MAX };

    /// Whether `seconds` is plausible.
    pub const fn contains(self, seconds: u32) -> bool {
        self.earliest <= seconds && seconds <= self.latest
    }
}

/// One HEP packet, borrowed from the bytes that it was decoded from.
///
/// A field is `None` where its chunk is absent, or where the version has no such field.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The version of the encapsulation.
    pub version: Version,
    /// IP family: 2 is IPv4, 10 is IPv6 (chunk 0x0001).
    pub family: Option<u8>,
    /// IP protocol number of the captured traffic: 6 TCP, 17 UDP, 132 SCTP (0x0002).
    pub ip_protocol: Option<u8>,
    /// Source address of the captured traffic (0x0003 or 0x0005).
    pub source: Option<IpAddr>,
    /// Destination address (0x0004 or 0x0006).
    pub destination: Option<IpAddr>,
    /// Source port (0x0007).
    pub source_port: Option<u16>,
    /// Destination port (0x0008).
    pub destination_port: Option<u16>,
    /// Capture time (0x0009 and 0x000a). Without seconds there is none; without microseconds they are 0.
    pub time: Option<CaptureTime>,
    /// What the payload is (0x000b): 1 is SIP, 5 is RTCP as JSON. Versions 1 and 2 carry SIP only.
    pub protocol_type: Option<u8>,
    /// Number of the capture agent (0x000c) as on the wire; see [`Packet::agent_number`].
    pub capture_id: Option<u32>,
    /// Keep-alive timer in seconds (0x000d).
    pub keep_alive: Option<u16>,
    /// Authentication key (0x000e). Never store or log it.
    pub auth_key: Option<&'a [u8]>,
    /// Where the body of `auth_key` lies in the decoded bytes. [`encode`](crate::encode) ignores it.
    pub auth_key_range: Option<Range<usize>>,
    /// The captured payload (0x000f); empty when there is none.
    pub payload: &'a [u8],
    /// The compressed payload (0x0010), if there is no 0x000f, which wins; see [`decompress`](crate::decompress).
    pub compressed: Option<&'a [u8]>,
    /// Correlation id (0x0011), for example the Call-ID that an RTCP report belongs to.
    pub correlation_id: Option<&'a [u8]>,
    /// The fields that few agents send.
    pub extra: Extra<'a>,
    /// How many generic chunks came again; the last one counts. [`encode`](crate::encode) ignores it.
    pub repeated_chunks: u16,
    /// The chunks with a vendor id other than 0.
    pub vendor_chunks: VendorChunks<'a>,
}

/// The generic chunks of HEP3 that few agents send.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extra<'a> {
    /// VLAN id (0x0012).
    pub vlan: Option<u16>,
    /// Name of the capture agent (0x0013).
    pub node_name: Option<&'a [u8]>,
    /// Source MAC address, in the lower 48 bits (0x0014).
    pub source_mac: Option<u64>,
    /// Destination MAC address, in the lower 48 bits (0x0015).
    pub destination_mac: Option<u64>,
    /// Ethernet type (0x0016).
    pub ethernet_type: Option<u16>,
    /// TCP flags (0x0017); one byte by the specification, two from some agents.
    pub tcp_flags: Option<u16>,
    /// IP type of service (0x0018); one byte by the specification, two from some agents.
    pub type_of_service: Option<u16>,
    /// MOS value (0x0020); by convention in hundredths, 410 is 4.10.
    pub mos: Option<u16>,
    /// R-factor (0x0021).
    pub r_factor: Option<u16>,
    /// Geographic location (0x0022).
    pub geo_location: Option<&'a [u8]>,
    /// Jitter (0x0023).
    pub jitter: Option<u32>,
    /// Transaction type, such as "call" or "registration" (0x0024).
    pub transaction_type: Option<&'a [u8]>,
    /// JSON keys of the payload (0x0025).
    pub payload_keys: Option<&'a [u8]>,
    /// Tag values (0x0026).
    pub tags: Option<&'a [u8]>,
    /// Type of the tags (0x0027).
    pub tag_type: Option<u16>,
    /// Event type (0x0028): 1 recording, 2 lawful-interception recording.
    pub event_type: Option<u16>,
    /// Group id (0x0029).
    pub group_id: Option<&'a [u8]>,
}

impl Packet<'_> {
    /// The number of the capture agent as its operator configured it.
    ///
    /// sngrep writes the 16-bit number into the upper half of chunk 0x000c: where the lower half is
    /// zero and the upper one is not, the upper one is meant.
    pub fn agent_number(&self) -> Option<u32> {
        let raw = self.capture_id?;
        if self.version == Version::V3 && raw & 0xffff == 0 { Some(raw >> 16) } else { Some(raw) }
    }
}

/// Shows neither key nor payload, so that a packet in a log or panic message gives nothing away.
impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet")
            .field("version", &self.version)
            .field("family", &self.family)
            .field("ip_protocol", &self.ip_protocol)
            .field("source", &self.source)
            .field("destination", &self.destination)
            .field("source_port", &self.source_port)
            .field("destination_port", &self.destination_port)
            .field("time", &self.time)
            .field("protocol_type", &self.protocol_type)
            .field("capture_id", &self.capture_id)
            .field("keep_alive", &self.keep_alive)
            .field("auth_key_bytes", &self.auth_key.map(<[u8]>::len))
            .field("auth_key_range", &self.auth_key_range)
            .field("payload_bytes", &self.payload.len())
            .field("compressed_bytes", &self.compressed.map(<[u8]>::len))
            .field("correlation_id", &self.correlation_id)
            .field("extra", &self.extra)
            .field("repeated_chunks", &self.repeated_chunks)
            .field("vendor_chunks", &self.vendor_chunks)
            .finish()
    }
}
