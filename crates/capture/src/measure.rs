//! The way of a packet from bytes to rows without sockets, disk or lake: for measuring what it costs.

use std::fmt;
use std::net::SocketAddr;

use pintail_lake::Block;
use pintail_types::{Error, JournalId, JournalPosition, Micros, Result};

use crate::accounting::{Tally, Transport};
use crate::intake::receive_time_member;
use crate::options::CaptureOptions;
use crate::record::{self, Arrival};
use crate::rows::{Arrived, Payload, RowRules, Target};
use crate::shards::Shard;
use crate::time;

/// Does everything that a receiver does with a packet, besides receiving and keeping it.
pub struct RowPath {
    options: CaptureOptions,
    rules: RowRules,
    shard: Shard,
    block: Block,
    position: JournalPosition,
}

impl RowPath {
    /// A path under these options.
    pub fn new(options: CaptureOptions) -> Self {
        let rules = RowRules::new(JournalId::from_bits(1), &options.hep, &options.sip);
        Self { options, rules, shard: Shard::new(), block: Block::new(), position: JournalPosition(0) }
    }

    /// Takes a batch of packets received at `received` from `peer`; returns the rows that were finished,
    /// and drops them.
    ///
    /// # Errors
    /// `Invalid` for a packet that can't be decoded, `Internal` when rows do not fit their table.
    pub fn take(&mut self, packets: &[&[u8]], received: Micros, peer: SocketAddr) -> Result<usize> {
        let window = self.options.time.window(received);
        let mut accepted = Vec::with_capacity(packets.len());
        self.block.clear();
        for bytes in packets {
            let packet =
                pintail_hep::decode(bytes, window).map_err(|error| Error::invalid(error.to_string()))?;
            let arrival = Arrival { transport: Transport::Udp, received, peer };
            record::push(&mut self.block, &arrival, bytes, &packet);
            let payload = Payload::of(&packet, self.options.hep.max_decompressed_bytes);
            accepted.push((packet, payload));
        }
        let receive_time = receive_time_member(received);
        let mut tally = Tally::default();
        for (index, (packet, payload)) in accepted.iter().enumerate() {
            let time = time::resolve(packet.time, received, window);
            let position = self.block.position(self.position, index);
            let arrived = Arrived { packet, payload, time, receive_time: &receive_time };
            let (rules, shard, tally) = (&self.rules, &mut self.shard, &mut tally);
            arrived.add_rows(Target { rules, shard, position, tally })?;
        }
        self.position = self.block.end(self.position);
        let finished = self.shard.take_large()?;
        Ok(finished.iter().map(|built| built.rows.num_rows()).sum())
    }
}

impl fmt::Debug for RowPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowPath").field("position", &self.position).finish_non_exhaustive()
    }
}
