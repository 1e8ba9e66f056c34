//! What divisions of a query divide, for views: DuckDB, which reads them too, has another operator for integers.
//!
//! Each division of the tree becomes an operator of its own, which no parser makes, with a number; a planner takes these
//! when the query is planned, and notes the types.

use std::collections::HashMap;
use std::fmt;

use datafusion::common::{DFSchema, Result as PlanResult};
use datafusion::functions::math::expr_fn::floor;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{ExprSchemable, Operator, binary_expr};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use parking_lot::Mutex;

/// A division of a query of which a view is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// It is `//`.
    pub(crate) is_whole: bool,
    /// Which of the query it is.
    pub(crate) number: usize,
}

impl Mark {
    /// The one that the operator of a tree tells.
    pub(crate) fn parse(operator: &str) -> Option<Self> {
        let (sign, number) = operator.split_once(NUMBER)?;
        Some(Self { is_whole: sign == "//", number: number.parse().ok()? })
    }
}

const NUMBER: &str = " number ";

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{NUMBER}{}", if self.is_whole { "//" } else { "/" }, self.number)
    }
}

/// What the marked divisions of a query divide, as far as it was planned.
#[derive(Debug, Default)]
pub(crate) struct Operands(Mutex<HashMap<usize, Option<bool>>>);

impl Operands {
    /// Whether the division of this number is one of integers; none if that is not known, or both.
    pub(crate) fn are_integers(&self, number: usize) -> Option<bool> {
        self.0.lock().get(&number).copied().flatten()
    }

    fn tell(&self, number: usize, are_integers: Option<bool>) {
        let mut told = self.0.lock();
        let known = told.entry(number).or_insert(are_integers);
        if *known != are_integers {
            *known = None;
        }
    }
}

impl ExprPlanner for Operands {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> PlanResult<PlannerResult<RawBinaryExpr>> {
        let BinaryOperator::Custom(op) = &expr.op else { return Ok(PlannerResult::Original(expr)) };
        let Some(mark) = Mark::parse(op) else { return Ok(PlannerResult::Original(expr)) };
        let are_integers = match (expr.left.get_type(schema), expr.right.get_type(schema)) {
            (Ok(left), Ok(right)) => Some(left.is_integer() && right.is_integer()),
            _ => None,
        };
        self.tell(mark.number, are_integers);
        let quotient = binary_expr(expr.left, Operator::Divide, expr.right);
        let is_floor = mark.is_whole && are_integers != Some(true);
        Ok(PlannerResult::Planned(if is_floor { floor(quotient) } else { quotient }))
    }
}
