//! Files that no snapshot names.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pintail_ducklake::KnownFiles;
use pintail_types::Result;

use super::Finding;
use crate::maintenance::{files_before, real_path};

/// The Parquet files below `data_path` that the catalog neither names nor has listed for deletion. Among them are those
/// that somebody is writing at this moment.
pub(super) fn find(data_path: &Path, known: &KnownFiles) -> Result<Vec<Finding>> {
    if !data_path.is_dir() {
        return Ok(Vec::new());
    }
    let named = known.named.iter().map(String::as_str);
    let scheduled = known.scheduled.iter().map(|file| file.path.as_str());
    let known: HashSet<PathBuf> = named.chain(scheduled).map(real_path).collect();
    let mut findings = Vec::new();
    for path in files_before(data_path, SystemTime::now())? {
        let path = real_path(&path.to_string_lossy());
        if known.contains(&path) {
            continue;
        }
        let bytes = std::fs::metadata(&path).map_or(0, |found| found.len());
        findings.push(Finding::harmless(
            path.display().to_string(),
            format!("no snapshot names the file, of {bytes} bytes"),
            "cleanup deletes it when nobody has changed it for its grace, and for a day unless it is asked to",
        ));
    }
    Ok(findings)
}
