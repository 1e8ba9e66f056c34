//! Any bytes decode or are refused; what decodes is the same after encoding, and its key can be blanked.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pintail_hep::{Packet, TimeWindow, blank_auth_key, decode, encode};

fuzz_target!(|bytes: &[u8]| {
    let mut blanked = bytes.to_vec();
    blank_auth_key(&mut blanked);
    let window = TimeWindow { earliest: 1_479_600_000, latest: 1_795_300_000 };
    let Ok(packet) = decode(bytes, window) else { return };
    assert_eq!(packet.vendor_chunks.iter().count(), packet.vendor_chunks.len());
    if let Some(range) = packet.auth_key_range.clone() {
        assert_eq!(packet.auth_key, Some(&bytes[range.clone()]));
        assert!(blanked[range].iter().all(|byte| *byte == 0));
    }
    let mut encoded = Vec::new();
    encode(&packet, &mut encoded).unwrap();
    let again = Packet { auth_key_range: None, ..decode(&encoded, window).unwrap() };
    assert_eq!(again, Packet { auth_key_range: None, repeated_chunks: 0, ..packet });
});
