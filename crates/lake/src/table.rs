//! A table as DataFusion reads it: hot rows and files together, or files alone.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DataFusionError, Result as DataFusionResult, ScalarValue, not_impl_err};
use datafusion::datasource::{TableProvider, TableType};
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use pintail_types::{Error, Result, STORAGE_VOLUME, TelemetryTable};

use crate::cut::{Cut, VolumeCut};
use crate::hot_rows_exec::{BUFFER, HotRowsExec};
use crate::lake::{Lake, blocking};
use crate::lookup_exec::{LookedFor, LookupExec};
use crate::row_filters;
use crate::row_index::Lookup;
use crate::rows::text_views;
use crate::user_tables::{self, TableName, is_uuid, shown};
use crate::volume::{Hidden, Volume};

/// What a table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// Hot rows and files of a telemetry table, with [`STORAGE_VOLUME`] as last column.
    Union(TelemetryTable),
    /// What is in the volume.
    Files,
    /// The same, with [`ROW_ID`] as last column.
    FilesWithRowIds,
}

/// The column of the ids by which DuckLake knows the rows of a table.
pub(crate) const ROW_ID: &str = "__pintail_row_id";

/// What a table shows of one volume.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Which volume, by its place in the lake.
    pub(crate) index: usize,
    pub(crate) volume: Arc<Volume>,
    /// The volume's table as it was when it was looked up; none if it has none.
    pub(crate) stored: Option<Arc<dyn TableProvider>>,
}

/// A table of the lake. Its columns are those it had when it was looked up; its rows are those of the
/// [`Cut`] that the execution brings, or of snapshots of the past.
#[derive(Debug)]
pub(crate) struct LakeTable {
    lake: Arc<Lake>,
    name: TableName,
    shows: Shows,
    schema: SchemaRef,
    /// The volumes that it is read from, hottest first.
    parts: Vec<Part>,
    /// The moment that it shows whatever the execution brings.
    past: Option<Arc<Cut>>,
}

impl LakeTable {
    /// The table with the columns of the volumes': those of the first one, and what others have besides.
    pub(crate) fn new(lake: Arc<Lake>, name: TableName, shows: Shows, parts: Vec<Part>) -> Self {
        let columns = columns_of(&parts);
        let schema = match (shows, columns) {
            (Shows::Union(table), Some(columns)) => union_schema(&table.schema(), &columns),
            (Shows::Union(table), None) => union_schema(&table.schema(), &table.schema()),
            (Shows::Files, columns) => shown(&columns.unwrap_or_else(|| Arc::new(Schema::empty()))),
            (Shows::FilesWithRowIds, columns) => {
                with_row_id(&shown(&columns.unwrap_or_else(|| Arc::new(Schema::empty()))))
            }
        };
        Self { lake, name, shows, schema, parts, past: None }
    }

    /// The same at a moment of the past, which may be the one of its columns.
    pub(crate) fn at(self, past: Option<Arc<Cut>>) -> Self {
        Self { past, ..self }
    }

    /// Whether it shows a moment of the past.
    pub(crate) const fn is_in_the_past(&self) -> bool {
        self.past.is_some()
    }

    /// The moment to be read, and whether the plan has to keep it.
    async fn cut(&self, state: &dyn Session) -> Result<(Arc<Cut>, Option<Arc<Cut>>)> {
        if let Some(past) = &self.past {
            return Ok((Arc::clone(past), None));
        }
        if let Some(pinned) = state.config().get_extension::<Cut>() {
            return Ok((pinned, None));
        }
        let own = self.lake.cut().await?;
        Ok((Arc::clone(&own), Some(own)))
    }

    /// Says when a snapshot of the past whose files were just looked up was not there all the while: a snapshot
    /// that expires meanwhile shows fewer files than it had, and one that is gone never comes back.
    async fn check_past(&self) -> Result<()> {
        let Some(past) = &self.past else { return Ok(()) };
        for part in &self.parts {
            let Some(VolumeCut { snapshot, .. }) = past.of(part.index) else { continue };
            let (volume, table, snapshot) = (Arc::clone(&part.volume), self.name.clone(), *snapshot);
            let catalog = match self.parts.len() {
                1 => self.lake.name().to_owned(),
                _ => volume.catalog_name.clone(),
            };
            let check = move || {
                volume.expect_past(&table, snapshot)?;
                volume.expect_snapshot(&catalog, snapshot)
            };
            blocking("looking for a snapshot", check).await?;
        }
        Ok(())
    }

    /// The files of a volume at the cut, projected to `columns`.
    async fn scan_files(
        &self,
        state: &dyn Session,
        (part, cut): (&Part, &VolumeCut),
        columns: &[usize],
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
        let volume = &part.volume;
        let stored = volume.table_without(cut.snapshot, &cut.hidden, &self.name).await.map_err(external)?;
        let Some(mut stored) = stored else { return Ok(None) };
        if self.shows == Shows::FilesWithRowIds {
            stored = user_tables::with_row_ids(&stored).map_err(external)?;
        }
        let stored_schema = stored.schema();
        let wanted: Vec<&Arc<Field>> = columns.iter().map(|column| &self.schema.fields()[*column]).collect();
        let place = |field: &&Arc<Field>| match field.name().as_str() {
            ROW_ID if self.shows == Shows::FilesWithRowIds => stored_schema.fields().len().checked_sub(1),
            name => stored_schema.index_of(name).ok(),
        };
        let found: Vec<Option<usize>> = wanted.iter().map(place).collect();
        let projection: Vec<usize> = found.iter().flatten().copied().collect();
        let filters = stored_filters(&self.schema, filters);
        let (scan, lookup) =
            self.scan_stored(state, (part, cut), &stored, &projection, &filters, limit).await?;
        let mut next = 0..projection.len();
        let mut expressions = Vec::with_capacity(wanted.len());
        for (field, found) in wanted.into_iter().zip(found) {
            let expression = match found.and_then(|_| next.next()) {
                Some(index) => column_as(state, &scan.schema(), index, field)?,
                None => self.constant(&part.volume, field)?,
            };
            expressions.push((expression, field.name().clone()));
        }
        let projected: Arc<dyn ExecutionPlan> = Arc::new(ProjectionExec::try_new(expressions, scan)?);
        Ok(Some(match lookup {
            Some(lookup) => {
                let partitions = state.config().target_partitions();
                Arc::new(LookupExec::new(Arc::clone(volume), projected, lookup, partitions))
            }
            None => projected,
        }))
    }

    /// The files that the filters leave, and what finds the rows in them if these are few enough to be indexed.
    async fn scan_stored(
        &self,
        state: &dyn Session,
        (part, cut): (&Part, &VolumeCut),
        stored: &Arc<dyn TableProvider>,
        projection: &Vec<usize>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<(Arc<dyn ExecutionPlan>, Option<LookedFor>)> {
        let (volume, table) = (&part.volume, self.name.clone());
        // What is kept of a snapshot for look-ups holds all its files.
        let is_whole = self.shows != Shows::FilesWithRowIds && cut.hidden.is_empty();
        let lookup = Lookup::of(filters).filter(|_| is_whole);
        let looked_for = match lookup {
            Some(lookup) => {
                let column_ids = volume.column_ids(cut.snapshot, &table).await.map_err(external)?;
                LookedFor::new(state, lookup, column_ids)?
            }
            None => None,
        };
        if looked_for.is_some()
            && let Some(every_file) =
                volume.every_file(state, cut.snapshot, (table, projection.clone()), stored).await?
        {
            return Ok((every_file, looked_for));
        }
        let scan = stored.scan(state, Some(projection), filters, limit).await?;
        if looked_for.is_some() && volume.row_indexes.have_room_for_all_of(&scan) {
            return Ok((scan, looked_for));
        }
        if filters.iter().any(Expr::is_volatile) {
            // Files are chosen by values, which a plan for all values does not have.
            return not_impl_err!(
                "{} is too large to be read for values that are not known yet",
                self.name.name
            );
        }
        Ok((row_filters::pushed_into_files_if_few(scan, filters)?, None))
    }

    /// What a column that the files do not have holds: the volume's name, or null.
    fn constant(&self, volume: &Volume, field: &Field) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
        let is_virtual = field.name() == STORAGE_VOLUME
            && self.schema.fields().last().is_some_and(|last| **last == *field);
        let value = if is_virtual {
            ScalarValue::Utf8(Some(volume.name.clone()))
        } else {
            ScalarValue::try_from(field.data_type())?
        };
        Ok(Arc::new(Literal::new(value)))
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_column_default(&self, column: &str) -> Option<&Expr> {
        self.parts.first()?.stored.as_ref()?.get_column_default(column)
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let (cut, own) = self.cut(state).await.map_err(external)?;
        let every: Vec<usize> = (0..self.schema.fields().len()).collect();
        let columns = projection.unwrap_or(&every);
        let mut inputs: Vec<Arc<dyn ExecutionPlan>> = Vec::with_capacity(1 + self.parts.len());
        if let Shows::Union(table) = self.shows
            && self.past.is_none()
            && may_hold(state, BUFFER, filters)?
        {
            let projected = Arc::new(self.schema.project(columns)?);
            let partitions = state.config().target_partitions();
            inputs.push(Arc::new(HotRowsExec::new(table, projected, partitions, &cut, own)));
        }
        let only_files = !matches!(self.shows, Shows::Union(_));
        for part in &self.parts {
            let Some(cut) = cut.of(part.index) else { continue };
            if only_files {
                // A volume by itself shows all that it has.
                let whole = VolumeCut { hidden: Hidden::default(), ..cut.clone() };
                inputs.extend(self.scan_files(state, (part, &whole), columns, filters, limit).await?);
            } else if may_hold(state, &part.volume.name, filters)? {
                inputs.extend(self.scan_files(state, (part, cut), columns, filters, limit).await?);
            }
        }
        self.check_past().await.map_err(external)?;
        match inputs.len() {
            0 => Ok(Arc::new(EmptyExec::new(Arc::new(self.schema.project(columns)?)))),
            1 => Ok(inputs.remove(0)),
            _ => UnionExec::try_new(inputs),
        }
    }
}

/// The columns of the first volume that has the table, and those that only others have, which other programs made.
fn columns_of(parts: &[Part]) -> Option<SchemaRef> {
    let mut stored = parts.iter().filter_map(|part| part.stored.as_ref()).map(|stored| stored.schema());
    let first = stored.next()?;
    let mut columns: Vec<Arc<Field>> = first.fields().iter().cloned().collect();
    for more in stored {
        let is_new = |field: &&Arc<Field>| !columns.iter().any(|column| column.name() == field.name());
        let new: Vec<Arc<Field>> = more.fields().iter().filter(is_new).cloned().collect();
        columns.extend(new);
    }
    match columns.len() == first.fields().len() {
        true => Some(first),
        false => Some(Arc::new(Schema::new(columns))),
    }
}

/// The stored columns with views of text, and [`STORAGE_VOLUME`].
fn union_schema(telemetry: &Schema, stored: &Schema) -> SchemaRef {
    let volume = Arc::new(Field::new(STORAGE_VOLUME, DataType::Utf8, true));
    let columns = text_views(telemetry, stored).fields().iter().cloned().chain([volume]).collect::<Vec<_>>();
    Arc::new(Schema::new(columns))
}

/// The columns, and the row's id.
fn with_row_id(columns: &Schema) -> SchemaRef {
    let row_id = Arc::new(Field::new(ROW_ID, DataType::Int64, true));
    Arc::new(Schema::new(columns.fields().iter().cloned().chain([row_id]).collect::<Vec<_>>()))
}

/// The filters that the volume's own table can be asked: those that speak of what its files hold.
fn stored_filters(shown: &Schema, filters: &[Expr]) -> Vec<Expr> {
    let is_ours = |name: &str| {
        name == STORAGE_VOLUME || name == ROW_ID || shown.field_with_name(name).is_ok_and(is_uuid)
    };
    let speaks_of_ours = |filter: &Expr| filter.column_refs().iter().any(|column| is_ours(&column.name));
    filters.iter().filter(|filter| !speaks_of_ours(filter)).cloned().collect()
}

/// Column `index` of a scan, in the type that was advertised.
pub(crate) fn column_as(
    state: &dyn Session,
    scanned: &Schema,
    index: usize,
    field: &Arc<Field>,
) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
    let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(scanned.field(index).name(), index));
    if scanned.field(index).data_type() == field.data_type() {
        return Ok(column);
    }
    if is_uuid(field) {
        return user_tables::uuid_text(state, column, scanned, field);
    }
    Ok(Arc::new(CastExpr::new_with_target_field(column, Arc::clone(field), None)))
}

/// Whether rows whose [`STORAGE_VOLUME`] is `volume` can pass the filters that speak of nothing else.
fn may_hold(state: &dyn Session, volume: &str, filters: &[Expr]) -> DataFusionResult<bool> {
    let schema = Arc::new(Schema::new(vec![Field::new(STORAGE_VOLUME, DataType::Utf8, true)]));
    let only_volume = |filter: &&Expr| {
        let columns = filter.column_refs();
        !columns.is_empty() && columns.iter().all(|column| column.name == STORAGE_VOLUME)
    };
    for filter in filters.iter().filter(only_volume) {
        let df_schema = DFSchema::try_from(Arc::clone(&schema))?;
        let physical = state.create_physical_expr(unnormalize_col(filter.clone()), &df_schema)?;
        let row = RecordBatch::try_new(
            Arc::clone(&schema),
            vec![Arc::new(StringArray::from(vec![volume])) as ArrayRef],
        )?;
        let verdict = physical.evaluate(&row)?.into_array(1)?;
        let passes = verdict.as_boolean_opt().is_none_or(|verdict| verdict.is_valid(0) && verdict.value(0));
        if !passes {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An error of ours on its way through DataFusion; the engine finds it again as the source.
pub(crate) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
