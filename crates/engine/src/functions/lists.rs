//! Lists, and functions that take text or a list.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::functions::expr_fn::character_length;
use datafusion::functions_nested::expr_fn::{
    array_compact, array_distinct, array_element, array_has, array_length, array_sort, array_to_string,
};
use datafusion::logical_expr::{Expr, ScalarUDF, cast, lit};

use super::shorthand::{Call, shorthand};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        shorthand("len", 1..=1, length),
        shorthand("length", 1..=1, length),
        shorthand("contains", 2..=2, contains),
        shorthand("list_unique", 1..=1, |call| {
            Ok(cast(array_length(array_distinct(array_compact(call.arg(0)))), DataType::Int64))
        }),
        shorthand("list_count", 1..=1, |call| {
            Ok(cast(array_length(array_compact(call.arg(0))), DataType::Int64))
        }),
        shorthand("list_reverse_sort", 1..=1, |call| {
            Ok(array_sort(call.arg(0), lit("DESC"), lit("NULLS LAST")))
        }),
        shorthand("list_first", 1..=1, |call| Ok(array_element(call.arg(0), lit(1_i64)))),
        shorthand("list_last", 1..=1, |call| Ok(array_element(call.arg(0), lit(-1_i64)))),
        shorthand("list_string_agg", 1..=1, |call| Ok(array_to_string(call.arg(0), lit(",")))),
    ]
}

const fn is_list(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::List(_)
            | DataType::LargeList(_)
            | DataType::FixedSizeList(..)
            | DataType::ListView(_)
            | DataType::LargeListView(_)
    )
}

fn length(call: &Call) -> Result<Expr> {
    let length = match is_list(call.data_type(0)) {
        true => array_length(call.arg(0)),
        false => character_length(cast(call.arg(0), DataType::Utf8)),
    };
    Ok(cast(length, DataType::Int64))
}

fn contains(call: &Call) -> Result<Expr> {
    Ok(match is_list(call.data_type(0)) {
        true => array_has(call.arg(0), call.arg(1)),
        false => datafusion::functions::string::expr_fn::contains(call.arg(0), call.arg(1)),
    })
}
