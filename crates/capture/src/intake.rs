//! The way of a batch of packets: decoded, checked, written to the journal, made into rows.
//!
//! All of it happens in one call, with a handful of locks per batch and none per packet. The lake's intake
//! guard is held from the journal append until the rows are in their builders, so that no flush can come
//! between the two.

use std::net::SocketAddr;
use std::sync::Arc;

use pintail_hep::{Packet, TimeWindow, Version};
use pintail_lake::{Block, Lake};
use pintail_types::{Clock, Error, ErrorKind, JournalPosition, Micros, Result};

use crate::accounting::{Accounting, Reason, Tally, Transport};
use crate::auth;
use crate::dedup::{DedupWindow, Fingerprint};
use crate::log_limit::LogLimit;
use crate::options::{HepOptions, MAX_DECOMPRESSED_BYTES};
use crate::record::{self, Arrival};
use crate::rows::{Arrived, Payload, RowRules, Target};
use crate::shards::Shards;
use crate::time::{self, TimeRules};

/// Packets that are taken at once: bounds how long the lake's intake and a shard are held.
pub(crate) const BATCH_PACKETS: usize = 64;

/// The longest packet: no datagram holds more, and version 3 can't say more. Only an HTTP body can be longer,
/// because in versions 1 and 2 all of it is the packet.
const MAX_PACKET_BYTES: usize = 65_535;

const _: () = assert!(BATCH_PACKETS * MAX_DECOMPRESSED_BYTES / 3 * 4 < i32::MAX as usize);

/// What all receivers share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) lake: Arc<Lake>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) accounting: Accounting,
    pub(crate) shards: Arc<Shards>,
    pub(crate) hep: HepOptions,
    pub(crate) time: TimeRules,
    pub(crate) rules: RowRules,
    pub(crate) dedup: Option<DedupWindow>,
    pub(crate) bad_packets: LogLimit,
    pub(crate) overload: LogLimit,
}

/// One packet as it came from the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) peer: SocketAddr,
}

/// What to do when the lake takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// Count the packets as dropped.
    Drop,
    /// Leave them in flight and say so; the same frames are given again later.
    Return,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Receipt {
    pub(crate) stored: usize,
    pub(crate) rejected: usize,
    /// Those among the rejected that are no HEP packets at all.
    pub(crate) malformed: usize,
    /// The journal position after the stored packets, if there are any.
    pub(crate) end: Option<JournalPosition>,
}

/// One receiver's way into the lake.
#[derive(Debug)]
pub(crate) struct Intake {
    core: Arc<Core>,
    transport: Transport,
    shard: usize,
    /// Kept for its memory.
    block: Block,
}

/// A packet that passed all checks.
struct Accepted<'a> {
    frame: Frame<'a>,
    packet: Packet<'a>,
    payload: Payload<'a>,
    fingerprint: Option<Fingerprint>,
}

impl Intake {
    pub(crate) fn new(core: Arc<Core>, transport: Transport, shard: usize) -> Self {
        Self { core, transport, shard, block: Block::new() }
    }

    /// Takes frames that were counted as received, at most [`BATCH_PACKETS`]. Each has its outcome
    /// counted when this returns without an error.
    ///
    /// # Errors
    /// With [`WhenFull::Return`], when the lake takes nothing now: `Exhausted` or `Unavailable`. The frames
    /// then stay in flight.
    pub(crate) fn store(&mut self, frames: &[Frame<'_>], when_full: WhenFull) -> Result<Receipt> {
        let core = Arc::clone(&self.core);
        if let Err(error) = core.lake.admission() {
            return self.refuse(
                frames.iter().map(|frame| frame.bytes.len()),
                Tally::default(),
                error,
                when_full,
            );
        }
        let received = core.clock.now();
        let window = core.time.window(received);
        let mut tally = Tally::default();
        let mut receipt = Receipt::default();
        let mut accepted = Vec::with_capacity(frames.len());
        for frame in frames {
            match core.check(*frame, window) {
                Ok(packet) => accepted.push(packet),
                Err(reason) => {
                    receipt.malformed += usize::from(is_malformed(reason));
                    core.log_rejected(self.transport, reason, frame, received);
                    tally.refused(reason, frame.bytes.len());
                }
            }
        }
        core.remove_duplicates(&mut accepted, received, &mut tally);
        receipt.rejected = frames.len() - accepted.len();
        if let Err(error) = self.keep(&accepted, received, window, &mut tally, &mut receipt) {
            core.forget_fingerprints(&accepted);
            let bytes = accepted.iter().map(|packet| packet.frame.bytes.len());
            return self.refuse(bytes, tally, error, when_full);
        }
        core.accounting.settle(self.transport, &tally);
        Ok(receipt)
    }

    /// Journal and rows.
    fn keep(
        &mut self,
        accepted: &[Accepted<'_>],
        received: Micros,
        window: TimeWindow,
        tally: &mut Tally,
        receipt: &mut Receipt,
    ) -> Result<()> {
        let core = Arc::clone(&self.core);
        self.block.clear();
        for packet in accepted {
            let arrival = Arrival { transport: self.transport, received, peer: packet.frame.peer };
            record::push(&mut self.block, &arrival, packet.frame.bytes, &packet.packet);
        }
        if accepted.is_empty() {
            return Ok(());
        }
        let receive_time = receive_time_member(received);
        let _intake = core.lake.intake();
        let first = core.lake.journal().append(&self.block)?;
        let mut shard = core.shards.lock(self.shard);
        for (index, packet) in accepted.iter().enumerate() {
            let position = self.block.position(first, index);
            let arrived = Arrived {
                packet: &packet.packet,
                payload: &packet.payload,
                time: time::resolve(packet.packet.time, received, window),
                receive_time: &receive_time,
            };
            let target = Target { rules: &core.rules, shard: &mut shard, position, tally };
            if let Err(error) = arrived.add_rows(target) {
                tracing::error!(%error, %position, "a packet became no row; it is in the journal");
            }
            tally.stored(packet.frame.bytes.len());
        }
        if let Err(error) = core.shards.added(&mut shard, &core.lake) {
            tracing::error!(%error, "rows could not be handed over; they are tried again");
        }
        receipt.stored = accepted.len();
        receipt.end = Some(self.block.end(first));
        Ok(())
    }

    /// The lake takes nothing: drops the packets of these sizes, or hands the error back.
    fn refuse(
        &self,
        sizes: impl Iterator<Item = usize>,
        mut tally: Tally,
        error: Error,
        when_full: WhenFull,
    ) -> Result<Receipt> {
        let core = &self.core;
        if let Some(suppressed) = core.overload.pass(core.clock.now()) {
            tracing::warn!(transport = self.transport.name(), %error, suppressed, "ingest is held up");
        }
        if when_full == WhenFull::Return {
            return Err(error);
        }
        let reason = drop_reason(&error);
        sizes.for_each(|bytes| tally.refused(reason, bytes));
        core.accounting.settle(self.transport, &tally);
        Ok(Receipt::default())
    }

    /// Gives frames that are in flight up, because there is no time to wait for the lake.
    pub(crate) fn give_up(&self, frames: &[Frame<'_>], error: &Error) {
        let mut tally = Tally::default();
        frames.iter().for_each(|frame| tally.refused(drop_reason(error), frame.bytes.len()));
        self.core.accounting.settle(self.transport, &tally);
    }
}

fn drop_reason(error: &Error) -> Reason {
    if error.kind() == ErrorKind::Exhausted { Reason::QueueFull } else { Reason::Unavailable }
}

const fn is_malformed(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NotHep | Reason::BadLength | Reason::BadChunk | Reason::BadFieldSize | Reason::Framing
    )
}

/// The first member of `data_extra`, the same for all packets of a batch.
pub(crate) fn receive_time_member(received: Micros) -> String {
    format!("{{\"receive_time\":\"{}\"", time::rfc3339(received))
}

impl Core {
    /// Everything that can be said of one packet alone.
    fn check<'a>(&self, frame: Frame<'a>, window: TimeWindow) -> std::result::Result<Accepted<'a>, Reason> {
        if frame.bytes.len() > MAX_PACKET_BYTES {
            return Err(Reason::TooLarge);
        }
        let packet = pintail_hep::decode(frame.bytes, window).map_err(Reason::of_decode_error)?;
        let is_enabled = match packet.version {
            Version::V1 | Version::V2 => self.hep.hepv2_enable,
            Version::V3 => self.hep.hepv3_enable,
        };
        if !is_enabled {
            return Err(Reason::VersionDisabled);
        }
        auth::check(&self.hep.auth_keys, packet.auth_key, frame.peer.ip())?;
        let payload = Payload::of(&packet, self.hep.max_decompressed_bytes);
        if self.rules.discards(&packet, &payload) {
            return Err(Reason::Discarded);
        }
        Ok(Accepted { frame, packet, payload, fingerprint: None })
    }

    fn remove_duplicates(&self, accepted: &mut Vec<Accepted<'_>>, now: Micros, tally: &mut Tally) {
        let Some(dedup) = &self.dedup else { return };
        let fingerprints: Vec<_> = accepted.iter().map(|packet| dedup.fingerprint(&packet.packet)).collect();
        let seen = dedup.check(&fingerprints, now);
        let mut checked = fingerprints.into_iter().zip(seen);
        accepted.retain_mut(|packet| {
            let Some((fingerprint, is_duplicate)) = checked.next() else { return true };
            packet.fingerprint = Some(fingerprint);
            if is_duplicate {
                tally.refused(Reason::Duplicate, packet.frame.bytes.len());
            }
            !is_duplicate
        });
    }

    fn forget_fingerprints(&self, packets: &[Accepted<'_>]) {
        if let Some(dedup) = &self.dedup {
            dedup.forget(packets.iter().filter_map(|packet| packet.fingerprint));
        }
    }

    /// Names the sender of a packet that was refused, now and then; never what is in it.
    fn log_rejected(&self, transport: Transport, reason: Reason, frame: &Frame<'_>, now: Micros) {
        if reason == Reason::Discarded {
            return;
        }
        if let Some(suppressed) = self.bad_packets.pass(now) {
            let first_bytes = &frame.bytes[..frame.bytes.len().min(8)];
            tracing::warn!(
                transport = transport.name(),
                peer = %frame.peer,
                reason = reason.name(),
                bytes = frame.bytes.len(),
                ?first_bytes,
                suppressed,
                "packet rejected"
            );
        }
    }

    /// Makes the rows of one journal record again.
    ///
    /// # Errors
    /// `Corrupt` for a record that this program did not write.
    pub(crate) fn replay(&self, position: JournalPosition, record: &[u8]) -> Result<()> {
        let at = |error: Error| error.context(format_args!("journal record at {position}"));
        let (arrival, bytes) = record::split(record).map_err(at)?;
        let window = self.time.window(arrival.received);
        let packet =
            pintail_hep::decode(bytes, window).map_err(|error| at(Error::corrupt(error.to_string())))?;
        let payload = Payload::of(&packet, self.hep.max_decompressed_bytes);
        let arrived = Arrived {
            packet: &packet,
            payload: &payload,
            time: time::resolve(packet.time, arrival.received, window),
            receive_time: &receive_time_member(arrival.received),
        };
        let _intake = self.lake.intake();
        let mut shard = self.shards.lock(0);
        // What is replayed was counted by the process that received it.
        let tally = &mut Tally::default();
        arrived.add_rows(Target { rules: &self.rules, shard: &mut shard, position, tally }).map_err(at)?;
        self.shards.added(&mut shard, &self.lake)
    }
}
