//! Patterns of texts in DuckDB's spelling, as ours: LIKE and its operators, and regular expressions.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};

use super::negated_if;
use crate::dialect::trees::{call, constant_text, take, text};

const FULL_MATCH: &str = "regexp_full_match";

/// `x LIKE pattern` and `x SIMILAR TO pattern`.
pub(super) fn read(expression: &mut Expr) {
    match expression {
        Expr::Like { pattern, escape_char: None, .. } | Expr::ILike { pattern, escape_char: None, .. } => {
            escape_backslashes(pattern);
        }
        Expr::SimilarTo { negated, expr, pattern, escape_char: None } => {
            let matches = call(FULL_MATCH, vec![take(expr), take(pattern)]);
            *expression = negated_if(*negated, matches);
        }
        _ => {}
    }
}

/// `x ~ pattern`, `x ~~ pattern` and their like.
pub(super) fn read_operator(expression: &mut Expr) {
    let Expr::BinaryOp { left, op, right } = expression else { return };
    *expression = match op {
        BinaryOperator::PGRegexMatch => call(FULL_MATCH, vec![take(left), take(right)]),
        BinaryOperator::PGRegexNotMatch => negated_if(true, call(FULL_MATCH, vec![take(left), take(right)])),
        BinaryOperator::PGLikeMatch => like(false, left, right),
        BinaryOperator::PGNotLikeMatch => like(true, left, right),
        BinaryOperator::PGILikeMatch => ignoring_case(like(false, left, right)),
        BinaryOperator::PGNotILikeMatch => ignoring_case(like(true, left, right)),
        _ => return,
    };
}

fn like(negated: bool, expr: &mut Expr, pattern: &mut Expr) -> Expr {
    escape_backslashes(pattern);
    let (expr, pattern) = (Box::new(take(expr)), Box::new(take(pattern)));
    Expr::Like { negated, any: false, expr, pattern, escape_char: None }
}

/// `like_escape(x, pattern, '$')`, as which DuckDB prints LIKE with ESCAPE, and its like.
pub(super) fn like_of(name: &str, expr: &mut Expr, pattern: &mut Expr, escape: &mut Expr) -> Option<Expr> {
    let (negated, ignores_case) = match name {
        "like_escape" => (false, false),
        "not_like_escape" => (true, false),
        "ilike_escape" => (false, true),
        "not_ilike_escape" => (true, true),
        _ => return None,
    };
    let pattern = match (constant_text(pattern), constant_text(escape)?) {
        (Some(constant), escape) => text(escaped_by_backslash(constant, escape)?),
        (None, r"\") => take(pattern),
        (None, _) => return None,
    };
    let (expr, pattern) = (Box::new(take(expr)), Box::new(pattern));
    let like = Expr::Like { negated, any: false, expr, pattern, escape_char: None };
    Some(if ignores_case { ignoring_case(like) } else { like })
}

/// A pattern in which `escape` stands where a backslash does here.
fn escaped_by_backslash(pattern: &str, escape: &str) -> Option<String> {
    let mut characters = escape.chars();
    let (escape, None) = (characters.next(), characters.next()) else { return None };
    let mut escaped = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let literal = match character {
            _ if escape == Some(character) => characters.next()?,
            '\\' => character,
            _ => {
                escaped.push(character);
                continue;
            }
        };
        escaped.extend(['\\', literal]);
    }
    Some(escaped)
}

fn ignoring_case(like: Expr) -> Expr {
    match like {
        Expr::Like { negated, any, expr, pattern, escape_char } => {
            Expr::ILike { negated, any, expr, pattern, escape_char }
        }
        other => other,
    }
}

/// In DuckDB a backslash in a pattern is one, unless ESCAPE says otherwise.
fn escape_backslashes(pattern: &mut Expr) {
    match constant_text(pattern) {
        Some(constant) if !constant.contains('\\') => {}
        Some(constant) => *pattern = text(constant.replace('\\', r"\\")),
        None => *pattern = call("replace", vec![take(pattern), text(r"\"), text(r"\\")]),
    }
}
