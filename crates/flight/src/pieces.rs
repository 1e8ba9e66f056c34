//! Bytes in several pieces of memory that are written to a socket as they are, in one HTTP/2 frame.
//!
//! A frame for each piece would be a system call for each, which wakes the reader for a few kilobytes.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Pieces that follow each other, none of them empty.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    pieces: VecDeque<Bytes>,
    remaining: usize,
}

impl Pieces {
    /// No bytes, and room for so many pieces.
    pub(crate) fn with_capacity(pieces: usize) -> Self {
        Self { pieces: VecDeque::with_capacity(pieces), remaining: 0 }
    }

    /// Adds a piece at the end.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.remaining += piece.len();
            self.pieces.push_back(piece);
        }
    }
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        let mut pieces = Self::default();
        pieces.push(bytes);
        pieces
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], Bytes::as_ref)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(&self.pieces).map(|(slice, piece)| *slice = IoSlice::new(piece));
        filled.count()
    }

    /// # Panics
    /// If there are fewer bytes, as [`Buf`] wants it.
    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "{count} bytes are more than the {} there are", self.remaining);
        self.remaining -= count;
        while let Some(first) = self.pieces.front_mut().filter(|_| count > 0) {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(texts: &[&'static str]) -> Pieces {
        let mut pieces = Pieces::with_capacity(texts.len());
        texts.iter().for_each(|text| pieces.push(Bytes::from_static(text.as_bytes())));
        pieces
    }

    #[test]
    fn pieces_are_read_as_one() {
        for step in 1..=12 {
            let mut pieces = pieces(&["", "one", "", "two", "three", ""]);
            let mut read = Vec::new();
            while pieces.has_remaining() {
                let count = step.min(pieces.remaining());
                read.extend_from_slice(&pieces.copy_to_bytes(count));
            }
            assert_eq!(read, b"onetwothree", "in steps of {step}");
            assert!(pieces.chunk().is_empty());
        }
    }

    #[test]
    fn as_many_pieces_are_given_as_there_is_room_for() {
        let mut pieces = pieces(&["one", "two", "three"]);
        pieces.advance(1);
        let mut slices = [IoSlice::new(&[]); 2];
        assert_eq!(pieces.chunks_vectored(&mut slices), 2);
        assert_eq!([&*slices[0], &*slices[1]], [&b"ne"[..], b"two"]);
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(pieces.chunks_vectored(&mut slices), 3);
    }

    #[test]
    #[should_panic(expected = "4 bytes are more than the 3 there are")]
    fn more_than_there_is_cannot_be_taken() {
        pieces(&["one"]).advance(4);
    }
}
