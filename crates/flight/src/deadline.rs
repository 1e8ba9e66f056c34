//! `grpc-timeout`: how long a client waits.

use std::time::Duration;

use pintail_types::{Error, Result};
use tokio::time::Instant;
use tonic::codegen::http::HeaderMap;

/// The time after which a client does not want its answer any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    #[cfg(test)]
    pub(crate) const NONE: Self = Self(None);

    /// The deadline of a request that came now. A header that cannot be read sets none.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let timeout = headers.get("grpc-timeout").and_then(|value| parse(value.to_str().ok()?));
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// Comes back at the deadline, if there is one.
    pub(crate) async fn reached(self) -> Error {
        match self.0 {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
        Error::deadline_exceeded("the time that the client allowed is over")
    }

    /// What `work` gives, unless the deadline comes before.
    ///
    /// # Errors
    /// `DeadlineExceeded`, and those of `work`.
    pub(crate) async fn limit<T>(self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            error = self.reached() => Err(error),
        }
    }
}

/// At most eight digits and a unit, as gRPC over HTTP/2 says.
fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_by_their_unit() {
        for (value, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("99999999m", Some(Duration::from_millis(99_999_999))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("999999999S", None),
            ("S", None),
            ("", None),
            ("-1S", None),
            ("+1S", None),
            ("1ä", None),
            ("1", None),
        ] {
            assert_eq!(parse(value), expected, "{value}");
        }
    }
}
