//! `cargo xtask bench`: builds in release mode, runs the benchmarks, and writes docs/benchmarks.md.
//!
//! A benchmark is a program that prints one JSON object on a line of its own:
//! `{"figures": [{"figure": "…", "value": 1.5, "unit": "µs", "goal": "at most 5 µs", "met": true}]}`;
//! `goal` and `met` may be absent. Everything else that it prints is for people.

use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use serde::Deserialize;

use crate::benchmarks::{Page, Section};
use crate::{Result, machine, process, python};

/// Which benchmarks to run, and how.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The benchmarks to run; all when none is named
    #[arg(value_name = "NAME", value_parser = BENCHMARKS.each_ref().map(|bench| bench.name))]
    names: Vec<String>,
    /// Measure what was built before instead of building it
    #[arg(long)]
    no_build: bool,
    /// Leave docs/benchmarks.md as it is
    #[arg(long)]
    no_write: bool,
    /// Say what each benchmark measures and run none
    #[arg(long)]
    list: bool,
}

/// How a benchmark is run.
enum Program {
    /// An example of the crate `pintail-capture`, built in release mode.
    Example(&'static str),
    /// A script under `clients/python`, run with the peers' Python; it is given the server's binary.
    Script(&'static str),
}

/// One benchmark, named as on the command line and in the heading of its section.
pub(crate) struct Benchmark {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    program: Program,
}

/// In the order of the sections of docs/benchmarks.md.
pub(crate) static BENCHMARKS: [Benchmark; 7] = [
    Benchmark {
        name: "decode",
        about: "HEP decoding and SIP extraction of a 738-byte INVITE with SDP, on one core.",
        program: Program::Example("decode_bench"),
    },
    Benchmark {
        name: "rows",
        about: "From a decoded packet to finished Arrow columns, on one core.",
        program: Program::Example("rows_bench"),
    },
    Benchmark {
        name: "ingest",
        about: "The whole server under `pintail hep gen` over TCP at full speed, generator on the same machine: \
                from socket to committed Parquet, with the journal synced and Parquet compressed by zstd. CPU \
                time is the server process's own, from before the first packet until it has stopped, so the \
                last flush is in it.",
        program: Program::Script("bench_ingest.py"),
    },
    Benchmark {
        name: "overload",
        about: "UDP at ten times the server's capacity for ten seconds. The capacity is throttled by giving the \
                server a small slice of CPU time, as a CPU quota does, and measured first. Every packet that was \
                sent must be found in `system.ingest`, and memory may grow by no more than the configured hot \
                buffer.",
        program: Program::Script("bench_overload.py"),
    },
    Benchmark {
        name: "visibility",
        about: "From sending a packet to having it in a query's answer, at 10,000 packets a second: marked packets \
                go in over UDP among the others, and one client asks for them without pause. The query's own time \
                is part of the figure.",
        program: Program::Script("bench_visibility.py"),
    },
    Benchmark {
        name: "fetch",
        about: "One million rows of 12 columns fetched as Arrow over loopback, all paths interleaved in one run; \
                medians, and ratios to the peer. DuckDB reads the very Parquet files of the lake in process; roapi \
                and the plain pyarrow Flight server hold the same rows in memory.",
        program: Program::Script("bench_fetch.py"),
    },
    Benchmark {
        name: "memory",
        about: "Resident memory of the server while a client streams a result of ten times the memory limit out of \
                Parquet.",
        program: Program::Script("bench_memory.py"),
    },
];

/// What a benchmark reports.
#[derive(Debug, Deserialize)]
struct Report {
    figures: Vec<Figure>,
}

/// One measured figure.
#[derive(Debug, Deserialize)]
pub(crate) struct Figure {
    pub(crate) figure: String,
    pub(crate) value: f64,
    #[serde(default)]
    pub(crate) unit: String,
    #[serde(default)]
    pub(crate) goal: String,
    #[serde(default)]
    pub(crate) met: Option<bool>,
}

/// Runs the benchmarks; whether all ran and met their goals.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let wanted =
        |bench: &&Benchmark| options.names.is_empty() || options.names.iter().any(|name| name == bench.name);
    let chosen: Vec<&Benchmark> = BENCHMARKS.iter().filter(wanted).collect();
    if options.list {
        for bench in chosen {
            println!("{:<10} {}", bench.name, bench.about);
        }
        return Ok(true);
    }
    if !options.no_build {
        build()?;
    }
    let file = process::workspace_root().join("docs").join("benchmarks.md");
    let mut page = Page::read(&file)?;
    let mut good = true;
    for bench in chosen {
        println!("\n== {}: {}", bench.name, bench.about);
        match measure(bench) {
            Ok(figures) => {
                good &= figures.iter().all(|figure| figure.met != Some(false));
                let section = Section::measured(bench, &machine::describe(), &figures);
                println!("\n{}", section.text());
                page.put(section);
                if !options.no_write {
                    // After every benchmark, so that one that fails does not cost the others their figures.
                    page.write(&file)?;
                }
            }
            Err(error) => {
                good = false;
                println!("== {} FAILED: {error}", bench.name);
            }
        }
    }
    Ok(good)
}

/// The server as the README builds it, and the examples beside it, in one cargo run so that they
/// share every dependency.
fn build() -> Result<()> {
    process::run(&mut process::cargo(&[
        "build",
        "--locked",
        "--release",
        "--package=pintail",
        "--package=pintail-capture",
        "--bins",
        "--examples",
    ]))
}

fn measure(bench: &Benchmark) -> Result<Vec<Figure>> {
    let release = release_folder()?;
    let mut command = match bench.program {
        Program::Example(name) => Command::new(release.join("examples").join(name)),
        Program::Script(name) => {
            let mut command = Command::new(python::PEERS.prepare()?);
            command.arg(process::workspace_root().join("clients/python").join(name));
            command.arg("--binary").arg(release.join("pintail"));
            command
        }
    };
    let mut report = None;
    let succeeded = process::echo(&mut command, |line| {
        if let Ok(found) = serde_json::from_str::<Report>(line) {
            report = Some(found);
        }
    })?;
    match report {
        Some(Report { figures }) if succeeded => Ok(figures),
        Some(_) => Err("it reported figures and then failed".into()),
        None => Err("it reported no figures".into()),
    }
}

/// Where cargo puts release builds of this workspace.
fn release_folder() -> Result<PathBuf> {
    let metadata =
        cargo_metadata::MetadataCommand::new().current_dir(process::workspace_root()).no_deps().exec()?;
    Ok(metadata.target_directory.into_std_path_buf().join("release"))
}
