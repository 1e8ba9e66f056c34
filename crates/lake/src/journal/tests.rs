use std::fs;
use std::path::Path;

use pintail_types::{ErrorKind, JournalId, JournalPosition};

use super::*;

fn scan(path: &Path) -> JournalRecovery {
    JournalRecovery::scan(JournalOptions::at(path), JournalId::from_bits(7)).unwrap()
}

fn block(payloads: &[&str]) -> Block {
    let mut block = Block::new();
    for payload in payloads {
        block.push(&[payload.as_bytes()]);
    }
    block
}

fn replay(path: &Path, from: JournalPosition) -> (Vec<(u64, String)>, ReplayReport) {
    let mut seen = Vec::new();
    let report = scan(path)
        .open(JournalPosition(0))
        .unwrap()
        .reader()
        .replay(from, &mut |position, payload| {
            seen.push((position.0, String::from_utf8(payload.to_vec()).unwrap()));
            Ok(())
        })
        .unwrap();
    (seen, report)
}

fn written(path: &Path, payloads: &[&str]) {
    let journal = scan(path).open(JournalPosition(0)).unwrap();
    for payload in payloads {
        journal.append(&block(&[payload])).unwrap();
    }
    journal.close();
}

fn only_segment(path: &Path) -> std::path::PathBuf {
    segment::list(path).unwrap().first().unwrap().path.clone()
}

#[tokio::test]
async fn records_come_back_with_their_positions() {
    for sync in [SyncPolicy::Group, SyncPolicy::Always, SyncPolicy::Off] {
        let directory = tempfile::tempdir().unwrap();
        let options = JournalOptions { sync, ..JournalOptions::at(directory.path()) };
        let journal = JournalRecovery::scan(options, JournalId::from_bits(7)).unwrap();
        let journal = journal.open(JournalPosition(0)).unwrap();
        let records = block(&["one", "three"]);
        let first = journal.append(&records).unwrap();
        journal.durable(records.end(first)).await.unwrap();
        assert_eq!(records.position(first, 1), JournalPosition(11));
        assert_eq!(journal.end(), JournalPosition(24));
        drop(journal);
        let (seen, report) = replay(directory.path(), JournalPosition(0));
        assert_eq!(seen, [(0, "one".to_owned()), (11, "three".to_owned())], "{sync:?}");
        assert_eq!(report, ReplayReport { records: 2, bytes: 8, ..ReplayReport::default() });
        assert_eq!(replay(directory.path(), JournalPosition(11)).0.len(), 1);
    }
}

#[test]
fn a_second_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let first = scan(directory.path());
    let error =
        JournalRecovery::scan(JournalOptions::at(directory.path()), JournalId::from_bits(8)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    drop(first);
    scan(directory.path());
}

#[test]
fn positions_go_on_after_a_restart_and_never_before_the_floor() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), &["one"]);
    let recovery = scan(directory.path());
    assert_eq!(recovery.id(), JournalId::from_bits(7));
    let journal = recovery.open(JournalPosition(500)).unwrap();
    assert_eq!(journal.append(&block(&["two"])).unwrap(), JournalPosition(500));
    drop(journal);
    let (seen, _) = replay(directory.path(), JournalPosition(0));
    assert_eq!(seen, [(0, "one".to_owned()), (500, "two".to_owned())]);
}

#[test]
fn a_cut_at_every_byte_loses_only_what_was_cut() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), &["one", "three", "seven"]);
    let path = only_segment(directory.path());
    let whole = fs::read(&path).unwrap();
    let ends = [32 + 11, 32 + 24, 32 + 37];
    for length in 32..=whole.len() {
        let cut = tempfile::tempdir().unwrap();
        fs::write(cut.path().join(path.file_name().unwrap()), &whole[..length]).unwrap();
        let (seen, report) = replay(cut.path(), JournalPosition(0));
        let expected = ends.iter().filter(|end| **end <= length).count();
        assert_eq!((seen.len(), report.damaged), (expected, 0), "cut at {length}");
        let whole_records = ends.iter().copied().filter(|end| *end <= length).max().unwrap_or(32);
        assert_eq!(report.torn_bytes, (length - whole_records) as u64, "cut at {length}");
        let kept = quarantined(cut.path());
        assert_eq!(kept, whole[whole_records..length], "cut at {length}");
    }
}

/// All bytes that were set aside, in the order of their positions.
fn quarantined(path: &Path) -> Vec<u8> {
    let files = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|found| found == "quarantine")).collect();
    files.sort();
    files.into_iter().flat_map(|file| fs::read(file).unwrap()).collect()
}

/// Every record is in one of three places: read, set aside, or known to be missing.
#[test]
fn a_flipped_bit_anywhere_costs_no_record_but_its_own() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), &["one", "three", "seven"]);
    let path = only_segment(directory.path());
    let whole = fs::read(&path).unwrap();
    let starts = [32, 32 + 11, 32 + 24, whole.len()];
    for bit in 32 * 8..whole.len() * 8 {
        let damaged = tempfile::tempdir().unwrap();
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(damaged.path().join(path.file_name().unwrap()), &bytes).unwrap();
        let hit = starts.iter().rposition(|start| *start <= bit / 8).unwrap();
        let (seen, report) = replay(damaged.path(), JournalPosition(0));
        let seen: Vec<&str> = seen.iter().map(|(_, text)| text.as_str()).collect();
        let mut expected = vec!["one", "three", "seven"];
        expected.remove(hit);
        assert_eq!(seen, expected, "bit {bit}");
        assert_eq!(quarantined(damaged.path()), bytes[starts[hit]..starts[hit + 1]], "bit {bit}");
        // Of the last record nobody can say whether it was ever confirmed.
        assert_eq!((report.damaged, report.torn_bytes > 0), if hit == 2 { (0, true) } else { (1, false) });
    }
}

#[test]
fn a_closed_segment_that_is_cut_or_lost_its_head_is_told() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), &["one", "three"]);
    let first = only_segment(directory.path());
    written(directory.path(), &["seven"]);
    let whole = fs::read(&first).unwrap();
    for (length, records, damaged_bytes) in
        [(whole.len(), 3, 0), (32 + 11, 2, 13), (32 + 5, 1, 24), (32, 1, 24)]
    {
        fs::write(&first, &whole[..length]).unwrap();
        let (seen, report) = replay(directory.path(), JournalPosition(0));
        assert_eq!((seen.len(), report.damaged_bytes), (records, damaged_bytes), "cut at {length}");
    }
    // What the lake has is not missed.
    assert_eq!(replay(directory.path(), JournalPosition(24)).1.damaged, 0);
    for byte in 0..28 {
        let mut bytes = whole.clone();
        bytes[byte] ^= 0x40;
        fs::write(&first, &bytes).unwrap();
        let (seen, report) = replay(directory.path(), JournalPosition(0));
        assert_eq!((seen.len(), report.damaged), (3, 1), "byte {byte}");
        assert_eq!(scan(directory.path()).id(), JournalId::from_bits(7));
    }
    // Only a sound head says that another version wrote it.
    let mut newer = whole;
    newer[7] = b'2';
    let checksum = crc32fast::hash(&newer[..24]).to_le_bytes();
    newer[24..28].copy_from_slice(&checksum);
    fs::write(&first, &newer).unwrap();
    let error =
        JournalRecovery::scan(JournalOptions::at(directory.path()), JournalId::from_bits(7)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn what_is_set_aside_is_limited() {
    let directory = tempfile::tempdir().unwrap();
    let quarantine = Quarantine::open(directory.path(), 10).unwrap();
    assert!(quarantine.keep(JournalPosition(0), b"123456").unwrap().is_some());
    assert!(quarantine.keep(JournalPosition(9), b"12345").unwrap().is_none());
    assert!(quarantine.keep(JournalPosition(0), b"1234567").unwrap().is_some(), "the same place again");
    assert_eq!(quarantine.held(), (1, 7));
    assert_eq!(Quarantine::open(directory.path(), 10).unwrap().held(), (1, 7));
}

#[test]
fn a_flipped_bit_sets_one_record_aside_and_keeps_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), &["one", "three", "seven"]);
    let path = only_segment(directory.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[32 + 11 + 9] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (seen, report) = replay(directory.path(), JournalPosition(0));
    assert_eq!(seen.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["one", "seven"]);
    assert_eq!(report.damaged, 1);
    let kept = fs::read(directory.path().join(format!("{:016x}.quarantine", 11))).unwrap();
    assert_eq!(kept, bytes[32 + 11..32 + 24]);
}

#[test]
fn a_damaged_header_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), &["one"]);
    let path = only_segment(directory.path());
    let whole = fs::read(&path).unwrap();
    for byte in 0..28 {
        let mut bytes = whole.clone();
        bytes[byte] ^= 0x40;
        fs::write(&path, &bytes).unwrap();
        let error =
            JournalRecovery::scan(JournalOptions::at(directory.path()), JournalId::from_bits(7)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {byte}");
    }
}

#[tokio::test]
async fn trimming_removes_whole_segments_and_frees_room() {
    let directory = tempfile::tempdir().unwrap();
    let options = JournalOptions { segment_bytes: 1, max_bytes: 40, ..JournalOptions::at(directory.path()) };
    let journal =
        JournalRecovery::scan(options, JournalId::from_bits(7)).unwrap().open(JournalPosition(0)).unwrap();
    let records = block(&["0123456789"]);
    for _ in 0..2 {
        let first = journal.append(&records).unwrap();
        journal.durable(records.end(first)).await.unwrap();
    }
    assert_eq!(journal.append(&records).unwrap_err().kind(), ErrorKind::Exhausted);
    assert_eq!(segment::list(directory.path()).unwrap().len(), 2);
    journal.trim(JournalPosition(18)).unwrap();
    assert_eq!(segment::list(directory.path()).unwrap().len(), 1);
    assert_eq!(journal.unflushed_bytes(), 18);
    journal.append(&records).unwrap();
}

#[test]
fn pending_records_are_limited() {
    let directory = tempfile::tempdir().unwrap();
    let journal = scan(directory.path()).open(JournalPosition(0)).unwrap();
    let mut large = Block::new();
    let payload = vec![0_u8; 12 << 20];
    for _ in 0..3 {
        large.push(&[&payload]);
    }
    assert_eq!(journal.append(&large).unwrap_err().kind(), ErrorKind::Exhausted);
    assert_eq!(journal.end(), JournalPosition(0));
}

#[tokio::test]
async fn a_disk_that_fails_is_told_and_survived() {
    let directory = tempfile::tempdir().unwrap();
    let options = JournalOptions { segment_bytes: 1, ..JournalOptions::at(directory.path().join("journal")) };
    let journal =
        JournalRecovery::scan(options, JournalId::from_bits(7)).unwrap().open(JournalPosition(0)).unwrap();
    let records = block(&["one"]);
    let first = journal.append(&records).unwrap();
    journal.durable(records.end(first)).await.unwrap();
    // Without its directory the journal can't begin the next segment.
    fs::rename(directory.path().join("journal"), directory.path().join("away")).unwrap();
    let second = journal.append(&records).unwrap();
    let error = journal.durable(records.end(second)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(journal.admission().unwrap_err().kind(), ErrorKind::Unavailable);
    fs::rename(directory.path().join("away"), directory.path().join("journal")).unwrap();
    journal.close();
    drop(journal);
    let (seen, _) = replay(&directory.path().join("journal"), JournalPosition(0));
    assert_eq!(seen.len(), 2);
}
