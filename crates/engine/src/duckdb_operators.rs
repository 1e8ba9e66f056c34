//! What DuckDB's operators do whose meaning depends on types, for texts that DuckDB reads too.
//!
//! DuckDB divides integers as doubles and has `//` for whole quotients; here `/` of integers is whole. The tree of a
//! view's query has operators of its own for these, which no parser makes, and the planner takes them with the types.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::functions::core::expr_fn::nullif;
use datafusion::functions::datetime::expr_fn::to_local_time;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, cast, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// DuckDB's `/`.
pub(crate) const DIVIDE: &str = "/ of DuckDB";
/// DuckDB's `//`.
pub(crate) const DIVIDE_WHOLE: &str = "// of DuckDB";
/// DuckDB's `%`.
pub(crate) const REMAINDER: &str = "% of DuckDB";
/// DuckDB's `AT TIME ZONE`.
pub(crate) const AT_TIME_ZONE: &str = "AT TIME ZONE of DuckDB";

/// Plans what DuckDB's operators do.
#[derive(Debug)]
pub(crate) struct DuckDbOperators;

impl ExprPlanner for DuckDbOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let BinaryOperator::Custom(op) = &expr.op else { return Ok(PlannerResult::Original(expr)) };
        let planned = match op.as_str() {
            DIVIDE => Operation::of(expr, schema)?.quotient(),
            DIVIDE_WHOLE => Operation::of(expr, schema)?.whole_quotient(),
            REMAINDER => Operation::of(expr, schema)?.remainder(),
            AT_TIME_ZONE => Operation::of(expr, schema)?.in_zone()?,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        Ok(PlannerResult::Planned(planned))
    }
}

/// An operation with the types of its operands.
struct Operation {
    left: Expr,
    left_type: DataType,
    right: Expr,
    right_type: DataType,
}

impl Operation {
    fn of(expr: RawBinaryExpr, schema: &DFSchema) -> Result<Self> {
        let (left_type, right_type) = (expr.left.get_type(schema)?, expr.right.get_type(schema)?);
        Ok(Self { left: expr.left, left_type, right: expr.right, right_type })
    }

    fn quotient(self) -> Expr {
        match (&self.left_type, &self.right_type) {
            (DataType::Float32, DataType::Float32) | (DataType::Interval(_), _) => self.left / self.right,
            _ => cast(self.left, DataType::Float64) / cast(self.right, DataType::Float64),
        }
    }

    /// Of numbers with fractions it has one, too.
    fn whole_quotient(self) -> Expr {
        match self.left_type.is_integer() && self.right_type.is_integer() {
            true => self.left / not_zero(self.right, &self.right_type),
            false => {
                let divisor = cast(self.right, DataType::Float64);
                cast(self.left, DataType::Float64) / not_zero(divisor, &DataType::Float64)
            }
        }
    }

    fn remainder(self) -> Expr {
        match self.left_type.is_floating() || self.right_type.is_floating() {
            true => self.left % self.right,
            false => self.left % not_zero(self.right, &self.right_type),
        }
    }

    /// The clock there of a moment, and the moment of a clock there.
    fn in_zone(self) -> Result<Expr> {
        let Expr::Literal(zone, _) = &self.right else {
            return plan_err!("the zone of AT TIME ZONE in a view is a constant, not {}", self.right);
        };
        let Some(zone) = zone.try_as_str().flatten() else {
            return plan_err!("the zone of AT TIME ZONE is a text, not {zone}");
        };
        let (unit, has_zone) = match &self.left_type {
            DataType::Timestamp(unit, zone) => (*unit, zone.is_some()),
            other => return plan_err!("AT TIME ZONE takes a timestamp, not {other}: cast it"),
        };
        let there = cast(self.left, DataType::Timestamp(unit, Some(zone.into())));
        Ok(if has_zone { to_local_time(vec![there]) } else { there })
    }
}

/// By zero there is no quotient in DuckDB, and no error.
fn not_zero(divisor: Expr, data_type: &DataType) -> Expr {
    match (&divisor, ScalarValue::new_zero(data_type)) {
        (Expr::Literal(value, _), Ok(zero)) if *value != zero => divisor,
        (_, Ok(zero)) => nullif(divisor, lit(zero)),
        (_, Err(_)) => divisor,
    }
}
