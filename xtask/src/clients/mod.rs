//! `cargo xtask clients`: each client's real driver against the real binary, and the table of what works.
//!
//! A client is a program of its own language under `clients/`, or an example of ours. It is given a file that says where
//! the servers are ([`target`]) and prints `client<TAB>feature<TAB>pass|fail<TAB>detail` for every feature that its
//! driver has. What it should have printed stands in [`catalogue`]; a feature that is missing there counts as failed.

mod catalogue;
mod certificates;
mod install;
mod oidc;
mod program;
mod report;
mod server;
mod servers;
mod target;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::{Result, process};
use catalogue::{PROGRAMS, Program};
use install::Installed;
use report::Report;
use servers::Servers;

/// Which clients to run, and what to do with the table.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The programs to run; all when none is named
    #[arg(value_name = "PROGRAM", value_parser = PROGRAMS.each_ref().map(|program| program.name))]
    names: Vec<String>,
    /// Write the table into docs/clients.md
    #[arg(long, conflicts_with = "names")]
    write: bool,
    /// Use what was built before instead of building it
    #[arg(long)]
    no_build: bool,
}

/// How many features of clients passed and failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

/// Runs the clients that `options` names; whether everything passed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let wanted = |program: &&'static Program| {
        options.names.is_empty() || options.names.iter().any(|name| name == program.name)
    };
    let chosen: Vec<&'static Program> = PROGRAMS.iter().filter(wanted).collect();
    if !options.no_build {
        build()?;
    }
    let report = examine(&chosen)?;
    println!("\n{}", report.table());
    report.print_problems();
    if options.write {
        report.write(&docs())?;
        println!("written to docs/clients.md");
    }
    Ok(report.outcome().failed == 0)
}

/// Builds the server and the example clients as `cargo test` does: with the features of its dependencies, so that
/// nothing is built twice.
fn build() -> Result<()> {
    process::run(&mut process::cargo(&["test", "--locked", "--workspace", "--no-run"]))
}

/// Runs all clients with what the gate has built; alone this step builds what the tests would have.
pub(crate) fn run_in_gate() -> Result<Outcome> {
    build()?;
    let report = examine(&PROGRAMS.iter().collect::<Vec<_>>())?;
    println!("\n{}", report.table());
    report.print_problems();
    Ok(report.outcome())
}

fn docs() -> PathBuf {
    process::workspace_root().join("docs").join("clients.md")
}

/// Installs what the programs need, starts the servers, and runs one program after the other.
fn examine(programs: &[&'static Program]) -> Result<Report> {
    let build = process::target_folder()?.join("debug");
    let mut report = Report::default();
    let mut installed = Installed::default();
    let mut ready = Vec::new();
    for program in programs {
        match install::missing_tool(program.language) {
            Some(reason) => report.skip_program(program, &reason),
            None => ready.push((program, installed.prepare(program, &build)?)),
        }
    }
    let provider = match install::missing_node() {
        Some(reason) => {
            report.skip_features("the OIDC provider", &["oidc", "oidc-token"], &reason);
            None
        }
        None => Some(oidc::Provider::start()?),
    };
    let logs = build.join("clients");
    fs::create_dir_all(&logs)?;
    let mut servers = Servers::start(&build.join("pintail"), provider.as_ref())?;
    for (program, mut command) in ready {
        println!("\n-- {}", program.name);
        command.arg(servers.target_file()).args(program.arguments.iter().map(|part| root_of(part)));
        let log = logs.join(program.name).with_extension("log");
        program::run(&mut command, &log, &mut servers, &mut report)
            .map_err(|error| format!("{}: {error}", program.name))?;
        report.complete(program);
    }
    Ok(report)
}

/// An argument that is a path in the checkout.
fn root_of(part: &str) -> PathBuf {
    process::workspace_root().join(Path::new(part))
}
