//! The Flight door over real sockets, with a real engine over a lake in a temporary directory.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod browse;
mod connect;
mod query;
mod server;
