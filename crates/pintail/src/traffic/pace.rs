//! How fast packets leave.

use std::time::{Duration, Instant};

/// How fast packets leave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// As fast as the receiver takes them.
    Unlimited,
    /// So many packets a second.
    Rate(f64),
    /// As their own times tell, `1.0` as they happened, `2.0` twice as fast.
    Timed(f64),
}

/// A token bucket on a monotonic clock: it grants `rate` packets a second and saves up no more than `burst`.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    refilled: Instant,
}

impl TokenBucket {
    /// A bucket that is empty at `now`.
    pub(crate) fn new(rate: f64, burst: usize, now: Instant) -> Self {
        let burst = u32::try_from(burst).map_or(f64::from(u32::MAX), f64::from).max(1.0);
        Self { rate, burst, tokens: 0.0, refilled: now }
    }

    /// Takes up to `wanted` tokens that are there at `now` and says how many.
    pub(crate) fn take(&mut self, wanted: usize, now: Instant) -> usize {
        let elapsed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        self.tokens = (self.tokens + elapsed * self.rate).min(self.burst);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and burst")]
        let granted = (self.tokens.floor() as usize).min(wanted);
        #[expect(clippy::cast_precision_loss, reason = "at most burst")]
        let spent = granted as f64;
        self.tokens -= spent;
        granted
    }

    /// How long until `wanted` tokens are there.
    pub(crate) fn until(&self, wanted: usize) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
        let missing = (wanted as f64).min(self.burst) - self.tokens;
        if missing <= 0.0 || self.rate <= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(missing / self.rate).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_grants_its_rate_and_saves_up_a_burst_at_most() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(1000.0, 50, start);
        assert_eq!(bucket.take(10, start), 0);
        assert_eq!(bucket.until(10), Duration::from_millis(10));
        assert_eq!(bucket.take(100, start + Duration::from_millis(20)), 20);
        assert_eq!(bucket.take(100, start + Duration::from_secs(20)), 50);
        let granted: usize =
            (1..=1000).map(|step| bucket.take(64, start + Duration::from_millis(20_000 + step * 7))).sum();
        assert!((6999..=7001).contains(&granted), "{granted} of 7000");
    }
}
