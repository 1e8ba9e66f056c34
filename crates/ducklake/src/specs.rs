//! Partition and sort specs of a table.

use datafusion_ducklake::{NullOrder, PartitionSpec, PartitionTransform, SortDirection, SortField, SortSpec};
use rusqlite::{Connection, params};

use crate::columns::live_columns;
use crate::commit::Commit;
use crate::error::{CatalogError, Result};
use crate::sql;

/// The live partition spec of a table.
pub(crate) fn live_partition(connection: &Connection, table_id: i64) -> Result<Option<PartitionSpec>> {
    let mut statement = connection.prepare_cached(sql::LIVE_PARTITION)?;
    let rows =
        statement.query_map([table_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    // Whether a mapping may prune is decided on the reading side, which knows all generations.
    Ok(PartitionSpec::from_rows(rows.collect::<Result<_, _>>()?, false))
}

/// The id of the live partition spec.
pub(crate) fn live_partition_id(connection: &Connection, table_id: i64) -> Result<Option<i64>> {
    Ok(live_partition(connection, table_id)?.map(|spec| spec.partition_id))
}

/// The live sort spec of a table.
pub(crate) fn live_sort(connection: &Connection, table_id: i64) -> Result<Option<SortSpec>> {
    let mut statement = connection.prepare_cached(sql::LIVE_SORT)?;
    let rows = statement.query_map([table_id], |row| {
        let field = SortField {
            sort_key_index: row.get(1)?,
            expression: row.get(2)?,
            dialect: row.get(3)?,
            direction: SortDirection::parse(&row.get::<_, String>(4)?),
            null_order: NullOrder::parse(&row.get::<_, String>(5)?),
        };
        Ok((row.get::<_, i64>(0)?, field))
    })?;
    let keys = rows.collect::<Result<Vec<_>, _>>()?;
    let Some(sort_id) = keys.first().map(|(sort_id, _)| *sort_id) else {
        return Ok(None);
    };
    Ok(Some(SortSpec { sort_id, fields: keys.into_iter().map(|(_, field)| field).collect() }))
}

/// Partitions a table by columns, in place of its live spec.
pub(crate) fn set_partition(
    commit: &mut Commit<'_>,
    table_id: i64,
    keys: &[(String, PartitionTransform)],
) -> Result<()> {
    if keys.is_empty() {
        return Err(CatalogError::Invalid("a partition spec needs at least one column".to_owned()));
    }
    let columns = live_columns(commit.connection(), table_id)?;
    end_partition(commit, table_id)?;
    let partition_id = commit.next_catalog_id();
    commit.execute(sql::INSERT_PARTITION, params![partition_id, table_id, commit.snapshot()])?;
    for (index, (name, transform)) in (0_i64..).zip(keys) {
        let column = columns
            .iter()
            .find(|column| column.parent.is_none() && column.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| CatalogError::Invalid(format!("table {table_id} has no column {name}")))?;
        let transform = transform.to_catalog_string();
        commit.execute(
            sql::INSERT_PARTITION_COLUMN,
            params![partition_id, table_id, index, column.id, transform],
        )?;
    }
    Ok(())
}

/// Ends the live partition spec of a table.
pub(crate) fn end_partition(commit: &mut Commit<'_>, table_id: i64) -> Result<()> {
    commit.execute(sql::END_PARTITION, params![commit.snapshot(), table_id])?;
    commit.reshape_table(table_id);
    Ok(())
}

/// Sorts a table's future files, in place of its live spec.
pub(crate) fn set_sort(commit: &mut Commit<'_>, table_id: i64, fields: &[SortField]) -> Result<()> {
    if fields.is_empty() {
        return Err(CatalogError::Invalid("a sort spec needs at least one column".to_owned()));
    }
    let columns = live_columns(commit.connection(), table_id)?;
    end_sort(commit, table_id)?;
    let sort_id = commit.next_catalog_id();
    commit.execute(sql::INSERT_SORT, params![sort_id, table_id, commit.snapshot()])?;
    for (index, field) in (0_i64..).zip(fields) {
        if let Some(name) = field.column_candidate()
            && !columns
                .iter()
                .any(|column| column.parent.is_none() && column.name.eq_ignore_ascii_case(&name))
        {
            return Err(CatalogError::Invalid(format!("table {table_id} has no column {name}")));
        }
        commit.execute(
            sql::INSERT_SORT_EXPRESSION,
            params![
                sort_id,
                table_id,
                index,
                field.expression,
                field.dialect,
                field.direction.to_catalog_string(),
                field.null_order.to_catalog_string(),
            ],
        )?;
    }
    Ok(())
}

/// Ends the live sort spec of a table. The schema version grows, the table's own does not.
pub(crate) fn end_sort(commit: &mut Commit<'_>, table_id: i64) -> Result<()> {
    commit.execute(sql::END_SORT, params![commit.snapshot(), table_id])?;
    commit.change_schema();
    Ok(())
}
