//! The start of a write, which only reads.

use datafusion_ducklake::metadata_writer::validate_name;
use datafusion_ducklake::{ColumnDef, WriteMode, WriteSetupResult};
use rusqlite::Connection;

use crate::columns;
use crate::commit::Snapshot;
use crate::error::{CatalogError, Result};
use crate::tables::{self, Table};

/// What a write of `columns` needs to know: the head, and the field ids that its files must carry.
///
/// Nothing is reserved. A table that does not exist gets `placeholder`, a negative id that stands for
/// its name; [`crate::stage`] makes the table. Its columns are numbered from 1 whatever id it gets.
pub(crate) fn begin(
    connection: &Connection,
    schema_name: &str,
    table_name: &str,
    columns: &[ColumnDef],
    mode: WriteMode,
    placeholder: i64,
) -> Result<WriteSetupResult> {
    validate_name(schema_name, "Schema")?;
    validate_name(table_name, "Table")?;
    let nodes = columns::nodes_of_definitions(columns)?;
    if nodes.is_empty() {
        return Err(CatalogError::Invalid(format!("table {table_name} has no columns")));
    }
    let head = Snapshot::head(connection)?;
    let (schema_id, table_id, live, next_id) = match Table::named(connection, schema_name, table_name)? {
        Some(table) => {
            let live = columns::live_columns(connection, table.id)?;
            (table.schema_id, table.id, live, columns::next_column_id(connection, table.id)?)
        }
        None => {
            let schema = tables::find_schema(connection, schema_name)?;
            (schema.map_or(placeholder, |schema| schema.id), placeholder, Vec::new(), 1)
        }
    };
    let field_ids = columns::assign_ids(&nodes, &live, next_id)?;
    columns::check_write(&nodes, &field_ids, &live, mode)?;
    Ok(WriteSetupResult {
        snapshot_id: head.id + 1,
        base_snapshot_id: head.id,
        schema_id,
        table_id,
        column_ids: columns::top_level_ids(&nodes, &field_ids),
        field_ids,
    })
}
