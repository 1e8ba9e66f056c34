//! Packets in through real sockets, rows out of a real lake.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod accounting;
mod http;
mod limits;
mod replay;
mod rows;
mod site;
mod tcp;
mod transports;
