//! The packets of an HTTP body.

use pintail_hep::framing::{Frame, next_frame};
use pintail_hep::{Version, identify};

use crate::accounting::Reason;

/// A part of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// One packet, by its own word.
    Packet(&'a [u8]),
    /// The end of the body, which is no packet.
    Unreadable(Reason, &'a [u8]),
}

/// Splits a body. Only HEP3 can be split; versions 1 and 2 have no length, so the body is the packet.
pub(super) fn parts(body: &[u8]) -> Parts<'_> {
    Parts { rest: Some(body), is_first: true }
}

/// See [`parts`].
#[derive(Debug)]
pub(super) struct Parts<'a> {
    rest: Option<&'a [u8]>,
    is_first: bool,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let rest = self.rest.take()?;
        let is_first = std::mem::replace(&mut self.is_first, false);
        match next_frame(rest) {
            Frame::Complete(length) => {
                let (packet, after) = rest.split_at(length);
                self.rest = Some(after).filter(|after| !after.is_empty());
                return Some(Part::Packet(packet));
            }
            Frame::Incomplete { .. } | Frame::NotHep => {}
        }
        if !is_first {
            return Some(Part::Unreadable(Reason::Framing, rest));
        }
        match identify(rest) {
            // Version 3 comes here when its length is wrong; the decoder says how.
            Some(Version::V1 | Version::V2 | Version::V3) => Some(Part::Packet(rest)),
            None => Some(Part::Unreadable(Reason::NotHep, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_split_at_packets() {
        let packet: &[u8] = b"HEP3\0\x06";
        let version_one: &[u8] = &[1, 16, 2, 17, 0, 0];
        let two = [packet, packet].concat();
        let broken = [packet, b"HEP3\0\x10"].concat();
        let followed = [packet, b"\r\n"].concat();
        let cases: [(&[u8], &[Part<'_>]); 8] = [
            (b"", &[Part::Unreadable(Reason::NotHep, b"")]),
            (b"GET /", &[Part::Unreadable(Reason::NotHep, b"GET /")]),
            (packet, &[Part::Packet(packet)]),
            (&two, &[Part::Packet(packet), Part::Packet(packet)]),
            (&broken, &[Part::Packet(packet), Part::Unreadable(Reason::Framing, b"HEP3\0\x10")]),
            (&followed, &[Part::Packet(packet), Part::Unreadable(Reason::Framing, b"\r\n")]),
            (b"HEP3\0\x10", &[Part::Packet(b"HEP3\0\x10")]),
            (version_one, &[Part::Packet(version_one)]),
        ];
        for (body, expected) in cases {
            assert_eq!(parts(body).collect::<Vec<_>>(), expected, "{body:?}");
        }
    }
}
