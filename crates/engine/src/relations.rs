//! Relations of DuckDB that the planner does not know: SUMMARIZE, PIVOT and UNPIVOT.

mod pivot;
mod summary;

use datafusion::common::Result;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, Query, TableFactor};

use crate::grammar::statements::SUMMARIZE;

/// Plans what stands for SUMMARIZE, and PIVOT and UNPIVOT with constant lists.
#[derive(Debug)]
pub(crate) struct ForeignRelations;

impl RelationPlanner for ForeignRelations {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let (plan, alias) = match relation {
            TableFactor::Function { name, mut args, alias, .. } if is_summary(&name.to_string(), &args) => {
                let query = args.pop().and_then(subquery);
                let Some(subquery) = query else {
                    return datafusion::common::plan_err!("SUMMARIZE needs a query");
                };
                let input = context.plan(TableFactor::Derived {
                    lateral: false,
                    subquery,
                    alias: None,
                    sample: None,
                })?;
                (summary::summarized(input)?, alias)
            }
            TableFactor::Pivot {
                table,
                aggregate_functions,
                value_column,
                value_source,
                default_on_null: None,
                alias,
            } => {
                let input = context.plan(*table)?;
                let pivot = pivot::Pivot { aggregate_functions, value_column, value_source };
                (pivot.plan(input, context)?, alias)
            }
            TableFactor::Unpivot { table, value, name, columns, null_inclusion, alias } => {
                let input = context.plan(*table)?;
                let unpivot = pivot::Unpivot { value, name, columns, null_inclusion };
                (unpivot.plan(input, context)?, alias)
            }
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation { plan, alias })))
    }
}

fn is_summary(name: &str, args: &[FunctionArg]) -> bool {
    name == SUMMARIZE && matches!(args, [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(_)))])
}

fn subquery(argument: FunctionArg) -> Option<Box<Query>> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(query))) => Some(query),
        _ => None,
    }
}
