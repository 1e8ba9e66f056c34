//! Proving a lake sound, and mending it: the catalog and its files, files that no snapshot names, and the journal.

mod journal;
mod orphans;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use pintail_ducklake::{Catalog, Problem, TableName};
use pintail_types::{Error, Micros, Result};

use crate::lake::Lake;
use crate::maintenance::Done;
use crate::volume::Volume;

/// Findings that are listed; more are only counted.
pub const MAX_FINDINGS: usize = 1000;

/// Something that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where: a table of the catalog, a file, or the journal.
    pub place: String,
    /// What is wrong there.
    pub message: String,
    /// Whether no row is lost by it, nor read wrongly.
    pub is_harmless: bool,
    /// The tables about which answers would be wrong; queries of them fail.
    pub misleading: Vec<TableName>,
    /// What a repair does, or who mends it otherwise; none if nothing can.
    pub repair: Option<String>,
    /// Whether that was done.
    pub is_repaired: bool,
}

impl Finding {
    fn of(problem: &Problem) -> Self {
        Self {
            place: problem.place.clone(),
            message: problem.message.clone(),
            is_harmless: problem.is_harmless,
            misleading: problem.misleading.clone(),
            repair: problem.repair(),
            is_repaired: false,
        }
    }

    /// Something that asks for a look, and for nothing else.
    fn harmless(place: impl Into<String>, message: String, repair: &str) -> Self {
        Self {
            place: place.into(),
            message,
            is_harmless: true,
            misleading: Vec::new(),
            repair: Some(repair.to_owned()),
            is_repaired: false,
        }
    }

    /// The same, found in one of several volumes: its place says which, unless it is a path.
    #[must_use]
    pub fn in_volume(mut self, volume: &str) -> Self {
        if !Path::new(&self.place).is_absolute() {
            self.place = format!("volume {volume}: {}", self.place);
        }
        self
    }

    /// Whether somebody has to do something about it.
    pub const fn is_error(&self) -> bool {
        !self.is_harmless && !self.is_repaired
    }
}

/// Where the parts of a lake lie, for a check of a lake that may be open elsewhere.
#[derive(Debug, Clone)]
pub struct FsckPlace {
    /// The directory of the Parquet files, if it is on this machine.
    pub data_path: Option<PathBuf>,
    /// The journal's directory, for the catalog that says how far the journal is in the lake.
    pub journal_path: Option<PathBuf>,
}

/// Looks at everything. Blocks, and reads the metadata of each file and all of the journal.
///
/// # Errors
/// When the catalog, a directory or the journal can't be read at all.
pub fn fsck(catalog: &Catalog, place: &FsckPlace) -> Result<Vec<Finding>> {
    let problems = catalog.check()?;
    let mut findings: Vec<Finding> = problems.iter().map(Finding::of).collect();
    findings.extend(beside_catalog(catalog, place)?);
    Ok(findings)
}

/// Mends what can be mended, and looks again. The catalog as it was is kept in a file beside it, with `now` in its name.
///
/// # Errors
/// As [`fsck`], and when the catalog can't be written or copied: then nothing is changed.
pub fn fsck_and_repair(catalog: &Catalog, place: &FsckPlace, now: Micros) -> Result<Vec<Finding>> {
    let problems = catalog.check()?;
    if problems.iter().all(|problem| problem.repair().is_none()) {
        let mut findings: Vec<Finding> = problems.iter().map(Finding::of).collect();
        findings.extend(beside_catalog(catalog, place)?);
        return Ok(findings);
    }
    catalog.repair(&problems, &copy_beside(catalog.path(), now))?;
    let left = catalog.check()?;
    let mut findings: Vec<Finding> = problems.iter().map(Finding::of).collect();
    for finding in &mut findings {
        let is_left = left.iter().any(|left| left.place == finding.place && left.message == finding.message);
        finding.is_repaired = !is_left;
    }
    let is_new = |problem: &&Problem| {
        !findings.iter().any(|known| known.place == problem.place && known.message == problem.message)
    };
    let new: Vec<Finding> = left.iter().filter(is_new).map(Finding::of).collect();
    findings.extend(new);
    findings.extend(beside_catalog(catalog, place)?);
    Ok(findings)
}

/// What is wrong outside of the catalog.
fn beside_catalog(catalog: &Catalog, place: &FsckPlace) -> Result<Vec<Finding>> {
    let mut findings = match &place.data_path {
        Some(data_path) => orphans::find(data_path, &catalog.known_files()?)?,
        None => Vec::new(),
    };
    if let Some(journal_path) = &place.journal_path {
        findings.extend(journal::check(catalog, journal_path)?);
    }
    Ok(findings)
}

/// The name of the copy that is kept of a catalog before it is changed.
fn copy_beside(catalog: &Path, now: Micros) -> PathBuf {
    let mut name = catalog.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".before-repair-{now}"));
    catalog.with_file_name(name)
}

/// What the checks of a lake found.
#[derive(Debug, Default)]
pub(crate) struct Findings(RwLock<Vec<Finding>>);

impl Findings {
    fn replace(&self, mut findings: Vec<Finding>) {
        findings.truncate(MAX_FINDINGS);
        *self.0.write() = findings;
    }

    /// Says that answers about a table would be wrong, if that was found.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn admit(&self, schema: &str, table: &str) -> Result<()> {
        let findings = self.0.read();
        let misled = findings.iter().filter(|finding| finding.is_error()).find(|finding| {
            finding.misleading.iter().any(|name| name.schema == schema && name.name == table)
        });
        match misled {
            Some(Finding { place, message, .. }) => Err(Error::corrupt(format!(
                "table {schema}.{table} can't be read, because its answers would be wrong: {place}: {message}; \
                 see pintail lake fsck"
            ))),
            None => Ok(()),
        }
    }
}

impl Lake {
    /// What the newest check found.
    pub fn findings(&self) -> Vec<Finding> {
        self.findings.0.read().clone()
    }

    /// Looks at the catalog, and whether files have their sizes, for about as long as `limit`. Tables about which answers
    /// would be wrong are not read any more. Blocks.
    ///
    /// # Errors
    /// When a catalog can't be read.
    pub fn check_quickly(&self, limit: Duration) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let of_each = limit / u32::try_from(self.volumes.len()).unwrap_or(u32::MAX).max(1);
        for volume in &self.volumes {
            let (problems, ended) = volume.catalog.check_quickly(of_each)?;
            if !ended {
                tracing::warn!(
                    "the check of volume {} was not finished within {of_each:?}; pintail lake fsck does all of it",
                    volume.name
                );
            }
            findings.extend(self.named(volume, problems.iter().map(Finding::of)));
        }
        for Finding { place, message, repair, .. } in &findings {
            tracing::error!(place, repair, "the lake is damaged: {message}");
        }
        self.findings.replace(findings.clone());
        Ok(findings)
    }

    /// Findings of a volume, which they name if there are several.
    fn named(
        &self,
        volume: &Volume,
        findings: impl Iterator<Item = Finding>,
    ) -> impl Iterator<Item = Finding> {
        let name = (self.volumes.len() > 1).then(|| volume.name.clone());
        findings.map(move |finding| match &name {
            Some(name) => finding.in_volume(name),
            None => finding,
        })
    }

    /// Where the parts of a volume lie. The journal goes with the first one.
    fn fsck_place(&self, volume: &Arc<Volume>) -> FsckPlace {
        let is_first = Arc::ptr_eq(volume, &self.volume);
        FsckPlace {
            data_path: volume.remote.is_none().then(|| volume.data_path.clone()),
            journal_path: is_first.then(|| self.options().journal.path.clone()),
        }
    }
}

/// Looks at everything, mends what can be mended if that is asked for, and notes what was found. Blocks.
pub(crate) fn step(lake: &Arc<Lake>, repair: bool) -> Result<Done> {
    let mut findings = Vec::new();
    for volume in &lake.volumes {
        let (catalog, place) = (&volume.catalog, lake.fsck_place(volume));
        let found = match repair {
            true => fsck_and_repair(catalog, &place, lake.clock().now())?,
            false => fsck(catalog, &place)?,
        };
        findings.extend(lake.named(volume, found.into_iter()));
    }
    let message = summary(&findings);
    lake.findings.replace(findings);
    Ok(Done { message, ..Done::default() })
}

/// The findings in numbers.
pub fn summary(findings: &[Finding]) -> String {
    let count = |is: fn(&Finding) -> bool| findings.iter().filter(|finding| is(finding)).count();
    let (repaired, errors) = (count(|finding| finding.is_repaired), count(Finding::is_error));
    match (errors, repaired, findings.len() - errors - repaired) {
        (0, 0, 0) => "no problems found".to_owned(),
        (errors, repaired, harmless) => {
            format!("{errors} problems found, {repaired} repaired, {harmless} harmless remarks")
        }
    }
}
