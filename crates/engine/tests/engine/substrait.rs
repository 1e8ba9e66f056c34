//! Plans of Substrait, as bytes of strangers: damaged ones, and such as name what their sender may not see.

use std::sync::OnceLock;

use datafusion::prelude::SessionContext;
use datafusion_substrait::serializer::serialize_bytes;
use futures::TryStreamExt;
use pintail_engine::{MAX_PLAN_BYTES, Session};
use pintail_types::{ErrorKind, Result};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tokio::runtime::Runtime;

use crate::common::{Bench, Limits, MemoryStorage, bench};

/// What another program makes of queries on tables that it knows by their columns.
async fn plan_of(sql: &str) -> Vec<u8> {
    let context = SessionContext::new();
    let storage = MemoryStorage::new();
    for (name, place) in [("calls", &storage.main), ("stored", &storage.volume)] {
        let table = datafusion::catalog::SchemaProvider::table(place.as_ref(), name).await.unwrap().unwrap();
        context.register_table(name, table).unwrap();
    }
    serialize_bytes(sql, &context).await.unwrap()
}

async fn count(session: &Session, plan: &[u8]) -> Result<usize> {
    let batches: Vec<_> = session.substrait(plan).await?.execute().await?.try_collect().await?;
    Ok(batches.iter().map(|batch| batch.num_rows()).sum())
}

#[tokio::test]
async fn a_plan_sees_what_its_sender_sees() {
    let bench = bench(Limits::default());
    let (admin, reader) = (bench.admin(), bench.reader("ann"));
    let calls = plan_of("SELECT method FROM calls WHERE src_port = 5060").await;
    assert_eq!(count(&admin, &calls).await.unwrap(), 2);
    assert_eq!(count(&reader, &calls).await.unwrap(), 2);
    let stored = plan_of("SELECT method FROM stored").await;
    admin.statement("USE homer_lake_default").await.unwrap().update(None).await.unwrap();
    assert_eq!(count(&admin, &stored).await.unwrap(), 4);
    let error = count(&reader, &stored).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::NotFound, "42P01"), "{error}");
}

#[tokio::test]
async fn a_plan_is_planned_again_when_its_table_changed() {
    let bench = bench(Limits::default());
    let session = bench.admin();
    let statement = session.substrait(&plan_of("SELECT method FROM calls").await).await.unwrap();
    assert!(!statement.is_update() && !statement.is_ordered());
    bench.storage.replace("calls", None);
    assert_eq!(statement.execute().await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn too_many_bytes_are_not_read() {
    let error = bench(Limits::default()).admin().substrait(&vec![0; MAX_PLAN_BYTES + 1]).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::Invalid, "54001"));
}

/// What the properties share.
struct Shared {
    runtime: Runtime,
    bench: Bench,
    plans: Vec<Vec<u8>>,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        let plans = [
            "SELECT method, count(*) AS n FROM calls WHERE src_port > 5000 GROUP BY method ORDER BY n LIMIT 2",
            "SELECT a.method FROM calls a JOIN stored b ON a.session_id = b.session_id",
            "SELECT upper(method) AS m, CASE WHEN src_port IN (1, 2) THEN 1 ELSE 2 END AS c FROM calls",
            "SELECT 1 AS one UNION ALL SELECT 2",
        ];
        let plans = runtime.block_on(async {
            let mut made = Vec::new();
            for sql in plans {
                made.push(plan_of(sql).await);
            }
            made
        });
        let bench = runtime.block_on(async { bench(Limits::default()) });
        Shared { runtime, bench, plans }
    })
}

proptest! {
    #[test]
    fn damaged_plans_are_plans_or_errors(
        which in any::<Index>(),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let Shared { runtime, bench, plans } = shared();
        let mut bytes = plans[which.index(plans.len())].clone();
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let planned = runtime.block_on(async { bench.reader("ann").substrait(&bytes).await });
        if let Err(error) = planned {
            prop_assert!(error.kind() != ErrorKind::Internal, "{error}");
        }
    }
}
