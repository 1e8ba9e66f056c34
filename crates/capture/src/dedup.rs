//! Refusing a packet that was received a moment ago, in bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};
use std::time::Duration;

use parking_lot::Mutex;
use pintail_hep::Packet;
use pintail_types::Micros;

/// Packets that one generation remembers; two generations are kept. When one is full before its time the
/// oldest are forgotten early: a duplicate may then be stored, nothing is lost.
const GENERATION_ENTRIES: usize = 1 << 18;

/// A packet by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(u64);

/// The packets of the last moments.
#[derive(Debug)]
pub(crate) struct DedupWindow {
    window: Micros,
    hashing: RandomState,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    started: Micros,
    current: HashMap<Fingerprint, Micros>,
    previous: HashMap<Fingerprint, Micros>,
}

impl DedupWindow {
    /// A window of this length; none if it is zero.
    pub(crate) fn new(window: Duration) -> Option<Self> {
        let window = Micros::try_from(window.as_micros()).unwrap_or(Micros::MAX);
        (window > 0).then(|| Self { window, hashing: RandomState::new(), generations: Mutex::default() })
    }

    /// The hash over payload, protocol type, addresses and ports. Capture time and agent are left out: the
    /// copies that agents make differ in them.
    pub(crate) fn fingerprint(&self, packet: &Packet<'_>) -> Fingerprint {
        let mut hasher = self.hashing.build_hasher();
        packet.payload.hash(&mut hasher);
        packet.compressed.hash(&mut hasher);
        packet.correlation_id.hash(&mut hasher);
        (packet.protocol_type, packet.ip_protocol).hash(&mut hasher);
        (packet.source, packet.source_port).hash(&mut hasher);
        (packet.destination, packet.destination_port).hash(&mut hasher);
        Fingerprint(hasher.finish())
    }

    /// Remembers the packets, and says of each whether it was seen within the window.
    pub(crate) fn check(&self, packets: &[Fingerprint], now: Micros) -> Vec<bool> {
        let mut generations = self.generations.lock();
        packets.iter().map(|packet| generations.is_duplicate(*packet, now, self.window)).collect()
    }

    /// Takes packets back that could not be stored, so that they can come again.
    pub(crate) fn forget(&self, packets: impl Iterator<Item = Fingerprint>) {
        let mut generations = self.generations.lock();
        for packet in packets {
            generations.current.remove(&packet);
            generations.previous.remove(&packet);
        }
    }
}

impl Generations {
    fn is_duplicate(&mut self, packet: Fingerprint, now: Micros, window: Micros) -> bool {
        // The first check starts a generation; so does a clock that was set back.
        let age = now.saturating_sub(self.started);
        if age >= window || age < 0 || self.current.len() >= GENERATION_ENTRIES {
            std::mem::swap(&mut self.previous, &mut self.current);
            self.current.clear();
            self.started = now;
        }
        let seen = self.current.get(&packet).or_else(|| self.previous.get(&packet));
        if seen.is_some_and(|seen| (0..window).contains(&now.saturating_sub(*seen))) {
            return true;
        }
        self.current.insert(packet, now);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> DedupWindow {
        DedupWindow::new(Duration::from_micros(100)).unwrap()
    }

    #[test]
    fn the_same_packet_is_a_duplicate_within_the_window() {
        let window = window();
        let packet = Fingerprint(1);
        let seen: Vec<bool> =
            [0, 50, 99, 100, 199, 200, 1000].map(|now| window.check(&[packet], now)[0]).to_vec();
        assert_eq!(seen, [false, true, true, false, true, false, false]);
        assert_eq!(window.check(&[Fingerprint(2), Fingerprint(2)], 1000), [false, true]);
    }

    #[test]
    fn what_is_taken_back_may_come_again() {
        let window = window();
        assert!(!window.check(&[Fingerprint(1)], 0)[0]);
        window.forget([Fingerprint(1)].into_iter());
        assert!(!window.check(&[Fingerprint(1)], 1)[0]);
    }

    #[test]
    fn memory_is_bounded() {
        let window = DedupWindow::new(Duration::from_secs(3600)).unwrap();
        for packet in 0..3 * GENERATION_ENTRIES as u64 {
            window.check(&[Fingerprint(packet)], 0);
        }
        let generations = window.generations.lock();
        assert_eq!(generations.current.len(), GENERATION_ENTRIES);
        assert_eq!(generations.previous.len(), GENERATION_ENTRIES);
    }

    #[test]
    fn the_fingerprint_is_of_what_was_captured() {
        let window = window();
        let packet = Packet { payload: b"OPTIONS", source_port: Some(5060), ..Packet::default() };
        let later = Packet { capture_id: Some(7), ..packet.clone() };
        assert_eq!(window.fingerprint(&packet), window.fingerprint(&later));
        let other = Packet { source_port: Some(5061), ..packet.clone() };
        assert_ne!(window.fingerprint(&packet), window.fingerprint(&other));
    }

    #[test]
    fn a_window_of_nothing_is_none() {
        assert!(DedupWindow::new(Duration::ZERO).is_none());
    }
}
