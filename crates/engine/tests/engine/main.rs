//! The engine over tables in memory, through its public face.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;
mod look_around;
mod lookups;
mod messages;
mod parameters;
mod schemas;
mod slt;
mod sources;
mod stopping;
mod substrait;
mod time_travel;
mod top_rows;
mod updates;
mod windows;
mod with_lake;
