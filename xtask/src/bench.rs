//! `cargo xtask bench`: builds in release mode, runs the benchmarks, and writes docs/benchmarks.md.
//!
//! A benchmark of the server is a script that prints one JSON object on a line of its own:
//! `{"figures": [{"figure": "…", "value": 1.5, "unit": "µs", "goal": "at most 5 µs", "met": true}]}`;
//! `goal` and `met` may be absent. A benchmark of one crate is an example that prints one JSON object of
//! plain numbers, of which the table here names those to report. Everything else printed is for people.

use std::process::Command;

use clap::Args;
use serde::Deserialize;

use crate::benchmarks::{self, Page, Section};
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
    /// Options of the scripts, such as their sizes; `--help` among them says which there are
    #[arg(last = true)]
    script_options: Vec<String>,
}

/// How a benchmark is run.
enum Program {
    /// An example of the crate `pintail`, built in release mode, and which of its numbers to report.
    Example(&'static str, &'static [Number]),
    /// A script under `clients/python`, run with the peers' Python; it is given the server's binary.
    Script(&'static str),
}

/// A number that an example prints.
struct Number {
    key: &'static str,
    figure: &'static str,
    unit: &'static str,
    goal: Goal,
}

/// What is to be reached.
enum Goal {
    None,
    AtLeast(f64),
    AtMost(f64),
}

/// One benchmark, named as on the command line and in the heading of its section.
pub(crate) struct Benchmark {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    program: Program,
}

/// In the order of the sections of docs/benchmarks.md.
pub(crate) static BENCHMARKS: [Benchmark; 13] = [
    Benchmark {
        name: "decode",
        about: "HEP decoding and SIP extraction of a 738-byte INVITE with SDP, on one core.",
        program: Program::Example(
            "decode_bench",
            &[
                Number {
                    key: "packets_per_second",
                    figure: "packets decoded on one core",
                    unit: "packets/s",
                    goal: Goal::AtLeast(1e6),
                },
                Number {
                    key: "allocations_per_packet",
                    figure: "allocations per packet",
                    unit: "",
                    goal: Goal::AtMost(2.0),
                },
            ],
        ),
    },
    Benchmark {
        name: "rows",
        about: "From a packet's bytes to rows, on one core: HEP decoding, SIP extraction, the journal's copy and checksum, \
                and the Arrow columns, finished into batches. 738-byte INVITEs of many dialogs.",
        program: Program::Example(
            "rows_bench",
            &[
                Number {
                    key: "packets_per_second",
                    figure: "packets made rows on one core",
                    unit: "packets/s",
                    goal: Goal::None,
                },
                Number {
                    key: "nanoseconds_per_packet",
                    figure: "time per packet",
                    unit: "ns",
                    goal: Goal::None,
                },
            ],
        ),
    },
    Benchmark {
        name: "ingest",
        about: "The whole server under calls of `pintail hep gen` over TCP at full speed, generator on the same machine: \
                from socket to committed Parquet, with the journal synced and Parquet compressed by zstd. CPU \
                time is the server process's own, from before the first packet until it has stopped, so the \
                last flush is in it.",
        program: Program::Script("bench_ingest.py"),
    },
    Benchmark {
        name: "overload",
        about: "UDP at ten times the server's capacity for ten seconds. The capacity is throttled by giving the \
                server a small slice of CPU time, as a CPU quota does, and measured first. Every packet that was \
                sent must be found in `system.ingest`, and memory may grow beyond what the same server takes at its \
                capacity by no more than the configured hot buffer.",
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
        name: "fetch-large",
        about: "Ten million rows of 12 columns fetched as Arrow over loopback: from Parquet in turns with DuckDB, which \
                reads the same files in process, and from the hot buffer in turns with a plain pyarrow Flight server, \
                both read by pyarrow's client; medians, and the server's memory meanwhile.",
        program: Program::Script("bench_fetch_large.py"),
    },
    Benchmark {
        name: "adbc-ingest",
        about: "Ten million rows of 12 columns from the memory of a client into a new table: sent to the server by \
                `adbc_ingest`, and the same Arrow table written by DuckDB in process to a DuckLake of its own, with the \
                compression that it takes by itself and with the server's. The client's time, from the call to its \
                return; every way in turn in every round.",
        program: Program::Script("bench_adbc_ingest.py"),
    },
    Benchmark {
        name: "prepared",
        about: "Prepared statements executed again and again by a Rust client on the same machine: a constant, beside a \
                Rust server that answers the same calls from memory without SQL, in turn; and the messages of one \
                Call-ID among a million rows in Parquet, of which the columns that are asked for come to be kept \
                in memory, beside roapi with the rows in memory.",
        program: Program::Script("bench_prepared.py"),
    },
    Benchmark {
        name: "queries",
        about: "Twenty questions that people ask of ten million packets of all kinds, over Flight SQL beside official DuckDB, \
                which attaches the very same lake in process; both in turn, and both must give the same rows.",
        program: Program::Script("bench_queries.py"),
    },
    Benchmark {
        name: "many-files",
        about: "The messages of one call by its Call-ID, and the newest 500, over Flight SQL among a hundred million rows in ten \
                thousand files, beside a table of a hundredth of the files; merging is off.",
        program: Program::Script("bench_many_files.py"),
    },
    Benchmark {
        name: "tpch",
        about: "The 22 queries of TPC-H at scale 1, with data of `tpchgen-cli` in tables of the lake, over Flight SQL beside \
                official DuckDB, which attaches the very same lake in process; both in turn, and both must give the \
                same rows.",
        program: Program::Script("bench_tpch.py"),
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
        match measure(bench, &options.script_options) {
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

/// The server as the README builds it, and the examples beside it.
fn build() -> Result<()> {
    process::run(&mut process::cargo(&["build", "--locked", "--release", "--bins", "--examples"]))
}

fn measure(bench: &Benchmark, script_options: &[String]) -> Result<Vec<Figure>> {
    let release = process::target_folder()?.join("release");
    let mut command = match bench.program {
        Program::Example(name, _) => Command::new(release.join("examples").join(name)),
        Program::Script(name) => {
            let mut command = Command::new(python::PEERS.prepare()?);
            command.arg(process::workspace_root().join("clients/python").join(name));
            command.arg("--binary").arg(release.join("pintail")).args(script_options);
            command
        }
    };
    let mut report = None;
    let succeeded = process::echo(&mut command, |line| report = figures_of(bench, line).or(report.take()))?;
    match report {
        Some(figures) if succeeded => Ok(figures),
        Some(_) => Err("it reported figures and then failed".into()),
        None => Err("it reported no figures".into()),
    }
}

/// The figures in a line that a benchmark printed, when the line is its report.
fn figures_of(bench: &Benchmark, line: &str) -> Option<Vec<Figure>> {
    match bench.program {
        Program::Script(_) => serde_json::from_str::<Report>(line).ok().map(|report| report.figures),
        Program::Example(_, numbers) => {
            let report: serde_json::Value = serde_json::from_str(line).ok()?;
            numbers.iter().map(|number| Some(number.figure(report.get(number.key)?.as_f64()?))).collect()
        }
    }
}

impl Number {
    /// The figure when `value` was measured.
    fn figure(&self, value: f64) -> Figure {
        let (goal, met) = match self.goal {
            Goal::None => (String::new(), None),
            Goal::AtLeast(limit) => (format!("at least {}", benchmarks::number(limit)), Some(value >= limit)),
            Goal::AtMost(limit) => (format!("at most {}", benchmarks::number(limit)), Some(value <= limit)),
        };
        let unit = self.unit.to_owned();
        let goal = if goal.is_empty() || unit.is_empty() { goal } else { format!("{goal} {unit}") };
        Figure { figure: self.figure.to_owned(), value, unit, goal, met }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_found_among_other_lines() {
        let check = |name: &str, line: &str, expect: Option<&[(&str, f64, Option<bool>)]>| {
            let bench = BENCHMARKS.iter().find(|bench| bench.name == name).unwrap();
            let found = figures_of(bench, line);
            let found: Option<Vec<_>> =
                found.as_ref().map(|all| all.iter().map(|f| (f.figure.as_str(), f.value, f.met)).collect());
            assert_eq!(found.as_deref(), expect, "{line}");
        };
        check("decode", "warming up", None);
        check(
            "decode",
            r#"{"bench":"decode","packets_per_second":1200000,"allocations_per_packet":2.5}"#,
            Some(&[
                ("packets decoded on one core", 1.2e6, Some(true)),
                ("allocations per packet", 2.5, Some(false)),
            ]),
        );
        check("decode", r#"{"bench":"decode"}"#, None);
        check(
            "ingest",
            r#"{"figures":[{"figure":"rate","value":3,"met":true}]}"#,
            Some(&[("rate", 3.0, Some(true))]),
        );
        check("ingest", r#"{"packets_per_second":1200000}"#, None);
    }
}
