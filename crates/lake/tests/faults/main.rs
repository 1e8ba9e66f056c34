//! A disk that fails at every call, and a power cut at every call: afterwards nothing is lost, nothing is twice, and
//! the lake is sound.

#![allow(clippy::unwrap_used, clippy::large_futures, clippy::print_stdout, reason = "a test may panic")]

#[path = "../common/mod.rs"]
mod common;
mod disk;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use common::{TEN_O_CLOCK, context, lines, receive, rows};
use disk::{Disk, Fault};
use pintail_lake::{FilePlace, FsckPlace, Lake, LakeOptions, MaintenanceTask, VolumeOptions, fsck};
use pintail_types::{ManualClock, Result, TelemetryTable};

/// More calls than any of the steps makes.
const ENOUGH: u64 = 5000;

/// The second volume of a lake, which has one if this directory is there.
fn cold(directory: &Path) -> PathBuf {
    directory.join("cold")
}

/// Makes it, so that no power cut takes it away.
fn make_cold(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir(cold(directory))?;
    std::fs::File::open(directory)?.sync_all()
}

fn options(directory: &Path) -> LakeOptions {
    let mut options = LakeOptions { flush_interval: Duration::from_secs(3600), ..LakeOptions::at(directory) };
    let cold = cold(directory);
    if cold.exists() {
        options.volumes.push(VolumeOptions::new("cold", cold.join("catalog.sqlite"), cold.join("parquet")));
    }
    for volume in &mut options.volumes {
        volume.override_data_path = true;
    }
    options
}

async fn open(directory: &Path) -> Result<Arc<Lake>> {
    Lake::open(options(directory), Arc::new(ManualClock::at(TEN_O_CLOCK))).await
}

/// Opens a lake as a server does: with the rows of what its journal holds.
async fn recover(directory: &Path) -> Arc<Lake> {
    let lake = open(directory).await.unwrap();
    let replaying = Arc::clone(&lake);
    let replay = std::thread::spawn(move || {
        replaying.replay(&mut |position, record| {
            let number = u64::from_le_bytes(record.try_into().unwrap());
            let _intake = replaying.intake();
            replaying.append(TelemetryTable::Log, lines(number, 1), position)
        })
    });
    let report = replay.join().unwrap().unwrap();
    assert_eq!(report.damaged, 0, "{report:?}");
    lake
}

/// The numbers of the lines that a query sees, each once.
async fn seen(lake: &Arc<Lake>) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    for batch in rows(&context(lake), "SELECT payload FROM hep_proto_100_default").await {
        let payloads = cast(batch.column(0), &DataType::Utf8).unwrap();
        for payload in payloads.as_string::<i32>().iter().flatten() {
            let number = payload.parse().unwrap();
            assert!(numbers.insert(number), "line {number} is there twice");
        }
    }
    numbers
}

fn assert_sound(lake: &Lake, directory: &Path) {
    let options = options(directory);
    let mut journal_path = Some(options.journal.path);
    for (volume, (name, catalog)) in options.volumes.iter().zip(lake.volume_catalogs()) {
        let FilePlace::Directory(data_path) = volume.files.clone() else { panic!("{name} is on the disk") };
        // The journal goes with the first volume.
        let place = FsckPlace { data_path: Some(data_path), journal_path: journal_path.take() };
        let findings = fsck(&catalog, &place).unwrap();
        let errors: Vec<_> = findings.iter().filter(|finding| finding.is_error()).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

/// What is in the lake now, again after a flush, and again after a restart.
async fn expect(directory: &Path, expected: &BTreeSet<u64>, or_more: bool, about: &str) {
    let lake = recover(directory).await;
    let found = seen(&lake).await;
    match or_more {
        true => assert!(expected.is_subset(&found), "{about}: lost {:?}", expected - &found),
        false => assert_eq!(&found, expected, "{about}"),
    }
    assert_sound(&lake, directory);
    lake.flush().await.unwrap();
    assert_eq!(seen(&lake).await, found, "{about}: after a flush");
    lake.stop().await.unwrap();
    drop(lake);
    if or_more {
        return;
    }
    let lake = recover(directory).await;
    assert_eq!(seen(&lake).await, found, "{about}: after a restart");
    assert_sound(&lake, directory);
}

/// Something that is done to a lake.
#[derive(Debug, Clone, Copy)]
enum Step {
    Flush,
    Compact,
    Expire,
    Cleanup,
    /// To the second volume.
    Move,
}

impl Step {
    async fn take(self, lake: &Arc<Lake>) -> Result<()> {
        let now = Some(Duration::ZERO);
        let task = match self {
            Self::Flush => MaintenanceTask::Flush,
            Self::Compact => MaintenanceTask::Compact { table: None, volume: None },
            Self::Expire => MaintenanceTask::ExpireSnapshots { older_than: now },
            Self::Cleanup => MaintenanceTask::Cleanup { older_than: now },
            Self::Move => MaintenanceTask::Move {
                table: TelemetryTable::Log.name().into_owned(),
                date: "2026-11-20".to_owned(),
                from_volume: "default".to_owned(),
                to_volume: "cold".to_owned(),
            },
        };
        lake.maintain(&task).await.map(|_| ())
    }

    /// A lake with something to do for this step, and lines in its files and in memory.
    async fn prepared(self, directory: &Path) -> Arc<Lake> {
        if matches!(self, Self::Move) {
            make_cold(directory).unwrap();
        }
        let lake = open(directory).await.unwrap();
        for part in 0..3 {
            receive(&lake, part * 10, 10);
            lake.flush().await.unwrap();
        }
        let before = match self {
            Self::Flush | Self::Compact | Self::Move => &[][..],
            Self::Expire => &[Self::Compact][..],
            Self::Cleanup => &[Self::Compact, Self::Expire],
        };
        for step in before {
            step.take(&lake).await.unwrap();
        }
        receive(&lake, 30, 10);
        lake.journal().durable(lake.journal().end()).await.unwrap();
        lake
    }
}

/// Lets every call of a step fail, one after the other.
async fn fail_everywhere(disk: &Disk, step: Step, fault: Fault) {
    let expected: BTreeSet<u64> = (0..40).collect();
    for call in 1..ENOUGH {
        let directory = disk.directory();
        let lake = step.prepared(directory.path()).await;
        disk.fail(fault, call);
        let outcome = step.take(&lake).await;
        let failed = disk.heal();
        let about = format!("{step:?}, {fault:?} {call}: {outcome:?}");
        assert_eq!(seen(&lake).await, expected, "{about}: while it runs");
        if fault == Fault::Once || call % 4 == 0 {
            // It goes on where the disk does.
            step.take(&lake).await.unwrap_or_else(|error| panic!("{about}: the next time: {error}"));
            assert_eq!(seen(&lake).await, expected, "{about}: the next time");
        }
        drop(lake);
        expect(directory.path(), &expected, false, &about).await;
        if !failed {
            assert!(outcome.is_ok(), "{about}");
            assert!(call > 5, "{step:?} makes {call} calls only");
            println!("{step:?} {fault:?}: {} calls", call - 1);
            return;
        }
    }
    panic!("{step:?} makes more than {ENOUGH} calls");
}

macro_rules! every_call_may_fail {
    ($($name:ident: $step:expr, $fault:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            if let Some(disk) = Disk::of_test(stringify!($name)) {
                fail_everywhere(&disk, $step, $fault).await;
            }
        }
    )*};
}

every_call_may_fail! {
    one_call_of_a_flush_fails: Step::Flush, Fault::Once;
    the_disk_fails_during_a_flush: Step::Flush, Fault::From;
    one_call_of_a_merge_fails: Step::Compact, Fault::Once;
    the_disk_fails_during_a_merge: Step::Compact, Fault::From;
    one_call_of_an_expiry_fails: Step::Expire, Fault::Once;
    the_disk_fails_during_an_expiry: Step::Expire, Fault::From;
    one_call_of_a_cleanup_fails: Step::Cleanup, Fault::Once;
    the_disk_fails_during_a_cleanup: Step::Cleanup, Fault::From;
    one_call_of_a_move_fails: Step::Move, Fault::Once;
    the_disk_fails_during_a_move: Step::Move, Fault::From;
}

/// The life of a lake from its first start; gives the lines that were confirmed before the disk failed.
async fn live(directory: &Path) -> BTreeSet<u64> {
    let mut confirmed = BTreeSet::new();
    if make_cold(directory).is_err() {
        return confirmed;
    }
    let Ok(lake) = open(directory).await else { return confirmed };
    let steps =
        [Step::Flush, Step::Flush, Step::Compact, Step::Move, Step::Expire, Step::Cleanup, Step::Flush];
    for (part, step) in (0..).zip(steps) {
        if lake.admission().is_err() {
            break;
        }
        receive(&lake, part * 10, 10);
        if lake.journal().durable(lake.journal().end()).await.is_ok() {
            confirmed.extend(part * 10..part * 10 + 10);
        }
        if step.take(&lake).await.is_err() {
            break;
        }
    }
    confirmed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_at_any_call_loses_nothing_that_was_confirmed() {
    let Some(disk) = Disk::of_test("a_power_cut_at_any_call_loses_nothing_that_was_confirmed") else {
        return;
    };
    for call in 1..ENOUGH {
        let directory = disk.directory();
        disk.fail(Fault::Cut, call);
        let confirmed = live(directory.path()).await;
        let failed = disk.heal();
        if !failed {
            assert_eq!(confirmed.len(), 70);
            println!("power cut: {} calls", call - 1);
            return;
        }
        let left = disk.lose_power(directory.path());
        expect(left.path(), &confirmed, true, &format!("cut at {call}")).await;
    }
    panic!("the lake makes more than {ENOUGH} calls");
}
