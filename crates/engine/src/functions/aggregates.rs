//! Aggregates that stand for an expression of others.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, not_impl_err, plan_err};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::functions_aggregate::string_agg::string_agg_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, Sort};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility, cast, lit, when,
};

/// What the parameters of a call become, and the aggregate that takes them.
type Expand = fn(AggregateFunctionParams) -> Result<AggregateFunction>;

pub(super) fn functions() -> Vec<AggregateUDF> {
    let mut functions = Vec::new();
    for name in ["arg_max", "max_by", "argmax"] {
        functions.push(aggregate(name, 2..=2, |types| types[0].clone(), |call| extreme(call, false)));
    }
    for name in ["arg_min", "min_by", "argmin"] {
        functions.push(aggregate(name, 2..=2, |types| types[0].clone(), |call| extreme(call, true)));
    }
    for name in ["count_if", "countif"] {
        functions.push(aggregate(name, 1..=1, |_| DataType::Int64, count_if));
    }
    for name in ["group_concat", "listagg"] {
        functions.push(aggregate(name, 2..=2, |_| DataType::LargeUtf8, group_concat));
    }
    functions
}

/// `arg_max(x, y)`: the x of the row with the greatest y; rows where one of them is NULL do not count.
fn extreme(call: AggregateFunctionParams, ascending: bool) -> Result<AggregateFunction> {
    let [value, by] = two(call.args)?;
    let known = value.clone().is_not_null().and(by.clone().is_not_null());
    let filter = match call.filter {
        Some(filter) => filter.and(known),
        None => known,
    };
    let order = vec![Sort::new(by, ascending, false)];
    Ok(AggregateFunction::new_udf(
        first_value_udaf(),
        vec![value],
        false,
        Some(Box::new(filter)),
        order,
        None,
    ))
}

fn two(args: Vec<Expr>) -> Result<[Expr; 2]> {
    match <[Expr; 2]>::try_from(args) {
        Ok(both) => Ok(both),
        Err(args) => plan_err!("2 arguments are needed, not {}", args.len()),
    }
}

fn count_if(mut call: AggregateFunctionParams) -> Result<AggregateFunction> {
    let condition = call.args.pop().unwrap_or_else(|| lit(false));
    let counted = when(condition, lit(1_i64)).end()?;
    Ok(AggregateFunction::new_udf(
        count_udaf(),
        vec![counted],
        call.distinct,
        call.filter,
        call.order_by,
        call.null_treatment,
    ))
}

/// MySQL's and DuckDB's name of `string_agg`.
fn group_concat(mut call: AggregateFunctionParams) -> Result<AggregateFunction> {
    call.args[0] = cast(call.args[0].clone(), DataType::Utf8);
    Ok(AggregateFunction::new_udf(
        string_agg_udaf(),
        call.args,
        call.distinct,
        call.filter,
        call.order_by,
        call.null_treatment,
    ))
}

/// An aggregate that stands for an expression of others.
struct AggregateShorthand {
    name: &'static str,
    arguments: RangeInclusive<usize>,
    return_type: fn(&[DataType]) -> DataType,
    expand: Expand,
    signature: Signature,
}

fn aggregate(
    name: &'static str,
    arguments: RangeInclusive<usize>,
    return_type: fn(&[DataType]) -> DataType,
    expand: Expand,
) -> AggregateUDF {
    let signature = Signature::user_defined(Volatility::Immutable);
    AggregateUDF::from(AggregateShorthand { name, arguments, return_type, expand, signature })
}

impl AggregateUDFImpl for AggregateShorthand {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if !self.arguments.contains(&types.len()) {
            let most = self.arguments.end();
            return plan_err!("{} takes up to {most} arguments, not {}", self.name, types.len());
        }
        Ok(types.to_vec())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok((self.return_type)(types))
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        let expand = self.expand;
        Some(Box::new(move |call, _| Ok(Expr::AggregateFunction(expand(call.params)?))))
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("{} with OVER is not supported: use first_value(…) OVER (… ORDER BY …)", self.name)
    }
}

impl PartialEq for AggregateShorthand {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for AggregateShorthand {}

impl Hash for AggregateShorthand {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for AggregateShorthand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AggregateShorthand").field("name", &self.name).finish_non_exhaustive()
    }
}
