//! The journal record: a fixed header, then the packet with its authentication key blanked.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | format version, 1 |
//! | 1 | 1 | transport: 1 UDP, 2 TCP, 3 HTTP, 4 TLS, 5 HTTPS |
//! | 2 | 1 | address family of the peer: 4 or 6 |
//! | 3 | 1 | zero |
//! | 4 | 2 | port of the peer, little-endian |
//! | 6 | 2 | zero |
//! | 8 | 8 | receive time in microseconds since 1970 UTC, little-endian |
//! | 16 | 16 | address of the peer; IPv4 in the first four bytes |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use pintail_hep::Packet;
use pintail_lake::Block;
use pintail_types::{Error, Micros, Result};

use crate::accounting::Transport;

const FORMAT_VERSION: u8 = 1;
const HEADER_BYTES: usize = 32;
/// Room for a key's zeros; longer keys are blanked in several pieces.
const ZEROS: [u8; 256] = [0; 256];

/// Where and when a packet came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) transport: Transport,
    pub(crate) received: Micros,
    pub(crate) peer: SocketAddr,
}

impl Arrival {
    fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[0] = FORMAT_VERSION;
        header[1] = self.transport as u8 + 1;
        header[4..6].copy_from_slice(&self.peer.port().to_le_bytes());
        header[8..16].copy_from_slice(&self.received.to_le_bytes());
        match self.peer.ip() {
            IpAddr::V4(address) => {
                header[2] = 4;
                header[16..20].copy_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                header[2] = 6;
                header[16..].copy_from_slice(&address.octets());
            }
        }
        header
    }
}

/// Adds the record of one packet, `bytes`, to a block.
pub(crate) fn push(block: &mut Block, arrival: &Arrival, bytes: &[u8], packet: &Packet<'_>) {
    let header = arrival.header();
    // The last key may be empty and one before it not.
    let has_key = |key: &std::ops::Range<usize>| !key.is_empty() || packet.repeated_chunks > 0;
    let Some(key) = packet.auth_key_range.clone().filter(has_key) else {
        block.push(&[&header, bytes]);
        return;
    };
    let (before, after) = (&bytes[..key.start], &bytes[key.end..]);
    // A key given twice leaves the first one in the bytes; then they are blanked in a copy.
    if packet.repeated_chunks > 0 || key.len() > ZEROS.len() {
        let mut blanked = bytes.to_vec();
        pintail_hep::blank_auth_key(&mut blanked);
        block.push(&[&header, &blanked]);
        return;
    }
    block.push(&[&header, before, &ZEROS[..key.len()], after]);
}

/// Splits a record into arrival and packet.
///
/// # Errors
/// `Corrupt` for a record of another format.
pub(crate) fn split(record: &[u8]) -> Result<(Arrival, &[u8])> {
    let unreadable =
        |what: &str| Error::corrupt(format!("a journal record of {} bytes {what}", record.len()));
    let (header, bytes) =
        record.split_first_chunk::<HEADER_BYTES>().ok_or_else(|| unreadable("is shorter than its header"))?;
    if header[0] != FORMAT_VERSION {
        return Err(unreadable(&format!(
            "has format version {}, this program reads {FORMAT_VERSION}",
            header[0]
        )));
    }
    let transport = Transport::ALL
        .into_iter()
        .find(|transport| *transport as u8 + 1 == header[1])
        .ok_or_else(|| unreadable(&format!("names the unknown transport {}", header[1])))?;
    let mut address = [0; 16];
    address.copy_from_slice(&header[16..]);
    let address = match header[2] {
        4 => IpAddr::V4(Ipv4Addr::new(address[0], address[1], address[2], address[3])),
        6 => IpAddr::V6(Ipv6Addr::from(address)),
        other => return Err(unreadable(&format!("names the unknown address family {other}"))),
    };
    let peer = SocketAddr::new(address, u16::from_le_bytes([header[4], header[5]]));
    let mut micros = [0; 8];
    micros.copy_from_slice(&header[8..16]);
    Ok((Arrival { transport, received: Micros::from_le_bytes(micros), peer }, bytes))
}

#[cfg(test)]
mod tests {
    use pintail_hep::TimeWindow;
    use pintail_types::ErrorKind;

    use super::*;

    /// Bytes that the journal puts before a record.
    const RECORD_HEADER: usize = 8;

    fn written(arrival: &Arrival, bytes: &[u8]) -> Vec<u8> {
        let packet = pintail_hep::decode(bytes, TimeWindow::ANY).unwrap();
        let mut block = Block::new();
        push(&mut block, arrival, bytes, &packet);
        block.bytes()[RECORD_HEADER..].to_vec()
    }

    fn packet(keys: &[&[u8]]) -> Vec<u8> {
        let mut chunks = Vec::new();
        for key in keys {
            chunks.extend_from_slice(&[0, 0, 0, 0x0e]);
            chunks.extend_from_slice(&u16::try_from(6 + key.len()).unwrap().to_be_bytes());
            chunks.extend_from_slice(key);
        }
        chunks.extend_from_slice(&[0, 0, 0, 0x0f, 0, 8, b'h', b'i']);
        let mut bytes = b"HEP3".to_vec();
        bytes.extend_from_slice(&u16::try_from(6 + chunks.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&chunks);
        bytes
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (transport, peer) in [
            (Transport::Udp, "192.0.2.1:5060"),
            (Transport::Tcp, "[2001:db8::1]:9060"),
            (Transport::Http, "127.0.0.1:1"),
            (Transport::Tls, "192.0.2.1:9061"),
            (Transport::Https, "[::1]:9443"),
        ] {
            let arrival = Arrival { transport, received: 1_795_169_316_500_000, peer: peer.parse().unwrap() };
            let bytes = packet(&[]);
            let record = written(&arrival, &bytes);
            assert_eq!(split(&record).unwrap(), (arrival, bytes.as_slice()));
        }
    }

    #[test]
    fn no_key_reaches_the_journal() {
        let arrival =
            Arrival { transport: Transport::Udp, received: 0, peer: "127.0.0.1:1".parse().unwrap() };
        let long = [b'K'; 300];
        let cases: [&[&[u8]]; 5] = [&[b"KKKK"], &[b"KKKK", b"KK"], &[b"KKKK", b""], &[&long], &[b""]];
        for keys in cases {
            let bytes = packet(keys);
            let record = written(&arrival, &bytes);
            let (_, kept) = split(&record).unwrap();
            assert_eq!(kept.len(), bytes.len());
            assert!(!kept.contains(&b'K'), "{keys:?}");
            assert_eq!(pintail_hep::decode(kept, TimeWindow::ANY).unwrap().payload, b"hi");
        }
    }

    #[test]
    fn other_formats_are_refused() {
        let arrival =
            Arrival { transport: Transport::Udp, received: 0, peer: "127.0.0.1:1".parse().unwrap() };
        let record = written(&arrival, &packet(&[]));
        for (offset, value) in [(0, 2), (1, 9), (1, 0), (2, 5)] {
            let mut other = record.clone();
            other[offset] = value;
            assert_eq!(split(&other).unwrap_err().kind(), ErrorKind::Corrupt, "byte {offset}");
        }
        assert_eq!(split(&record[..31]).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
