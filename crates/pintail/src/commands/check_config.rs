//! `pintail check-config`: what a configuration says, before a server depends on it.

use std::process::ExitCode;

use pintail_types::Result;
use serde_json::json;

use crate::cli::CheckConfig;
use crate::wiring::check_access;
use crate::{config, output};

/// Reads the configuration as `serve` would. A wrong one is an error; what is not served is said.
pub(crate) fn run(arguments: &CheckConfig) -> Result<ExitCode> {
    let mut loaded = match config::load(arguments.file.as_deref()) {
        Ok(loaded) => loaded,
        Err(error) if arguments.json => {
            let problems: Vec<_> = error.message().lines().collect();
            output::json(&json!({"valid": false, "problems": problems}))?;
            return Ok(ExitCode::from(1));
        }
        Err(error) => return Err(error),
    };
    loaded.refusals.extend(check_access(&loaded.config));
    let place = loaded.config.lake_place()?;
    let derived = loaded.config.derived();
    let file = loaded
        .file
        .as_ref()
        .map_or_else(|| "defaults (no file)".to_owned(), |path| path.display().to_string());
    if arguments.json {
        let volumes: Vec<_> = place
            .volumes
            .iter()
            .map(|volume| {
                json!({"name": volume.name, "catalog_path": volume.catalog_path, "data_path": volume.data_path()})
            })
            .collect();
        output::json(&json!({
            "valid": true,
            "file": file,
            "served": loaded.refusals.is_empty(),
            "refusals": loaded.refusals,
            "warnings": loaded.warnings,
            "lake": {"name": place.lake_name, "volumes": volumes},
            "limits": {
                "cores": derived.cores,
                "memory_bytes": derived.memory_bytes,
                "max_queries": derived.max_queries,
                "query_timeout_sec": derived.query_timeout.map(|limit| limit.as_secs()),
                "spill_path": derived.spill_path,
                "journal_path": derived.journal_path,
            },
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!("{file}: valid"))?;
    output::line(format!("lake: {}", place.lake_name))?;
    for volume in &place.volumes {
        output::line(format!(
            "volume: {} with catalog {} and data in {}",
            volume.name,
            volume.catalog_path.display(),
            volume.data_path()
        ))?;
    }
    output::line(format!("limits: {}", derived.describe(&loaded.config)))?;
    for warning in &loaded.warnings {
        output::line(format!("warning: {warning}"))?;
    }
    for refusal in &loaded.refusals {
        output::line(format!("serve will not start: {refusal}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
