//! From text to one admitted statement, with names made whole. Everything here works on the syntax tree.

mod admission;
mod calls;
mod duckdb;
mod expressions;
mod hints;
mod lambdas;
mod names;
mod patterns;
mod placeholders;
mod repeated;
mod selects;
mod settings;
mod show;
mod show_settings;
mod synonyms;
mod time_travel;
mod tokens;
mod trees;

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{Statement as Sql, VisitMut};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::Tokenizer;
use pintail_types::{Error, Result, reason};

use crate::chains;
use crate::error::{from_datafusion, syntax_error};
use crate::grammar::Grammar;
use crate::maintenance::Call;
use crate::settings::SettingChange;

pub(crate) use admission::first_word;
use admission::{admit, admit_update, is_update};
pub(crate) use duckdb::{mark_quotients, name_columns, parse_view, write_view};
use expressions::Expressions;
pub(crate) use names::{complete_names, normalized, table_functions};
pub(crate) use placeholders::{highest_placeholder, number_placeholders};
pub(crate) use repeated::number_columns;
use selects::Selects;
use settings::setting_change;
use show::spelled_out;
pub(crate) use show_settings::{settings_query, shown_setting};
pub(crate) use synonyms::{MAX_SYNONYMS, TIME, TIMESTAMP, resolve_synonym};
use time_travel::AsDuckDb;

/// The longest statement, in bytes.
pub const MAX_SQL_BYTES: usize = 1 << 20;

/// The schema of a two-part name whose first part is a catalog.
pub(crate) const DEFAULT_SCHEMA: &str = "main";

/// Nesting that is still parsed; deeper text is refused before it can exhaust the stack.
const RECURSION_LIMIT: usize = 50;

/// A statement that is allowed.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// It has rows and changes nothing.
    Query(Parsed),
    /// It changes a setting of the session.
    Setting(SettingChange),
    /// It changes schemas, tables, views or rows.
    Update(Parsed),
    /// It calls a procedure.
    Call(Call),
}

/// The one statement in `sql`, if it is of a kind that is allowed.
///
/// # Errors
/// `Invalid` for text that does not parse, is empty, too long, too deep or holds several statements;
/// `Unsupported` and `Forbidden` for statements that are not allowed.
pub(crate) fn parse(sql: &str) -> Result<Admitted> {
    let mut statement = read(sql)?;
    if let Some(change) = setting_change(&statement)? {
        return Ok(Admitted::Setting(change));
    }
    if let Parsed::Statement(sql) = &statement
        && let Sql::Call(function) = sql.as_ref()
    {
        return Call::of_sql(function).map(Admitted::Call);
    }
    match &statement {
        Parsed::Statement(sql) if is_update(sql) => {
            admit_update(sql)?;
            // A view keeps the text that its maker wrote: other readers of the lake know that spelling.
            if !matches!(sql.as_ref(), Sql::CreateView(_)) {
                spell_out_queries(&mut statement)?;
            }
            Ok(Admitted::Update(statement))
        }
        _ => query(statement).map(Admitted::Query),
    }
}

/// The one statement in `sql`, whatever it does.
fn read(sql: &str) -> Result<Parsed> {
    if sql.len() > MAX_SQL_BYTES {
        let message = format!("the statement is longer than {MAX_SQL_BYTES} bytes");
        return Err(Error::invalid(message).with_reason(reason::STATEMENT_TOO_COMPLEX));
    }
    let tokens = Tokenizer::new(&Grammar, sql)
        .tokenize_with_location()
        .map_err(|error| from_datafusion(&DataFusionError::from(ParserError::from(error))))?;
    chains::check(&tokens)?;
    let (tokens, clauses) = time_travel::lift(tokens)?;
    let tokens = tokens::spelled_out(tokens);
    let mut statements = DFParserBuilder::new(tokens.clone())
        .with_dialect(&Grammar)
        .with_recursion_limit(RECURSION_LIMIT)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| hints::with_alternative(from_datafusion(&error), &tokens))?;
    let mut statement = statements
        .pop_front()
        .ok_or_else(|| syntax_error("empty query: there is no statement in the text"))?;
    if !statements.is_empty() {
        return Err(syntax_error("there are several statements in the text: send them one by one"));
    }
    time_travel::attach(&mut statement, clauses)?;
    Ok(statement)
}

fn query(statement: Parsed) -> Result<Parsed> {
    admit(&statement)?;
    let mut statement = spelled_out(statement)?;
    spell_out_queries(&mut statement)?;
    Ok(statement)
}

/// Spells queries and expressions in the way that the planner knows.
pub(crate) fn spell_out_queries(statement: &mut Parsed) -> Result<()> {
    let sql = match statement {
        Parsed::Statement(sql) => sql.as_mut(),
        Parsed::Explain(explain) => return spell_out_queries(&mut explain.statement),
        Parsed::CopyTo(_) | Parsed::CreateExternalTable(_) | Parsed::Reset(_) => return Ok(()),
    };
    if let ControlFlow::Break(error) = sql.visit(&mut Expressions) {
        return Err(error);
    }
    match sql.visit(&mut Selects) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
