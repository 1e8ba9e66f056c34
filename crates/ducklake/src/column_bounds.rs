//! Between which values of a column the rows of tables lie, as the catalog knows it without a look into a file.

use std::collections::HashMap;

use pintail_types::Result;
use rusqlite::Connection;

use crate::catalog::{Catalog, Head};
use crate::columns::{LiveColumn, live_columns};
use crate::error::Result as CatalogResult;
use crate::{files, inlined, sql};

/// The least and the greatest value, as the catalog has them; none where it does not know.
pub type Bounds = Option<(String, String)>;

/// The tables of a schema at the head, read in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaBounds {
    /// The head, with the global metadata value that was asked for.
    pub head: Head,
    /// Its live tables.
    pub tables: Vec<TableBounds>,
}

/// The rows of a table, and where they lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableBounds {
    /// The table's name.
    pub name: String,
    /// Rows that are not deleted, inlined ones too.
    pub rows: u64,
    /// The bounds of every live file, deleted rows included, and of the inlined rows.
    pub bounds: Vec<Bounds>,
}

impl Catalog {
    /// The bounds of the column `column` in every table of `schema`, as the head has them.
    ///
    /// # Errors
    /// When the catalog can't be read.
    pub fn column_bounds(&self, schema: &str, column: &str, metadata_key: &str) -> Result<SchemaBounds> {
        self.read(|connection| {
            let mut of_files = bounds_of_files(connection, column)?;
            let mut statement = connection.prepare_cached(sql::LIVE_TABLES)?;
            let tables = statement.query_map([schema], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let mut bounds = Vec::new();
            for table in tables {
                let (id, name): (i64, String) = table?;
                let mut table_bounds = of_files.remove(&id).unwrap_or_default();
                table_bounds.extend(bounds_of_inlined(connection, id, column)?);
                let rows = u64::try_from(files::live_rows(connection, id)?).unwrap_or(0);
                bounds.push(TableBounds { name, rows, bounds: table_bounds });
            }
            Ok(SchemaBounds { head: Head::read(connection, metadata_key)?, tables: bounds })
        })
    }
}

/// Those of all live files, by table. A file of which nothing is known is among them.
fn bounds_of_files(connection: &Connection, column: &str) -> CatalogResult<HashMap<i64, Vec<Bounds>>> {
    let mut known = HashMap::new();
    let mut statement = connection.prepare_cached(sql::BOUNDS_OF_COLUMN)?;
    let mut rows = statement.query([column])?;
    while let Some(row) = rows.next()? {
        let (min, max): (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
        known.insert(row.get::<_, i64>(0)?, min.zip(max));
    }
    let mut by_table: HashMap<i64, Vec<Bounds>> = HashMap::new();
    let mut statement = connection.prepare_cached(sql::ALL_LIVE_FILES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let bounds = known.remove(&row.get::<_, i64>(1)?).flatten();
        by_table.entry(row.get(0)?).or_default().push(bounds);
    }
    Ok(by_table)
}

/// Those of the rows that the catalog itself holds of a table.
fn bounds_of_inlined(connection: &Connection, table_id: i64, column: &str) -> CatalogResult<Vec<Bounds>> {
    let columns = live_columns(connection, table_id)?;
    let is_meant = |live: &&LiveColumn| live.parent.is_none() && live.name.eq_ignore_ascii_case(column);
    inlined::bounds(connection, table_id, columns.iter().find(is_meant).map(|live| live.id))
}
