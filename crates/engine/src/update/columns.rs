//! Column definitions: names, types, NOT NULL, defaults.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    ColumnDef, ColumnOption, CreateTable, DataType as SqlType, Expr, Statement as Sql, UnaryOperator, Value,
};
use pintail_lake::NewColumn;
use pintail_types::{Error, Result};

use crate::error::from_datafusion;

/// The columns of a table as `create` defines them.
///
/// # Errors
/// `Unsupported` for what tables of a lake do not have: keys, checks, defaults that are computed, and the options of
/// other databases.
pub(super) async fn defined(state: &SessionState, create: &CreateTable) -> Result<Vec<NewColumn>> {
    if !create.constraints.is_empty() {
        return Err(no_constraints());
    }
    let mut bare = create.clone();
    bare.temporary = false;
    for column in &mut bare.columns {
        column.options.clear();
    }
    let planned = state.statement_to_plan(Parsed::Statement(Box::new(Sql::CreateTable(bare)))).await;
    let plan = planned.map_err(|error| from_datafusion(&error))?;
    let LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(table)) = plan else {
        return Err(Error::internal("the definition of a table was planned as something else"));
    };
    let fields = table.input.schema().fields().iter();
    fields.zip(&create.columns).map(|(field, definition)| column(field, definition)).collect()
}

/// The column of one definition.
pub(super) async fn one(
    state: &SessionState,
    template: &CreateTable,
    column: &ColumnDef,
) -> Result<NewColumn> {
    let create = CreateTable { columns: vec![column.clone()], ..template.clone() };
    let mut columns = defined(state, &create).await?;
    columns.pop().ok_or_else(|| Error::internal("a column was planned as none"))
}

fn column(planned: &Field, definition: &ColumnDef) -> Result<NewColumn> {
    let (data_type, extension) = lake_type(planned.data_type(), &definition.data_type);
    let mut nullable = true;
    let mut default = None;
    for option in &definition.options {
        match &option.option {
            ColumnOption::Null => nullable = true,
            ColumnOption::NotNull => nullable = false,
            ColumnOption::Default(expression) => {
                default = literal(planned.name(), expression, &data_type)?;
            }
            ColumnOption::PrimaryKey(_)
            | ColumnOption::Unique(_)
            | ColumnOption::ForeignKey(_)
            | ColumnOption::Check(_) => return Err(no_constraints()),
            other => {
                return Err(Error::unsupported(format!(
                    "column {}: {other} is not supported",
                    planned.name()
                )));
            }
        }
    }
    let mut field = Field::new(planned.name(), data_type, nullable);
    if let Some(extension) = extension {
        field =
            field.with_metadata(HashMap::from([("ARROW:extension:name".to_owned(), extension.to_owned())]));
    }
    Ok(NewColumn { field: Arc::new(field), default })
}

fn no_constraints() -> Error {
    Error::unsupported(
        "tables of a lake have no keys and no checks: leave out PRIMARY KEY, UNIQUE, REFERENCES and CHECK",
    )
}

/// The type of a column, and the extension name that marks it, where that says more than the type.
fn lake_type(planned: &DataType, written: &SqlType) -> (DataType, Option<&'static str>) {
    match (planned, written) {
        // A TIMESTAMP without digits has microseconds, as in DuckDB and PostgreSQL.
        (DataType::Timestamp(_, zone), SqlType::Timestamp(None, _) | SqlType::Datetime(None)) => {
            (DataType::Timestamp(TimeUnit::Microsecond, zone.clone()), None)
        }
        (other, SqlType::Uuid) => (other.clone(), Some("arrow.uuid")),
        (other, SqlType::JSON | SqlType::JSONB) => (other.clone(), Some("arrow.json")),
        (other, _) => (other.clone(), None),
    }
}

/// A default as the catalog keeps it: the text of a literal. None for NULL, which every column has.
fn literal(name: &str, expression: &Expr, data_type: &DataType) -> Result<Option<String>> {
    let refused =
        || Error::unsupported(format!("column {name}: the default is computed; only literals can be kept"));
    let text = match expression {
        Expr::Value(value) => match &value.value {
            Value::Null => return Ok(None),
            Value::Number(number, _) => number.clone(),
            Value::Boolean(value) => value.to_string(),
            Value::SingleQuotedString(text) => text.clone(),
            _ => return Err(refused()),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match literal(name, expr, data_type)? {
            Some(number) if matches!(expr.as_ref(), Expr::Value(_)) => format!("-{number}"),
            _ => return Err(refused()),
        },
        Expr::TypedString(typed) => match &typed.value.value {
            Value::SingleQuotedString(text) => text.clone(),
            _ => return Err(refused()),
        },
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => return literal(name, inner, data_type),
        _ => return Err(refused()),
    };
    if data_type.is_nested() {
        return Err(Error::unsupported(format!("column {name}: a {data_type} has no default but NULL")));
    }
    ScalarValue::Utf8(Some(text.clone())).cast_to(data_type).map_err(|_| {
        Error::invalid(format!("column {name}: the default '{text}' is no value of its type"))
    })?;
    Ok(Some(text))
}
