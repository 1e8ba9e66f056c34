//! Counting packets so that the sum is right at every instant.
//!
//! Each transport has one lock over all its counters. A batch takes it twice: when it has been received, and
//! when each of its packets has its outcome. Whoever reads takes it too, so
//! received = stored + rejected + dropped + in flight holds in everything that is shown.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// How a packet came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Frames of a TCP stream.
    Tcp,
    /// Frames of an HTTP body.
    Http,
    /// Frames of a stream on the listener for TLS.
    Tls,
    /// Frames of an HTTP body on the listener for HTTPS.
    Https,
}

impl Transport {
    /// Every transport.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Http, Self::Tls, Self::Https];

    /// The name in `system.ingest` and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Tls => "tls",
            Self::Https => "https",
        }
    }
}

macro_rules! names {
    ($(#[$about:meta])* $visible:vis enum $type:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $visible enum $type { $($(#[$doc])* $variant,)* }

        impl $type {
            const ALL: &[Self] = &[$(Self::$variant),*];
            const COUNT: usize = Self::ALL.len();

            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

names! {
    /// Why a packet was not stored.
    pub(crate) enum Reason {
        /// The first bytes are of no HEP version.
        NotHep = "not_hep",
        /// The length field is wrong.
        BadLength = "bad_length",
        /// A chunk does not fit.
        BadChunk = "bad_chunk",
        /// A chunk of fixed size has another one.
        BadFieldSize = "bad_field_size",
        /// A stream can't be cut into packets.
        Framing = "framing",
        /// An HTTP body over the limit, or a packet in it that is longer than packets can be.
        TooLarge = "too_large",
        /// A HEP version that is switched off.
        VersionDisabled = "version_disabled",
        /// No authentication key, where one is asked for.
        AuthMissing = "auth_missing",
        /// A wrong authentication key.
        AuthWrong = "auth_wrong",
        /// The same packet was received a moment ago.
        Duplicate = "duplicate",
        /// The SIP method is not wanted.
        Discarded = "discarded",
        /// Journal or buffer are full.
        QueueFull = "queue_full",
        /// The journal can't be written.
        Unavailable = "unavailable",
    }
}

impl Reason {
    const fn outcome(self) -> &'static str {
        match self {
            Self::QueueFull | Self::Unavailable => "dropped",
            _ => "rejected",
        }
    }

    /// The reason that the HEP decoder names.
    pub(crate) fn of_decode_error(error: pintail_hep::DecodeError) -> Self {
        use pintail_hep::DecodeError;
        match error {
            DecodeError::NotHep => Self::NotHep,
            DecodeError::BadLength => Self::BadLength,
            DecodeError::BadChunk => Self::BadChunk,
            DecodeError::BadFieldSize { .. } => Self::BadFieldSize,
        }
    }
}

names! {
    /// What happened to a packet besides its outcome.
    pub(crate) enum Note {
        /// No capture time: the receive time stands in.
        TimeMissing = "time_missing",
        /// The capture time counted from 1900.
        TimeNtp = "time_ntp",
        /// The capture time is not plausible: the receive time stands in.
        TimeImplausible = "time_implausible",
        /// A million microseconds or more.
        TimeMicrosClamped = "time_micros_clamped",
        /// Not a SIP message, though the packet says so.
        SipUnparsable = "sip_unparsable",
        /// A SIP message without Call-ID.
        NoCallId = "no_call_id",
        /// A SIP message without CSeq.
        NoCseq = "no_cseq",
        /// The compressed payload is damaged or too long.
        DecompressFailed = "decompress_failed",
        /// A body was replaced by `x`.
        Censored = "censored",
        /// Bytes that are not text.
        PayloadBinary = "payload_binary",
        /// A chunk came more than once.
        RepeatedChunk = "repeated_chunk",
        /// Chunks of foreign vendors.
        VendorChunk = "vendor_chunk",
        /// A keep-alive timer.
        KeepAlive = "keep_alive",
        /// A packet with several SIP messages.
        SeveralMessages = "several_messages",
        /// A connection over the limit.
        ConnectionRefused = "connection_refused",
        /// A connection that was silent for too long.
        ConnectionIdle = "connection_idle",
        /// An HTTP request without the right token.
        HttpUnauthorized = "http_unauthorized",
        /// An HTTP request that was sent away before its body was read.
        HttpBusy = "http_busy",
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    packets: u64,
    bytes: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }

    fn subtract(&mut self, other: Self) {
        self.packets -= other.packets;
        self.bytes -= other.bytes;
    }
}

/// The outcomes of one batch.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    stored: Count,
    refused: [Count; Reason::COUNT],
    notes: [u64; Note::COUNT],
}

impl Default for Tally {
    fn default() -> Self {
        Self { stored: Count::default(), refused: [Count::default(); Reason::COUNT], notes: [0; Note::COUNT] }
    }
}

impl Tally {
    pub(crate) fn stored(&mut self, bytes: usize) {
        self.stored.add(Count { packets: 1, bytes: bytes as u64 });
    }

    pub(crate) fn refused(&mut self, reason: Reason, bytes: usize) {
        self.refused[reason as usize].add(Count { packets: 1, bytes: bytes as u64 });
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.notes[note as usize] += 1;
    }

    pub(crate) fn note_times(&mut self, note: Note, times: u64) {
        self.notes[note as usize] += times;
    }
}

#[derive(Debug, Default)]
struct Counters {
    received: Count,
    in_flight: Count,
    settled: Tally,
}

/// One number of `system.ingest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// The transport's name.
    pub transport: &'static str,
    /// `received`, `in_flight`, `stored`, `rejected` or `dropped`.
    pub outcome: &'static str,
    /// Why; empty unless rejected or dropped.
    pub reason: &'static str,
    /// Packets since start.
    pub packets: u64,
    /// Their bytes; `None` where nobody knows them.
    pub bytes: Option<u64>,
}

/// What became of every packet since start.
#[derive(Debug, Default)]
pub struct Accounting {
    transports: [Mutex<Counters>; Transport::ALL.len()],
    kernel_drops: AtomicU64,
}

impl Accounting {
    /// The counters as `system.ingest` shows them. Per transport: received = stored + rejected + dropped +
    /// in flight, in packets and bytes. The row with reason `kernel` stands outside of that sum: those
    /// packets were never received.
    pub fn rows(&self) -> Vec<AccountRow> {
        let mut rows = Vec::new();
        for transport in Transport::ALL {
            let row = |outcome, reason, count: Count| AccountRow {
                transport: transport.name(),
                outcome,
                reason,
                packets: count.packets,
                bytes: Some(count.bytes),
            };
            let counters = self.counters(transport).lock();
            rows.push(row("received", "", counters.received));
            rows.push(row("in_flight", "", counters.in_flight));
            rows.push(row("stored", "", counters.settled.stored));
            for reason in Reason::ALL {
                let count = counters.settled.refused[*reason as usize];
                if count.packets > 0 {
                    rows.push(row(reason.outcome(), reason.name(), count));
                }
            }
        }
        rows.push(AccountRow {
            transport: Transport::Udp.name(),
            outcome: "dropped",
            reason: "kernel",
            packets: self.kernel_drops.load(Ordering::Relaxed),
            bytes: None,
        });
        rows
    }

    /// What happened besides outcomes: name, transport, count since start.
    pub fn notes(&self) -> Vec<(&'static str, &'static str, u64)> {
        let mut notes = Vec::new();
        for transport in Transport::ALL {
            let counters = self.counters(transport).lock();
            let counted = Note::ALL.iter().map(|note| (note.name(), counters.settled.notes[*note as usize]));
            notes.extend(
                counted.filter(|(_, count)| *count > 0).map(|(name, count)| (name, transport.name(), count)),
            );
        }
        notes
    }

    /// Counts packets as received; each stays in flight until it is settled.
    pub(crate) fn received(&self, transport: Transport, packets: usize, bytes: usize) {
        let count = Count { packets: packets as u64, bytes: bytes as u64 };
        let mut counters = self.counters(transport).lock();
        counters.received.add(count);
        counters.in_flight.add(count);
    }

    /// Gives packets that are in flight their outcomes.
    pub(crate) fn settle(&self, transport: Transport, tally: &Tally) {
        let mut counters = self.counters(transport).lock();
        let Counters { in_flight, settled, .. } = &mut *counters;
        in_flight.subtract(tally.stored);
        settled.stored.add(tally.stored);
        for (total, refused) in settled.refused.iter_mut().zip(tally.refused) {
            in_flight.subtract(refused);
            total.add(refused);
        }
        for (total, noted) in settled.notes.iter_mut().zip(tally.notes) {
            *total += noted;
        }
    }

    /// Counts one thing as received and refused in one step.
    pub(crate) fn refused(&self, transport: Transport, reason: Reason, bytes: usize) {
        let mut tally = Tally::default();
        tally.refused(reason, bytes);
        self.received(transport, 1, bytes);
        self.settle(transport, &tally);
    }

    /// Counts something that is no packet.
    pub(crate) fn noted(&self, transport: Transport, note: Note) {
        self.counters(transport).lock().settled.note(note);
    }

    /// Counts datagrams that the kernel dropped.
    pub(crate) fn dropped_by_kernel(&self, packets: u64) {
        self.kernel_drops.fetch_add(packets, Ordering::Relaxed);
    }

    fn counters(&self, transport: Transport) -> &Mutex<Counters> {
        &self.transports[transport as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_received_stays_in_flight_until_it_is_settled() {
        let accounting = Accounting::default();
        accounting.received(Transport::Tcp, 3, 300);
        let mut tally = Tally::default();
        tally.stored(100);
        tally.refused(Reason::AuthWrong, 150);
        tally.note(Note::KeepAlive);
        accounting.settle(Transport::Tcp, &tally);
        let tcp: Vec<_> = accounting
            .rows()
            .into_iter()
            .filter(|row| row.transport == "tcp")
            .map(|row| (row.outcome, row.reason, row.packets, row.bytes))
            .collect();
        let expected = [
            ("received", "", 3, Some(300)),
            ("in_flight", "", 1, Some(50)),
            ("stored", "", 1, Some(100)),
            ("rejected", "auth_wrong", 1, Some(150)),
        ];
        assert_eq!(tcp, expected);
        assert_eq!(accounting.notes(), [("keep_alive", "tcp", 1)]);
    }

    #[test]
    fn the_kernels_drops_stand_alone_and_without_bytes() {
        let accounting = Accounting::default();
        accounting.dropped_by_kernel(7);
        let row = accounting.rows().into_iter().find(|row| row.reason == "kernel").unwrap();
        assert_eq!((row.outcome, row.packets, row.bytes), ("dropped", 7, None));
    }
}
