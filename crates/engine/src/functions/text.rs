//! Text and regular expressions.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions::encoding::expr_fn::{decode, encode};
use datafusion::functions::math::expr_fn::floor;
use datafusion::functions::regex::expr_fn::{regexp_like, regexp_match};
use datafusion::functions::string::expr_fn::{concat, upper};
use datafusion::functions_nested::expr_fn::array_element;
use datafusion::logical_expr::{Expr, Operator, ScalarUDF, binary_expr, cast, lit, when};

use super::shorthand::{Call, shorthand};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        shorthand("regexp_full_match", 2..=3, regexp_full_match),
        shorthand("regexp_extract", 2..=4, regexp_extract),
        shorthand("hex", 1..=1, |call| Ok(upper(encode(bytes(call), lit("hex"))))),
        shorthand("unhex", 1..=1, |call| Ok(decode(text(call, 0), lit("hex")))),
        shorthand("from_hex", 1..=1, |call| Ok(decode(text(call, 0), lit("hex")))),
        shorthand("base64", 1..=1, |call| Ok(encode(bytes(call), lit("base64")))),
        shorthand("to_base64", 1..=1, |call| Ok(encode(bytes(call), lit("base64")))),
        shorthand("from_base64", 1..=1, |call| Ok(decode(text(call, 0), lit("base64")))),
        shorthand("if", 3..=3, condition),
        shorthand("iff", 3..=3, condition),
        shorthand("mod", 2..=2, |call| Ok(call.arg(0) % call.arg(1))),
        shorthand("div", 2..=2, whole_quotient),
        shorthand("xor", 2..=2, |call| Ok(binary_expr(call.arg(0), Operator::BitwiseXor, call.arg(1)))),
    ]
}

fn text(call: &Call, index: usize) -> Expr {
    cast(call.arg(index), DataType::Utf8)
}

fn bytes(call: &Call) -> Expr {
    cast(call.arg(0), DataType::Binary)
}

fn condition(call: &Call) -> Result<Expr> {
    when(call.arg(0), call.arg(1)).otherwise(call.arg(2))
}

/// `a // b`
fn whole_quotient(call: &Call) -> Result<Expr> {
    let quotient = call.arg(0) / call.arg(1);
    Ok(match call.data_type(0).is_integer() && call.data_type(1).is_integer() {
        true => quotient,
        false => floor(quotient),
    })
}

fn regexp_full_match(call: &Call) -> Result<Expr> {
    let pattern = concat(vec![lit("^(?:"), text(call, 1), lit(")$")]);
    Ok(regexp_like(text(call, 0), pattern, flags(call, 2)))
}

/// The text that a group matched, and an empty one if the pattern does not match, as in DuckDB.
fn regexp_extract(call: &Call) -> Result<Expr> {
    let group = match call.args.len() {
        2 => 0,
        _ => call.constant_number(2, "group")?,
    };
    if group < 0 {
        return plan_err!("regexp_extract: the group must not be negative");
    }
    // With the whole pattern as the first group, group 0 has a place, too.
    let pattern = concat(vec![lit("("), text(call, 1), lit(")")]);
    let found = array_element(regexp_match(text(call, 0), pattern, flags(call, 3)), lit(group + 1));
    let is_null = call.arg(0).is_null().or(call.arg(1).is_null());
    when(is_null, lit(ScalarValue::Utf8(None))).otherwise(coalesce(vec![found, lit("")]))
}

fn flags(call: &Call, index: usize) -> Option<Expr> {
    (call.args.len() > index).then(|| text(call, index))
}
