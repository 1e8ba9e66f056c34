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
        | Lake::Move { lake, .. }
        | Lake::ApplyStoragePolicy { lake, .. }
        | Lake::Vacuum { lake, .. } => maintain::run(command, lake),
    }
}

/// A volume and its catalog.
struct OpenVolume {
    place: config::VolumePlace,
    catalog: Catalog,
}

/// The name of the lake and its volumes, whose catalogs must exist.
fn open(arguments: &LakePlace) -> Result<(String, Vec<OpenVolume>)> {
    let loaded = config::load(arguments.config.as_deref())?;
    let (lake, existing) = existing(&loaded.config)?;
    let open = |(place, options): (config::VolumePlace, CatalogOptions)| -> Result<OpenVolume> {
        let catalog = Catalog::open_read_only(&place.catalog_path, &options)?;
        Ok(OpenVolume { place, catalog })
    };
    Ok((lake, existing.into_iter().map(open).collect::<Result<_>>()?))
}

/// The name of the lake of a configuration, and where the catalogs of its volumes are and how to open them.
pub(super) fn existing(config: &Config) -> Result<(String, Vec<(config::VolumePlace, CatalogOptions)>)> {
    let place = config.lake_place()?;
    let volumes = place.volumes.into_iter().map(existing_volume).collect::<Result<_>>()?;
    Ok((place.lake_name, volumes))
}

fn existing_volume(place: config::VolumePlace) -> Result<(config::VolumePlace, CatalogOptions)> {
    if !place.catalog_path.is_file() {
        return Err(Error::not_found(format!(
            "volume {}: no catalog at {}",
            place.name,
            place.catalog_path.display()
        )));
    }
    let options = CatalogOptions {
        data_path: format!("{}/", place.data_path().trim_end_matches('/')),
        create: false,
        override_data_path: place.override_data_path,
        busy_timeout: BUSY_TIMEOUT,
    };
    Ok((place, options))
}

fn info(arguments: &LakePlace) -> Result<ExitCode> {
    let (lake, volumes) = open(arguments)?;
    if arguments.json {
        let described = volumes.iter().map(described).collect::<Result<Vec<_>>>()?;
        output::json(&json!({"lake": lake, "volumes": described}))?;
        return Ok(ExitCode::SUCCESS);
    }
    for OpenVolume { place, catalog } in &volumes {
        output::line(format!(
            "{lake}_{}: snapshot {}, catalog {}, data in {}",
            place.name,
            catalog.head("")?.snapshot,
            place.catalog_path.display(),
            place.data_path()
        ))?;
        output::line(format!("{:<28} {:>10} {:>14} {:>16}", "table", "files", "rows", "bytes"))?;
        for table in &catalog.statistics("main")? {
            output::line(format!(
                "{:<28} {:>10} {:>14} {:>16}",
                table.name, table.files, table.rows, table.bytes
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn described(OpenVolume { place, catalog }: &OpenVolume) -> Result<serde_json::Value> {
    let head = catalog.head("")?;
    let tables: Vec<_> = catalog
        .statistics("main")?
        .iter()
        .map(|table| json!({"name": table.name, "files": table.files, "rows": table.rows, "bytes": table.bytes}))
        .collect();
    Ok(json!({
        "name": place.name,
        "catalog_path": place.catalog_path,
        "data_path": place.data_path(),
        "snapshot": head.snapshot.0,
        "schema_version": head.schema_version,
        "tables": tables,
    }))
}

fn snapshots(arguments: &LakePlace) -> Result<ExitCode> {
    let (lake, volumes) = open(arguments)?;
    let mut described = Vec::new();
    for OpenVolume { place, catalog } in &volumes {
        for snapshot in catalog.snapshots()? {
            if arguments.json {
                described.push(json!({
                    "catalog": format!("{lake}_{}", place.name),
                    "snapshot_id": snapshot.id.0,
                    "committed_at": snapshot.time,
                    "schema_version": snapshot.schema_version,
                    "author": snapshot.author,
                    "message": snapshot.message,
                    "changes": snapshot.changes,
                }));
                continue;
            }
            output::line(format!(
                "{lake}_{}  {:>8}  {}  {}{}",
                place.name,
                snapshot.id,
                snapshot.time,
                snapshot.changes.as_deref().unwrap_or(""),
                snapshot.message.as_ref().map_or_else(String::new, |message| format!("  ({message})"))
            ))?;
        }
    }
    if arguments.json {
        output::json(&json!(described))?;
    }
    Ok(ExitCode::SUCCESS)
}
