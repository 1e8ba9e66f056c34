//! Failed logins, limited per address: guessing takes forever, and a person who mistypes notices nothing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use pintail_types::{Clock, Error, ErrorKind, Micros, Result};

/// Failures that an address has at once before it has to wait.
const BURST: Micros = 10;

/// After them one more try is given every so often.
const INTERVAL: Micros = 6_000_000;

/// Addresses that are remembered. Beyond it the one that would be forgotten first makes room.
const MAX_ADDRESSES: usize = 10_000;

/// Counts failed logins per address, for all listeners together.
///
/// A bucket of 10 tries that fills by one every 6 seconds; a failure takes one, a success fills it. Only
/// secrets that can be guessed count: passwords and opaque tokens, not signatures.
#[derive(Debug)]
pub struct LoginLimit {
    clock: Arc<dyn Clock>,
    capacity: usize,
    /// When each address's bucket is full again. An address whose bucket is full is not kept.
    full_again: Mutex<HashMap<IpAddr, Micros>>,
}

impl LoginLimit {
    /// A limit over nobody yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_capacity(clock, MAX_ADDRESSES)
    }

    fn with_capacity(clock: Arc<dyn Clock>, capacity: usize) -> Self {
        Self { clock, capacity, full_again: Mutex::default() }
    }

    /// Whether `peer` may try.
    ///
    /// # Errors
    /// `Exhausted`, with the time to wait, after too many failures.
    pub fn check(&self, peer: Option<IpAddr>) -> Result<()> {
        let Some(peer) = peer else { return Ok(()) };
        let now = self.clock.now();
        let full_again = self.full_again.lock().get(&network(peer)).copied().unwrap_or(now);
        let wait = full_again.saturating_sub(now).saturating_sub((BURST - 1) * INTERVAL);
        if wait <= 0 {
            return Ok(());
        }
        let seconds = wait.unsigned_abs().div_ceil(1_000_000);
        Err(Error::exhausted(format!(
            "too many failed logins from {peer}: try again in {seconds} s, with the right credentials"
        )))
    }

    /// A try of `peer` was wrong.
    pub fn failed(&self, peer: Option<IpAddr>) {
        let Some(peer) = peer else { return };
        let now = self.clock.now();
        let mut addresses = self.full_again.lock();
        let network = network(peer);
        if addresses.len() >= self.capacity && !addresses.contains_key(&network) {
            addresses.retain(|_, full_again| *full_again > now);
        }
        if addresses.len() >= self.capacity && !addresses.contains_key(&network) {
            let first = addresses.iter().min_by_key(|(_, full_again)| **full_again).map(|(peer, _)| *peer);
            first.map(|first| addresses.remove(&first));
        }
        let full_again = addresses.entry(network).or_insert(now);
        *full_again = (*full_again).max(now).saturating_add(INTERVAL);
    }

    /// A try of `peer` was right: what failed before is forgotten.
    pub fn succeeded(&self, peer: Option<IpAddr>) {
        if let Some(peer) = peer {
            self.full_again.lock().remove(&network(peer));
        }
    }
}

/// One login on its way through the limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    limit: Option<&'a LoginLimit>,
    peer: Option<IpAddr>,
}

impl<'a> Attempt<'a> {
    pub(crate) const fn new(limit: Option<&'a LoginLimit>, peer: Option<IpAddr>) -> Self {
        Self { limit, peer }
    }

    #[cfg(test)]
    pub(crate) const fn unlimited() -> Self {
        Self::new(None, None)
    }

    /// See [`LoginLimit::check`].
    pub(crate) fn check(&self) -> Result<()> {
        self.limit.map_or(Ok(()), |limit| limit.check(self.peer))
    }

    /// Counts how it ended. Only a wrong guess is a failure: an identity provider that is away is none.
    pub(crate) fn ended<T>(&self, outcome: &Result<T>) {
        let Some(limit) = self.limit else { return };
        match outcome {
            Ok(_) => limit.succeeded(self.peer),
            Err(error) if error.kind() == ErrorKind::Unauthenticated => limit.failed(self.peer),
            Err(_) => {}
        }
    }
}

/// What counts as one address: a host has a whole /64 of IPv6.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use pintail_types::ManualClock;

    use super::*;

    const SECOND: Micros = 1_000_000;

    fn limit(capacity: usize) -> (LoginLimit, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(0));
        (LoginLimit::with_capacity(Arc::clone(&clock) as Arc<dyn Clock>, capacity), clock)
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn ten_failures_are_free_and_then_one_every_six_seconds() {
        let (limit, clock) = limit(10);
        let peer = address("10.0.0.1");
        for _ in 0..10 {
            limit.check(peer).unwrap();
            limit.failed(peer);
        }
        let refused = limit.check(peer).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Exhausted);
        assert_eq!(
            refused.message(),
            "too many failed logins from 10.0.0.1: try again in 6 s, with the right credentials"
        );
        limit.check(address("10.0.0.2")).unwrap();
        limit.check(None).unwrap();
        clock.advance(5 * SECOND);
        assert!(limit.check(peer).unwrap_err().message().contains("in 1 s"));
        clock.advance(SECOND);
        limit.check(peer).unwrap();
        limit.failed(peer);
        assert!(limit.check(peer).is_err());
        limit.succeeded(peer);
        limit.check(peer).unwrap();
    }

    #[test]
    fn a_host_cannot_hide_among_its_own_addresses() {
        for (failing, asking, refused) in [
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
        ] {
            let (limit, _) = limit(10);
            for _ in 0..10 {
                limit.failed(address(failing));
            }
            assert_eq!(limit.check(address(asking)).is_err(), refused, "{failing} {asking}");
        }
    }

    #[test]
    fn addresses_beyond_the_limit_push_out_the_one_that_failed_least() {
        let (limit, clock) = limit(2);
        for (peer, failures) in [("10.0.0.1", 10), ("10.0.0.2", 1), ("10.0.0.3", 10)] {
            for _ in 0..failures {
                limit.failed(address(peer));
            }
        }
        assert_eq!(limit.full_again.lock().len(), 2);
        assert!(limit.check(address("10.0.0.1")).is_err());
        assert!(limit.check(address("10.0.0.3")).is_err());
        clock.advance(3600 * SECOND);
        limit.failed(address("10.0.0.4"));
        assert_eq!(limit.full_again.lock().len(), 1);
    }
}
