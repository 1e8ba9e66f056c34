//! Runs the SQL logic tests of `tests/slt` at the root of the workspace.
//!
//! A file holds records apart by empty lines; `#` starts a comment line:
//!
//! ```text
//! query [rowsort]            statement ok             statement error KIND [REASON] [TEXT]
//! SELECT 1, 'a'              SELECT 1                 SELECT x FROM t
//! ----
//! 1 | a
//! ```
//!
//! `as NAME` on a line of its own makes what follows be asked by that reader; `as local` by the admin.

use std::fmt::Write as _;
use std::path::Path;

use crate::common::{Bench, Limits, bench, rows};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use pintail_engine::Session;
use pintail_types::{Error, reason};

#[tokio::test(flavor = "multi_thread")]
async fn sql_logic_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/slt");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "slt"));
    files.sort();
    assert!(!files.is_empty(), "no tests in {}", folder.display());
    let mut failures = String::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let bench = bench(Limits::default());
        let mut session = bench.admin();
        for (line, record) in records(&text) {
            if let Err(problem) = run(&bench, &mut session, &record).await {
                writeln!(failures, "{}:{line}: {problem}\n{record}\n", file.display()).unwrap();
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
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

async fn run(bench: &Bench, session: &mut Session, record: &str) -> Result<(), String> {
    let (head, body) = record.split_once('\n').unwrap();
    let words: Vec<&str> = head.split_whitespace().collect();
    match words.as_slice() {
        ["as", "local"] => *session = bench.admin(),
        ["as", name] => *session = bench.reader(name),
        ["statement", "ok"] => {
            execute(session, body).await.map_err(|error| error.to_string())?;
        }
        ["statement", "error", kind, ..] => {
            let mut text = head.split_once(kind).unwrap().1.trim();
            let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
            let reason = reason::ALL.contains(&first).then_some(first);
            if reason.is_some() {
                text = rest;
            }
            check_error(execute(session, body).await.err(), kind, reason, text)?;
        }
        ["query", order @ ..] => {
            let (sql, expected) = body.split_once("----\n").ok_or("no ---- in the record")?;
            let batches = rows(session, sql).await.map_err(|error| error.to_string())?;
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

/// Runs a query or an update.
async fn execute(session: &Session, sql: &str) -> Result<(), Error> {
    let statement = session.statement(sql).await?;
    match statement.is_update() {
        true => statement.update(None).await.map(drop),
        false => rows(session, sql).await.map(drop),
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
