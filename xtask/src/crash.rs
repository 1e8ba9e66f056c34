//! `cargo xtask crash`: the kill tests in their long form. The harness is crates/pintail/tests/crash, whose short form is
//! part of the gate.

use std::process::Command;

use clap::Args;

use crate::python;
use crate::{Result, process};

/// How often the server is killed, and where.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Kills in all; every second one is at a fault point, the others at random instants
    #[arg(long, value_name = "N", default_value_t = 2000)]
    kills: u64,
    /// What the random instants follow from
    #[arg(long, value_name = "S", default_value_t = 7)]
    seed: u64,
    /// Kill at this fault point only
    #[arg(long, value_name = "NAME")]
    point: Option<String>,
    /// Stop after so long
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
    /// Kill the release build, which has no fault points, at random instants
    #[arg(long, conflicts_with = "point")]
    release: bool,
}

/// Runs it; whether nothing was lost.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let mut command = test("crash", options.release)?;
    command.env("PINTAIL_CRASH_KILLS", options.kills.to_string());
    command.env("PINTAIL_CRASH_SEED", options.seed.to_string());
    command.env("PINTAIL_CRASH_POINT", options.point.as_deref().unwrap_or_default());
    command.env(
        "PINTAIL_CRASH_MINUTES",
        options.minutes.map_or_else(String::new, |minutes| minutes.to_string()),
    );
    process::succeeds(&mut command)
}

/// The command that runs one test of the server and shows what it prints, beside official DuckDB.
pub(crate) fn test(target: &str, release: bool) -> Result<Command> {
    let mut command = process::cargo(&["test", "--locked", "--workspace", "--test", target]);
    if release {
        command.arg("--release");
    }
    command.args(["--", "--nocapture"]);
    command.env(python::DUCKDB.variable(), python::DUCKDB.prepare()?);
    Ok(command)
}
