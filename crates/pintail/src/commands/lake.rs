//! `pintail lake`: a look at a lake through its catalog, beside a running server or without one. What changes it is
//! [`maintain`]'s.

use std::process::ExitCode;
use std::time::Duration;

use pintail_ducklake::{Catalog, CatalogOptions};
use pintail_types::{Error, Result};
use serde_json::json;

use super::{fsck, maintain};
use crate::cli::{Lake, LakePlace};
use crate::config::{self, Config};
use crate::output;

/// How long a lock of another program is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs one of the commands; all but the maintaining ones only read.
pub(crate) fn run(command: &Lake) -> Result<ExitCode> {
    match command {
        Lake::Info(place) => info(place),
        Lake::Snapshots(place) => snapshots(place),
        Lake::Fsck { lake, repair } => fsck::run(command, lake, *repair),
        Lake::Compact { lake, .. }
        | Lake::Expire { lake, .. }
        | Lake::Cleanup { lake, .. }
        | Lake::Retention { lake }
        | Lake::Vacuum { lake, .. } => maintain::run(command, lake),
    }
}

/// The catalog, which must exist.
fn open(arguments: &LakePlace) -> Result<(Catalog, config::LakePlace)> {
    let loaded = config::load(arguments.config.as_deref())?;
    let (place, options) = existing(&loaded.config)?;
    Ok((Catalog::open_read_only(&place.catalog_path, &options)?, place))
}

/// Where the catalog of a configuration is, and how to open it.
pub(super) fn existing(config: &Config) -> Result<(config::LakePlace, CatalogOptions)> {
    let place = config.lake_place()?;
    if let Some(refusal) = place.refusal {
        return Err(Error::unsupported(refusal));
    }
    if !place.catalog_path.is_file() {
        return Err(Error::not_found(format!("no catalog at {}", place.catalog_path.display())));
    }
    let options = CatalogOptions {
        data_path: format!("{}/", place.data_path.display().to_string().trim_end_matches('/')),
        create: false,
        override_data_path: place.override_data_path,
        busy_timeout: BUSY_TIMEOUT,
    };
    Ok((place, options))
}

fn info(arguments: &LakePlace) -> Result<ExitCode> {
    let (catalog, place) = open(arguments)?;
    let head = catalog.head("")?;
    let tables = catalog.statistics("main")?;
    if arguments.json {
        let described: Vec<_> = tables
            .iter()
            .map(|table| json!({"name": table.name, "files": table.files, "rows": table.rows, "bytes": table.bytes}))
            .collect();
        output::json(&json!({
            "lake": place.lake_name,
            "catalog_path": place.catalog_path,
            "data_path": place.data_path,
            "snapshot": head.snapshot.0,
            "schema_version": head.schema_version,
            "tables": described,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!(
        "{}: snapshot {}, catalog {}, data in {}",
        place.lake_name,
        head.snapshot,
        place.catalog_path.display(),
        place.data_path.display()
    ))?;
    output::line(format!("{:<28} {:>10} {:>14} {:>16}", "table", "files", "rows", "bytes"))?;
    for table in &tables {
        output::line(format!(
            "{:<28} {:>10} {:>14} {:>16}",
            table.name, table.files, table.rows, table.bytes
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn snapshots(arguments: &LakePlace) -> Result<ExitCode> {
    let (catalog, _) = open(arguments)?;
    let snapshots = catalog.snapshots()?;
    if arguments.json {
        let described: Vec<_> = snapshots
            .iter()
            .map(|snapshot| {
                json!({
                    "snapshot_id": snapshot.id.0,
                    "committed_at": snapshot.time,
                    "schema_version": snapshot.schema_version,
                    "author": snapshot.author,
                    "message": snapshot.message,
                    "changes": snapshot.changes,
                })
            })
            .collect();
        output::json(&json!(described))?;
        return Ok(ExitCode::SUCCESS);
    }
    for snapshot in &snapshots {
        output::line(format!(
            "{:>8}  {}  {}{}",
            snapshot.id,
            snapshot.time,
            snapshot.changes.as_deref().unwrap_or(""),
            snapshot.message.as_ref().map_or_else(String::new, |message| format!("  ({message})"))
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
