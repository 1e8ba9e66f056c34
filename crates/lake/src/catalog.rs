//! The lake as DataFusion catalogs: the union under the lake's name, each volume under its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider};
use datafusion::common::Result as DataFusionResult;
use datafusion::datasource::TableProvider;
use pintail_types::{Result, SnapshotId, TelemetryTable};

use crate::flush::MAIN;
use crate::history::LakePast;
use crate::lake::{Lake, blocking};
use crate::table::{LakeTable, Shows, external};
use crate::user_tables::{StoredView, TableName};
use crate::views::{PlannedViews, View};
use crate::volume::{Listing, SchemaListing, Volume};

/// A catalog to register in a session.
#[derive(Debug, Clone)]
pub struct LakeCatalog {
    /// Its name in SQL.
    pub name: String,
    /// Its schemas and tables.
    pub provider: Arc<dyn CatalogProvider>,
    /// Whether only group `admin` may see it.
    pub admin_only: bool,
    /// What it was.
    pub past: LakePast,
}

impl LakeCatalog {
    /// The catalogs of a lake: the union first.
    pub(crate) fn of(lake: &Arc<Lake>) -> Vec<Self> {
        let catalog = |name: String, scope| {
            let provider = Provider {
                lake: Arc::clone(lake),
                catalog: name.clone(),
                scope,
                past: None,
                views: Arc::default(),
            };
            let past = LakePast(provider.clone());
            Self { name, provider: Arc::new(provider), admin_only: scope == Scope::Volume, past }
        };
        vec![
            catalog(lake.name().to_owned(), Scope::Union),
            catalog(name_of(lake, &lake.volume), Scope::Volume),
        ]
    }
}

/// The name of a volume's own catalog.
fn name_of(lake: &Lake, volume: &Volume) -> String {
    format!("{}_{}", lake.name(), volume.name)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Hot rows and all volumes.
    Union,
    /// What official DuckDB sees in one volume's catalog file.
    Volume,
}

/// The tables of one catalog.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    lake: Arc<Lake>,
    catalog: String,
    scope: Scope,
    /// The snapshot that it shows; that of the moment if it is not in the past.
    past: Option<SnapshotId>,
    views: Arc<PlannedViews>,
}

impl Provider {
    /// Its name in SQL.
    pub(crate) fn catalog(&self) -> &str {
        &self.catalog
    }

    /// The volumes that it is made of, with the names of their own catalogs.
    pub(crate) fn volumes(&self) -> Vec<(String, Arc<Volume>)> {
        vec![(name_of(&self.lake, &self.lake.volume), Arc::clone(&self.lake.volume))]
    }

    /// The same as it was.
    pub(crate) fn in_the_past(&self, snapshot: SnapshotId) -> Self {
        Self { past: Some(snapshot), views: Arc::default(), ..self.clone() }
    }

    /// The names in all schemas; reads some microseconds from the catalog file's cached pages.
    fn listing(&self) -> Option<Arc<Listing>> {
        let listing = self.read_listing();
        listing.inspect_err(|error| tracing::error!(%error, "the catalog can't be listed")).ok()
    }

    fn read_listing(&self) -> Result<Arc<Listing>> {
        let volume = &self.lake.volume;
        let snapshot = self.past.map_or_else(|| volume.head().map(|(head, _)| head), Ok);
        volume.listing(snapshot?)
    }

    fn schema_listing(&self, schema: &str) -> Option<SchemaListing> {
        self.listing()?.get(schema).cloned()
    }
}

impl CatalogProvider for Provider {
    fn schema_names(&self) -> Vec<String> {
        self.listing().map(|listing| listing.keys().cloned().collect()).unwrap_or_default()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        // Of a catalog that can't be read every schema is there: its tables then say what is wrong.
        if self.read_listing().is_ok_and(|listing| !listing.contains_key(name)) {
            return None;
        }
        Some(Arc::new(LakeSchema { provider: self.clone(), name: name.to_owned() }))
    }
}

#[derive(Debug)]
struct LakeSchema {
    provider: Provider,
    name: String,
}

impl LakeSchema {
    fn is_union_main(&self) -> bool {
        self.provider.scope == Scope::Union && self.name == MAIN
    }

    /// Whether this is where hot rows show.
    fn has_hot_rows(&self) -> bool {
        self.is_union_main() && self.provider.past.is_none()
    }

    /// The view of this name, where every lake has it: in the union always, in a volume and in the past as the catalog
    /// says.
    fn view(&self, name: &str) -> Option<View> {
        let view = View::of_name(name)?;
        let listing = self.provider.schema_listing(&self.name)?;
        (self.has_hot_rows() || self.name == MAIN && listing.views.iter().any(|stored| stored == name))
            .then_some(view)
    }

    fn table_name(&self, name: &str) -> TableName {
        TableName { schema: self.name.clone(), name: name.to_owned() }
    }

    /// The telemetry tables of this moment.
    fn telemetry_tables(&self) -> BTreeSet<TelemetryTable> {
        self.table_names().iter().filter_map(|name| TelemetryTable::from_name(name)).collect()
    }

    /// The telemetry table of this name, in the union.
    fn telemetry(&self, name: &str) -> Option<TelemetryTable> {
        if !self.is_union_main() {
            return None;
        }
        let table = TelemetryTable::from_name(name)?;
        let exists = self.provider.schema_listing(MAIN)?.tables.iter().any(|stored| stored == name)
            || self.has_hot_rows() && self.provider.lake.hot_tables().contains(&table);
        exists.then_some(table)
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        let Some(listing) = self.provider.schema_listing(&self.name) else { return Vec::new() };
        let mut names: BTreeSet<String> = listing.tables.into_iter().chain(listing.views).collect();
        if self.has_hot_rows() {
            names.extend(self.provider.lake.hot_tables().into_iter().map(|table| table.name().into_owned()));
            names.extend(View::ALL.iter().map(|view| view.name().to_owned()));
        }
        names.into_iter().collect()
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|other| other == name)
    }

    async fn table(&self, name: &str) -> DataFusionResult<Option<Arc<dyn TableProvider>>> {
        let lake = &self.provider.lake;
        if let Some(view) = self.view(name) {
            let catalog = Arc::new(self.provider.clone());
            return self.provider.views.table(catalog, view, self.telemetry_tables()).await.map(Some);
        }
        lake.findings.admit(&self.name, name).map_err(external)?;
        let past = self.provider.past;
        let snapshot = match past {
            Some(snapshot) => snapshot,
            None => lake.cut().await.map_err(external)?.snapshot(),
        };
        let stored = lake.volume.table(snapshot, &self.name, name).await.map_err(external)?;
        if let Some(table) = self.telemetry(name) {
            let union = LakeTable::new(Arc::clone(lake), MAIN, name, Shows::Union(table), stored);
            return Ok(Some(Arc::new(union.at(past))));
        }
        let Some(stored) = stored else { return Ok(None) };
        if stored.table_type() != datafusion::datasource::TableType::Base {
            if self.provider.scope == Scope::Volume {
                return Ok(Some(stored));
            }
            let (volume, view) = (Arc::clone(&lake.volume), self.table_name(name));
            let read = move || volume.view_text(&view, snapshot);
            let text = blocking("reading a view", read).await.map_err(external)?;
            return Ok(Some(match text {
                Some(text) => Arc::new(StoredView::new(text, stored)),
                None => stored,
            }));
        }
        let files = LakeTable::new(Arc::clone(lake), &self.name, name, Shows::Files, Some(stored));
        Ok(Some(Arc::new(files.at(past))))
    }
}
