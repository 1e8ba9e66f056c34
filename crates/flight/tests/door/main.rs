//! The Flight door over real sockets, with a real engine over a lake in a temporary directory.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod actions;
mod browse;
mod connect;
mod flights;
mod gzip;
mod limits;
mod prepared;
mod query;
mod server;
mod sessions;
mod stopping;
mod substrait;
mod updates;
