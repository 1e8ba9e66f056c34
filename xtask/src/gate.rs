//! The gate: every check that a change must pass, in the order in which it is quickest to fail.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::python::{self, Environment};
use crate::{Result, clients, process, tools};

/// What to run of the gate.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Go on after a failure and report all of them
    #[arg(long)]
    keep_going: bool,
    /// Run only this step; may be given several times
    #[arg(long, value_name = "STEP", value_parser = STEPS.each_ref().map(|step| step.name))]
    only: Vec<String>,
}

/// One step of the gate.
struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&mut Gate) -> Result<Counts>,
}

static STEPS: [Step; 5] = [
    Step { name: "format", what: "the code is formatted as rustfmt does it", run: format },
    Step { name: "clippy", what: "clippy over all targets, warnings are errors", run: clippy },
    Step { name: "clients", what: "Python clients and official DuckDB are installed", run: clients },
    Step { name: "tests", what: "unit and integration tests, layout and texts", run: tests },
    Step { name: "matrix", what: "each client's real driver against the real server", run: matrix },
];

/// How many checks passed, failed and were left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    const ONE_PASSED: Self = Self { passed: 1, failed: 0, ignored: 0 };
    const ONE_FAILED: Self = Self { passed: 0, failed: 1, ignored: 0 };

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }

    /// The counts in one of the test harness's closing lines:
    /// `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s`.
    fn of_result_line(line: &str) -> Option<Self> {
        let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let mut counts = Self::default();
        for part in numbers.split("; ") {
            let Some((number, word)) = part.split_once(' ') else { continue };
            let target = match word {
                "passed" => &mut counts.passed,
                "failed" => &mut counts.failed,
                "ignored" => &mut counts.ignored,
                _ => continue,
            };
            *target = number.parse().ok()?;
        }
        Some(counts)
    }
}

/// What the steps tell each other.
struct Gate {
    keep_going: bool,
    /// Variables for the tests: where the Python interpreters are.
    variables: Vec<(&'static str, PathBuf)>,
    /// What cargo test counted.
    tested: Counts,
}

struct Finished {
    step: &'static Step,
    counts: Counts,
    took: Duration,
    message: Option<String>,
}

/// Runs the gate; whether everything passed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let mut gate = Gate { keep_going: options.keep_going, variables: Vec::new(), tested: Counts::default() };
    let mut finished = Vec::new();
    for step in &STEPS {
        let wanted = options.only.is_empty() || options.only.iter().any(|name| name == step.name);
        // The tests need the clients, so the step that prepares them comes along.
        let needed = step.name == "clients" && options.only.iter().any(|name| name == "tests");
        if !wanted && !needed {
            continue;
        }
        println!("\n== {}: {}", step.name, step.what);
        let begin = Instant::now();
        let (counts, message) = match (step.run)(&mut gate) {
            Ok(counts) => (counts, None),
            Err(error) => (Counts::ONE_FAILED, Some(error.to_string())),
        };
        let took = begin.elapsed();
        println!("== {} {} in {}", step.name, verdict(counts), clock_time(took));
        if let Some(message) = &message {
            println!("   {message}");
        }
        finished.push(Finished { step, counts, took, message });
        if counts.failed > 0 && !options.keep_going {
            break;
        }
    }
    Ok(summarize(&finished, gate.tested))
}

/// Prints what came of every step; the last line is the sum. Whether nothing failed.
fn summarize(finished: &[Finished], tested: Counts) -> bool {
    println!("\n== summary");
    let mut sum = Counts::default();
    for Finished { step, counts, took, message } in finished {
        sum.add(*counts);
        let detail = message.as_deref().unwrap_or_default();
        let line = format!("{:<8} {:<7} {:>6}  {detail}", step.name, verdict(*counts), clock_time(*took));
        println!("{}", line.trim_end());
    }
    for step in STEPS.iter().filter(|step| !finished.iter().any(|done| done.step.name == step.name)) {
        println!("{:<8} not run", step.name);
    }
    let Counts { passed, failed, ignored } = tested;
    println!("cargo test: {passed} passed; {failed} failed; {ignored} ignored");
    println!("{} passed, {} failed", sum.passed, sum.failed);
    sum.failed == 0
}

const fn verdict(counts: Counts) -> &'static str {
    if counts.failed == 0 { "passed" } else { "FAILED" }
}

/// Minutes and seconds.
fn clock_time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn format(_: &mut Gate) -> Result<Counts> {
    tools::need_cargo_component("fmt", "rustfmt")?;
    process::run(&mut process::cargo(&["fmt", "--all", "--", "--check"]))?;
    Ok(Counts::ONE_PASSED)
}

fn clippy(gate: &mut Gate) -> Result<Counts> {
    tools::need_cargo_component("clippy", "clippy")?;
    let mut command = process::cargo(&["clippy", "--locked", "--workspace", "--all-targets"]);
    if gate.keep_going {
        command.arg("--keep-going");
    }
    process::run(command.args(["--", "-D", "warnings"]))?;
    Ok(Counts::ONE_PASSED)
}

fn clients(gate: &mut Gate) -> Result<Counts> {
    let environments: [Environment; 3] = [python::DUCKDB, python::CLIENTS, python::S3];
    for environment in environments {
        let python = environment.prepare()?;
        println!("  {}", python::installed(&python)?);
        gate.variables.push((environment.variable(), python));
    }
    Ok(Counts::ONE_PASSED)
}

fn tests(gate: &mut Gate) -> Result<Counts> {
    let mut command = process::cargo(&["test", "--locked", "--workspace"]);
    if gate.keep_going {
        command.arg("--no-fail-fast");
    }
    command.envs(gate.variables.iter().map(|(name, path)| (*name, path)));
    let mut counts = Counts::default();
    let succeeded = process::echo(&mut command, |line| {
        if let Some(more) = Counts::of_result_line(line) {
            counts.add(more);
        }
    })?;
    if !succeeded && counts.failed == 0 {
        // Something did not compile, or a test process died before it could count.
        counts.failed = 1;
    }
    gate.tested = counts;
    Ok(counts)
}

fn matrix(_: &mut Gate) -> Result<Counts> {
    let clients::Outcome { passed, failed } = clients::run_in_gate()?;
    Ok(Counts { passed, failed, ignored: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_of_the_harness_are_counted() {
        let check = |line: &str, expect: Option<(u64, u64, u64)>| {
            let counts =
                Counts::of_result_line(line).map(|counts| (counts.passed, counts.failed, counts.ignored));
            assert_eq!(counts, expect, "{line}");
        };
        check(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.02s",
            Some((12, 0, 1)),
        );
        check(
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            Some((3, 2, 0)),
        );
        check("test hep::decodes ... ok", None);
        check("running 12 tests", None);
    }

    #[test]
    fn times_are_minutes_and_seconds() {
        assert_eq!(clock_time(Duration::from_secs(5)), "0:05");
        assert_eq!(clock_time(Duration::from_secs(754)), "12:34");
    }
}
