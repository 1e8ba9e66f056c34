//! `pintail lake fsck`: proves a lake sound, and mends its catalog.

use std::path::Path;
use std::process::ExitCode;

use pintail_ducklake::Catalog;
use pintail_lake::{FilePlace, Finding, FsckPlace, fsck, fsck_and_repair, journal, summary};
use pintail_types::{Clock, ErrorKind, Result, SystemClock};
use serde_json::json;

use super::lake::existing;
use super::maintain;
use crate::cli::{Lake, MaintainedLake};
use crate::config;
use crate::output;

/// Problems that are left make the exit code 1.
pub(super) fn run(command: &Lake, lake: &MaintainedLake, repair: bool) -> Result<ExitCode> {
    let config = config::load(lake.place.config.as_deref())?.config;
    let (_, volumes) = existing(&config)?;
    let journal_path = config.derived().journal_path;
    let _lock = match repair {
        false => None,
        true => {
            std::fs::create_dir_all(&journal_path).map_err(|error| {
                pintail_types::Error::unavailable(format!("{}: {error}", journal_path.display()))
            })?;
            // Whoever writes the lake holds this lock.
            match journal::lock_directory(&journal_path) {
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    return maintain::by_its_server(command, lake, error);
                }
                other => Some(other?),
            }
        }
    };
    let mut findings = Vec::new();
    for (index, (place, options)) in volumes.iter().enumerate() {
        let directory = match &place.files {
            FilePlace::Directory(directory) => Some(directory),
            FilePlace::Bucket { .. } => None,
        };
        // The journal goes with the first volume.
        let journal_path = (index == 0).then(|| journal_path.clone());
        let at = FsckPlace { data_path: directory.cloned(), journal_path };
        let found = match repair {
            true => {
                let catalog = Catalog::open_for_repair(&place.catalog_path, options)?;
                fsck_and_repair(&catalog, &at, SystemClock.now())?
            }
            false => fsck(&Catalog::open_for_check(&place.catalog_path, options)?, &at)?,
        };
        let missing = directory.filter(|directory| !directory.is_dir() && !found.is_empty());
        findings.extend(missing.map(|directory| missing_directory(directory)));
        let several = volumes.len() > 1;
        findings.extend(found.into_iter().map(|finding| match several {
            true => finding.in_volume(&place.name),
            false => finding,
        }));
    }
    tell(&findings, lake.place.json)
}

fn missing_directory(path: &Path) -> Finding {
    Finding {
        place: path.display().to_string(),
        message: "the data directory is missing".to_owned(),
        is_harmless: false,
        misleading: Vec::new(),
        repair: None,
        is_repaired: false,
    }
}

fn tell(findings: &[Finding], json: bool) -> Result<ExitCode> {
    let errors: Vec<&Finding> = findings.iter().filter(|finding| finding.is_error()).collect();
    if json {
        let described: Vec<_> = findings
            .iter()
            .map(|finding| {
                json!({
                    "place": finding.place,
                    "message": finding.message,
                    "is_harmless": finding.is_harmless,
                    "tables": finding.misleading.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "repair": finding.repair,
                    "is_repaired": finding.is_repaired,
                })
            })
            .collect();
        let problems: Vec<String> =
            errors.iter().map(|finding| format!("{}: {}", finding.place, finding.message)).collect();
        output::json(&json!({
            "ok": errors.is_empty(),
            "problems": problems,
            "findings": described,
            "summary": summary(findings),
        }))?;
    } else {
        for finding in findings {
            output::line(line(finding))?;
        }
        output::line(summary(findings))?;
    }
    Ok(if errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn line(finding: &Finding) -> String {
    let kind = match (finding.is_harmless, finding.is_repaired) {
        (_, true) => "repaired",
        (true, _) => "remark",
        (false, _) => "problem",
    };
    let repair = finding.repair.as_ref().map_or_else(String::new, |repair| format!(" ({repair})"));
    format!("{kind}: {}: {}{repair}", finding.place, finding.message)
}
