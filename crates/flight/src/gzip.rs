//! gzip on the wire, for clients that ask for it.
//!
//! A client asks by compressing its own requests: that is what the gRPC compression guide names as the server's rule, and
//! what servers in Go do. That a client can read gzip (`grpc-accept-encoding`) is no wish: most clients say so with every
//! call, also on a network that is faster than any compression.
//! (<https://github.com/grpc/grpc/blob/master/doc/compression.md>)

use std::io::{self, Read};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue};

use crate::encode::{GRPC_PREFIX, Message};

/// What the messages of a request or an answer are compressed with.
pub(crate) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// The value of [`ENCODING`].
pub(crate) const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// What a client can read.
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Whether the client of these headers asks for answers in gzip, and can read them.
pub(crate) fn is_asked_for(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPTED).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    let can_read = accepted.split(',').any(|encoding| encoding.trim() == "gzip");
    can_read && headers.get(ENCODING).is_some_and(|encoding| encoding == GZIP)
}

/// A message as it goes over gRPC when it is compressed: flag byte, length, and the message.
///
/// # Errors
/// None in practice: memory takes all that is written.
pub(crate) fn grpc_message(message: Message) -> io::Result<Bytes> {
    let length = message.length();
    let mut encoder = GzEncoder::new(BytesMut::with_capacity(length / 2).writer(), Compression::fast());
    let mut plain = message.into_grpc_pieces();
    plain.advance(GRPC_PREFIX);
    io::copy(&mut plain.reader(), &mut encoder)?;
    let compressed = encoder.finish()?.into_inner();
    let mut framed = BytesMut::with_capacity(GRPC_PREFIX + compressed.len());
    framed.put_u8(1);
    framed.put_u32(u32::try_from(compressed.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(&compressed);
    Ok(framed.freeze())
}

/// A message as it was before it was compressed; `None` if it is no gzip, or longer than `limit` bytes.
pub(crate) fn decompressed(bytes: &[u8], limit: usize) -> Option<BytesMut> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).take(limit as u64 + 1).read_to_end(&mut plain).ok()?;
    (plain.len() <= limit).then(|| BytesMut::from(plain.as_slice()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn little_that_becomes_much_is_not_read() {
        let bomb = gzip(&[0; 1 << 20]);
        assert!(bomb.len() < 20_000, "{}", bomb.len());
        assert!(decompressed(&bomb, (1 << 20) - 1).is_none());
        assert_eq!(decompressed(&bomb, 1 << 20).unwrap().len(), 1 << 20);
        for broken in [&bomb[..bomb.len() - 1], b"", b"plain"] {
            assert!(decompressed(broken, 1 << 20).is_none());
        }
    }

    #[test]
    fn to_be_able_is_not_to_ask() {
        for (sent, accepted, asked) in [
            (Some("gzip"), Some("identity, deflate, gzip"), true),
            (Some("gzip"), Some("identity,deflate"), false),
            (Some("gzip"), None, false),
            (Some("identity"), Some("gzip"), false),
            (None, Some("gzip"), false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(ENCODING, sent), (ACCEPTED, accepted)] {
                headers.extend(value.map(|value| (name, HeaderValue::from_static(value))));
            }
            assert_eq!(is_asked_for(&headers), asked, "{sent:?}, {accepted:?}");
        }
    }
}
