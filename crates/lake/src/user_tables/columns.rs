//! Columns of user tables: as statements see them, as files hold them, and the way from incoming batches to files.
//!
//! A uuid is text to statements and sixteen bytes in files. Seconds have no unit in Parquet, so files hold them as
//! microseconds, as DuckDB's do. All else is the same on both sides.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, RecordBatch, RecordBatchOptions};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use datafusion_ducklake::types::{arrow_to_ducklake_type, ducklake_to_arrow_type};
use pintail_types::{Error, Result};
use uuid::Uuid;

/// The extension name of text that holds a uuid.
const UUID_EXTENSION: &str = "arrow.uuid";
/// The metadata key of extension names.
const EXTENSION_NAME: &str = "ARROW:extension:name";
/// How DuckLake holds a uuid.
const UUID_BYTES: i32 = 16;

/// The columns as statements see them.
pub(crate) fn shown(stored: &Schema) -> SchemaRef {
    let column = |field: &FieldRef| match field.data_type() {
        DataType::FixedSizeBinary(UUID_BYTES) => {
            let mut metadata = field.metadata().clone();
            metadata.insert(EXTENSION_NAME.to_owned(), UUID_EXTENSION.to_owned());
            Arc::new(Field::new(field.name(), DataType::Utf8, field.is_nullable()).with_metadata(metadata))
        }
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new(stored.fields().iter().map(column).collect::<Vec<_>>()))
}

/// Whether a column that statements see as text is a uuid in files.
pub(crate) fn is_uuid(field: &Field) -> bool {
    field.metadata().get(EXTENSION_NAME).is_some_and(|name| name == UUID_EXTENSION)
}

/// The column of a new table for an incoming one: of the nearest type that DuckLake has, and nullable.
pub(crate) fn storable(field: &Field) -> Result<Field> {
    let unsupported =
        |reason: String| Error::unsupported(format!("column {} can't be stored: {reason}", field.name()));
    let data_type = match field.data_type() {
        DataType::FixedSizeBinary(UUID_BYTES) if !is_uuid(field) => DataType::Binary,
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Interval(_) | DataType::Duration(_) => {
            return Err(unsupported("lengths of time have no place in the files of the lake".to_owned()));
        }
        other => other.clone(),
    };
    let name = arrow_to_ducklake_type(&data_type).map_err(|error| unsupported(error.to_string()))?;
    let data_type = ducklake_to_arrow_type(&name).map_err(|error| unsupported(error.to_string()))?;
    let mut metadata = HashMap::new();
    if let Some(extension) = field.metadata().get(EXTENSION_NAME) {
        metadata.insert(EXTENSION_NAME.to_owned(), extension.clone());
    }
    Ok(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(metadata))
}

/// The columns that a file has: `stored` with the ids by which DuckLake knows them and what is nested in them.
pub(crate) fn file_schema(stored: &Schema, field_ids: &[i64]) -> Result<SchemaRef> {
    let mut ids = field_ids.iter().copied();
    let fields = stored.fields().iter().map(|field| file_field(field, &mut ids));
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
}

fn file_field(field: &Field, ids: &mut impl Iterator<Item = i64>) -> Result<Field> {
    let id = ids.next().ok_or_else(|| Error::internal(format!("column {} has no id", field.name())))?;
    let data_type = match field.data_type() {
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            DataType::List(Arc::new(file_field(element, ids)?.with_name("element")))
        }
        DataType::Struct(fields) => DataType::Struct(file_fields(fields, ids)?.into()),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let entries = DataType::Struct(file_fields(fields, ids)?.into());
                DataType::Map(Arc::new(Field::new("key_value", entries, false)), false)
            }
            _ => return Err(Error::internal(format!("column {} is a map without entries", field.name()))),
        },
        DataType::Timestamp(TimeUnit::Second, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        DataType::Utf8 | DataType::LargeUtf8 if is_uuid(field) => DataType::FixedSizeBinary(UUID_BYTES),
        other => other.clone(),
    };
    let metadata = HashMap::from([("PARQUET:field_id".to_owned(), id.to_string())]);
    Ok(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(metadata))
}

fn file_fields<'a>(
    fields: impl IntoIterator<Item = &'a FieldRef>,
    ids: &mut impl Iterator<Item = i64>,
) -> Result<Vec<Field>> {
    fields.into_iter().map(|field| file_field(field, ids)).collect()
}

/// The way from incoming batches into the columns of a file or table.
#[derive(Debug, Clone)]
pub struct Conversion {
    /// The file's columns.
    target: SchemaRef,
    /// Where each comes from; `None` for columns that are not given, which are null.
    sources: Vec<Option<usize>>,
}

impl Conversion {
    /// The way from `incoming` columns, found by their names, to those of `file`.
    ///
    /// # Errors
    /// `Invalid` for a column that the table does not have, that stands twice, or that is of another kind.
    pub fn new(incoming: &Schema, file: &SchemaRef) -> Result<Self> {
        let mut sources = vec![None; file.fields().len()];
        for (index, field) in incoming.fields().iter().enumerate() {
            let place = position(file, field.name())
                .ok_or_else(|| Error::invalid(format!("the table has no column {}", field.name())))?;
            if sources[place].replace(index).is_some() {
                return Err(Error::invalid(format!("column {} stands twice", field.name())));
            }
            let target = file.field(place);
            if !convertible(field.data_type(), target.data_type()) {
                return Err(Error::invalid(format!(
                    "column {} is {}, which can't become {}",
                    field.name(),
                    field.data_type(),
                    target.data_type()
                )));
            }
        }
        for (field, source) in file.fields().iter().zip(&sources) {
            if source.is_none() && !field.is_nullable() {
                return Err(Error::invalid(format!("column {} is NOT NULL and not given", field.name())));
            }
        }
        Ok(Self { target: Arc::clone(file), sources })
    }

    /// The batch with the columns of the file or table.
    ///
    /// # Errors
    /// `Invalid`, naming the column, for a value that does not fit without loss, and for nulls in a NOT NULL column.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.columns(batch, DataType::eq)?;
        with_rows(Arc::clone(&self.target), columns, batch.num_rows())
    }

    /// The batch as a Parquet writer takes it: text and bytes stay in the arrays they come in, since every kind of
    /// them is written alike.
    ///
    /// # Errors
    /// Those of [`Self::apply`].
    pub(crate) fn apply_for_parquet(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.columns(batch, written_alike)?;
        let fields = self.target.fields().iter().zip(&columns);
        let fields = fields.map(|(field, column)| match field.data_type() == column.data_type() {
            true => Arc::clone(field),
            false => Arc::new(field.as_ref().clone().with_data_type(column.data_type().clone())),
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        with_rows(schema, columns, batch.num_rows())
    }

    fn columns(&self, batch: &RecordBatch, stays: fn(&DataType, &DataType) -> bool) -> Result<Vec<ArrayRef>> {
        let fields = self.target.fields().iter().zip(&self.sources);
        let columns = fields.map(|(field, source)| match source {
            Some(index) => converted(batch.column(*index), field, stays),
            None => Ok(arrow::array::new_null_array(field.data_type(), batch.num_rows())),
        });
        columns.collect()
    }
}

fn with_rows(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options)
        .map_err(|error| Error::internal("rows do not fit their file").with_source(error))
}

/// Whether a Parquet writer makes the same of values of both types.
fn written_alike(from: &DataType, to: &DataType) -> bool {
    let is_bytes =
        |kind: &DataType| matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    from == to || is_text(from) && is_text(to) || is_bytes(from) && is_bytes(to)
}

/// The column of this name: exactly, else as DuckDB compares names.
fn position(schema: &Schema, name: &str) -> Option<usize> {
    let lower = name.to_lowercase();
    let mut fields = schema.fields().iter();
    schema.index_of(name).ok().or_else(|| fields.position(|field| field.name().to_lowercase() == lower))
}

fn converted(values: &ArrayRef, field: &Field, stays: fn(&DataType, &DataType) -> bool) -> Result<ArrayRef> {
    if !field.is_nullable() && values.logical_null_count() > 0 {
        return Err(Error::invalid(format!("column {} is NOT NULL, and a row has no value", field.name())));
    }
    let (from, to) = (values.data_type(), field.data_type());
    if stays(from, to) {
        return Ok(Arc::clone(values));
    }
    if is_text(from) && *to == DataType::FixedSizeBinary(UUID_BYTES) {
        return uuid_bytes(values, field.name());
    }
    let lossy = |reason: &str| Error::invalid(format!("column {}: {reason}", field.name()));
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let cast = cast_with_options(values, to, &options).map_err(|error| lossy(&error.to_string()))?;
    if widens(from, to) {
        return Ok(cast);
    }
    let back = cast_with_options(&cast, from, &options).map_err(|error| lossy(&error.to_string()))?;
    if same_values(values, &back) {
        return Ok(cast);
    }
    Err(lossy(&format!("a value of type {from} does not fit {to} without loss")))
}

fn same_values(one: &ArrayRef, other: &ArrayRef) -> bool {
    if one.data_type().is_nested() {
        return one.as_ref() == other.as_ref();
    }
    distinct(one, other).is_ok_and(|differs| differs.true_count() == 0)
}

fn uuid_bytes(values: &ArrayRef, name: &str) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let text = cast_with_options(values, &DataType::Utf8, &options)
        .map_err(|error| Error::invalid(format!("column {name}: {error}")))?;
    let mut bytes = FixedSizeBinaryBuilder::with_capacity(text.len(), UUID_BYTES);
    for value in text.as_string::<i32>() {
        let Some(value) = value else {
            bytes.append_null();
            continue;
        };
        let parsed = Uuid::parse_str(value)
            .map_err(|_| Error::invalid(format!("column {name}: '{}' is no uuid", shortened(value))))?;
        bytes
            .append_value(parsed.as_bytes())
            .map_err(|error| Error::internal("a uuid does not have sixteen bytes").with_source(error))?;
    }
    Ok(Arc::new(bytes.finish()))
}

/// Enough of a value to find it by.
fn shortened(value: &str) -> &str {
    &value[..value.floor_char_boundary(64)]
}

/// Whether values of `from` are of the kind that `to` holds; single ones may still not fit.
fn convertible(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Null, _) => true,
        (DataType::Dictionary(_, values), to) => convertible(values, to),
        (DataType::RunEndEncoded(_, values), to) => convertible(values.data_type(), to),
        (DataType::Timestamp(_, from), DataType::Timestamp(_, to)) => from.is_some() == to.is_some(),
        (DataType::Date32 | DataType::Date64, DataType::Timestamp(_, None)) => true,
        (from, DataType::FixedSizeBinary(UUID_BYTES)) if is_text(from) => true,
        (from, to) if from.is_nested() || to.is_nested() => can_cast_types(from, to),
        (from, to) => {
            let same_kind = [is_number, is_text, is_binary, is_date, is_time];
            from == to || same_kind.iter().any(|kind| kind(from) && kind(to))
        }
    }
}

/// Whether every value of `from` has its like in `to`, so that nothing needs to be looked at.
fn widens(from: &DataType, to: &DataType) -> bool {
    let plain = |data_type: &DataType| is_text(data_type) || is_binary(data_type);
    match (from, to) {
        (DataType::Null, _) | (DataType::Float32, DataType::Float64) => true,
        (DataType::Dictionary(_, values), to) => values.as_ref() == to || widens(values, to),
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => from <= to,
        (DataType::Date32, DataType::Timestamp(..)) => true,
        (from, to) if from.is_integer() && to.is_integer() => true,
        (from, to) => plain(from) && plain(to),
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
    )
}

fn is_date(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Date64)
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Time32(_) | DataType::Time64(_))
}
