//! HEP packets side by side in one reusable buffer.

use pintail_types::{Micros, Result};

/// The longest HEP3 packet: its length field has 16 bits.
pub(crate) const MAX_FRAME_BYTES: usize = 65_535;

/// Something that yields HEP packets in the order in which they are to be sent.
pub(crate) trait FrameSource {
    /// The time of the next packet, when it is known before the packet is made.
    ///
    /// `None` when nothing is left.
    fn next_time(&mut self) -> Result<Option<Micros>>;

    /// Appends the next packet to `out`; `false` when nothing was left.
    fn next_frame(&mut self, out: &mut Vec<u8>) -> Result<bool>;
}

/// HEP packets back to back, with the place where each ends.
#[derive(Debug, Default)]
pub(crate) struct FrameBatch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl FrameBatch {
    /// Takes the next packet of `source`; `false` when nothing was left.
    pub(crate) fn pull(&mut self, source: &mut dyn FrameSource) -> Result<bool> {
        let start = self.bytes.len();
        let more = source.next_frame(&mut self.bytes)?;
        if more && self.bytes.len() > start {
            self.ends.push(self.bytes.len());
        }
        Ok(more)
    }

    /// Appends one packet.
    #[cfg(test)]
    pub(crate) fn push(&mut self, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
        self.ends.push(self.bytes.len());
    }

    /// Forgets all packets and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// The number of packets.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no packet.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All packets, back to back.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of packets that end within the first `bytes` bytes.
    pub(crate) fn frames_within(&self, bytes: usize) -> usize {
        self.ends.partition_point(|end| *end <= bytes)
    }

    /// Where the first `frames` packets end.
    pub(crate) fn end_of(&self, frames: usize) -> usize {
        frames.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0)
    }

    /// The packets one by one.
    pub(crate) fn frames(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let frame = &self.bytes[start..*end];
            start = *end;
            frame
        })
    }
}
