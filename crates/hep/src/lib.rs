//! HEP, the Homer Encapsulation Protocol: bytes to packets and back, for versions 1, 2 and 3.
//!
//! HEP carries copies of captured packets from an agent to a collector. [`decode`] reads one packet and
//! borrows from its bytes; [`encode`] writes one; [`framing`] finds packets in a stream; [`decompress`]
//! opens a compressed payload. Facts about version 3 come from the HEP3 Network Protocol Specification,
//! revision 37; those about versions 1 and 2 from packets that real agents sent.
//!
//! What always holds:
//! - Every decoder is total: no input makes it panic, loop without end or read past its slice.
//! - Decoding and framing allocate nothing; decompression allocates at most its limit.
//! - Chunks of a foreign vendor never touch a generic field.
//! - Field values are those on the wire. Judging them (times, keys, payload) is the caller's work.
//!
//! Nothing here knows a socket, a clock, SIP headers or Arrow.

mod blank;
mod chunk;
mod decode;
mod decompress;
mod encode;
pub mod framing;
mod legacy;
mod packet;

pub use blank::blank_auth_key;
pub use chunk::{VendorChunk, VendorChunks, VendorChunksIter};
pub use decode::{DecodeError, decode, identify};
pub use decompress::{DecompressError, decompress};
pub use encode::{EncodeError, encode};
pub use packet::{CaptureTime, Extra, Packet, TimeWindow, Version};

#[cfg(test)]
mod tests;
