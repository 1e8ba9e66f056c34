//! The text of views, which is DuckDB's: DuckLake keeps one text for all readers, and official DuckDB parses every one
//! as its own, whatever the column `dialect` says.
//!
//! Both directions work on the tree. Where a meaning depends on types, the tree gets an operator that the parser never
//! makes, and the planner, which knows the types, takes it: see [`crate::quotients`].

mod patterns;
mod reading;
mod reserved;
mod writing;

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{Expr, Ident, Statement as Sql, UnaryOperator, VisitMut};
use pintail_types::{Error, Result};

use reading::Reading;
pub(crate) use writing::{mark_quotients, name_columns, write_view};

/// The query of a view's text, in the spelling that the planner knows.
///
/// # Errors
/// `Invalid` for text that does not parse, or is no query.
pub(crate) fn parse_view(text: &str) -> Result<Parsed> {
    let mut statement = super::read(text)?;
    let Parsed::Statement(sql) = &mut statement else { return Err(no_query()) };
    if !matches!(sql.as_ref(), Sql::Query(_)) {
        return Err(no_query());
    }
    let _: ControlFlow<()> = sql.visit(&mut Reading);
    super::query(statement)
}

fn no_query() -> Error {
    Error::invalid("the text of the view is no query")
}

/// `condition`, or in brackets that it is not so.
fn negated_if(negated: bool, condition: Expr) -> Expr {
    match negated {
        true => Expr::Nested(Box::new(Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(condition) })),
        false => condition,
    }
}

/// A name in quotes.
fn quoted(name: impl Into<String>) -> Ident {
    Ident::with_quote('"', name)
}

#[cfg(test)]
mod tests;
