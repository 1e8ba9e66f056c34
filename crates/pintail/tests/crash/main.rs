//! `kill -9` again and again under load and maintenance: what was acknowledged is there, nothing is there twice, and the
//! lake is sound for official DuckDB and for us.
//!
//! A lake lives many lives. Each ends at a random instant or at a fault point; then a server that nothing happens to
//! recovers the lake, and it is looked at. The gate runs a short form of it, `cargo xtask crash` a long one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod ledger;
mod life;
mod plan;
#[path = "../support/mod.rs"]
mod support;

use ledger::Ledger;
use life::{live, settings};
use plan::{Plan, Tally};
use support::{Server, pintail, python};

/// A lake is given up for a new one after so many deaths: every row of it is looked at after each.
const DEATHS_OF_A_LAKE: u64 = 25;

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_twice() {
    let mut plan = Plan::from_environment();
    let mut tally = Tally::default();
    let mut duckdb = python::duckdb_python().map(|python| python::DuckDb::start(&python));
    println!("{plan}");
    while !plan.is_done() {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::default();
        for _ in 0..DEATHS_OF_A_LAKE {
            let Some(death) = plan.next_death() else { break };
            for death in death.prepared_by().into_iter().chain([death]) {
                let died = live(directory.path(), plan.new_life(), death, &mut ledger);
                tally.note(death, died);
            }
            verify(directory.path(), &mut ledger, duckdb.as_mut());
            plan.tell_progress();
        }
    }
    println!("{tally}");
    tally.assert_complete(&plan);
}

/// Recovers the lake and looks at it with our own eyes, with DuckDB's and with fsck's.
fn verify(directory: &std::path::Path, ledger: &mut Ledger, duckdb: Option<&mut python::DuckDb>) {
    let server = Server::start_with(directory, settings());
    let rows = server.query("SELECT session_id FROM hep_proto_1_call");
    ledger.compare(rows.iter().map(|row| row["session_id"].as_str().unwrap()));
    server.query("CALL system.flush()");
    // A move that was under way is settled before the policy is looked at: DuckDB counts both catalogs as they are.
    server.query("CALL system.apply_storage_policy()");
    if let Some(duckdb) = duckdb {
        duckdb.attach(&directory.join("homer_catalog_hot.sqlite"), "(READ_ONLY)");
        let cold = directory.join("homer_catalog_cold.sqlite");
        let attach = format!("ATTACH 'ducklake:sqlite:{}' AS cold (READ_ONLY)", cold.display());
        let count = "SELECT count(*) AS rows, count(DISTINCT uuid) AS uuids, count(DISTINCT session_id) AS calls \
                     FROM (FROM lake.main.hep_proto_1_call UNION ALL FROM cold.main.hep_proto_1_call)";
        let counted = &duckdb.rows(&[&attach, count])[0];
        duckdb.rows(&["DETACH cold", "SELECT 1"]);
        duckdb.detach();
        for what in ["rows", "uuids", "calls"] {
            assert_eq!(counted[what], rows.len(), "{what} that DuckDB counts");
        }
    }
    let config = directory.join("pintail.json");
    let checked = pintail().args(["lake", "fsck", "--config"]).arg(config).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    server.kill();
}
