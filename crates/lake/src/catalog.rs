//! The lake as DataFusion catalogs: the union under the lake's name, each volume under its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider};
use datafusion::common::Result as DataFusionResult;
use datafusion::datasource::TableProvider;
use pintail_types::{Result, SnapshotId, TelemetryTable};

use crate::cut::{Cut, VolumeCut};
use crate::flush::MAIN;
use crate::history::LakePast;
use crate::lake::{Lake, blocking};
use crate::table::{LakeTable, Part, Shows, external};
use crate::tiers::hidden_at;
use crate::user_tables::{StoredView, TableName};
use crate::views::{PlannedViews, View};
use crate::volume::{Hidden, Listing, SchemaListing, Volume};

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
            Self { name, provider: Arc::new(provider), admin_only: scope != Scope::Union, past }
        };
        let volumes = lake.volumes.iter().enumerate();
        let volumes =
            volumes.map(|(index, volume)| catalog(volume.catalog_name.clone(), Scope::Volume(index)));
        [catalog(lake.name().to_owned(), Scope::Union)].into_iter().chain(volumes).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Hot rows and all volumes.
    Union,
    /// What official DuckDB sees in the catalog file of this volume.
    Volume(usize),
}

/// The tables of one catalog.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    lake: Arc<Lake>,
    catalog: String,
    scope: Scope,
    /// What it shows; that of the moment if it is not in the past.
    past: Option<Arc<Cut>>,
    views: Arc<PlannedViews>,
}

impl Provider {
    /// Its name in SQL.
    pub(crate) fn catalog(&self) -> &str {
        &self.catalog
    }

    /// The volumes that it is made of, hottest first, each with its place in the lake.
    fn members(&self) -> impl Iterator<Item = (usize, &Arc<Volume>)> {
        let is_member = move |index: usize| match self.scope {
            Scope::Union => true,
            Scope::Volume(only) => only == index,
        };
        self.lake.volumes.iter().enumerate().filter(move |(index, _)| is_member(*index))
    }

    /// The volumes that it is made of.
    pub(crate) fn volumes(&self) -> Vec<Arc<Volume>> {
        self.members().map(|(_, volume)| Arc::clone(volume)).collect()
    }

    /// The same as it was at these snapshots, one for each of its volumes. Blocks for microseconds.
    pub(crate) fn in_the_past(&self, snapshots: &[SnapshotId]) -> Result<Self> {
        let hidden = match self.scope {
            Scope::Union => hidden_at(&self.lake.volumes, snapshots)?,
            Scope::Volume(_) => snapshots.iter().map(|_| Hidden::default()).collect(),
        };
        let cut = |(((volume, _), snapshot), hidden): (((usize, _), &SnapshotId), Hidden)| VolumeCut {
            volume,
            snapshot: *snapshot,
            hidden,
            _pin: None,
        };
        let cuts = self.members().zip(snapshots).zip(hidden).map(cut).collect();
        Ok(Self { past: Some(Arc::new(Cut::in_the_past(cuts))), views: Arc::default(), ..self.clone() })
    }

    /// The names in all schemas; reads some microseconds from the catalog files' cached pages. User tables are those of
    /// the first volume.
    fn listing(&self) -> Option<Arc<Listing>> {
        let listing = self.read_listing();
        listing.inspect_err(|error| tracing::error!(%error, "the catalog can't be listed")).ok()
    }

    fn read_listing(&self) -> Result<Arc<Listing>> {
        let mut listings = Vec::new();
        for (index, volume) in self.members() {
            let past = self.past.as_ref().and_then(|past| past.of(index));
            let snapshot =
                past.map_or_else(|| volume.head().map(|(head, _)| head), |cut| Ok(cut.snapshot))?;
            listings.push(volume.listing(snapshot)?);
        }
        let mut listings = listings.into_iter();
        let first = listings.next().unwrap_or_default();
        let more: BTreeSet<String> = listings.flat_map(|listing| telemetry_names(&listing)).collect();
        let known: BTreeSet<String> = telemetry_names(&first).collect();
        if more.is_subset(&known) {
            return Ok(first);
        }
        let mut all = Listing::clone(&first);
        all.entry(MAIN.to_owned()).or_default().tables.extend(more.difference(&known).cloned());
        Ok(Arc::new(all))
    }

    fn schema_listing(&self, schema: &str) -> Option<SchemaListing> {
        self.listing()?.get(schema).cloned()
    }

    /// What its volumes have of a table.
    async fn parts(&self, table: &TableName) -> Result<Vec<Part>> {
        let cut = match &self.past {
            Some(past) => Arc::clone(past),
            None => self.lake.cut().await?,
        };
        let mut parts = Vec::new();
        for (index, volume) in self.members() {
            let Some(VolumeCut { snapshot, .. }) = cut.of(index) else { continue };
            let stored = volume.table(*snapshot, &table.schema, &table.name).await?;
            parts.push(Part { index, volume: Arc::clone(volume), stored });
        }
        Ok(parts)
    }
}

/// The telemetry tables of a volume.
fn telemetry_names(listing: &Listing) -> impl Iterator<Item = String> + use<> {
    let tables = listing.get(MAIN).map(|main| main.tables.clone()).unwrap_or_default();
    tables.into_iter().filter(|name| TelemetryTable::from_name(name).is_some())
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

    /// The text of a view that somebody made.
    async fn view_text(&self, volume: &Arc<Volume>, view: TableName) -> Result<Option<String>> {
        let snapshot = match &self.provider.past {
            Some(past) => past.snapshot(),
            None => self.provider.lake.cut().await?.snapshot(),
        };
        let volume = Arc::clone(volume);
        blocking("reading a view", move || volume.view_text(&view, snapshot)).await
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
        let table = self.table_name(name);
        let past = self.provider.past.clone();
        let mut parts = self.provider.parts(&table).await.map_err(external)?;
        if let Some(telemetry) = self.telemetry(name) {
            let union = LakeTable::new(Arc::clone(lake), table, Shows::Union(telemetry), parts);
            return Ok(Some(Arc::new(union.at(past))));
        }
        // All else is the first volume's alone.
        parts.truncate(1);
        let [Part { volume, stored: Some(stored), .. }] = parts.as_slice() else { return Ok(None) };
        if stored.table_type() != datafusion::datasource::TableType::Base {
            if self.provider.scope != Scope::Union {
                return Ok(Some(Arc::clone(stored)));
            }
            let text = self.view_text(volume, table).await.map_err(external)?;
            return Ok(Some(match text {
                Some(text) => Arc::new(StoredView::new(text, Arc::clone(stored))),
                None => Arc::clone(stored),
            }));
        }
        let files = LakeTable::new(Arc::clone(lake), table, Shows::Files, parts);
        Ok(Some(Arc::new(files.at(past))))
    }
}
