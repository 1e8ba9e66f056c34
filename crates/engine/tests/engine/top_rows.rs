//! The first rows in an order: which files are read for them, and that they are the right ones.

use datafusion::arrow::util::pretty::pretty_format_batches;
use pintail_engine::Session;
use pintail_identity::Principal;

use crate::common::{column, rows};
use crate::with_lake::bench;

async fn run(session: &Session, sql: &str) {
    let statement = session.statement(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    statement.update(None).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn explained(session: &Session, sql: &str) -> String {
    let plan = rows(session, &format!("EXPLAIN ANALYZE {sql}")).await.unwrap();
    pretty_format_batches(&plan).unwrap().to_string()
}

/// Five files of a thousand messages, one each second, and one message without a time in the first of them.
async fn messages(session: &Session) {
    run(session, "CREATE TABLE messages (number BIGINT, sent TIMESTAMP, kind VARCHAR, body VARCHAR)").await;
    for file in [3, 1, 4, 0, 2] {
        let (first, last) = (file * 1000, file * 1000 + 999);
        let sent = "CASE WHEN value = 5 THEN NULL ELSE to_timestamp_seconds(value / 2) END";
        let insert = format!(
            "INSERT INTO messages SELECT value, {sent}, CASE WHEN value % 3 = 0 THEN 'INVITE' ELSE 'BYE' END, \
             concat('body ', CAST(value AS VARCHAR)) FROM generate_series({first}, {last})"
        );
        run(session, &insert).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_files_with_the_newest_rows_are_read() {
    let bench = bench().await;
    let session = bench.session(Principal::local());
    messages(&session).await;
    for order in ["sent DESC NULLS LAST", "sent"] {
        let plan = explained(
            &session,
            &format!("SELECT number, body FROM messages ORDER BY {order}, number LIMIT 7"),
        )
        .await;
        assert!(plan.contains("SortBoundExec"), "{plan}");
        // Once for the bound, and once for the rows.
        let one_of_five = plan.matches("files_ranges_pruned_statistics=5 total → 1 matched").count();
        assert_eq!(one_of_five, 2, "{order}: {plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_rows_are_those_of_a_sort_of_all() {
    let bench = bench().await;
    let session = bench.session(Principal::local());
    messages(&session).await;
    run(&session, "DELETE FROM messages WHERE number BETWEEN 4990 AND 4993").await;
    for condition in ["true", "kind = 'INVITE'", "body LIKE '%9'", "number < 3", "number < 0"] {
        for order in
            ["sent", "sent DESC", "sent NULLS FIRST", "sent DESC NULLS LAST", "number DESC", "kind DESC"]
        {
            for limit in [1, 8, 3000, 9000] {
                let (column_name, direction) = order.split_once(' ').unwrap_or((order, ""));
                // What is no column is sorted in one go.
                let computed = format!("CASE WHEN number >= -1 THEN {column_name} END {direction}");
                let sql = |order: &str| {
                    format!(
                        "SELECT body FROM messages WHERE {condition} ORDER BY {order}, number DESC LIMIT {limit}"
                    )
                };
                let found = column(&session, &sql(order)).await;
                assert_eq!(found, column(&session, &sql(&computed)).await, "{}", sql(order));
            }
        }
    }
}
