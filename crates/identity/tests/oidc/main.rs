//! Identity providers, played by a real HTTP server in this process.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod jwts;
mod keys;
mod passwords;
mod provider;
