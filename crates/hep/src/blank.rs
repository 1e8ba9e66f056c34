//! Taking the authentication key out of a packet before it is kept.

use crate::chunk::{CHUNK_HEADER, PACKET_HEADER, kind};
use crate::decode::identify;
use crate::packet::Version;

/// Overwrites the body of every generic chunk 0x000e of a HEP3 packet with zeros; lengths stay.
///
/// A malformed packet is blanked as far as its chunks can be followed. Versions 1 and 2 have no key.
pub fn blank_auth_key(bytes: &mut [u8]) {
    if identify(bytes) != Some(Version::V3) {
        return;
    }
    let mut rest = bytes.get_mut(PACKET_HEADER..).unwrap_or_default();
    while let Some(&[vendor_high, vendor_low, kind_high, kind_low, length_high, length_low]) =
        rest.first_chunk::<CHUNK_HEADER>()
    {
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        if length < CHUNK_HEADER {
            return;
        }
        // A key that is cut off at the end is a key still.
        let (chunk, after) = rest.split_at_mut(length.min(rest.len()));
        let is_generic = [vendor_high, vendor_low] == [0, 0];
        if is_generic && u16::from_be_bytes([kind_high, kind_low]) == kind::AUTH_KEY {
            chunk[CHUNK_HEADER..].fill(0);
        }
        rest = after;
    }
}
