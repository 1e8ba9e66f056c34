//! The metadata API, by which a router knows which nodes to ask: whether there can be rows in a stretch of time.
//!
//! Times are nanoseconds since 1970 in UTC. Rows count from the moment in which queries see them. An answer may say that there are
//! rows where there are none any more, never the other way round.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use chrono::{DateTime, SecondsFormat, Utc};
use pintail_engine::TelemetryStatistics;
use pintail_types::{Error, Micros, Result};
use serde::{Deserialize, Serialize};

use crate::node_api::Node;
use crate::query::read_body;
use crate::reply::Failure;

const NANOS_IN_MICRO: i64 = 1000;
const NANOS_IN_HOUR: u64 = 3_600_000_000_000;

/// The stretch of time that is asked for, both ends included.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeRange {
    min_ts: i64,
    max_ts: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    /// Whether there may be rows in that time.
    has_data: bool,
    /// The oldest row; 0 if there is none.
    node_min_ts: i64,
    /// The newest row; 0 if there is none.
    node_max_ts: i64,
    #[serde(flatten)]
    dates: Dates,
    /// From the oldest row to the newest, rounded up.
    data_span_hours: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Statistics {
    row_count: u64,
    min_timestamp: i64,
    max_timestamp: i64,
    #[serde(flatten)]
    dates: Dates,
    catalog_type: &'static str,
    data_path: String,
}

/// What routers refresh all the time; 0 and 0 if there are no rows.
#[derive(Debug, Serialize)]
pub(crate) struct Bounds {
    min_ts: i64,
    max_ts: i64,
}

/// The same for people; null if there are no rows.
#[derive(Debug, Serialize)]
struct Dates {
    oldest_data: Option<String>,
    newest_data: Option<String>,
}

/// `POST /api/v1/metadata/check`
pub(crate) async fn check(State(node): State<Arc<Node>>, request: Request) -> Result<Json<Checked>, Failure> {
    let body = read_body(request).await?;
    let asked: TimeRange = serde_json::from_slice(&body).map_err(|error| {
        let example = "{\"min_ts\": 1737590400000000000, \"max_ts\": 1737676799999999999}";
        Error::invalid(format!("the body must be JSON such as {example}, in nanoseconds: {error}"))
    })?;
    if asked.min_ts > asked.max_ts {
        let TimeRange { min_ts, max_ts } = asked;
        return Err(Error::invalid(format!("min_ts {min_ts} is after max_ts {max_ts}")).into());
    }
    let statistics = statistics_of(&node).await?;
    let bounds = Bounds::of(&statistics);
    Ok(Json(Checked {
        has_data: statistics.may_hold(micros_from(asked.min_ts), micros_to(asked.max_ts)),
        node_min_ts: bounds.min_ts,
        node_max_ts: bounds.max_ts,
        dates: Dates::of(&statistics),
        data_span_hours: bounds.max_ts.abs_diff(bounds.min_ts).div_ceil(NANOS_IN_HOUR),
    }))
}

/// `GET /api/v1/metadata/stats`
pub(crate) async fn stats(State(node): State<Arc<Node>>) -> Result<Json<Statistics>, Failure> {
    let statistics = statistics_of(&node).await?;
    let bounds = Bounds::of(&statistics);
    Ok(Json(Statistics {
        row_count: statistics.rows,
        min_timestamp: bounds.min_ts,
        max_timestamp: bounds.max_ts,
        dates: Dates::of(&statistics),
        catalog_type: statistics.catalog_type,
        data_path: statistics.data_path,
    }))
}

/// `GET /metadata/stats`
pub(crate) async fn bounds(State(node): State<Arc<Node>>) -> Result<Json<Bounds>, Failure> {
    Ok(Json(Bounds::of(&statistics_of(&node).await?)))
}

async fn statistics_of(node: &Node) -> Result<TelemetryStatistics> {
    let statistics = node.engine.telemetry_statistics().await?;
    statistics.ok_or_else(|| Error::unsupported("this server stores no telemetry"))
}

impl Bounds {
    fn of(statistics: &TelemetryStatistics) -> Self {
        let (oldest, newest) = statistics.bounds().unwrap_or((0, 0));
        Self { min_ts: nanos(oldest), max_ts: nanos(newest) }
    }
}

impl Dates {
    fn of(statistics: &TelemetryStatistics) -> Self {
        let bounds = statistics.bounds();
        Self {
            oldest_data: bounds.map(|(oldest, _)| iso_8601(nanos(oldest))),
            newest_data: bounds.map(|(_, newest)| iso_8601(nanos(newest))),
        }
    }
}

/// The nearest time that nanoseconds can say: they reach from 1677 to 2262.
const fn nanos(time: Micros) -> i64 {
    time.saturating_mul(NANOS_IN_MICRO)
}

/// The first microsecond that lies wholly at or after `nanos`; the end of nanoseconds is no end of time.
const fn micros_from(nanos: i64) -> Micros {
    match nanos {
        i64::MIN => Micros::MIN,
        _ => nanos.div_euclid(NANOS_IN_MICRO) + (nanos.rem_euclid(NANOS_IN_MICRO) > 0) as i64,
    }
}

/// The last microsecond at or before `nanos`.
const fn micros_to(nanos: i64) -> Micros {
    match nanos {
        i64::MAX => Micros::MAX,
        _ => nanos.div_euclid(NANOS_IN_MICRO),
    }
}

/// The time to the second, without the rest.
fn iso_8601(nanos: i64) -> String {
    DateTime::<Utc>::from_timestamp_nanos(nanos).to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_are_rounded_into_what_is_asked_for() {
        for (nanos, from, to) in [
            (0, 0, 0),
            (1, 1, 0),
            (999, 1, 0),
            (1000, 1, 1),
            (-1, 0, -1),
            (i64::MIN, i64::MIN, -9_223_372_036_854_776),
            (i64::MAX, 9_223_372_036_854_776, i64::MAX),
        ] {
            assert_eq!((micros_from(nanos), micros_to(nanos)), (from, to), "{nanos}");
        }
    }

    #[test]
    fn times_beyond_nanoseconds_are_the_last_ones() {
        assert_eq!((nanos(1), nanos(Micros::MAX), nanos(Micros::MIN)), (1000, i64::MAX, i64::MIN));
        assert_eq!(iso_8601(1_737_676_799_999_999_999), "2025-01-23T23:59:59Z");
        assert_eq!(iso_8601(i64::MIN), "1677-09-21T00:12:43Z");
    }
}
