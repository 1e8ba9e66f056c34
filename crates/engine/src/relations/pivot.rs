//! `PIVOT (aggregate FOR column IN (values))` and `UNPIVOT (value FOR name IN (columns))`.

use std::collections::HashSet;

use datafusion::common::{Column, Result, plan_err};
use datafusion::functions::core::expr_fn::{get_field, named_struct};
use datafusion::functions_nested::expr_fn::make_array;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, ExprWithAlias, Ident, NullInclusion, PivotValueSource,
};

/// Columns that one PIVOT makes.
const MAX_COLUMNS: usize = 1000;

/// The structures of UNPIVOT before they become rows.
const PAIRS: &str = "pairs";

/// What stands in the brackets of PIVOT.
pub(super) struct Pivot {
    pub(super) aggregate_functions: Vec<ExprWithAlias>,
    pub(super) value_column: Vec<SqlExpr>,
    pub(super) value_source: PivotValueSource,
}

impl Pivot {
    /// Groups by all other columns, with each aggregate once for each value.
    pub(super) fn plan(
        self,
        input: LogicalPlan,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<LogicalPlan> {
        let schema = input.schema().as_ref().clone();
        let [column] = self.value_column.as_slice() else {
            return plan_err!("PIVOT takes one column after FOR");
        };
        let column = context.sql_to_expr(column.clone(), &schema)?;
        let PivotValueSource::List(values) = self.value_source else {
            return plan_err!("PIVOT takes a list of values after IN: IN ('a', 'b')");
        };
        if values.len().saturating_mul(self.aggregate_functions.len()) > MAX_COLUMNS {
            return plan_err!("PIVOT makes at most {MAX_COLUMNS} columns");
        }
        let mut used: HashSet<Column> = column.column_refs().into_iter().cloned().collect();
        let mut functions = Vec::new();
        for function in self.aggregate_functions {
            let alias = function.alias.map(|alias| context.normalize_ident(alias));
            let function = context.sql_to_expr(function.expr, &schema)?;
            used.extend(function.column_refs().into_iter().cloned());
            functions.push((aggregate(function)?, alias));
        }
        let mut aggregates = Vec::new();
        for value in values {
            let alias = value.alias.map(|alias| context.normalize_ident(alias));
            let constant = context.sql_to_expr(value.expr, &schema)?;
            let name = alias.unwrap_or_else(|| shown(&constant));
            for (function, suffix) in &functions {
                let name = match suffix {
                    Some(suffix) => format!("{name}_{suffix}"),
                    None => name.clone(),
                };
                aggregates.push(for_value(function.clone(), column.clone().eq(constant.clone())).alias(name));
            }
        }
        let rest = schema.columns().into_iter().filter(|column| !used.contains(column)).map(Expr::Column);
        LogicalPlanBuilder::from(input).aggregate(rest, aggregates)?.build()
    }
}

fn aggregate(expression: Expr) -> Result<AggregateFunction> {
    match expression {
        Expr::AggregateFunction(function) => Ok(function),
        Expr::Alias(alias) => aggregate(*alias.expr),
        other => plan_err!("PIVOT takes an aggregate such as count(*), not {other}"),
    }
}

fn for_value(mut function: AggregateFunction, is_value: Expr) -> Expr {
    let filter = match function.params.filter.take() {
        Some(filter) => filter.and(is_value),
        None => is_value,
    };
    function.params.filter = Some(Box::new(filter));
    Expr::AggregateFunction(function)
}

/// The name of a column for a value: the value itself.
fn shown(value: &Expr) -> String {
    match value {
        Expr::Literal(value, _) => value.to_string(),
        other => other.to_string(),
    }
}

/// What stands in the brackets of UNPIVOT.
pub(super) struct Unpivot {
    pub(super) value: SqlExpr,
    pub(super) name: Ident,
    pub(super) columns: Vec<ExprWithAlias>,
    pub(super) null_inclusion: Option<NullInclusion>,
}

impl Unpivot {
    /// One row for each of the columns, with its name and value beside the other columns.
    pub(super) fn plan(
        self,
        input: LogicalPlan,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<LogicalPlan> {
        let schema = input.schema().as_ref().clone();
        let SqlExpr::Identifier(value) = self.value else {
            return plan_err!("UNPIVOT takes one name for the values");
        };
        let (value, name) = (context.normalize_ident(value), context.normalize_ident(self.name));
        let mut pairs = Vec::new();
        let mut unpivoted = HashSet::new();
        for column in self.columns {
            let alias = column.alias.map(|alias| context.normalize_ident(alias));
            let Expr::Column(column) = context.sql_to_expr(column.expr, &schema)? else {
                return plan_err!("UNPIVOT takes columns after IN");
            };
            let shown = alias.unwrap_or_else(|| column.name.clone());
            pairs.push(named_struct(vec![
                lit("name"),
                lit(shown),
                lit("value"),
                Expr::Column(column.clone()),
            ]));
            unpivoted.insert(column);
        }
        let rest: Vec<Expr> = schema
            .columns()
            .into_iter()
            .filter(|column| !unpivoted.contains(column))
            .map(Expr::Column)
            .collect();
        let mut with_pairs = rest.clone();
        with_pairs.push(make_array(pairs).alias(PAIRS));
        let field = |field: &str| get_field(col(PAIRS), field);
        let mut result = rest;
        result.push(field("name").alias(name));
        result.push(field("value").alias(value));
        let plan = LogicalPlanBuilder::from(input).project(with_pairs)?.unnest_column(PAIRS)?;
        let plan = match self.null_inclusion {
            Some(NullInclusion::IncludeNulls) => plan,
            _ => plan.filter(field("value").is_not_null())?,
        };
        plan.project(result)?.build()
    }
}
