//! Expressions in the spellings that the planner knows.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArguments, Ident, Interval,
    ObjectNamePart, Query, SelectItem, SetExpr, Subscript, TimezoneInfo, VisitorMut,
};
use pintail_types::{Error, reason};

use super::calls::spell_call;
use super::lambdas::make_lambdas;
use super::normalized;
use super::patterns::{spell_like, spell_similar_to};
use super::trees::{binary, call, constant_text, number, take, text};
use crate::functions::intervals::{MULTIPLY, unit_of};
use crate::functions::json::{Step, array_steps, step_of, steps};
use crate::functions::zones::TIMEZONE;

/// Functions that people call without brackets and the parser takes for columns.
const WITHOUT_BRACKETS: [&str; 3] = ["current_schema", "current_database", "localtimestamp"];

/// Functions of the time when the statement was planned, which is in UTC.
const CURRENT_TIME: [&str; 4] =
    ["now", "current_timestamp", "get_current_timestamp", "transaction_timestamp"];

/// Spells expressions out, from the inside to the outside.
pub(super) struct Expressions;

impl VisitorMut for Expressions {
    type Break = Error;

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<Error> {
        // Before their bodies are visited, where `x -> x` would be JSON.
        if let Expr::Function(function) = expression {
            make_lambdas(function);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<Error> {
        match expression {
            Expr::Identifier(name) if is_function_without_brackets(name) => {
                let name = name.value.to_lowercase();
                *expression = call(&name, Vec::new());
            }
            Expr::BinaryOp { .. } => spell_operator(expression),
            Expr::Interval(interval) => {
                if let Some(spelled) = spelled_interval(interval) {
                    *expression = spelled;
                }
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                *expression = at_time_zone(take(timestamp), take(time_zone));
            }
            Expr::SimilarTo { .. } => spell_similar_to(expression),
            Expr::Like { .. } | Expr::ILike { .. } => spell_like(expression),
            Expr::InSubquery { subquery, .. } => name_member(subquery),
            Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => name_compared(right),
            Expr::CompoundFieldAccess { access_chain, .. } => {
                access_chain.iter_mut().for_each(bound_slice);
                name_fields(access_chain);
            }
            Expr::Function(function) => {
                if let Some(error) = missing_argument(function) {
                    return ControlFlow::Break(error);
                }
                spell_call(expression);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `x[2:]` and `x[:3]` with both bounds.
fn bound_slice(access: &mut AccessExpr) {
    if let AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, .. }) = access {
        lower_bound.get_or_insert_with(|| number(1));
        upper_bound.get_or_insert_with(|| number(-1));
    }
}

fn is_function_without_brackets(name: &Ident) -> bool {
    name.quote_style.is_none() && WITHOUT_BRACKETS.contains(&name.value.to_lowercase().as_str())
}

fn spell_operator(expression: &mut Expr) {
    let Expr::BinaryOp { left, op, right } = expression else { return };
    let spelled = match op {
        // In PostgreSQL and DuckDB `^` is a power.
        BinaryOperator::BitwiseXor | BinaryOperator::PGExp => call("power", vec![take(left), take(right)]),
        BinaryOperator::DuckIntegerDivide => call("div", vec![take(left), take(right)]),
        BinaryOperator::PGStartsWith => call("starts_with", vec![take(left), take(right)]),
        BinaryOperator::Arrow | BinaryOperator::LongArrow => {
            let Some(path) = constant_text(right).filter(|path| path.starts_with(['$', '/'])) else { return };
            match steps(path) {
                Some(steps) => into_json(take(left), op.clone(), steps),
                None if path.starts_with("$.") || path.starts_with("$[") => {
                    by_path(take(left), op, take(right))
                }
                None => return,
            }
        }
        BinaryOperator::HashArrow => by_steps(take(left), BinaryOperator::Arrow, take(right)),
        BinaryOperator::HashLongArrow => by_steps(take(left), BinaryOperator::LongArrow, take(right)),
        BinaryOperator::Multiply if is_interval(left) => call(MULTIPLY, vec![take(left), take(right)]),
        BinaryOperator::Multiply if is_interval(right) => call(MULTIPLY, vec![take(right), take(left)]),
        _ => return,
    };
    *expression = spelled;
}

/// `x AT TIME ZONE zone`, where the current time is a moment, though it has no zone here.
fn at_time_zone(time: Expr, zone: Expr) -> Expr {
    let is_current = match &time {
        Expr::Function(function) => CURRENT_TIME.contains(&function.name.to_string().to_lowercase().as_str()),
        _ => false,
    };
    let time = match is_current {
        true => Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(time),
            data_type: DataType::Timestamp(None, TimezoneInfo::Tz),
            array: false,
            format: None,
        },
        false => time,
    };
    call(TIMEZONE, vec![zone, time])
}

/// `x IN (SELECT max(y) …)` with a name for the maximum. Without one the optimizer takes it for two columns where the
/// condition stands under OR.
fn name_member(subquery: &mut Query) {
    let SetExpr::Select(select) = subquery.body.as_mut() else { return };
    if let [item] = select.projection.as_mut_slice()
        && let SelectItem::UnnamedExpr(expr @ Expr::Function(_)) = item
    {
        *item = SelectItem::ExprWithAlias { expr: take(expr), alias: Ident::new("member") };
    }
}

/// `x > ANY (SELECT x FROM t)` with another name for what is compared with. Without one the optimizer takes the two for
/// the same column.
fn name_compared(right: &mut Expr) {
    let Expr::Subquery(subquery) = right else { return };
    let SetExpr::Select(select) = subquery.body.as_mut() else { return };
    if let [item] = select.projection.as_mut_slice()
        && let SelectItem::UnnamedExpr(expr) = item
    {
        *item = SelectItem::ExprWithAlias { expr: take(expr), alias: Ident::new("member") };
    }
}

/// `{'a': 1}.a` names the field by a text.
fn name_fields(accesses: &mut [AccessExpr]) {
    for access in accesses {
        if let AccessExpr::Dot(field) = access
            && let Expr::Identifier(name) = field
        {
            *field = text(normalized(name));
        }
    }
}

/// The error for `first_value() OVER ()`, which the planner lets through and its plan panics of.
fn missing_argument(function: &Function) -> Option<Error> {
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return None };
    let name = normalized(name);
    let FunctionArguments::List(list) = &function.args else { return None };
    let is_missing = list.args.is_empty() && ["first_value", "last_value"].contains(&name.as_str());
    is_missing.then(|| {
        Error::invalid(format!("function {name} needs an argument")).with_reason(reason::UNDEFINED_FUNCTION)
    })
}

fn is_interval(expression: &Expr) -> bool {
    match expression {
        Expr::Interval(_) => true,
        Expr::Nested(inner) => is_interval(inner),
        Expr::Function(function) => function.name.to_string() == MULTIPLY,
        _ => false,
    }
}

/// `document #> '{a,0,b}'` and `document #>> ARRAY['a','0','b']`: steps into JSON, one after the other.
fn by_steps(document: Expr, last: BinaryOperator, path: Expr) -> Expr {
    let listed = match &path {
        Expr::Array(array) => array.elem.iter().map(constant_text).map(|step| step.map(step_of)).collect(),
        path => constant_text(path).and_then(array_steps),
    };
    if let Some(steps) = listed {
        return into_json(document, last, steps);
    }
    by_path(document, &last, path)
}

/// By the function of the operator, which says what is wrong with the path.
fn by_path(document: Expr, operator: &BinaryOperator, path: Expr) -> Expr {
    let function = if *operator == BinaryOperator::Arrow { "json_extract" } else { "json_extract_string" };
    call(function, vec![document, path])
}

/// `document -> 'a' -> 0 ->> 'b'` for the path `$.a[0].b`.
fn into_json(document: Expr, last: BinaryOperator, mut steps: Vec<Step>) -> Expr {
    let step = |step| match step {
        Step::Key(key) => text(key),
        Step::Index(index) => number(index),
    };
    let Some(end) = steps.pop() else { return document };
    let inner = steps.into_iter().fold(document, |at, next| binary(at, BinaryOperator::Arrow, step(next)));
    binary(inner, last, step(end))
}

/// `INTERVAL (n) DAY` for an n that is no constant, and `INTERVAL '01:30:00'`.
fn spelled_interval(interval: &mut Interval) -> Option<Expr> {
    while let Expr::Nested(inner) = interval.value.as_mut() {
        *interval.value = take(inner);
    }
    if let Some(clock) = constant_text(&interval.value).filter(|_| interval.leading_field.is_none()) {
        *interval.value = text(clock_as_units(clock)?);
        return None;
    }
    let unit = unit_of(&interval.leading_field.as_ref()?.to_string())?;
    let is_plain = interval.leading_precision.is_none() && interval.last_field.is_none();
    let is_constant = matches!(interval.value.as_ref(), Expr::Value(_) | Expr::UnaryOp { .. });
    (is_plain && !is_constant).then(|| call(unit, vec![take(&mut interval.value)]))
}

/// `1 day 01:30:00` as `1 day 1 hours 30 minutes 00 seconds`.
fn clock_as_units(interval: &str) -> Option<String> {
    let (days, clock) = match interval.trim().rsplit_once(' ') {
        Some((days, clock)) => (days, clock),
        None => ("", interval.trim()),
    };
    let (sign, digits) = clock.strip_prefix('-').map_or(("", clock), |digits| ("-", digits));
    let parts: Vec<&str> = digits.split(':').collect();
    let is_number = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit() || c == '.');
    if !(2..=3).contains(&parts.len()) || !parts.iter().all(is_number) {
        return None;
    }
    let units = parts.iter().zip(["hours", "minutes", "seconds"]);
    let units: Vec<String> = units.map(|(part, unit)| format!("{sign}{part} {unit}")).collect();
    Some(format!("{days} {}", units.join(" ")).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_in_intervals() {
        for (interval, expected) in [
            ("01:30:00", Some("01 hours 30 minutes 00 seconds")),
            ("2 days -01:30", Some("2 days -01 hours -30 minutes")),
            ("1 day", None),
            (":", None),
            ("1:x", None),
            ("1:2:3:4", None),
        ] {
            assert_eq!(clock_as_units(interval).as_deref(), expected, "{interval}");
        }
    }
}
