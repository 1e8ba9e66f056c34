//! Operators on JSON that are not there, which say what to write instead.

use datafusion::common::{DFSchema, Result, not_impl_err};
use datafusion::logical_expr::ExprSchemable;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// Refuses `@>` and `<@` of texts, which would compare documents. Of lists the planner knows them.
#[derive(Debug)]
pub(crate) struct NoContainment;

impl ExprPlanner for NoContainment {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if !matches!(expr.op, BinaryOperator::AtArrow | BinaryOperator::ArrowAt) {
            return Ok(PlannerResult::Original(expr));
        }
        if expr.left.get_type(schema)?.is_string() || expr.right.get_type(schema)?.is_string() {
            return not_impl_err!(
                "{} of JSON is not supported: compare what ->> gives, as in x ->> '$.key' = 'value', or ask for keys \
                 by json_exists(x, '$.key')",
                expr.op
            );
        }
        Ok(PlannerResult::Original(expr))
    }
}
