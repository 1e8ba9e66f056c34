//! The filter of a join, which is where its inner loops come by.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::Result as DataFusionResult;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use super::turn;

/// Gives what the expression in it gives, as a part of a turn.
#[derive(Debug, Eq)]
pub(super) struct FairFilter(pub(super) Arc<dyn PhysicalExpr>);

// By hand, because of https://github.com/rust-lang/rust/issues/78808.
impl PartialEq for FairFilter {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq(&other.0)
    }
}

impl Hash for FairFilter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for FairFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PhysicalExpr for FairFilter {
    fn data_type(&self, input: &Schema) -> DataFusionResult<DataType> {
        self.0.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> DataFusionResult<bool> {
        self.0.nullable(input)
    }

    fn return_field(&self, input: &Schema) -> DataFusionResult<FieldRef> {
        self.0.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> DataFusionResult<ColumnarValue> {
        turn::part(|| self.0.evaluate(batch))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
        Ok(match children.into_iter().next() {
            Some(expression) => Arc::new(Self(expression)),
            None => self,
        })
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_sql(f)
    }
}
