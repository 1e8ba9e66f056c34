//! `generate_series` and `range` as tables, over timestamps of any unit.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, lit};

pub(super) fn register(state: &mut SessionState) {
    for name in ["generate_series", "range"] {
        let Some(inner) = state.table_functions().get(name).cloned() else { continue };
        state.register_udtf(name, Arc::new(Series { inner: Arc::clone(inner.function()) }));
    }
}

/// DataFusion's function, which takes timestamps in nanoseconds only.
#[derive(Debug)]
struct Series {
    inner: Arc<dyn TableFunctionImpl>,
}

impl TableFunctionImpl for Series {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let exprs = args.exprs().iter().map(in_nanoseconds).collect::<Result<Vec<_>>>()?;
        self.inner.call_with_args(TableFunctionArgs::new(&exprs, args.session()))
    }
}

fn in_nanoseconds(argument: &Expr) -> Result<Expr> {
    match argument {
        Expr::Literal(value, _) => match value.data_type() {
            DataType::Timestamp(_, zone) => {
                Ok(lit(value.cast_to(&DataType::Timestamp(TimeUnit::Nanosecond, zone))?))
            }
            _ => Ok(argument.clone()),
        },
        _ => Ok(argument.clone()),
    }
}
