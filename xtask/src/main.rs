//! Developer commands: `cargo xtask test` is the whole gate, `cargo xtask clients` its part with the clients that people
//! connect with, `cargo xtask crash` and `cargo xtask interplay` are the long forms of two of its tests, `cargo xtask bench` measures.
//!
//! Everything that a developer or a build machine does beyond plain cargo is written here, in Rust,
//! so that there is one place to read and one way to run it.

#![allow(clippy::print_stdout, reason = "a command prints its results")]

mod bench;
mod benchmarks;
mod clients;
mod crash;
mod gate;
mod interplay;
mod machine;
mod process;
mod python;
mod stamp;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The result of a command; the error is a message for the developer.
type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Developer commands of Pintail")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole gate: format, clippy, clients, and every test
    Test(gate::Options),
    /// Run each client's real driver against the server, and show what works
    Clients(clients::Options),
    /// Kill the server again and again, at random instants and at every fault point
    Crash(crash::Options),
    /// Let the server and official DuckDB write one lake at the same time
    Interplay(interplay::Options),
    /// Run the benchmarks in release mode and write docs/benchmarks.md
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Test(options) => gate::run(&options),
        Command::Clients(options) => clients::run(&options),
        Command::Crash(options) => crash::run(&options),
        Command::Interplay(options) => interplay::run(&options),
        Command::Bench(options) => bench::run(&options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
