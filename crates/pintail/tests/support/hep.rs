//! HEP3 packets, built by hand: the tests don't trust the encoder that they test with.

use std::time::{SystemTime, UNIX_EPOCH};

/// A packet with an INVITE of this Call-ID, captured now.
pub(crate) fn invite(call_id: &str) -> Vec<u8> {
    invite_at(call_id, SystemTime::now())
}

/// A packet with an INVITE of this Call-ID, captured at `time`.
pub(crate) fn invite_at(call_id: &str, time: SystemTime) -> Vec<u8> {
    let sip = format!(
        "INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{call_id}\r\n\
         From: <sip:alice@example.org>;tag=1\r\nTo: <sip:bob@example.org>\r\nCall-ID: {call_id}\r\n\
         CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    );
    packet_at(1, sip.as_bytes(), time)
}

/// A packet of this protocol number from 192.0.2.1:5060 to 192.0.2.2:5060, captured now.
pub(crate) fn packet(protocol: u8, payload: &[u8]) -> Vec<u8> {
    packet_at(protocol, payload, SystemTime::now())
}

/// The same, captured at `time`.
pub(crate) fn packet_at(protocol: u8, payload: &[u8], time: SystemTime) -> Vec<u8> {
    let time = time.duration_since(UNIX_EPOCH).unwrap();
    let mut chunks = Vec::new();
    let mut chunk = |kind: u16, body: &[u8]| {
        chunks.extend_from_slice(&0u16.to_be_bytes());
        chunks.extend_from_slice(&kind.to_be_bytes());
        chunks.extend_from_slice(&u16::try_from(body.len() + 6).unwrap().to_be_bytes());
        chunks.extend_from_slice(body);
    };
    chunk(1, &[2]);
    chunk(2, &[17]);
    chunk(3, &[192, 0, 2, 1]);
    chunk(4, &[192, 0, 2, 2]);
    chunk(7, &5060u16.to_be_bytes());
    chunk(8, &5060u16.to_be_bytes());
    chunk(9, &u32::try_from(time.as_secs()).unwrap().to_be_bytes());
    chunk(10, &time.subsec_micros().to_be_bytes());
    chunk(11, &[protocol]);
    chunk(12, &2001u32.to_be_bytes());
    chunk(15, payload);
    let mut packet = b"HEP3".to_vec();
    packet.extend_from_slice(&u16::try_from(chunks.len() + 6).unwrap().to_be_bytes());
    packet.append(&mut chunks);
    packet
}
