//! The lake as DataFusion catalogs: the union under the lake's name, each volume under its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider};
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::datasource::TableProvider;
use pintail_types::TelemetryTable;

use crate::flush::MAIN;
use crate::lake::{Lake, blocking};
use crate::table::{LakeTable, Shows};
use crate::user_tables::{StoredView, TableName};
use crate::views::{PlannedViews, View};
use crate::volume::SchemaListing;

/// A catalog to register in a session.
#[derive(Debug, Clone)]
pub struct LakeCatalog {
    /// Its name in SQL.
    pub name: String,
    /// Its schemas and tables.
    pub provider: Arc<dyn CatalogProvider>,
    /// Whether only group `admin` may see it.
    pub admin_only: bool,
}

impl LakeCatalog {
    /// The catalogs of a lake: the union first.
    pub(crate) fn of(lake: &Arc<Lake>) -> Vec<Self> {
        let catalog = |name: String, scope| {
            let provider =
                Provider { lake: Arc::clone(lake), catalog: name.clone(), scope, views: Arc::default() };
            Self { name, provider: Arc::new(provider), admin_only: scope == Scope::Volume }
        };
        vec![
            catalog(lake.name().to_owned(), Scope::Union),
            catalog(format!("{}_{}", lake.name(), lake.volume.name), Scope::Volume),
        ]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Hot rows and all volumes.
    Union,
    /// What official DuckDB sees in one volume's catalog file.
    Volume,
}

#[derive(Debug, Clone)]
struct Provider {
    lake: Arc<Lake>,
    catalog: String,
    scope: Scope,
    views: Arc<PlannedViews>,
}

impl Provider {
    /// The names in a schema at the head; reads some microseconds from the catalog file's cached pages.
    fn listing(&self, schema: &str) -> Option<SchemaListing> {
        let listing = self.lake.volume.listing();
        let listing =
            listing.inspect_err(|error| tracing::error!(%error, "the catalog can't be listed")).ok()?;
        listing.get(schema).cloned()
    }
}

impl CatalogProvider for Provider {
    fn schema_names(&self) -> Vec<String> {
        let listing = self.lake.volume.listing();
        let listing = listing.inspect_err(|error| tracing::error!(%error, "the catalog can't be listed"));
        listing.map(|listing| listing.keys().cloned().collect()).unwrap_or_default()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        self.listing(name)?;
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

    /// The view of this name, where every lake has it: in the union always, in a volume as its catalog says.
    fn view(&self, name: &str) -> Option<View> {
        let view = View::of_name(name)?;
        let listing = self.provider.listing(&self.name)?;
        (self.is_union_main() || self.name == MAIN && listing.views.iter().any(|stored| stored == name))
            .then_some(view)
    }

    fn table_name(&self, name: &str) -> TableName {
        TableName { schema: self.name.clone(), name: name.to_owned() }
    }

    /// The telemetry tables of this moment.
    fn telemetry_tables(&self) -> BTreeSet<TelemetryTable> {
        self.table_names().iter().filter_map(|name| TelemetryTable::from_name(name)).collect()
    }

    /// The telemetry table of this name, when this is where hot rows show.
    fn telemetry(&self, name: &str) -> Option<TelemetryTable> {
        if !self.is_union_main() {
            return None;
        }
        let table = TelemetryTable::from_name(name)?;
        let exists = self.provider.listing(MAIN)?.tables.iter().any(|stored| stored == name)
            || self.provider.lake.hot_tables().contains(&table);
        exists.then_some(table)
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        let Some(listing) = self.provider.listing(&self.name) else { return Vec::new() };
        let mut names: BTreeSet<String> = listing.tables.into_iter().chain(listing.views).collect();
        if self.is_union_main() {
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
            let Provider { catalog, views, .. } = &self.provider;
            return views.table(lake, catalog, view, self.telemetry_tables()).await.map(Some);
        }
        let external = |error| DataFusionError::External(Box::new(error));
        let cut = lake.cut().await.map_err(external)?;
        let stored = lake.volume.table(cut.snapshot(), &self.name, name).await.map_err(external)?;
        if let Some(table) = self.telemetry(name) {
            let union = LakeTable::new(Arc::clone(lake), MAIN, name, Shows::Union(table), stored);
            return Ok(Some(Arc::new(union)));
        }
        let Some(stored) = stored else { return Ok(None) };
        if stored.table_type() != datafusion::datasource::TableType::Base {
            if self.provider.scope == Scope::Volume {
                return Ok(Some(stored));
            }
            let (volume, view) = (Arc::clone(&lake.volume), self.table_name(name));
            let read = move || volume.view_text(&view, cut.snapshot());
            let text = blocking("reading a view", read).await.map_err(external)?;
            return Ok(Some(match text {
                Some(text) => Arc::new(StoredView::new(text, stored)),
                None => stored,
            }));
        }
        let files = LakeTable::new(Arc::clone(lake), &self.name, name, Shows::Files, Some(stored));
        Ok(Some(Arc::new(files)))
    }
}
