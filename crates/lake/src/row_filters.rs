//! Conditions that the Parquet reader applies row by row, so that the other columns of a row are read only if it
//! passes.
//!
//! That pays when few rows pass. When many do, reading a column in pieces costs more than leaving rows out of it
//! saves, and the condition is applied to whole batches behind the scan, as all others are.

use std::sync::Arc;

use datafusion::common::Result as DataFusionResult;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::physical_plan::FileScanConfigBuilder;
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::physical_plan::ExecutionPlan;

use crate::row_index::parquet_scan;

/// Columns of telemetry tables that tell one call, one person or one machine from the others: few rows have a value
/// that is asked for.
const IDENTIFYING: [&str; 13] = [
    "uuid",
    "session_id",
    "cid",
    "callid",
    "trace_id",
    "span_id",
    "caller",
    "callee",
    "aor",
    "src_ip",
    "dst_ip",
    "source_ip",
    "destination_ip",
];

/// The scan, with the conditions that are pushed into it applied by the Parquet reader if few rows pass `filters`.
pub(crate) fn pushed_into_files_if_few(
    scan: Arc<dyn ExecutionPlan>,
    filters: &[Expr],
) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
    match filters.iter().any(few_rows_pass) {
        true => with_row_filters(scan),
        false => Ok(scan),
    }
}

/// The plan, with every condition that is pushed into its scans of files applied by the Parquet reader.
///
/// # Errors
/// Those of planning.
pub fn with_row_filters(scan: Arc<dyn ExecutionPlan>) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
    scan.transform_up(|plan| {
        let Some((config, source)) = parquet_scan(plan.as_ref()) else { return Ok(Transformed::no(plan)) };
        let source = source.clone().with_pushdown_filters(true);
        let config = FileScanConfigBuilder::from(config.clone()).with_source(Arc::new(source));
        Ok(Transformed::yes(DataSourceExec::from_data_source(config.build())))
    })
    .data()
}

/// Whether the condition wants one of few values of a column that has very many.
fn few_rows_pass(condition: &Expr) -> bool {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            is_identifying(left) && is_value(right) || is_identifying(right) && is_value(left)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            few_rows_pass(left) && few_rows_pass(right)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            few_rows_pass(left) || few_rows_pass(right)
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            is_identifying(expr) && list.iter().all(is_value)
        }
        _ => false,
    }
}

fn is_identifying(expression: &Expr) -> bool {
    matches!(expression, Expr::Column(column) if IDENTIFYING.contains(&column.name.as_str()))
}

const fn is_value(expression: &Expr) -> bool {
    matches!(expression, Expr::Literal(..))
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, in_list, lit};

    use super::*;

    #[test]
    fn few_rows_pass_where_one_of_very_many_values_is_wanted() {
        let number = || col("caller").eq(lit("+4930"));
        for (condition, expected) in [
            (number(), true),
            (lit("+4930").eq(col("caller")), true),
            (number().and(col("method").eq(lit("INVITE"))), true),
            (number().or(col("src_ip").eq(lit("::1"))), true),
            (number().or(col("method").eq(lit("INVITE"))), false),
            (in_list(col("dst_ip"), vec![lit("::1"), lit("::2")], false), true),
            (in_list(col("dst_ip"), vec![lit("::1")], true), false),
            (col("method").eq(lit("INVITE")), false),
            (col("caller").not_eq(lit("+4930")), false),
            (col("caller").eq(col("callee")), false),
        ] {
            assert_eq!(few_rows_pass(&condition), expected, "{condition}");
        }
    }
}
