//! From our spelling to DuckDB's, for views that are made here.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    ObjectNamePart, Select, SelectItem, SetExpr, Statement as Sql, TimezoneInfo, TypedString, UnaryOperator,
    Value, VisitMut, VisitorMut,
};
use pintail_types::{Error, Result};

use super::reserved::Quoting;
use super::{negated_if, quoted};
use crate::dialect::patterns::spell_similar_to;
use crate::dialect::trees::{binary, call, constant_text, take, text};
use crate::dialect::{AsDuckDb, normalized};
use crate::quotients::{Mark, Operands};

/// Functions that both have, with the same meaning.
const FUNCTIONS: &str = include_str!("functions.txt");

/// What DuckDB's parser takes for a function and its catalog does not have.
const OF_THE_PARSER: [&str; 12] = [
    "coalesce",
    "columns",
    "current_time",
    "current_timestamp",
    "exists",
    "grouping",
    "if",
    "ifnull",
    "localtimestamp",
    "struct_extract",
    "struct_pack",
    "unnest",
];

/// What to write instead of functions that DuckDB does not have.
const ALTERNATIVES: &[(&str, &str)] = &[
    ("approx_distinct", "approx_count_distinct"),
    ("approx_median", "median"),
    ("approx_percentile_cont", "approx_quantile(x, 0.5) or quantile_cont(x, 0.5)"),
    ("arrow_cast", "CAST"),
    ("arrow_typeof", "typeof"),
    ("btrim", "trim"),
    ("div", "//"),
    ("encode", "hex or to_base64"),
    ("iff", "if"),
    ("json_get", "->"),
    ("json_get_str", "->>"),
    ("make_array", "[…] or list_value"),
    ("named_struct", "struct_pack(name := value)"),
    ("nvl", "coalesce"),
    ("regexp_like", "regexp_matches"),
    ("signum", "sign"),
    ("to_char", "strftime"),
    ("to_timestamp", "CAST(x AS TIMESTAMP), make_timestamp or strptime"),
];

/// Marks divisions, so that the planner tells the types of what they divide; false if there is none.
pub(crate) fn mark_quotients(query: &mut Parsed) -> bool {
    let mut marks = Marks(0);
    if let Parsed::Statement(sql) = query {
        let _: ControlFlow<()> = sql.visit(&mut marks);
    }
    marks.0 > 0
}

/// How many there are.
struct Marks(usize);

impl VisitorMut for Marks {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        let Expr::BinaryOp { op, .. } = expression else { return ControlFlow::Continue(()) };
        let is_whole = match op {
            BinaryOperator::Divide => false,
            BinaryOperator::DuckIntegerDivide => true,
            _ => return ControlFlow::Continue(()),
        };
        *op = BinaryOperator::Custom(Mark { is_whole, number: self.0 }.to_string());
        self.0 += 1;
        ControlFlow::Continue(())
    }
}

/// Gives the columns of a query the names that they have here: those of expressions differ in DuckDB.
pub(crate) fn name_columns(query: &mut Parsed, names: &[String]) {
    let Parsed::Statement(sql) = query else { return };
    let Sql::Query(query) = sql.as_mut() else { return };
    let Some(select) = first_select(&mut query.body) else { return };
    let is_wildcard =
        |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    if select.projection.len() != names.len() || select.projection.iter().any(is_wildcard) {
        return;
    }
    for (item, name) in select.projection.iter_mut().zip(names) {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        if !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
            *item = SelectItem::ExprWithAlias { expr: take(expr), alias: quoted(name) };
        }
    }
}

/// The one whose columns name those of the query.
fn first_select(body: &mut SetExpr) -> Option<&mut Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&mut query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}

/// Spells a query as DuckDB does; `operands` are those of the divisions that [`mark_quotients`] has marked.
///
/// # Errors
/// `Unsupported` for functions that DuckDB does not have, and for divisions whose meaning there is not certain.
pub(crate) fn write_view(sql: &mut Sql, operands: &Operands) -> Result<()> {
    if let ControlFlow::Break(error) = sql.visit(&mut Writing(operands)) {
        return Err(error);
    }
    let _: ControlFlow<()> = sql.visit(&mut Quoting);
    // Last: a moment is spelled as a call of a function, and is none.
    let _: ControlFlow<()> = sql.visit(&mut AsDuckDb);
    Ok(())
}

struct Writing<'a>(&'a Operands);

impl VisitorMut for Writing<'_> {
    type Break = Error;

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<Error> {
        let written = match expression {
            Expr::BinaryOp { .. } => self.write_operator(expression),
            Expr::SimilarTo { .. } => {
                spell_similar_to(expression);
                if let Expr::UnaryOp { op: UnaryOperator::Not, expr } = expression {
                    *expression = negated_if(true, take(expr));
                }
                Ok(())
            }
            Expr::Like { pattern, escape_char: escape_char @ None, .. }
            | Expr::ILike { pattern, escape_char: escape_char @ None, .. } => {
                if constant_text(pattern).is_none_or(|constant| constant.contains('\\')) {
                    *escape_char = Some(Value::SingleQuotedString("\\".to_owned()).with_empty_span());
                }
                Ok(())
            }
            Expr::Function(function) => write_function(function),
            _ => Ok(()),
        };
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Writing<'_> {
    fn write_operator(&self, expression: &mut Expr) -> Result<()> {
        let Expr::BinaryOp { left, op, right } = expression else { return Ok(()) };
        *expression = match op {
            BinaryOperator::Custom(mark) => {
                let Some(mark) = Mark::parse(mark) else { return Ok(()) };
                let Some(are_integers) = self.0.are_integers(mark.number) else {
                    return Err(Error::unsupported(format!(
                        "a view is read by DuckDB too, and what it makes of {left} / {right} depends on types that \
                         are not known: cast both to BIGINT or to DOUBLE"
                    )));
                };
                match (mark.is_whole, are_integers) {
                    (_, true) => binary(take(left), BinaryOperator::DuckIntegerDivide, take(right)),
                    (false, false) => binary(take(left), BinaryOperator::Divide, take(right)),
                    // DuckDB's `//` of numbers with fractions keeps them.
                    (true, false) => {
                        call("floor", vec![binary(take(left), BinaryOperator::Divide, take(right))])
                    }
                }
            }
            BinaryOperator::PGRegexMatch => matches(None, left, right),
            BinaryOperator::PGRegexIMatch => matches(Some("i"), left, right),
            BinaryOperator::PGRegexNotMatch => negated_if(true, matches(None, left, right)),
            BinaryOperator::PGRegexNotIMatch => negated_if(true, matches(Some("i"), left, right)),
            _ => return Ok(()),
        };
        Ok(())
    }
}

fn matches(flags: Option<&str>, expr: &mut Expr, pattern: &mut Expr) -> Expr {
    let mut arguments = vec![take(expr), take(pattern)];
    arguments.extend(flags.map(text));
    call("regexp_matches", arguments)
}

fn write_function(function: &mut Function) -> Result<()> {
    let [ObjectNamePart::Identifier(identifier)] = function.name.0.as_slice() else { return Ok(()) };
    let name = normalized(identifier);
    if name == "date_bin" {
        bin_as_bucket(function);
        return Ok(());
    }
    if OF_THE_PARSER.contains(&name.as_str()) || FUNCTIONS.lines().any(|known| known == name) {
        return Ok(());
    }
    let instead = ALTERNATIVES.iter().find(|(function, _)| *function == name);
    let instead = instead.map_or_else(String::new, |(_, alternative)| format!(": use {alternative}"));
    Err(Error::unsupported(format!(
        "a view is read by DuckDB too, where {name} is missing or differs{instead}"
    )))
}

/// `date_bin` counts from 1970 and `time_bucket` from a Monday in 2000, unless they are told an origin.
fn bin_as_bucket(function: &mut Function) {
    function.name = vec![Ident::new("time_bucket")].into();
    let FunctionArguments::List(list) = &mut function.args else { return };
    if list.args.len() == 2 {
        let origin = Expr::TypedString(TypedString {
            data_type: DataType::Timestamp(None, TimezoneInfo::None),
            value: Value::SingleQuotedString("1970-01-01 00:00:00".to_owned()).with_empty_span(),
            uses_odbc_syntax: false,
        });
        list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(origin)));
    }
}
