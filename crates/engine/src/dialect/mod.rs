//! From text to one admitted statement, with names made whole. Everything here works on the syntax tree.

mod admission;
mod names;
mod placeholders;
mod settings;
mod show;

use datafusion::sql::parser::{DFParserBuilder, Statement as Parsed};
use pintail_types::{Error, Result, reason};

use crate::chains;
use crate::error::{from_datafusion, syntax_error};
use crate::grammar::Grammar;
use crate::settings::SettingChange;

pub(crate) use admission::first_word;
use admission::{admit, admit_update, is_update};
pub(crate) use names::{complete_names, normalized, table_functions};
pub(crate) use placeholders::number_placeholders;
use settings::setting_change;
use show::spelled_out;

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
}

/// The one statement in `sql`, if it is of a kind that is allowed.
///
/// # Errors
/// `Invalid` for text that does not parse, is empty, too long, too deep or holds several statements;
/// `Unsupported` and `Forbidden` for statements that are not allowed.
pub(crate) fn parse(sql: &str) -> Result<Admitted> {
    let statement = read(sql)?;
    if let Some(change) = setting_change(&statement)? {
        return Ok(Admitted::Setting(change));
    }
    match &statement {
        Parsed::Statement(sql) if is_update(sql) => {
            admit_update(sql)?;
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
    chains::check(sql)?;
    let mut statements = DFParserBuilder::new(sql)
        .with_dialect(&Grammar)
        .with_recursion_limit(RECURSION_LIMIT)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| from_datafusion(&error))?;
    let statement = statements
        .pop_front()
        .ok_or_else(|| syntax_error("empty query: there is no statement in the text"))?;
    if !statements.is_empty() {
        return Err(syntax_error("there are several statements in the text: send them one by one"));
    }
    Ok(statement)
}

fn query(statement: Parsed) -> Result<Parsed> {
    admit(&statement)?;
    spelled_out(statement)
}

#[cfg(test)]
mod tests;
