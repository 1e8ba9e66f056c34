//! `t[2]` and `t[1:3]` of texts, as in DuckDB: characters, counted from 1. Of lists the planner knows them.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result as PlanResult, ScalarValue};
use datafusion::functions::unicode::expr_fn::{character_length, substr, substring};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, lit};

/// Plans subscripts of texts that are constants.
#[derive(Debug)]
pub(crate) struct TextSubscripts;

impl ExprPlanner for TextSubscripts {
    fn plan_field_access(
        &self,
        expr: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> PlanResult<PlannerResult<RawFieldAccessExpr>> {
        let is_subscript = !matches!(expr.field_access, GetFieldAccess::NamedStructField { .. });
        if !is_subscript || !is_text(&expr.expr.get_type(schema)?) {
            return Ok(PlannerResult::Original(expr));
        }
        let text = expr.expr.clone();
        let planned = match &expr.field_access {
            GetFieldAccess::ListIndex { key } => constant(key).map(|index| character(text, index)),
            GetFieldAccess::ListRange { start, stop, stride } if constant(stride) == Some(1) => {
                constant(start).zip(constant(stop)).and_then(|(start, stop)| part(text, start, stop))
            }
            _ => None,
        };
        Ok(planned.map_or(PlannerResult::Original(expr), PlannerResult::Planned))
    }
}

const fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn constant(expression: &Expr) -> Option<i64> {
    match expression {
        Expr::Literal(ScalarValue::Int64(value), _) => *value,
        _ => None,
    }
}

/// The one character at `index`; one below zero counts from the end.
fn character(text: Expr, index: i64) -> Expr {
    match index < 0 {
        true => substring(text.clone(), character_length(text) + lit(index.saturating_add(1)), lit(1_i64)),
        false => substring(text, lit(index), lit(1_i64)),
    }
}

/// The characters from `start` to `stop`; -1 is the last one.
fn part(text: Expr, start: i64, stop: i64) -> Option<Expr> {
    if start < 0 || stop < -1 {
        return None;
    }
    let start = start.max(1);
    Some(match stop {
        -1 => substr(text, lit(start)),
        _ => substring(text, lit(start), lit(stop.saturating_sub(start).saturating_add(1).max(0))),
    })
}
