//! The past of a real lake: by time, without rows in memory, and when snapshots are expired under a statement.

use futures::TryStreamExt;
use pintail_engine::{Session, Statement};
use pintail_identity::Principal;
use pintail_lake::Lake;
use pintail_types::{Error, ErrorKind, Position, Result};

use crate::common::{column, rows, text_of};
use crate::with_lake::{Bench, bench};

/// Runs statements that change something.
async fn change(session: &Session, statements: &[&str]) {
    for sql in statements {
        session.statement(sql).await.unwrap().update(None).await.unwrap();
    }
}

/// When a snapshot was committed, as a timestamp of SQL.
fn committed_at(lake: &Lake, snapshot: i64) -> String {
    let snapshots = lake.catalog().snapshots().unwrap();
    snapshots.into_iter().find(|info| info.id.0 == snapshot).unwrap().time
}

/// Removes a snapshot, as another program does that expires it.
fn expire(bench: &Bench, snapshot: i64) {
    let catalog = rusqlite::Connection::open(bench.lake.catalog().path()).unwrap();
    for table in ["ducklake_snapshot", "ducklake_snapshot_changes"] {
        let removed = catalog.execute(&format!("DELETE FROM {table} WHERE snapshot_id = ?1"), [snapshot]);
        assert_eq!(removed.unwrap(), 1);
    }
}

async fn executed(statement: &Statement) -> Result<Vec<String>> {
    let batches: Vec<_> = statement.execute().await?.try_collect().await?;
    Ok(text_of(&batches))
}

/// A table of one's own that has had one row in snapshot 4, two in 5, and so on.
async fn site() -> (Bench, Session) {
    let bench = bench().await;
    let session = bench.session(Principal::local());
    change(&session, &["CREATE TABLE t (id BIGINT)"]).await;
    for id in 1..=3 {
        change(&session, &[&format!("INSERT INTO t VALUES ({id})")]).await;
    }
    (bench, session)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_shows_the_newest_snapshot_not_later() {
    let (bench, session) = site().await;
    for (snapshot, count) in [(4, "1"), (5, "2"), (6, "3")] {
        let at = committed_at(&bench.lake, snapshot);
        let of = |moment: &str| format!("SELECT count(*) FROM t {moment}");
        assert_eq!(column(&session, &of(&format!("AT TIMESTAMP '{at}'"))).await, [count]);
        assert_eq!(column(&session, &of(&format!("AT (VERSION => {snapshot})"))).await, [count]);
        let before = format!("AT (TIMESTAMP => TIMESTAMP '{at}' - INTERVAL '1 microsecond')");
        let earlier = if snapshot == 4 { "0".to_owned() } else { (snapshot - 4).to_string() };
        assert_eq!(column(&session, &of(&before)).await, [earlier], "{before}");
        let since = format!("SELECT count(*) FROM table_changes('t', TIMESTAMP '{at}', now())");
        assert_eq!(column(&session, &since).await, [(7 - snapshot).to_string()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_memory_are_of_the_present_only() {
    let bench = bench().await;
    let session = bench.session(Principal::local());
    bench.receive(10);
    bench.lake.flush().await.unwrap();
    bench.receive(5);
    for (sql, count) in [
        ("SELECT count(*) FROM hep_proto_100_default", "15"),
        ("SELECT count(*) FROM hep_proto_100_default AT (TIMESTAMP => now())", "10"),
        ("SELECT count(*) FROM hep_messages FOR TIMESTAMP AS OF now()", "10"),
        ("SELECT count(*) FROM hep_proto_100_default AT SNAPSHOT 3 WHERE storage_volume = 'default'", "10"),
        ("SELECT count(*) FROM hep_proto_100_default AT SNAPSHOT 3 WHERE storage_volume = 'buffer'", "0"),
        ("SELECT count(*) FROM hep_proto_100_default AT SNAPSHOT 2", "0"),
        ("SELECT count(*) FROM homer_lake_default.hep_proto_100_default AT SNAPSHOT 3", "10"),
        (
            "SELECT count(*) FROM hep_proto_100_default n JOIN hep_proto_100_default o AT SNAPSHOT 3 USING (uuid)",
            "0",
        ),
        ("SELECT count(*) FROM table_changes('hep_proto_100_default', 3, 3)", "10"),
    ] {
        assert_eq!(column(&session, sql).await, [count], "{sql}");
    }
    let plan = rows(&session, "EXPLAIN SELECT * FROM hep_proto_100_default AT SNAPSHOT 3").await.unwrap();
    let plan = datafusion::arrow::util::pretty::pretty_format_batches(&plan).unwrap().to_string();
    assert!(plan.contains("homer_lake AT (VERSION => 3).main.hep_proto_100_default"), "{plan}");
    assert!(!plan.contains("HotRowsExec"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_keeps_its_moment_until_that_is_expired() {
    let (bench, session) = site().await;
    change(&session, &["CREATE VIEW old AS SELECT count(*) AS n FROM t AT SNAPSHOT 5"]).await;
    let by_number = session.statement("SELECT count(*) FROM t AT SNAPSHOT 5").await.unwrap();
    let by_view = session.statement("SELECT n FROM old").await.unwrap();
    let to_now = session.statement("SELECT count(*) FROM t AT (TIMESTAMP => now())").await.unwrap();
    let copied = session.statement("INSERT INTO copy SELECT id FROM t AT SNAPSHOT 5").await;
    assert_eq!(copied.unwrap_err().kind(), ErrorKind::NotFound);
    for count in ["3", "4", "5"] {
        assert_eq!(executed(&by_number).await.unwrap(), ["2"]);
        assert_eq!(executed(&by_view).await.unwrap(), ["2"]);
        assert_eq!(executed(&to_now).await.unwrap(), [count]);
        change(&session, &["INSERT INTO t VALUES (9)"]).await;
    }
    assert_eq!(executed(&by_number).await.unwrap(), ["2"]);
    expire(&bench, 5);
    for statement in [&by_number, &by_view] {
        assert_gone(executed(statement).await.unwrap_err());
    }
    assert_gone(session.statement("SELECT * FROM t AT SNAPSHOT 5").await.unwrap_err());
    assert_gone(session.statement("SELECT * FROM table_changes('t', 5, 6)").await.unwrap_err());
    // What was then is seen at the snapshot before it.
    assert_eq!(column(&session, "SELECT count(*) FROM t AT SNAPSHOT 4").await, ["1"]);
}

fn assert_gone(error: Error) {
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let message = error.message();
    assert!(
        message.contains("snapshot 5 of homer_lake is not there any more: the oldest one left is 0 of 20"),
        "{error}"
    );
    assert!(message.contains(", the newest "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_tell_the_table_that_was_to_be_in_the_past() {
    let (_bench, session) = site().await;
    for (sql, column) in [
        ("SELECT * FROM t AT SNAPSHOT 99", 15),
        ("SELECT * FROM main.t AS a JOIN main.t AS b AT (VERSION => 'x') USING (id)", 32),
        ("SELECT * FROM t, system.queries AT SNAPSHOT 1", 18),
        ("SELECT * FROM gone AT SNAPSHOT 4", 15),
    ] {
        let error = session.statement(sql).await.unwrap_err();
        assert_eq!(error.position(), Some(Position { line: 1, column }), "{sql}: {error}");
    }
}
