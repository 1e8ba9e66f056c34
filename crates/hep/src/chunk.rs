//! The chunks of HEP3: numbers of the generic ones, a walk over a packet's chunks, and vendor chunks.

use std::fmt;

/// Bytes of a packet before its first chunk: identifier and total length.
pub(crate) const PACKET_HEADER: usize = 6;
/// Bytes of a chunk before its body: vendor id, type id and chunk length.
pub(crate) const CHUNK_HEADER: usize = 6;

/// Type ids of the generic chunks (vendor 0).
pub(crate) mod kind {
    pub(crate) const FAMILY: u16 = 0x0001;
    pub(crate) const IP_PROTOCOL: u16 = 0x0002;
    pub(crate) const SOURCE_V4: u16 = 0x0003;
    pub(crate) const DESTINATION_V4: u16 = 0x0004;
    pub(crate) const SOURCE_V6: u16 = 0x0005;
    pub(crate) const DESTINATION_V6: u16 = 0x0006;
    pub(crate) const SOURCE_PORT: u16 = 0x0007;
    pub(crate) const DESTINATION_PORT: u16 = 0x0008;
    pub(crate) const SECONDS: u16 = 0x0009;
    pub(crate) const MICROS: u16 = 0x000a;
    pub(crate) const PROTOCOL_TYPE: u16 = 0x000b;
    pub(crate) const CAPTURE_ID: u16 = 0x000c;
    pub(crate) const KEEP_ALIVE: u16 = 0x000d;
    pub(crate) const AUTH_KEY: u16 = 0x000e;
    pub(crate) const PAYLOAD: u16 = 0x000f;
    pub(crate) const COMPRESSED: u16 = 0x0010;
    pub(crate) const CORRELATION_ID: u16 = 0x0011;
    pub(crate) const VLAN: u16 = 0x0012;
    pub(crate) const NODE_NAME: u16 = 0x0013;
    pub(crate) const SOURCE_MAC: u16 = 0x0014;
    pub(crate) const DESTINATION_MAC: u16 = 0x0015;
    pub(crate) const ETHERNET_TYPE: u16 = 0x0016;
    pub(crate) const TCP_FLAGS: u16 = 0x0017;
    pub(crate) const TYPE_OF_SERVICE: u16 = 0x0018;
    pub(crate) const MOS: u16 = 0x0020;
    pub(crate) const R_FACTOR: u16 = 0x0021;
    pub(crate) const GEO_LOCATION: u16 = 0x0022;
    pub(crate) const JITTER: u16 = 0x0023;
    pub(crate) const TRANSACTION_TYPE: u16 = 0x0024;
    pub(crate) const PAYLOAD_KEYS: u16 = 0x0025;
    pub(crate) const TAGS: u16 = 0x0026;
    pub(crate) const TAG_TYPE: u16 = 0x0027;
    pub(crate) const EVENT_TYPE: u16 = 0x0028;
    pub(crate) const GROUP_ID: u16 = 0x0029;
}

/// One chunk, of any vendor.
#[derive(Clone, Copy)]
pub(crate) struct Chunk<'a> {
    pub(crate) vendor: u16,
    pub(crate) kind: u16,
    pub(crate) body: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// Splits the first chunk off; `None` if its length is below its header or past the end.
    pub(crate) fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let &[vendor_high, vendor_low, kind_high, kind_low, length_high, length_low, ref after @ ..] = bytes
        else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        let (body, rest) = after.split_at_checked(length.checked_sub(CHUNK_HEADER)?)?;
        let vendor = u16::from_be_bytes([vendor_high, vendor_low]);
        Some((Self { vendor, kind: u16::from_be_bytes([kind_high, kind_low]), body }, rest))
    }
}

/// A chunk whose meaning a vendor defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VendorChunk<'a> {
    /// Vendor id, not 0: 1 FreeSWITCH, 2 Kamailio, 3 OpenSIPS, 4 Asterisk, 5 Homer, 6 sipXecs,
    /// 7 Yeti Switch, 8 Genesys.
    pub vendor: u16,
    /// Type id in the vendor's own numbering.
    pub kind: u16,
    /// The body.
    pub body: &'a [u8],
}

impl VendorChunk<'_> {
    /// Appends the chunk as on the wire, to make [`VendorChunks`] of.
    ///
    /// A body longer than 65,529 bytes does not fit a chunk and is cut there.
    pub fn write(&self, out: &mut Vec<u8>) {
        let body = &self.body[..self.body.len().min(usize::from(u16::MAX) - CHUNK_HEADER)];
        out.extend_from_slice(&self.vendor.to_be_bytes());
        out.extend_from_slice(&self.kind.to_be_bytes());
        out.extend_from_slice(&((body.len() + CHUNK_HEADER) as u16).to_be_bytes());
        out.extend_from_slice(body);
    }
}

/// The vendor chunks of a packet, found by walking its chunks again, so that they cost nothing unless asked for.
#[derive(Clone, Copy, Default)]
pub struct VendorChunks<'a> {
    /// Chunks back to back, generic ones among them.
    chunks: &'a [u8],
    count: u16,
}

impl<'a> VendorChunks<'a> {
    /// The vendor chunks among `chunks`, which are encoded back to back; ends at the first malformed one.
    pub fn among(chunks: &'a [u8]) -> Self {
        let count = VendorChunksIter { chunks }.count();
        Self { chunks, count: u16::try_from(count).unwrap_or(u16::MAX) }
    }

    /// As [`VendorChunks::among`], when they have been counted already.
    pub(crate) const fn counted(chunks: &'a [u8], count: u16) -> Self {
        Self { chunks, count }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The chunks in the order of the packet.
    pub const fn iter(&self) -> VendorChunksIter<'a> {
        VendorChunksIter { chunks: if self.count == 0 { &[] } else { self.chunks } }
    }
}

impl PartialEq for VendorChunks<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for VendorChunks<'_> {}

impl fmt::Debug for VendorChunks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for VendorChunks<'a> {
    type Item = VendorChunk<'a>;
    type IntoIter = VendorChunksIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &VendorChunks<'a> {
    type Item = VendorChunk<'a>;
    type IntoIter = VendorChunksIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Walks over the vendor chunks of a packet.
#[derive(Debug, Clone)]
pub struct VendorChunksIter<'a> {
    chunks: &'a [u8],
}

impl<'a> Iterator for VendorChunksIter<'a> {
    type Item = VendorChunk<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((chunk, rest)) = Chunk::split(self.chunks) {
            self.chunks = rest;
            if chunk.vendor != 0 {
                return Some(VendorChunk { vendor: chunk.vendor, kind: chunk.kind, body: chunk.body });
            }
        }
        None
    }
}
