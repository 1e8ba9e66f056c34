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
    let directory = tempfile::tempdir().unwrap();
    let journal = scan(directory.path()).open(JournalPosition(0)).unwrap();
    let records = block(&["one", "three"]);
    let first = journal.append(&records).unwrap();
    journal.durable(records.end(first)).await.unwrap();
    assert_eq!(records.position(first, 1), JournalPosition(11));
    assert_eq!(journal.end(), JournalPosition(24));
    drop(journal);
    let (seen, report) = replay(directory.path(), JournalPosition(0));
    assert_eq!(seen, [(0, "one".to_owned()), (11, "three".to_owned())]);
    assert_eq!(report, ReplayReport { records: 2, bytes: 8, damaged: 0 });
    assert_eq!(replay(directory.path(), JournalPosition(11)).0.len(), 1);
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
    }
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
