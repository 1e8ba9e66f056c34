//! How the volumes stand, for people.

use std::collections::BTreeSet;
use std::path::PathBuf;

use pintail_ducklake::Catalog;
use pintail_types::Result;

use crate::lake::Lake;

/// What lies in a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeState {
    /// Its name.
    pub name: String,
    /// The name of its own catalog in SQL.
    pub catalog: String,
    /// `local`, or the kind of store that its bucket is in.
    pub kind: String,
    /// Where its files lie: a directory or a URL.
    pub data_path: String,
    /// The directory of its files, if they lie in one.
    pub directory: Option<PathBuf>,
    /// The lower, the hotter.
    pub priority: i64,
    /// Live data files.
    pub files: u64,
    /// Rows that are not deleted.
    pub rows: u64,
    /// Bytes of the live data files.
    pub bytes: u64,
}

impl Lake {
    /// How the volumes stand by their catalogs, hottest first: tables of all schemas count. Blocks.
    ///
    /// # Errors
    /// When a catalog can't be read.
    pub fn volume_states(&self) -> Result<Vec<VolumeState>> {
        let mut states = Vec::with_capacity(self.volumes.len());
        for volume in &self.volumes {
            let mut state = VolumeState {
                name: volume.name.clone(),
                catalog: volume.catalog_name.clone(),
                kind: match &volume.remote {
                    Some(remote) => remote.url.split("://").next().unwrap_or_default().to_owned(),
                    None => "local".to_owned(),
                },
                data_path: volume.place(),
                directory: volume.remote.is_none().then(|| volume.data_path.clone()),
                priority: volume.options.priority,
                files: 0,
                rows: 0,
                bytes: 0,
            };
            let tables = volume.catalog.tables()?;
            let schemas: BTreeSet<String> = tables.into_iter().map(|table| table.schema).collect();
            for schema in schemas {
                for table in volume.catalog.statistics(&schema)? {
                    state.files += table.files;
                    state.rows += table.rows;
                    state.bytes += table.bytes;
                }
            }
            states.push(state);
        }
        Ok(states)
    }

    /// The DuckLake catalogs of the volumes with their names in SQL, hottest first.
    pub fn volume_catalogs(&self) -> Vec<(String, Catalog)> {
        self.volumes.iter().map(|volume| (volume.catalog_name.clone(), volume.catalog.clone())).collect()
    }
}
