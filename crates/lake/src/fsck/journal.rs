//! The journal, as far as its records are not in the lake.

use std::path::Path;

use pintail_ducklake::Catalog;
use pintail_types::{Error, JournalPosition, Result};

use super::Finding;
use crate::journal::{Inspection, inspect};
use crate::options::LakeOptions;

/// Checks the journal in `directory`, if there is one. Somebody may be writing to it.
pub(super) fn check(catalog: &Catalog, directory: &Path) -> Result<Vec<Finding>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let flushed = |id| -> Result<JournalPosition> {
        let key = LakeOptions::position_key(id);
        let Some(text) = catalog.metadata(&key)? else { return Ok(JournalPosition(0)) };
        let position = text
            .parse()
            .map_err(|_| Error::corrupt(format!("ducklake_metadata: {key} is '{text}', not a position")))?;
        Ok(JournalPosition(position))
    };
    let place = format!("journal {}", directory.display());
    let Inspection { damaged, damaged_bytes, torn_bytes, quarantine_files, quarantine_bytes } =
        inspect(directory, flushed)?;
    let mut findings = Vec::new();
    if damaged > 0 {
        findings.push(Finding {
            place: place.clone(),
            message: format!(
                "{damaged} places, of {damaged_bytes} bytes, of records that are not in the lake are damaged"
            ),
            is_harmless: false,
            misleading: Vec::new(),
            repair: Some("the next start reads the other records, and sets these bytes aside".to_owned()),
            is_repaired: false,
        });
    }
    if torn_bytes > 0 {
        findings.push(Finding::harmless(
            place.clone(),
            format!(
                "it ends in a torn record of {torn_bytes} bytes, which was not confirmed or is being written"
            ),
            "the next start sets it aside",
        ));
    }
    if quarantine_files > 0 {
        findings.push(Finding::harmless(
            place,
            format!("{quarantine_bytes} damaged or torn bytes were set aside in {quarantine_files} .quarantine files"),
            "look at them, and remove them",
        ));
    }
    Ok(findings)
}
