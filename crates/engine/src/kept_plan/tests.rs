use pintail_identity::Principal;
use pintail_lake::{Lake, LakeOptions};
use pintail_types::ManualClock;

use super::*;
use crate::parameters::typed;
use crate::{Engine, EngineOptions, Session, SessionOptions};

async fn session(directory: &tempfile::TempDir) -> Session {
    let clock = Arc::new(ManualClock::at(0));
    let lake =
        Lake::open(LakeOptions::at(directory.path()), Arc::<ManualClock>::clone(&clock)).await.unwrap();
    let options = EngineOptions {
        memory_bytes: 64 << 20,
        spill_path: directory.path().join("spill"),
        max_queries: 8,
        query_timeout: None,
        stall_timeout: None,
        target_partitions: Some(2),
    };
    let engine = Engine::new(options, lake, clock).unwrap();
    engine.session(Principal::local(), "test", SessionOptions::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_kept_that_read_each_moment_and_all_values() {
    let directory = tempfile::tempdir().unwrap();
    let session = session(&directory).await;
    let mut state = SessionState::clone(&session.state());
    session.pin(state.config_mut()).await.unwrap();
    for (sql, parameters, kept) in [
        ("SELECT * FROM hep_proto_1_call", 0, true),
        ("SELECT * FROM hep_proto_1_call WHERE session_id = $1", 1, true),
        ("SELECT caller, $2 FROM hep_proto_1_call WHERE session_id = $1", 2, true),
        ("SELECT caller FROM hep_proto_1_call WHERE session_id IN ($1, $2)", 2, true),
        ("SELECT count(*) FROM hep_proto_1_call WHERE method = 'INVITE'", 0, true),
        ("SELECT method, count(*) FROM hep_proto_1_call GROUP BY 1 ORDER BY 2", 0, true),
        ("SELECT payload FROM homer_lake_default.main.hep_proto_1_call", 0, true),
        // Files are chosen by the value.
        ("SELECT * FROM hep_proto_1_call WHERE date = $1", 1, false),
        // Rows of the server itself, as they are when it is planned.
        ("SELECT * FROM system.queries", 0, false),
        ("SELECT * FROM hep_proto_1_call, system.queries", 0, false),
        ("SELECT * FROM information_schema.tables", 0, false),
        (
            "SELECT caller FROM hep_proto_1_call WHERE caller = (SELECT max(sql) FROM system.queries)",
            0,
            false,
        ),
        ("SELECT sum($1 + src_port) FROM hep_proto_1_call", 1, false),
    ] {
        let plan = state.create_logical_plan(sql).await.unwrap();
        let (plan, _) = typed(&state, plan, parameters).unwrap();
        let plan = state.optimize(&plan).unwrap();
        let follows_pin = |table: &dyn TableProvider| session.engine().storage().follows_pin(table);
        let found = KeptPlan::new(&state, &plan, &follows_pin).await;
        assert_eq!(found.is_some(), kept, "{sql}: {found:?}");
    }
}
