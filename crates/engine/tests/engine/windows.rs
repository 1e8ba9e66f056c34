//! Window functions over many small partitions and over large ones.

use datafusion::arrow::util::pretty::pretty_format_batches;

use crate::common::{Limits, bench, column, rows};

/// Ten partitions of ten rows, and behind them one that is too large to be held.
const ROWS: &str = "SELECT value, CASE WHEN value < 100 THEN value % 10 ELSE 1000 END AS part \
                    FROM generate_series(0, 199999)";

#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_all_sizes_are_evaluated() {
    let bench = bench(Limits::default());
    let session = bench.admin();
    let gaps =
        format!("SELECT value - lag(value) OVER (PARTITION BY part ORDER BY value) AS gap FROM ({ROWS})");
    let plan = rows(&session, &format!("EXPLAIN {gaps}")).await.unwrap();
    let plan = pretty_format_batches(&plan).unwrap().to_string();
    assert!(plan.contains("WindowPartitionsExec: [lag("), "{plan}");
    for (sql, expected) in [
        (format!("SELECT count(*) FROM ({gaps})"), "200000"),
        (format!("SELECT count(gap) FROM ({gaps})"), "199989"),
        // Nine gaps of ten in each small partition, and ones.
        (format!("SELECT sum(gap) FROM ({gaps})"), "200799"),
        (
            format!(
                "SELECT sum(number) FROM (SELECT row_number() OVER (PARTITION BY part ORDER BY value DESC) AS number \
                 FROM ({ROWS}))"
            ),
            // 10 × 55, and all up to 199900.
            "19980105500",
        ),
        (
            format!(
                "SELECT max(total) FROM (SELECT sum(value) OVER (PARTITION BY part ORDER BY value ROWS BETWEEN 1 \
                 PRECEDING AND CURRENT ROW) AS total FROM ({ROWS}))"
            ),
            "399997",
        ),
    ] {
        assert_eq!(column(&session, &sql).await, [expected], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_told_apart_by_all_their_columns() {
    let bench = bench(Limits::default());
    let session = bench.admin();
    let values = "(VALUES ('a', 1, 1), ('a', 1, 5), ('a', 2, 7), ('b', 2, 9), (NULL, 2, 20), (NULL, 2, 24)) \
                AS rows(one, two, value)";
    let gaps = format!(
        "SELECT value - lag(value) OVER (PARTITION BY one, two ORDER BY value) AS gap FROM {values} ORDER BY value"
    );
    let gaps =
        column(&session, &format!("SELECT coalesce(CAST(gap AS VARCHAR), 'none') FROM ({gaps})")).await;
    assert_eq!(gaps, ["none", "4", "none", "none", "none", "4"]);
}
