//! Where the log goes.

use std::fs::OpenOptions;
use std::io;
use std::sync::Mutex;

use pintail_types::{Error, Result};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::writer::MakeWriterExt;

use crate::config::Log;

/// Installs the log of this process. `PINTAIL_LOG` (a filter such as `info,pintail_lake=debug`) goes before
/// `log.level`; `quiet` are filters for rooms of which less is to be said.
///
/// # Errors
/// `Invalid` when a file of `log.output` can't be opened or the filter is wrong.
pub(crate) fn install(log: &Log, quiet: &str) -> Result<()> {
    // What the libraries say at info is of no use to an operator.
    let chosen = match std::env::var("PINTAIL_LOG") {
        Ok(filter) => filter,
        Err(_) => format!("warn,pintail={0},{1},{quiet}", log.level, rooms(&log.level)),
    };
    let filter = EnvFilter::try_new(&chosen)
        .map_err(|error| Error::invalid(format!("'{chosen}' is not a log filter: {error}")))?;
    let mut writer: Option<BoxMakeWriter> = None;
    for output in &log.output {
        let next = open(output)?;
        writer = Some(match writer {
            None => next,
            Some(first) => BoxMakeWriter::new(first.and(next)),
        });
    }
    let Some(writer) = writer else { return Ok(()) };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    let installed = if log.json { builder.json().try_init() } else { builder.try_init() };
    installed.map_err(|error| Error::internal(format!("the log can't be installed: {error}")))
}

/// Our crates log under their own names.
fn rooms(level: &str) -> String {
    ["hep", "ducklake", "identity", "lake", "capture", "engine", "flight", "rest"]
        .map(|room| format!("pintail_{room}={level}"))
        .join(",")
}

fn open(output: &str) -> Result<BoxMakeWriter> {
    match output {
        "stdout" => Ok(BoxMakeWriter::new(io::stdout)),
        "stderr" => Ok(BoxMakeWriter::new(io::stderr)),
        path => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let file = file
                .map_err(|error| Error::invalid(format!("log.output: {path}: {error}")).with_source(error))?;
            // A file is written under its lock, so that lines stay whole.
            Ok(BoxMakeWriter::new(Mutex::new(file)))
        }
    }
}
