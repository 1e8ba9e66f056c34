//! Which files become one.

use std::collections::{BTreeMap, HashSet};

use pintail_ducklake::{FilePartition, LiveFile};
use pintail_types::Micros;

use crate::maintenance::MergeOptions;

/// Files that are read at once: each takes the memory of its pages.
pub(crate) const FILES_AT_ONCE: usize = 32;

/// The share of deleted rows from which a large file is written anew without them.
const REWRITTEN_SHARE: f64 = 0.3;

/// How much is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zeal {
    /// Everything that can be.
    All,
    /// What is old enough, and where a large file is not written again for a few small ones.
    WorthIt,
}

/// Files that become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bin<'a> {
    pub(super) files: Vec<&'a LiveFile>,
    /// Whether rows of them are deleted, which older snapshots still show: the files must stay for these.
    pub(super) have_deletes: bool,
}

/// Only files of one group are merged: of one shape and one partition.
type Group<'a> = (bool, Option<i64>, &'a Option<FilePartition>);

/// The files to merge, in the order of their ids. Files in `unfit` are left alone.
pub(super) fn bins<'a>(
    files: &'a [LiveFile],
    unfit: &HashSet<i64>,
    options: &MergeOptions,
    zeal: Zeal,
    now: Micros,
) -> Vec<Bin<'a>> {
    let mut groups: BTreeMap<Group<'a>, Vec<&'a LiveFile>> = BTreeMap::new();
    for file in files.iter().filter(|file| !file.is_foreign && !unfit.contains(&file.id)) {
        let have_deletes = file.deleted_rows() > 0;
        let is_small = bytes(file) >= options.min_file_bytes && bytes(file) < options.max_file_bytes;
        let is_old = zeal == Zeal::All || is_older(file, options, now);
        if is_old && (is_small || is_mostly_deleted(file)) {
            let group = (have_deletes, file.schema_version, &file.partition);
            groups.entry(group).or_default().push(file);
        }
    }
    let mut bins = Vec::new();
    for ((have_deletes, ..), files) in groups {
        for files in runs(&files, options.target_bytes) {
            let files = match zeal {
                Zeal::All => files,
                Zeal::WorthIt => worth_it(files),
            };
            let is_worth_it =
                files.len() > 1 || have_deletes && files.iter().any(|file| is_mostly_deleted(file));
            if is_worth_it {
                bins.push(Bin { files, have_deletes });
            }
        }
    }
    bins
}

fn bytes(file: &LiveFile) -> u64 {
    u64::try_from(file.bytes).unwrap_or(0)
}

fn is_older(file: &LiveFile, options: &MergeOptions, now: Micros) -> bool {
    let age = Micros::try_from(options.min_age.as_micros()).unwrap_or(Micros::MAX);
    file.committed_at.is_none_or(|committed_at| committed_at <= now.saturating_sub(age))
}

#[allow(clippy::cast_precision_loss, reason = "a share needs no exact numbers")]
fn is_mostly_deleted(file: &LiveFile) -> bool {
    let deleted = file.deleted_rows();
    deleted > 0 && deleted as f64 >= file.rows as f64 * REWRITTEN_SHARE
}

/// Neighbours, as many as make a file of the target size and can be read at once.
fn runs<'a>(files: &[&'a LiveFile], target_bytes: u64) -> Vec<Vec<&'a LiveFile>> {
    let mut runs = Vec::new();
    let mut run: Vec<&LiveFile> = Vec::new();
    let mut size = 0;
    for file in files {
        if run.len() == FILES_AT_ONCE || !run.is_empty() && size + bytes(file) > target_bytes {
            runs.push(std::mem::take(&mut run));
            size = 0;
        }
        size += bytes(file);
        run.push(file);
    }
    runs.push(run);
    runs
}

/// Without files that are larger than all others together: they would be written again for little.
fn worth_it(mut files: Vec<&LiveFile>) -> Vec<&LiveFile> {
    while files.len() > 1 {
        let total: u64 = files.iter().map(|file| bytes(file)).sum();
        let largest = files.iter().enumerate().max_by_key(|(_, file)| bytes(file));
        let Some((place, largest)) = largest.map(|(place, file)| (place, bytes(file))) else { break };
        if largest <= total - largest {
            break;
        }
        files.remove(place);
    }
    files
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    fn file(id: i64, day: &str, bytes: i64) -> LiveFile {
        LiveFile {
            id,
            path: format!("/lake/{id}.parquet"),
            subdirectory: String::new(),
            rows: 100,
            bytes,
            row_id_start: Some(id * 100),
            begin_snapshot: id,
            partial_max: None,
            schema_version: Some(1),
            committed_at: Some(id * 1_000_000),
            partition: Some(FilePartition { spec: 1, values: vec![(0, Some(day.to_owned()))] }),
            is_foreign: false,
            deletes: None,
            inlined_deletes: BTreeSet::new(),
            bounds: None,
        }
    }

    fn options() -> MergeOptions {
        MergeOptions {
            min_age: Duration::from_secs(10),
            target_bytes: 1000,
            max_file_bytes: 1000,
            ..MergeOptions::default()
        }
    }

    fn ids(files: &[LiveFile], zeal: Zeal, now: Micros) -> Vec<Vec<i64>> {
        let bins = bins(files, &HashSet::new(), &options(), zeal, now);
        bins.iter().map(|bin| bin.files.iter().map(|file| file.id).collect()).collect()
    }

    #[test]
    fn files_of_one_partition_and_shape_are_merged_up_to_the_target() {
        let mut files = vec![file(1, "a", 400), file(2, "b", 10), file(3, "a", 500), file(4, "a", 200)];
        files.extend([file(5, "a", 100), file(6, "b", 1000), file(7, "a", 10), file(8, "a", 10)]);
        files[6].schema_version = Some(2);
        files[7].is_foreign = true;
        assert_eq!(ids(&files, Zeal::All, 0), [vec![1, 3], vec![4, 5]]);
    }

    #[test]
    fn no_more_files_are_read_at_once_than_may_be() {
        let files: Vec<_> = (0..70).map(|id| file(id, "a", 1)).collect();
        let lengths: Vec<_> = ids(&files, Zeal::All, 0).iter().map(Vec::len).collect();
        assert_eq!(lengths, [FILES_AT_ONCE, FILES_AT_ONCE, 6]);
    }

    #[test]
    fn by_itself_the_lake_merges_what_is_old_and_no_large_file_for_small_ones() {
        let files = vec![file(1, "a", 400), file(2, "a", 10), file(3, "a", 10), file(30, "a", 10)];
        let now = 15_000_000;
        assert_eq!(ids(&files, Zeal::WorthIt, now), [[2, 3]]);
        assert_eq!(ids(&files, Zeal::All, now), [[1, 2, 3, 30]]);
        assert_eq!(ids(&files[..2], Zeal::WorthIt, now), Vec::<Vec<i64>>::new());
    }

    #[test]
    fn deleted_rows_are_left_out_of_small_files_and_of_large_ones_once_they_are_many() {
        let mut files = vec![file(1, "a", 10), file(2, "a", 10), file(3, "a", 10), file(4, "a", 5000)];
        files[1].inlined_deletes = BTreeSet::from([1]);
        assert_eq!(ids(&files, Zeal::All, 0), [[1, 3]]);
        files[3].inlined_deletes = (0..30).collect();
        assert_eq!(ids(&files, Zeal::All, 0), [vec![1, 3], vec![4]]);
        files[0].inlined_deletes = BTreeSet::from([1]);
        assert_eq!(ids(&files, Zeal::All, 0), [vec![1, 2], vec![4]]);
    }
}
