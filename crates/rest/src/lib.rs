//! The HTTP doors: the node API, health and metrics.
//!
//! What always holds:
//! - A result streams: no more of it is in memory than a chunk and the engine's few batches, and a client that
//!   does not read stops the plan. One that goes away ends it.
//! - A result is complete, or it cannot be taken for complete: an error before the first rows is an answer with
//!   an error status; one after it leaves broken JSON behind and aborts the connection.
//! - Every answer that is an error has a JSON body `{"success": false, "error": …, "kind": …}`.
//! - Requests, headers, connections and their waiting times are bounded.
//!
//! Nothing here knows how packets come in or where rows lie; it asks the engine.

mod encode;
mod health;
mod metadata;
mod metrics;
mod node_api;
mod query;
mod reply;
mod vacuum;

use std::time::Duration;

use pintail_http::Limits;

pub use metrics::{MetricsSource, Samples, serve_metrics};
pub use node_api::{NodeApiOptions, serve_node_api};

/// What clients may take of each door.
const LIMITS: Limits =
    Limits { connections: 1024, head_timeout: Duration::from_secs(30), stop_grace: Duration::from_secs(5) };
