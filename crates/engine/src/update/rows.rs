//! INSERT, UPDATE, DELETE and TRUNCATE.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, Result as PlanResult, plan_err};
use datafusion::datasource::{TableType, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, WriteOp};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    Delete, Expr as SqlExpr, FromTable, ObjectName, SetExpr, Statement as Sql, TableFactor, TableObject,
    TableWithJoins,
};
use datafusion::sql::sqlparser::parser::Parser;
use pintail_lake::{Destination, Lake, RowChange};
use pintail_types::{Error, Result};

use super::Change;
use super::names::Target;
use crate::error::from_datafusion;
use crate::grammar::Grammar;
use crate::planning;
use crate::session::Session;

/// An UPDATE or DELETE of some rows, as it was planned.
#[derive(Debug)]
pub(super) struct RowsChange {
    kind: RowChange,
    /// A query of the rows: all columns, with their new values if they are updated.
    plan: LogicalPlan,
}

impl RowsChange {
    pub(super) const fn kind(&self) -> RowChange {
        self.kind
    }

    /// The same with a type for every parameter.
    pub(super) fn typed(
        self,
        typed: impl FnOnce(LogicalPlan) -> Result<(LogicalPlan, SchemaRef)>,
    ) -> Result<(Self, SchemaRef)> {
        let (plan, parameters) = typed(self.plan)?;
        Ok((Self { kind: self.kind, plan }, parameters))
    }

    /// The query for the rows that change: their new values if they are updated, and their ids. `rows` is the table
    /// with the ids, which takes the place of the table.
    pub(super) fn with_row_ids(self, rows: Arc<dyn TableProvider>) -> Result<LogicalPlan> {
        self.row_query(rows).map_err(|error| from_datafusion(&error))
    }

    fn row_query(self, rows: Arc<dyn TableProvider>) -> PlanResult<LogicalPlan> {
        let LogicalPlan::Projection(values) = self.plan else {
            return plan_err!("the columns of the rows to be changed are not known");
        };
        let mut columns = match self.kind {
            RowChange::Delete => Vec::new(),
            RowChange::Update => values.expr,
        };
        let source = provider_as_source(rows);
        // What is nested in expressions is not visited: the only scan is that of the table.
        let found = Arc::unwrap_or_clone(values.input)
            .transform_up(|plan| match plan {
                LogicalPlan::TableScan(scan) => {
                    let rows = LogicalPlanBuilder::scan(scan.table_name, Arc::clone(&source), None)?;
                    rows.build().map(Transformed::yes)
                }
                other => other.recompute_schema().map(Transformed::yes),
            })
            .data()?;
        let id = found.schema().iter().find(|(_, field)| field.name() == Lake::ROW_ID).map(Column::from);
        let Some(id) = id else { return plan_err!("the rows to be changed are not in their table") };
        columns.push(Expr::Column(id));
        LogicalPlanBuilder::from(found).project(columns)?.build()
    }
}

/// The table whose rows the statement changes, if they must be made ready for it.
pub(super) fn target(session: &Session, sql: &Sql) -> Result<Option<Target>> {
    match sql {
        Sql::Update(_) | Sql::Delete(_) => {
            table_of(sql)?.map(|name| Target::named(session, name)).transpose()
        }
        _ => Ok(None),
    }
}

/// What the statement is to do in `state`.
pub(super) async fn change(session: &Session, state: &SessionState, sql: &Sql) -> Result<Change> {
    let name = table_of(sql)?.ok_or_else(|| Error::invalid("the statement names no table"))?;
    let target = Target::named(session, name)?;
    match target.table_type(session).await? {
        Some(TableType::View) => {
            return Err(Error::invalid(format!("{target} is a view, whose rows can't be changed")));
        }
        Some(_) => {}
        None => return Err(target.missing()),
    }
    match sql {
        Sql::Delete(delete) => return delete_from(state, target, delete).await,
        Sql::Insert(insert) if insert.on.is_some() || insert.or.is_some() || insert.replace_into => {
            return Err(Error::unsupported(
                "ON CONFLICT is not supported, tables have no unique keys: add WHERE NOT EXISTS (…) to the query",
            ));
        }
        Sql::Insert(insert) if insert.returning.is_some() => return Err(no_returning()),
        Sql::Update(update) if update.returning.is_some() => return Err(no_returning()),
        Sql::Update(update) if update.from.is_some() => {
            return Err(Error::unsupported(
                "UPDATE … FROM is not supported: write SET c = (SELECT …) WHERE k IN (SELECT …)",
            ));
        }
        _ => {}
    }
    let LogicalPlan::Dml(statement) = plan(state, sql.clone()).await? else {
        return Err(Error::internal("a statement that changes rows was planned as something else"));
    };
    let input = Arc::unwrap_or_clone(statement.input);
    match statement.op {
        WriteOp::Insert(InsertOp::Append) => Ok(Change::Fill(target, Destination::Append, input)),
        WriteOp::Truncate => Ok(Change::Truncate(target)),
        WriteOp::Update => Ok(Change::Rows(target, RowsChange { kind: RowChange::Update, plan: input })),
        other => Err(Error::unsupported(format!("{other} is not supported"))),
    }
}

/// A DELETE, whose rows are those of the query with the same condition: the planner of DELETE knows no alias.
async fn delete_from(state: &SessionState, target: Target, delete: &Delete) -> Result<Change> {
    if delete.returning.is_some() {
        return Err(no_returning());
    }
    if delete.using.is_some() {
        return Err(Error::unsupported("DELETE … USING is not supported: write WHERE k IN (SELECT …)"));
    }
    if delete.output.is_some()
        || delete.limit.is_some()
        || !delete.order_by.is_empty()
        || !delete.tables.is_empty()
    {
        return Err(Error::unsupported("DELETE takes FROM and WHERE only"));
    }
    if delete.selection.is_none() {
        return Ok(Change::Truncate(target));
    }
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    let rows = select_all(from.clone(), delete.selection.clone())?;
    let plan = plan(state, rows).await?;
    Ok(Change::Rows(target, RowsChange { kind: RowChange::Delete, plan }))
}

fn no_returning() -> Error {
    Error::unsupported("RETURNING is not supported: select the rows before or after")
}

/// `SELECT * FROM … WHERE …`
fn select_all(from: Vec<TableWithJoins>, selection: Option<SqlExpr>) -> Result<Sql> {
    let mut parsed = Parser::parse_sql(&Grammar, "SELECT *").unwrap_or_default();
    let Some(Sql::Query(mut query)) = parsed.pop() else {
        return Err(Error::internal("a query of all columns does not parse"));
    };
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.from = from;
        select.selection = selection;
    }
    Ok(Sql::Query(query))
}

async fn plan(state: &SessionState, sql: Sql) -> Result<LogicalPlan> {
    planning::plan(state, &mut Parsed::Statement(Box::new(sql))).await
}

fn in_the_past() -> Error {
    Error::invalid("the past can't be changed: leave out the moment")
}

/// The table whose rows the statement changes.
fn table_of(sql: &Sql) -> Result<Option<&ObjectName>> {
    let several = || Error::unsupported("a statement changes the rows of one table only");
    match sql {
        Sql::Insert(insert) => match &insert.table {
            TableObject::TableName(name) => Ok(Some(name)),
            _ => Err(Error::unsupported("rows are inserted into tables only")),
        },
        Sql::Update(update) => match &update.table.relation {
            TableFactor::Table { version: Some(_), .. } => Err(in_the_past()),
            TableFactor::Table { name, .. } if update.table.joins.is_empty() => Ok(Some(name)),
            TableFactor::Table { .. } => Err(several()),
            _ => Err(Error::unsupported("rows are changed in tables only")),
        },
        Sql::Delete(delete) => {
            let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
            match tables.as_slice() {
                [table] if table.joins.is_empty() => match &table.relation {
                    TableFactor::Table { version: Some(_), .. } => Err(in_the_past()),
                    TableFactor::Table { name, .. } => Ok(Some(name)),
                    _ => Err(Error::unsupported("rows are deleted from tables only")),
                },
                _ => Err(several()),
            }
        }
        Sql::Truncate(truncate) => match truncate.table_names.as_slice() {
            [table] => Ok(Some(&table.name)),
            _ => Err(several()),
        },
        _ => Ok(None),
    }
}
