//! A lake as its users see it: rows come in, are readable at once, and stay readable exactly once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow::array::{AsArray, RecordBatch, new_null_array};
use arrow::datatypes::Int64Type;
use common::{TEN_O_CLOCK, context, lines, number, open, receive, rows, words};
use pintail_lake::{Block, Lake, LakeOptions};
use pintail_types::{JournalPosition, ManualClock, TelemetryTable};

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_readable_at_once_and_from_files_after_a_flush() {
    let directory = tempfile::tempdir().unwrap();
    let lake = open(&directory).await;
    let context = context(&lake);
    let count = "SELECT count(*) FROM hep_proto_100_default";
    let volumes = "SELECT storage_volume, count(*) AS n, min(payload) AS low FROM hep_proto_100_default GROUP BY 1 ORDER BY 1";
    assert_eq!(number(&context, count).await, 0);
    receive(&lake, 0, 10);
    assert_eq!(number(&context, count).await, 10);
    let report = lake.flush().await.unwrap();
    assert_eq!((report.rows, report.files), (10, 1));
    receive(&lake, 10, 5);
    assert_eq!(number(&context, count).await, 15);
    let expected = "\
+----------------+----+-----+
| storage_volume | n  | low |
+----------------+----+-----+
| buffer         | 5  | 10  |
| default        | 10 | 0   |
+----------------+----+-----+";
    assert_eq!(words(&context, volumes).await, expected);
    assert_eq!(
        number(&context, "SELECT count(*) FROM hep_proto_100_default WHERE storage_volume = 'buffer'").await,
        5
    );
    assert_eq!(
        number(&context, "SELECT count(*) FROM homer_lake_default.main.hep_proto_100_default").await,
        10
    );
    assert_eq!(number(&context, "SELECT count(*) FROM hep_messages WHERE proto_type = 100").await, 15);
    assert_eq!(number(&context, "SELECT count(*) FROM sip_transactions").await, 0);
    assert_eq!(number(&context, "SELECT count(*) FROM homer_lake_default.main.hep_messages").await, 10);
    assert_eq!(number(&context, "SELECT count(*) FROM homer_lake_default.main.sip_transactions").await, 0);
    assert!(lake.catalog().check().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_seen_once_while_flushes_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let lake = open(&directory).await;
    let appended = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let looks = Arc::new(AtomicU64::new(0));
    let writer = std::thread::spawn({
        let (lake, appended, done) = (Arc::clone(&lake), Arc::clone(&appended), Arc::clone(&done));
        move || {
            while !done.load(Ordering::SeqCst) {
                let first = appended.load(Ordering::SeqCst);
                receive(&lake, first, 7);
                appended.store(first + 7, Ordering::SeqCst);
                std::thread::yield_now();
            }
        }
    });
    let reader = tokio::spawn({
        let (lake, appended, done) = (Arc::clone(&lake), Arc::clone(&appended), Arc::clone(&done));
        let looks = Arc::clone(&looks);
        async move {
            let context = context(&lake);
            while !done.load(Ordering::SeqCst) {
                let before = appended.load(Ordering::SeqCst);
                let batches =
                    rows(&context, "SELECT count(*), count(DISTINCT payload) FROM hep_proto_100_default")
                        .await;
                let seen = batches[0].column(0).as_primitive::<Int64Type>().value(0).cast_unsigned();
                let distinct = batches[0].column(1).as_primitive::<Int64Type>().value(0).cast_unsigned();
                let after = appended.load(Ordering::SeqCst) + 7;
                assert_eq!(seen, distinct, "a row was seen twice");
                assert!(
                    (before..=after).contains(&seen),
                    "{seen} rows seen, between {before} and {after} were there"
                );
                looks.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let mut flushes = 0;
    while flushes < 15 || looks.load(Ordering::SeqCst) < 15 {
        assert!(!reader.is_finished(), "the reader has failed");
        lake.flush().await.unwrap();
        flushes += 1;
    }
    done.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    reader.await.unwrap();
    lake.stop().await.unwrap();
    let total = i64::try_from(appended.load(Ordering::SeqCst)).unwrap();
    assert_eq!(
        number(&context(&lake), "SELECT count(*) FROM homer_lake_default.main.hep_proto_100_default").await,
        total
    );
    assert!(lake.catalog().check().unwrap().is_empty());
}

/// What a replay of the journal brings.
fn replayed(lake: &Lake) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut visit = |_: JournalPosition, payload: &[u8]| {
        numbers.push(u64::from_le_bytes(payload.try_into().unwrap()));
        Ok(())
    };
    lake.replay(&mut visit).unwrap();
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_replays_what_was_not_committed_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    {
        let lake = open(&directory).await;
        receive(&lake, 0, 4);
        lake.flush().await.unwrap();
        receive(&lake, 4, 3);
        // Dropped without a stop: as if killed, with the journal written.
    }
    {
        let lake = open(&directory).await;
        assert_eq!(replayed(&lake), [4, 5, 6]);
    }
    let lake = open(&directory).await;
    let numbers = replayed(&lake);
    assert_eq!(numbers, [4, 5, 6], "what was replayed and not committed comes again");
    receive(&lake, 7, 1);
    lake.stop().await.unwrap();
    drop(lake);
    assert_eq!(replayed(open(&directory).await.as_ref()), Vec::<u64>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_larger_than_the_buffer_goes_into_files() {
    let directory = tempfile::tempdir().unwrap();
    let lake = open(&directory).await;
    receive(&lake, 0, 7);
    drop(lake);
    let mut options = LakeOptions::at(directory.path());
    options.hot_buffer.max_bytes = 1;
    let lake = Lake::open(options, Arc::new(ManualClock::at(TEN_O_CLOCK))).await.unwrap();
    let replaying = Arc::clone(&lake);
    // As a server does that starts: on a thread that is none of the runtime's.
    let replay = std::thread::spawn(move || {
        replaying.replay(&mut |position, record| {
            let number = u64::from_le_bytes(record.try_into().unwrap());
            let _intake = replaying.intake();
            replaying.append(TelemetryTable::Log, lines(number, 1), position)
        })
    });
    assert_eq!(replay.join().unwrap().unwrap().records, 7);
    assert_eq!((lake.stats().committed_rows, lake.stats().hot_rows), (6, 1));
    assert_eq!(number(&context(&lake), "SELECT count(DISTINCT payload) FROM hep_proto_100_default").await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_has_its_own_name_and_a_reader_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = LakeOptions::at(directory.path());
    options.volumes[0].name = "hot".to_owned();
    let reader = LakeOptions {
        read_only: true,
        journal: pintail_lake::JournalOptions::at(directory.path().join("node-journal")),
        ..options.clone()
    };
    let clock = Arc::new(ManualClock::at(TEN_O_CLOCK));
    let error = Lake::open(reader.clone(), Arc::clone(&clock) as _).await.unwrap_err();
    assert_eq!(error.kind(), pintail_types::ErrorKind::NotFound);
    assert!(!directory.path().join("parquet").exists());

    let writer = Lake::open(options.clone(), Arc::clone(&clock) as _).await.unwrap();
    receive(&writer, 0, 3);
    writer.flush().await.unwrap();
    let reader = Lake::open(reader, clock).await.unwrap();
    for lake in [&writer, &reader] {
        let context = context(lake);
        let volumes = "SELECT count(*) FROM hep_proto_100_default WHERE storage_volume = 'hot'";
        assert_eq!(number(&context, volumes).await, 3);
        assert_eq!(
            number(&context, "SELECT count(*) FROM homer_lake_hot.main.hep_proto_100_default").await,
            3
        );
        assert_eq!(lake.volumes(), ["hot"]);
    }
    assert_eq!(
        reader.catalog().set_metadata("a", "b").unwrap_err().kind(),
        pintail_types::ErrorKind::Unsupported
    );
    reader.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_buffer_refuses_rows_until_it_is_flushed() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = LakeOptions::at(directory.path());
    options.hot_buffer.max_bytes = 1;
    let lake = Lake::open(options, Arc::new(ManualClock::at(TEN_O_CLOCK))).await.unwrap();
    lake.admission().unwrap();
    receive(&lake, 0, 1);
    let error = lake.admission().unwrap_err();
    assert!(error.message().contains("hot_buffer.max_bytes is 1"), "{error}");
    lake.start();
    lake.admitted().await;
    lake.admission().unwrap();
    lake.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_protocol_has_its_table_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let lake = open(&directory).await;
    let table = TelemetryTable::Protocol(61);
    let schema = table.schema();
    let source = lines(0, 1);
    let columns = schema.fields().iter().map(|field| {
        source.column_by_name(field.name()).cloned().unwrap_or_else(|| new_null_array(field.data_type(), 1))
    });
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap();
    let mut block = Block::new();
    block.push(&[b"x"]);
    let first = lake.journal().append(&block).unwrap();
    lake.append(table, batch, first).unwrap();
    let context = context(&lake);
    for _ in 0..2 {
        assert_eq!(number(&context, "SELECT count(*) FROM hep_proto_61_default").await, 1);
        assert_eq!(number(&context, "SELECT count(*) FROM hep_messages WHERE proto_type = 61").await, 1);
        lake.flush().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_was_reported_as_failed_is_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let lake = open(&directory).await;
    receive(&lake, 0, 3);
    let in_the_way = directory.path().join("parquet/main");
    std::fs::write(&in_the_way, "").unwrap();
    lake.flush().await.unwrap_err();
    std::fs::remove_file(&in_the_way).unwrap();
    assert!(lake.stats().flush_error.is_some());
    // As if that commit had become durable although its writer heard of an error: the lake has reached the rows.
    let key = format!("pintail_journal_position:{}", lake.journal().id());
    lake.catalog().set_metadata(&key, &lake.journal().end().to_string()).unwrap();
    receive(&lake, 3, 2);
    assert_eq!(lake.flush().await.unwrap().rows, 2);
    let stored = "SELECT count(*) FROM homer_lake_default.main.hep_proto_100_default";
    assert_eq!(number(&context(&lake), stored).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_filtered_alike_in_memory_and_in_files() {
    let directory = tempfile::tempdir().unwrap();
    let lake = open(&directory).await;
    receive(&lake, 0, 20);
    lake.flush().await.unwrap();
    receive(&lake, 20, 20);
    let context = context(&lake);
    let cases = [
        ("payload = '5'", 1),
        ("payload LIKE '1%' AND storage_volume = 'default'", 11),
        ("payload IN ('3', '33') OR lower(payload) = '34'", 3),
        ("payload > '35' AND timestamp >= '2026-11-20 10:00:30'", 4),
        ("storage_volume = 'nowhere'", 0),
    ];
    for (condition, expected) in cases {
        let sql = format!("SELECT count(*) FROM hep_proto_100_default WHERE {condition}");
        assert_eq!(number(&context, &sql).await, expected, "{condition}");
    }
}
