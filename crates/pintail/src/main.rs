//! Pintail: HEP packets come in, become rows in a DuckLake, and leave as Arrow.
//!
//! This crate is the binary: the command line ([`cli`]), the configuration ([`config`]), the wiring of
//! the rooms into one process ([`wiring`]), the traffic generator ([`traffic`]) and the SQL client.

mod cli;
mod commands;
mod config;
mod output;
mod traffic;
mod wiring;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}
