//! Runs the SQL logic tests of `tests/slt` at the root of the workspace.
//!
//! A file holds records apart by empty lines; `#` starts a comment line:
//!
//! ```text
//! query [rowsort]            statement ok             statement error KIND [REASON] [TEXT]      changed 2
//! SELECT 1, 'a'              SELECT 1                 SELECT x FROM t                           DELETE FROM t
//! ----
//! 1 | a
//! ```
//!
//! `as NAME` on a line of its own makes what follows be asked by that reader, in a session of its own; `as NAME with
//! grafana` in Grafana's profile; `as writer NAME` by one who may write; `as local` by the admin. Files in the folder
//! `lake` are run on a lake, the others on tables in memory.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use crate::common::{Bench, Limits, bench, rows};
use crate::with_lake;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use pintail_engine::{Engine, Session, SessionOptions, WireProfile};
use pintail_identity::Principal;
use pintail_types::{Error, reason};

#[tokio::test(flavor = "multi_thread")]
async fn sql_logic_tests() {
    check_folder("", async || bench(Limits::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_logic_tests_on_a_lake() {
    check_folder("lake", with_lake::bench).await;
}

/// Runs the files of a folder, each in an engine of its own.
async fn check_folder<B: HasEngine>(folder: &str, bench: impl AsyncFn() -> B) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/slt").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "slt"));
    files.sort();
    assert!(!files.is_empty(), "no tests in {}", folder.display());
    let mut failures = String::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let bench = bench().await;
        let mut session = session(bench.engine(), Principal::local());
        for (line, record) in records(&text) {
            if let Err(problem) = run(bench.engine(), &mut session, &record).await {
                writeln!(failures, "{}:{line}: {problem}\n{record}\n", file.display()).unwrap();
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

/// What a file runs in.
pub(crate) trait HasEngine {
    fn engine(&self) -> &Arc<Engine>;
}

impl HasEngine for Bench {
    fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

fn session(engine: &Arc<Engine>, principal: Principal) -> Session {
    engine.session(principal, "test", SessionOptions::default())
}

fn grafana(engine: &Arc<Engine>, principal: Principal) -> Session {
    let options = SessionOptions { profile: WireProfile::Grafana, ..SessionOptions::default() };
    engine.session(principal, "test", options)
}

/// The records of a file with the number of their first line.
fn records(text: &str) -> Vec<(usize, String)> {
    let mut records: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            open = false;
            continue;
        }
        if !open {
            records.push((number + 1, String::new()));
            open = true;
        }
        let (_, record) = records.last_mut().unwrap();
        record.push_str(line);
        record.push('\n');
    }
    records
}

async fn run(engine: &Arc<Engine>, asking: &mut Session, record: &str) -> Result<(), String> {
    let (head, body) = record.split_once('\n').unwrap();
    let words: Vec<&str> = head.split_whitespace().collect();
    match words.as_slice() {
        ["as", "local"] => *asking = session(engine, Principal::local()),
        ["as", "writer", name] => *asking = session(engine, Principal::new(*name, [Principal::WRITERS])),
        ["as", "local", "with", "grafana"] => *asking = grafana(engine, Principal::local()),
        ["as", name, "with", "grafana"] => *asking = grafana(engine, Principal::new(*name, ["readers"])),
        ["as", name] => *asking = session(engine, Principal::new(*name, ["readers"])),
        ["statement", "ok"] => {
            outcome(asking, body).await.map_err(|error| error.to_string())?;
        }
        ["changed", count] => {
            let changed = outcome(asking, body).await.map_err(|error| error.to_string())?;
            if changed.map(|rows| rows.to_string()).as_deref() != Some(count) {
                return Err(format!("it changed {changed:?}"));
            }
        }
        ["statement", "error", kind, ..] => {
            let mut text = head.split_once(kind).unwrap().1.trim();
            let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
            let reason = reason::ALL.contains(&first).then_some(first);
            if reason.is_some() {
                text = rest;
            }
            check_error(outcome(asking, body).await.err(), kind, reason, text)?;
        }
        ["query", order @ ..] => {
            let (sql, expected) = body.split_once("----\n").ok_or("no ---- in the record")?;
            let batches = rows(asking, sql).await.map_err(|error| error.to_string())?;
            let mut found = lines(&batches);
            if order == ["rowsort"] {
                found.sort();
            }
            let expected: Vec<&str> = expected.lines().collect();
            if found != expected {
                return Err(format!("found\n{}", found.join("\n")));
            }
        }
        _ => return Err("unknown record".to_owned()),
    }
    Ok(())
}

/// Runs a statement; gives the number of rows that it changed, if it changes any.
async fn outcome(session: &Session, sql: &str) -> Result<Option<u64>, Error> {
    let statement = session.statement(sql).await?;
    match statement.is_update() {
        true => statement.update(None).await,
        false => rows(session, sql).await.map(|_| None),
    }
}

fn check_error(error: Option<Error>, kind: &str, reason: Option<&str>, text: &str) -> Result<(), String> {
    let Some(error) = error else { return Err("it did not fail".to_owned()) };
    let (found, message) = (error.kind().name(), error.message());
    if found != kind || reason.is_some_and(|reason| reason != error.reason()) || !message.contains(text) {
        return Err(format!("failed with {found} {}: {message}", error.reason()));
    }
    if error.query_id().is_none() {
        return Err("the error does not tell its query".to_owned());
    }
    Ok(())
}

fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let values: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            lines.push(values.join(" | ").trim_end().to_owned());
        }
    }
    lines
}
