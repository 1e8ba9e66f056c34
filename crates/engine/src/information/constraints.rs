//! Tables of the SQL standard (ISO/IEC 9075-11) about keys and other constraints, which Power BI and its like ask for
//! before they show a table. Tables here have none, so these have no rows.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;

/// A table and its columns. Those that [`NUMBERS`] names are numbers, others are texts.
type Columns = (&'static str, &'static [&'static str]);

const TABLES: [Columns; 5] = [
    (
        "table_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "constraint_type",
            "is_deferrable",
            "initially_deferred",
            "enforced",
            "nulls_distinct",
        ],
    ),
    (
        "key_column_usage",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "ordinal_position",
            "position_in_unique_constraint",
        ],
    ),
    (
        "referential_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "unique_constraint_catalog",
            "unique_constraint_schema",
            "unique_constraint_name",
            "match_option",
            "update_rule",
            "delete_rule",
        ],
    ),
    (
        "constraint_column_usage",
        &[
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
        ],
    ),
    ("check_constraints", &["constraint_catalog", "constraint_schema", "constraint_name", "check_clause"]),
];

const NUMBERS: [&str; 2] = ["ordinal_position", "position_in_unique_constraint"];

/// The names of the tables.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|(name, _)| *name)
}

/// The table of this name, in small letters.
pub(super) fn table(name: &str) -> Option<Arc<dyn TableProvider>> {
    let (_, columns) = TABLES.iter().find(|(own, _)| *own == name)?;
    let fields = columns.iter().map(|column| {
        let data_type = if NUMBERS.contains(column) { DataType::Int64 } else { DataType::Utf8 };
        Field::new(*column, data_type, true)
    });
    let schema = Schema::new(fields.collect::<Vec<_>>());
    Some(Arc::new(EmptyTable::new(Arc::new(schema))))
}
