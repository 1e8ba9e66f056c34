//! `GET /health`: whether data is safe. It needs no credentials and gives away none.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use pintail_engine::{Engine, Health};
use pintail_types::Micros;
use serde::Serialize;

/// The module that answers, by Homer's name for it.
const MODULE: &str = "node";

#[derive(Debug, Serialize)]
struct Body {
    /// `ok`, `failing`, or `starting` as long as nothing is known.
    status: &'static str,
    module: &'static str,
    problems: Vec<String>,
    warnings: Vec<String>,
    /// Age of the oldest row that is in no committed file yet.
    oldest_unflushed_age_ms: Option<u64>,
    /// When the last flush was committed, in UTC.
    last_commit: Option<String>,
    last_snapshot: Option<i64>,
    journal_bytes: u64,
    hot_rows: u64,
    hot_bytes: u64,
}

/// What the node knows about its data, with status 200, or 503 when it is not safe.
pub(crate) fn answer(engine: &Engine) -> Response {
    let Some(facts) = engine.node_facts() else {
        return respond(StatusCode::SERVICE_UNAVAILABLE, "starting", Health::default());
    };
    let health = facts.health();
    if health.ok {
        respond(StatusCode::OK, "ok", health)
    } else {
        respond(StatusCode::SERVICE_UNAVAILABLE, "failing", health)
    }
}

fn respond(code: StatusCode, status: &'static str, health: Health) -> Response {
    let body = Body {
        status,
        module: MODULE,
        problems: health.problems,
        warnings: health.warnings,
        oldest_unflushed_age_ms: health.oldest_unflushed_age_ms,
        last_commit: health.last_commit.and_then(iso_8601),
        last_snapshot: health.last_snapshot,
        journal_bytes: health.journal_bytes,
        hot_rows: health.hot_rows,
        hot_bytes: health.hot_bytes,
    };
    (code, Json(body)).into_response()
}

fn iso_8601(time: Micros) -> Option<String> {
    let time = DateTime::<Utc>::from_timestamp_micros(time)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Micros, true))
}
