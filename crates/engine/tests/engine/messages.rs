//! Messages are for people: none shows a value the way Rust does.

use futures::TryStreamExt;
use pintail_engine::Session;
use pintail_types::{Error, ErrorKind};

use crate::common::{Limits, bench};

/// Statements that fail for as many reasons as the planner, the optimizer and the functions have.
const WRONG: &[&str] = &[
    "SELECT EXISTS (SELECT 1)",
    "SELECT CASE WHEN src_port IN (SELECT 1) THEN 1 END FROM calls",
    "SELECT count(*) FILTER (WHERE src_port IN (SELECT 1)) FROM calls",
    "SELECT src_port > ALL (SELECT 1) FROM calls",
    "SELECT 1 FROM calls ORDER BY src_port IN (SELECT 1)",
    "SELECT (SELECT max(c.src_port) FROM calls c WHERE c.src_port < calls.src_port) FROM calls",
    "SELECT * FROM calls, LATERAL (SELECT calls.src_port + 1) AS l",
    "SELECT * FROM calls, LATERAL (SELECT * FROM calls c WHERE c.src_port < calls.src_port LIMIT 1) AS l",
    "SELECT * FROM calls, generate_series(1, calls.src_port)",
    "SELECT * FROM calls MATCH_RECOGNIZE (PATTERN (A) DEFINE A AS true)",
    "SELECT max(*) FROM calls",
    "SELECT upper(*) FROM calls",
    "SELECT substr(1)",
    "SELECT overlay(method) FROM calls",
    "SELECT trim(1, 2, 3)",
    "SELECT method COLLATE \"C\" FROM calls",
    "SELECT method FROM calls ORDER BY method COLLATE nocase",
    "SELECT {'a': 1}.b",
    "SELECT [1, {'a': 2}]",
    "SELECT named_struct('a')",
    "SELECT sum(method), avg(method) FROM calls",
    "SELECT median(method) FROM calls",
    "SELECT string_agg(src_port, 1, 2) FROM calls",
    "SELECT quantile_cont(src_port, method) FROM calls",
    "SELECT date_trunc(1, timestamp) FROM calls",
    "SELECT date_part(src_port, timestamp) FROM calls",
    "SELECT time_bucket(timestamp) FROM calls",
    "SELECT strftime(timestamp, '%Q') FROM calls",
    "SELECT timestamp AT TIME ZONE method FROM calls",
    "SELECT INTERVAL '1' YEAR TO MONTH",
    "SELECT count(DISTINCT method, src_port) FROM calls",
    "SELECT method LIKE ANY ('a', 'b') FROM calls",
    "SELECT method LIKE 'a' ESCAPE 'xy' FROM calls",
    "SELECT method SIMILAR TO 'a' ESCAPE '!' FROM calls",
    "SELECT method ~ '(' FROM calls",
    "SELECT regexp_count(method, '[') FROM calls",
    "SELECT regexp_match(method, '(?<') FROM calls",
    "SELECT first_value() OVER () FROM calls",
    "SELECT lag(src_port, method) OVER () FROM calls",
    "SELECT row_number() FROM calls",
    "SELECT array_resize([1], -1)",
    "SELECT array_element([1], 'a')",
    "SELECT map([1, 2], [1])",
    "SELECT '127.0.0.1'::INET",
    "SELECT @@version",
    "SELECT 1 + 'a'",
    "SELECT unnest(1)",
    "SELECT arrow_cast(1, 'Timestamp(Second, Some(')",
    "SELECT 1 FROM calls GROUP BY 7",
    "SELECT method, max(src_port) FROM calls",
];

/// What Rust shows, and nobody writes.
const DEBUG_TEXT: [&str; 6] = ["Some(", " { ", "Expr::", "Span(", "internal error", "Error during"];

#[tokio::test(flavor = "multi_thread")]
async fn no_message_holds_debug_text() {
    let bench = bench(Limits::default());
    let session = bench.admin();
    let mut failures = Vec::new();
    for sql in WRONG {
        match run(&session, sql).await {
            Ok(()) => failures.push(format!("{sql}: it did not fail")),
            Err(error) => {
                let message = error.message();
                let is_readable = !DEBUG_TEXT.iter().any(|text| message.contains(text));
                if !is_readable || error.kind() == ErrorKind::Internal || message.contains('\n') {
                    failures.push(format!("{sql}: {} {message}", error.kind().name()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

async fn run(session: &Session, sql: &str) -> Result<(), Error> {
    let rows = session.statement(sql).await?.execute().await?;
    rows.try_for_each(|_| async { Ok(()) }).await
}
