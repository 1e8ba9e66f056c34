//! From DuckDB's spelling, as it prints the query of a view that it has parsed, to ours.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, ObjectName, ObjectNamePart, OrderByKind, Query, Select, SelectItem, SetExpr,
    TableFactor, VisitorMut,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::{patterns, quoted};
use crate::dialect::trees::{arguments, binary, call, constant_text, take, text};
use crate::dialect::{DEFAULT_SCHEMA, normalized};
use crate::duckdb_operators::{AT_TIME_ZONE, DIVIDE, DIVIDE_WHOLE, REMAINDER};
use crate::grammar::Grammar;

/// How DuckDB prints the type, in quotes.
const TIMESTAMP_WITH_ZONE: &str = "TIMESTAMP WITH TIME ZONE";

/// Spells what DuckDB wrote as we do, with the names that its columns have there.
pub(super) struct Reading;

impl VisitorMut for Reading {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(expressions) = &order_by.kind
            && let [only] = expressions.as_slice()
            && only.expr.to_string() == "COLUMNS(*)"
        {
            order_by.kind = OrderByKind::All(only.options);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        name_as_written(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: Some(_), .. } = factor {
            spell_parts(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expression {
            spell_function(function);
            without_brackets(function);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        match expression {
            Expr::BinaryOp { op, .. } => match by_type(op) {
                Some(of_duckdb) => *op = BinaryOperator::Custom(of_duckdb.to_owned()),
                None => patterns::read_operator(expression),
            },
            Expr::Like { .. } | Expr::ILike { .. } | Expr::SimilarTo { .. } => patterns::read(expression),
            Expr::AtTimeZone { timestamp, time_zone } => {
                *expression = in_zone(take(timestamp), take(time_zone));
            }
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => {
                if let Expr::Subquery(subquery) = right.as_mut() {
                    *expression = member_of(take(left), subquery);
                }
            }
            Expr::Cast { data_type, .. } => read_type(data_type),
            Expr::TypedString(typed) => read_type(&mut typed.data_type),
            Expr::Function(_) => read_function(expression),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Gives columns the names that they have in DuckDB: an expression its text, and a later one of the same name a number
/// behind it.
fn name_as_written(items: &mut [SelectItem]) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for item in items {
        let (name, is_named) = match &*item {
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => (name.value.clone(), true),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
                let Some(name) = parts.last() else { continue };
                (name.value.clone(), true)
            }
            SelectItem::UnnamedExpr(expr) => (expr.to_string(), false),
            SelectItem::ExprWithAlias { alias, .. } => (alias.value.clone(), true),
            _ => continue,
        };
        let before = seen.entry(name.to_lowercase()).or_default();
        let number = *before;
        *before += 1;
        let alias = match number {
            0 if is_named => continue,
            0 => quoted(name),
            _ => quoted(format!("{name}_{number}")),
        };
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            *item = SelectItem::ExprWithAlias { expr: take(expr), alias };
        }
    }
}

/// `main.list_value`, `"left"` and `count_star()` as what they are here.
fn spell_function(function: &mut Function) {
    spell_parts(&mut function.name);
    if let FunctionArguments::List(list) = &mut function.args
        && list.args.is_empty()
        && ["count_star", "count"].contains(&function.name.to_string().as_str())
    {
        list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Wildcard)];
        function.name = vec![Ident::new("count")].into();
    }
}

fn spell_parts(name: &mut ObjectName) {
    let last = match name.0.as_slice() {
        [ObjectNamePart::Identifier(last)] => last,
        [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(last)]
            if normalized(schema) == DEFAULT_SCHEMA =>
        {
            last
        }
        _ => return,
    };
    *name = vec![Ident::new(last.value.to_lowercase())].into();
}

/// `(x -> (x + 1))` as an argument is a lambda all the same.
fn without_brackets(function: &mut Function) {
    for argument in arguments(function).unwrap_or_default() {
        if let Expr::Nested(inner) = argument {
            *argument = take(inner);
        }
    }
}

/// The operator that the planner takes for one whose meaning depends on types.
const fn by_type(op: &BinaryOperator) -> Option<&'static str> {
    match op {
        BinaryOperator::Divide => Some(DIVIDE),
        BinaryOperator::DuckIntegerDivide => Some(DIVIDE_WHOLE),
        BinaryOperator::Modulo => Some(REMAINDER),
        _ => None,
    }
}

fn in_zone(timestamp: Expr, zone: Expr) -> Expr {
    let timestamp = if is_now(&timestamp) { in_utc(timestamp) } else { timestamp };
    binary(timestamp, BinaryOperator::Custom(AT_TIME_ZONE.to_owned()), zone)
}

/// Whether it is the present, which has a zone in DuckDB.
fn is_now(expression: &Expr) -> bool {
    let Expr::Function(function) = expression else { return false };
    let name = function.name.to_string().to_lowercase();
    ["now", "current_timestamp", "get_current_timestamp", "transaction_timestamp"].contains(&name.as_str())
}

fn in_utc(timestamp: Expr) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(timestamp),
        data_type: DataType::Custom(vec![quoted(TIMESTAMP_WITH_ZONE)].into(), Vec::new()),
        array: false,
        format: None,
    }
}

/// `x = ANY(SELECT …)`, as which DuckDB prints `x IN (SELECT …)` and `x = ANY(list)`.
fn member_of(expr: Expr, subquery: &mut Box<Query>) -> Expr {
    if let Some(list) = unnested(subquery) {
        return call("array_has", vec![list, expr]);
    }
    Expr::InSubquery { expr: Box::new(expr), subquery: subquery.clone(), negated: false }
}

/// The list of `SELECT unnest(list)`.
fn unnested(query: &mut Query) -> Option<Expr> {
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let ([SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }], [], None) =
        (select.projection.as_mut_slice(), select.from.as_slice(), &select.selection)
    else {
        return None;
    };
    let Expr::Function(function) = expr else { return None };
    if function.name.to_string() != "unnest" {
        return None;
    }
    match arguments(function)?.as_mut_slice() {
        [list] => Some(take(list)),
        _ => None,
    }
}

/// Calls as which DuckDB prints what has a spelling of its own.
fn read_function(expression: &mut Expr) {
    let Expr::Function(function) = expression else { return };
    let name = function.name.to_string();
    let Some(mut arguments) = arguments(function) else { return };
    match (name.as_str(), arguments.as_mut_slice()) {
        ("timezone", [zone, timestamp]) => *expression = in_zone(take(timestamp), take(zone)),
        // Of `list(x ORDER BY x)`.
        ("list_sort", [_, order, nulls]) => {
            replace_default(order, "ASC");
            replace_default(nulls, "NULLS LAST");
        }
        (name, [expr, pattern, escape]) => {
            if let Some(like) = patterns::like_of(name, expr, pattern, escape) {
                *expression = like;
            }
        }
        _ => {}
    }
}

fn replace_default(order: &mut Expr, default: &str) {
    match constant_text(order) {
        Some("ORDER_DEFAULT") => *order = text(default),
        Some("ASCENDING") => *order = text("ASC"),
        Some("DESCENDING") => *order = text("DESC"),
        _ => {}
    }
}

/// `"JSON"` and `"DOUBLE"`, which DuckDB puts in quotes, as types.
fn read_type(data_type: &mut DataType) {
    match data_type {
        DataType::Array(
            ArrayElemTypeDef::AngleBracket(inner)
            | ArrayElemTypeDef::SquareBracket(inner, _)
            | ArrayElemTypeDef::Parenthesis(inner),
        ) => read_type(inner),
        DataType::Struct(fields, _) => {
            fields.iter_mut().for_each(|field| read_type(&mut field.field_type));
        }
        DataType::Custom(name, modifiers) if modifiers.is_empty() => {
            let [ObjectNamePart::Identifier(name)] = name.0.as_slice() else { return };
            // Without quotes it has no zone unless the session has one.
            if name.value.eq_ignore_ascii_case(TIMESTAMP_WITH_ZONE) {
                return;
            }
            let parser = Parser::new(&Grammar).try_with_sql(&name.value);
            if let Ok(known) = parser.and_then(|mut parser| parser.parse_data_type()) {
                *data_type = known;
            }
        }
        _ => {}
    }
}
