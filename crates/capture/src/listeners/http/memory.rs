//! Bodies on their way in, charged to the memory that all of them share.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Memory is given out in pieces of this size.
const PIECE_BYTES: usize = 1024;

/// The memory for all bodies of a listener.
#[derive(Debug)]
pub(super) struct BodyMemory {
    pieces: Semaphore,
}

/// Why a body can't be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is longer than one body may be: so many bytes came.
    TooLong(usize),
    /// The others have all the memory at the moment.
    NoMemory,
}

/// The bytes of one body that have come so far. Dropping it gives its memory back.
#[derive(Debug)]
pub(super) struct Body<'m> {
    memory: &'m BodyMemory,
    held: Option<SemaphorePermit<'m>>,
    limit: usize,
    bytes: Vec<u8>,
}

impl BodyMemory {
    /// Room for `bytes`, rounded up.
    pub(super) fn new(bytes: usize) -> Self {
        Self { pieces: Semaphore::new(bytes.div_ceil(PIECE_BYTES).min(Semaphore::MAX_PERMITS)) }
    }

    /// A body of at most `limit` bytes. It holds nothing until its first byte has come, whatever its length
    /// is said to be.
    pub(super) const fn begin(&self, limit: usize) -> Body<'_> {
        Body { memory: self, held: None, limit, bytes: Vec::new() }
    }
}

impl Body<'_> {
    /// Adds what came next.
    ///
    /// # Errors
    /// When it is too long, or there is no memory for it now.
    pub(super) fn push(&mut self, part: &[u8]) -> Result<(), Refused> {
        let length = self.bytes.len() + part.len();
        if length > self.limit {
            return Err(Refused::TooLong(length));
        }
        if length > self.bytes.capacity() {
            self.grow(length)?;
        }
        self.bytes.extend_from_slice(part);
        Ok(())
    }

    /// Makes room for `length` bytes, and for as much again as there are, so that few steps lead to a long body.
    fn grow(&mut self, length: usize) -> Result<(), Refused> {
        let room = length.max(self.bytes.len().saturating_mul(2)).min(self.limit);
        let held = self.held.as_ref().map_or(0, SemaphorePermit::num_permits);
        let more = room.div_ceil(PIECE_BYTES).saturating_sub(held);
        let more = u32::try_from(more).map_err(|_| Refused::NoMemory)?;
        let more = self.memory.pieces.try_acquire_many(more).map_err(|_| Refused::NoMemory)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        self.bytes.reserve_exact(room - self.bytes.len());
        Ok(())
    }

    /// The whole of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_holds_what_has_come_of_it() {
        let memory = BodyMemory::new(4 * PIECE_BYTES);
        let part = [7; PIECE_BYTES];
        let mut silent = memory.begin(usize::MAX);
        assert_eq!(memory.pieces.available_permits(), 4);
        silent.push(&part[..1]).unwrap();
        assert_eq!(memory.pieces.available_permits(), 3);
        let mut long = memory.begin(3 * PIECE_BYTES);
        for _ in 0..3 {
            long.push(&part).unwrap();
        }
        assert_eq!(memory.pieces.available_permits(), 0);
        assert_eq!(long.bytes(), part.repeat(3));
        assert_eq!(silent.push(&part), Err(Refused::NoMemory));
        assert_eq!(long.push(&[1]), Err(Refused::TooLong(3 * PIECE_BYTES + 1)));
        drop(long);
        silent.push(&part).unwrap();
        drop(silent);
        assert_eq!(memory.pieces.available_permits(), 4);
    }
}
