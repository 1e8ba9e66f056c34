//! Parameters: which types a statement expects, and the values that take their place.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::compute::kernels::cmp::distinct;
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::util::display::FormatOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{Cast, Placeholder, TryCast};
use datafusion::logical_expr::{Expr, LogicalPlan};
use pintail_types::{Error, ErrorKind, Result, reason};

use crate::error::from_datafusion;

/// The types that are tried, in this order, for parameters about which the statement says nothing; the first one
/// with which it can be planned is taken. Text is first, as in PostgreSQL.
const ASSUMED: [DataType; 5] = [
    DataType::Utf8,
    DataType::Int64,
    DataType::Float64,
    DataType::Boolean,
    DataType::Timestamp(TimeUnit::Microsecond, None),
];

/// A plan with `count` parameters, each with a type, and those types as fields named by position.
///
/// # Errors
/// `Invalid` if no assumed type fits the parameters whose type the statement does not tell.
pub(crate) fn typed(
    state: &SessionState,
    plan: LogicalPlan,
    count: usize,
) -> Result<(LogicalPlan, SchemaRef)> {
    if count == 0 {
        return Ok((plan, Arc::new(Schema::empty())));
    }
    let mut types = plan.get_parameter_types().map_err(|error| from_datafusion(&error))?;
    let casts = cast_types(&plan).map_err(|error| from_datafusion(&error))?;
    let told: Vec<_> = (1..=count)
        .map(|number| format!("${number}"))
        .map(|id| types.remove(&id).flatten().filter(is_told).or_else(|| casts.get(&id).cloned()))
        .collect();
    let mut refused = None;
    for assumed in ASSUMED {
        let all: Vec<_> = told.iter().map(|told| told.clone().unwrap_or_else(|| assumed.clone())).collect();
        match with_types(state, plan.clone(), &all) {
            Ok(plan) => return Ok((plan, schema_of(all))),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let error = refused.map_or_else(|| Error::internal("no type was tried"), |error| from_datafusion(&error));
    Err(hint(error, count))
}

/// The planner speaks of the type Null where a parameter is meant.
pub(crate) fn hint(error: Error, count: usize) -> Error {
    let is_of_types = error.kind() == ErrorKind::Invalid && error.reason() != reason::UNDEFINED_FUNCTION;
    if count == 0 || !is_of_types {
        return error;
    }
    error.reworded(format!("{}; a parameter may need its type: CAST(? AS type)", error.message()))
}

/// The types of parameters that are cast where they stand.
fn cast_types(plan: &LogicalPlan) -> DataFusionResult<HashMap<String, DataType>> {
    let mut types = HashMap::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) = part
                    && let Expr::Placeholder(Placeholder { id, .. }) = expr.as_ref()
                {
                    types.entry(id.clone()).or_insert_with(|| field.data_type().clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(types)
}

fn is_told(data_type: &DataType) -> bool {
    *data_type != DataType::Null
}

fn schema_of(types: Vec<DataType>) -> SchemaRef {
    let fields = types.into_iter().zip(1..);
    let fields =
        fields.map(|(data_type, number): (_, usize)| Field::new(number.to_string(), data_type, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// `plan` with the parameters of these types, if it can be planned with them.
fn with_types(state: &SessionState, plan: LogicalPlan, types: &[DataType]) -> DataFusionResult<LogicalPlan> {
    let fields: Vec<FieldRef> =
        types.iter().map(|data_type| Arc::new(Field::new("", data_type.clone(), true))).collect();
    let typed = plan
        .transform_up_with_subqueries(|plan| {
            let changed = plan.map_expressions(|expression| {
                expression.transform_up(|expression| Ok(Transformed::yes(with_field(expression, &fields))))
            })?;
            changed.map_data(LogicalPlan::recompute_schema)
        })
        .data()?;
    state.analyzer().execute_and_check(typed.clone(), state.config_options(), |_, _| {})?;
    Ok(typed)
}

fn with_field(expression: Expr, fields: &[FieldRef]) -> Expr {
    let Expr::Placeholder(Placeholder { id, .. }) = &expression else { return expression };
    let number = id.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
    let field = number.and_then(|number| fields.get(number.checked_sub(1)?)).cloned();
    Expr::Placeholder(Placeholder { id: id.clone(), field })
}

/// The values of every row of `parameters`, in the types of `expected`. Columns go by their order.
///
/// # Errors
/// `Invalid` if the number of columns is another one, or a value does not fit its type without loss.
pub(crate) fn rows(expected: &Schema, parameters: &RecordBatch) -> Result<Vec<Vec<ScalarValue>>> {
    if parameters.num_columns() != expected.fields().len() {
        return Err(Error::invalid(format!(
            "the statement has {} parameters, {} were bound",
            expected.fields().len(),
            parameters.num_columns()
        )));
    }
    let columns: Vec<ArrayRef> = parameters
        .columns()
        .iter()
        .zip(expected.fields())
        .map(|(column, field)| fitting(column, field))
        .collect::<Result<_>>()?;
    (0..parameters.num_rows()).map(|row| values_of(&columns, row)).collect()
}

fn values_of(columns: &[ArrayRef], row: usize) -> Result<Vec<ScalarValue>> {
    let values = columns.iter().map(|column| ScalarValue::try_from_array(column, row));
    values.collect::<DataFusionResult<_>>().map_err(|error| from_datafusion(&error))
}

/// `column` in the type of `field`.
fn fitting(column: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    let (from, to) = (column.data_type(), field.data_type());
    if from == to {
        return Ok(Arc::clone(column));
    }
    let refused = |why: String| {
        Error::invalid(format!("parameter {} is {from} and does not fit {to}: {why}", field.name()))
    };
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    let cast = cast_with_options(column, to, &options).map_err(|error| refused(short(&error.to_string())))?;
    // Casts between numbers, and of times to coarser units, drop digits in silence.
    if from.is_numeric() && to.is_numeric() || from.is_temporal() && to.is_temporal() {
        let back =
            cast_with_options(&cast, from, &options).map_err(|error| refused(short(&error.to_string())))?;
        let differs =
            distinct(&back, column).map_err(|error| refused(short(&error.to_string())))?.true_count() > 0;
        if differs && !to.is_floating() {
            return Err(refused("the value would change".to_owned()));
        }
    }
    Ok(cast)
}

/// The message without the kind that Arrow writes before it.
fn short(message: &str) -> String {
    message.split_once(": ").map_or(message, |(_, rest)| rest).to_owned()
}

#[cfg(test)]
mod tests;
