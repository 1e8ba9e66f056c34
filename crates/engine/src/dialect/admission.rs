//! Which statements are taken, decided by their syntax tree.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    Query, Select, SetExpr, ShowCreateObject, Statement as Sql, Visit, Visitor,
};
use pintail_types::{Error, Result};

/// Lets statements through that only read.
pub(super) fn admit(statement: &Parsed) -> Result<()> {
    match statement {
        Parsed::Statement(sql) => admit_sql(sql),
        Parsed::Explain(explain) => match explain.statement.as_ref() {
            Parsed::Statement(sql) if matches!(sql.as_ref(), Sql::Query(_)) => admit_sql(sql),
            _ => Err(Error::unsupported("only queries can be explained")),
        },
        Parsed::CopyTo(_) => Err(no_files("COPY")),
        Parsed::CreateExternalTable(_) => Err(no_files("CREATE EXTERNAL TABLE")),
        Parsed::Reset(_) => Err(not_admitted("RESET")),
    }
}

fn admit_sql(statement: &Sql) -> Result<()> {
    match statement {
        Sql::Query(_)
        | Sql::ExplainTable { .. }
        | Sql::ShowVariable { .. }
        | Sql::ShowFunctions { .. }
        | Sql::ShowTables { .. }
        | Sql::ShowViews { .. }
        | Sql::ShowColumns { .. }
        | Sql::ShowCatalogs { .. }
        | Sql::ShowDatabases { .. }
        | Sql::ShowSchemas { .. }
        | Sql::ShowCreate { obj_type: ShowCreateObject::Table, .. } => {}
        Sql::Explain { statement, .. } => return admit_explained(statement),
        Sql::Copy { .. } => return Err(no_files("COPY")),
        Sql::AttachDatabase { .. } | Sql::AttachDuckDBDatabase { .. } => return Err(no_files("ATTACH")),
        Sql::Install { .. } | Sql::Load { .. } => return Err(no_files("LOAD")),
        other => return Err(not_taken(other)),
    }
    only_reading_inside(statement)
}

/// Whether it changes schemas, tables, views or rows.
pub(super) const fn is_update(statement: &Sql) -> bool {
    matches!(
        statement,
        Sql::CreateSchema { .. }
            | Sql::CreateTable(_)
            | Sql::CreateView(_)
            | Sql::AlterTable(_)
            | Sql::Drop { .. }
            | Sql::Insert(_)
            | Sql::Update(_)
            | Sql::Delete(_)
            | Sql::Truncate(_)
    )
}

/// Lets a statement through that changes tables; who may send it is decided with its plan.
pub(super) fn admit_update(statement: &Sql) -> Result<()> {
    only_reading_inside(statement)
}

/// Refuses writing in the queries inside of a statement.
fn only_reading_inside(statement: &Sql) -> Result<()> {
    match statement.visit(&mut OnlyReading { statements: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

fn admit_explained(statement: &Sql) -> Result<()> {
    match statement {
        Sql::Query(_) => admit_sql(statement),
        _ => Err(Error::unsupported("only queries can be explained or described")),
    }
}

/// The keyword that a statement begins with.
pub(crate) fn first_word(statement: &Sql) -> String {
    statement.to_string().split_whitespace().next().unwrap_or("this").to_uppercase()
}

/// The error for a statement that is not taken, by its first keyword and what it creates.
fn not_taken(statement: &Sql) -> Error {
    let text = statement.to_string().to_uppercase();
    let is_manner = |word: &&str| ["OR", "REPLACE", "UNIQUE", "TEMPORARY"].contains(word);
    let mut words = text.split_whitespace().filter(|word| !is_manner(word));
    match (words.next(), words.next()) {
        (Some("CREATE"), Some(what)) => not_admitted(&format!("CREATE {what}")),
        (Some(first), _) => not_admitted(first),
        (None, _) => not_admitted("this"),
    }
}

fn not_admitted(what: &str) -> Error {
    match ALTERNATIVES.iter().find(|(statement, _)| *statement == what) {
        Some((_, alternative)) => Error::unsupported(format!("{what} is not supported: {alternative}")),
        None => Error::unsupported(format!("{what} is not supported")),
    }
}

/// What to write instead of statements that are not taken.
const ALTERNATIVES: &[(&str, &str)] = &[
    ("PRAGMA", "write DESCRIBE t, or select from information_schema"),
    ("BEGIN", EACH_BY_ITSELF),
    ("START", EACH_BY_ITSELF),
    ("COMMIT", EACH_BY_ITSELF),
    ("END", EACH_BY_ITSELF),
    ("ROLLBACK", EACH_BY_ITSELF),
    ("SAVEPOINT", EACH_BY_ITSELF),
    ("CREATE INDEX", "rows are found by the statistics of the files, without one"),
    ("CREATE MACRO", "write a view"),
    ("CREATE FUNCTION", "write a view"),
    ("CREATE SEQUENCE", "write row_number() OVER (), or gen_random_uuid()"),
    ("CREATE TYPE", "write the type itself"),
    ("MERGE", "write UPDATE and INSERT"),
    ("VACUUM", "CALL system.vacuum() does it"),
    ("ANALYZE", "statistics are kept with every commit"),
    ("GRANT", "rights follow from the groups of a principal, in the configuration"),
    ("REVOKE", "rights follow from the groups of a principal, in the configuration"),
];

const EACH_BY_ITSELF: &str = "each statement is a transaction of its own";

fn no_files(what: &str) -> Error {
    Error::forbidden(format!("{what} is not allowed: statements do not touch the files of the server"))
}

/// Finds writing inside of a query: `WITH x AS (INSERT …)`, `SELECT … INTO`, `FOR UPDATE`.
struct OnlyReading {
    statements: usize,
}

impl OnlyReading {
    fn admit_body(body: &SetExpr) -> ControlFlow<Error> {
        match body {
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) | SetExpr::Table(_) => {
                ControlFlow::Continue(())
            }
            SetExpr::SetOperation { left, right, .. } => {
                Self::admit_body(left)?;
                Self::admit_body(right)
            }
            _ => ControlFlow::Break(not_admitted("writing inside of a query")),
        }
    }
}

impl Visitor for OnlyReading {
    type Break = Error;

    fn pre_visit_statement(&mut self, statement: &Sql) -> ControlFlow<Error> {
        self.statements += 1;
        if self.statements > 1 {
            return ControlFlow::Break(not_taken(statement));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        if !query.locks.is_empty() {
            return ControlFlow::Break(Error::unsupported(
                "rows cannot be locked: leave out FOR UPDATE or FOR SHARE",
            ));
        }
        Self::admit_body(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        if select.into.is_some() {
            return ControlFlow::Break(not_admitted("SELECT INTO"));
        }
        ControlFlow::Continue(())
    }
}
