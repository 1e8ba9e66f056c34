//! The HTTP doors over real sockets, with a real engine over a lake in a temporary directory.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod metrics;
mod node_api;
mod server;
