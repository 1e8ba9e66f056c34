//! `cargo xtask interplay`: a server that ingests and maintains its lake while official DuckDB reads and writes it, for as
//! long as is asked for. The harness is crates/pintail/tests/interplay.rs, whose short form is part of the gate.

use clap::Args;

use crate::{Result, crash, process};

/// How long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// For so long
    #[arg(long, value_name = "M", default_value_t = 10)]
    minutes: u64,
    /// With the release build
    #[arg(long)]
    release: bool,
}

/// Runs it; whether both always agreed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let mut command = crash::test("interplay", options.release)?;
    command.env("PINTAIL_INTERPLAY_MINUTES", options.minutes.to_string());
    process::succeeds(&mut command)
}
