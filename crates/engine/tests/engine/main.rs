//! The engine over tables in memory, through its public face.

mod common;
mod look_around;
mod schemas;
mod slt;
mod sources;
mod stopping;
