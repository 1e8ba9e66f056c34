//! One temporary table: rows and columns that are never changed, only replaced.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, new_null_array};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::{Result as PlanResult, ScalarValue};
use datafusion::logical_expr::Expr;
use pintail_lake::{Lake, NewColumn, TableName};
use pintail_types::{Error, Result, reason};

use crate::error::from_datafusion;

/// Bits of a row's id that say its place; the others say of which state of the table.
const PLACE_BITS: u32 = 40;

/// A table in one of its states. Cheap to clone; never changed, only replaced.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) schema: SchemaRef,
    pub(super) defaults: HashMap<String, ScalarValue>,
    pub(super) batches: Arc<Vec<RecordBatch>>,
    /// Bytes of the batches.
    pub(super) bytes: usize,
    pub(super) version: u64,
}

impl Table {
    pub(super) fn new(
        schema: SchemaRef,
        defaults: HashMap<String, ScalarValue>,
        batches: Vec<RecordBatch>,
        bytes: usize,
    ) -> Self {
        Self { schema, defaults, batches: Arc::new(batches), bytes, version: 0 }
    }

    pub(super) fn provider(&self) -> PlanResult<Arc<dyn TableProvider>> {
        let defaults = self.defaults.iter();
        let defaults = defaults.map(|(name, value)| (name.clone(), Expr::Literal(value.clone(), None)));
        let table = MemTable::try_new(Arc::clone(&self.schema), vec![self.batches.to_vec()])?;
        Ok(Arc::new(table.with_column_defaults(defaults.collect())))
    }

    /// The rows with their ids as last column.
    pub(super) fn with_ids(&self) -> PlanResult<Arc<dyn TableProvider>> {
        let id = Arc::new(Field::new(Lake::ROW_ID, DataType::Int64, true));
        let fields = self.schema.fields().iter().cloned().chain([id]).collect::<Vec<_>>();
        let schema = Arc::new(Schema::new(fields));
        let mut next = self.first_id();
        let mut batches = Vec::with_capacity(self.batches.len());
        for batch in self.batches.iter() {
            let ids = Int64Array::from_iter_values((next..).take(batch.num_rows()));
            next += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
            let columns = batch.columns().iter().cloned().chain([Arc::new(ids) as ArrayRef]);
            batches.push(RecordBatch::try_new(Arc::clone(&schema), columns.collect())?);
        }
        Ok(Arc::new(MemTable::try_new(schema, vec![batches])?))
    }

    fn first_id(&self) -> i64 {
        i64::try_from(self.version << PLACE_BITS).unwrap_or(i64::MAX)
    }

    /// The rows without those whose ids are `sorted`.
    pub(super) fn without(&self, sorted: &[i64]) -> Result<Vec<RecordBatch>> {
        let mut next = self.first_id();
        let mut kept = Vec::with_capacity(self.batches.len());
        for batch in self.batches.iter() {
            let ids = (next..).take(batch.num_rows());
            let stays: BooleanArray = ids.map(|id| Some(sorted.binary_search(&id).is_err())).collect();
            next += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
            let batch = filter_record_batch(batch, &stays)
                .map_err(|error| Error::internal("rows can't be taken out").with_source(error))?;
            if batch.num_rows() > 0 {
                kept.push(batch);
            }
        }
        Ok(kept)
    }

    /// The table with other columns, each made from a batch of the old ones.
    fn reshaped(
        &self,
        fields: Vec<Field>,
        columns: impl Fn(&RecordBatch) -> Result<Vec<ArrayRef>>,
    ) -> Result<Self> {
        let schema = Arc::new(Schema::new(fields));
        let reshape = |batch: &RecordBatch| {
            RecordBatch::try_new(Arc::clone(&schema), columns(batch)?)
                .map_err(|error| Error::internal("rows do not fit their table").with_source(error))
        };
        let batches = self.batches.iter().map(reshape).collect::<Result<Vec<_>>>()?;
        Ok(Self { schema, batches: Arc::new(batches), ..self.clone() })
    }

    fn position(&self, table: &TableName, column: &str) -> Result<usize> {
        self.schema.index_of(column).map_err(|_| {
            Error::not_found(format!("{} has no column {column}", table.name))
                .with_reason(reason::UNDEFINED_COLUMN)
        })
    }

    pub(super) fn add_column(
        &self,
        table: &TableName,
        column: &NewColumn,
        if_not_exists: bool,
    ) -> Result<Option<Self>> {
        if self.schema.index_of(column.field.name()).is_ok() {
            return match if_not_exists {
                true => Ok(None),
                false => Err(column_exists(column.field.name(), table)),
            };
        }
        let default = default_of(column)?;
        if !column.field.is_nullable() && default.is_none() {
            return Err(Error::invalid(format!(
                "column {} can't be NOT NULL without a default",
                column.field.name()
            )));
        }
        let fields = self.schema.fields().iter().chain([&column.field]);
        let fields = fields.map(|field| field.as_ref().clone()).collect();
        let mut new = self.reshaped(fields, |batch| {
            let values = match &default {
                Some(value) => {
                    value.to_array_of_size(batch.num_rows()).map_err(|error| from_datafusion(&error))?
                }
                None => new_null_array(column.field.data_type(), batch.num_rows()),
            };
            Ok(batch.columns().iter().cloned().chain([values]).collect())
        })?;
        new.defaults.extend(default.map(|value| (column.field.name().clone(), value)));
        Ok(Some(new))
    }

    pub(super) fn drop_column(
        &self,
        table: &TableName,
        column: &str,
        if_exists: bool,
    ) -> Result<Option<Self>> {
        let place = match self.position(table, column) {
            Err(_) if if_exists => return Ok(None),
            place => place?,
        };
        if self.schema.fields().len() == 1 {
            return Err(Error::invalid(format!("column {column} is the only one of {}", table.name)));
        }
        let fields = self.schema.fields().iter().enumerate().filter(|(index, _)| *index != place);
        let mut new = self.reshaped(fields.map(|(_, field)| field.as_ref().clone()).collect(), |batch| {
            let mut columns = batch.columns().to_vec();
            columns.remove(place);
            Ok(columns)
        })?;
        new.defaults.remove(column);
        Ok(Some(new))
    }

    pub(super) fn rename_column(&self, table: &TableName, column: &str, to: &str) -> Result<Self> {
        let place = self.position(table, column)?;
        if self.schema.index_of(to).is_ok() {
            return Err(column_exists(to, table));
        }
        let rename = |(index, field): (usize, &Arc<Field>)| match index == place {
            true => field.as_ref().clone().with_name(to),
            false => field.as_ref().clone(),
        };
        let fields = self.schema.fields().iter().enumerate().map(rename).collect();
        let mut new = self.reshaped(fields, |batch| Ok(batch.columns().to_vec()))?;
        if let Some(value) = new.defaults.remove(column) {
            new.defaults.insert(to.to_owned(), value);
        }
        Ok(new)
    }
}

fn column_exists(column: &str, table: &TableName) -> Error {
    Error::conflict(format!("column {column} of {} exists already", table.name))
        .with_reason(reason::DUPLICATE_COLUMN)
}

/// The value of rows that have none of their own.
pub(super) fn default_of(column: &NewColumn) -> Result<Option<ScalarValue>> {
    let value = column.default.clone().map(|text| ScalarValue::Utf8(Some(text)));
    let value = value.map(|value| value.cast_to(column.field.data_type())).transpose();
    value.map_err(|error| from_datafusion(&error))
}
