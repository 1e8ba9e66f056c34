//! Pintail: HEP packets come in, become rows in a DuckLake, and leave as Arrow.
//!
//! This crate is the binary: the command line ([`cli`]), the configuration ([`config`]), the wiring of
//! the rooms into one process ([`wiring`]), the traffic generator ([`traffic`]) and the SQL client.

mod allocator;
mod cli;
mod commands;
mod config;
mod output;
mod traffic;
mod wiring;

fn main() -> std::process::ExitCode {
    allocator::keep_free_memory_for_a_while();
    cli::run()
}
