//! From text to one admitted statement, with names made whole. Everything here works on the syntax tree.

mod placeholders;
mod settings;

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::catalog::CatalogProviderList;
use datafusion::sql::parser::{DFParserBuilder, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SetExpr, ShowCreateObject, ShowStatementOptions,
    Statement as Sql, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};
use pintail_types::{Error, Result};

use crate::chains;
use crate::error::from_datafusion;
use crate::grammar::Grammar;
use crate::settings::SettingChange;

pub(crate) use placeholders::number_placeholders;
use settings::setting_change;

/// The longest statement, in bytes.
pub const MAX_SQL_BYTES: usize = 1 << 20;

/// The schema of a two-part name whose first part is a catalog.
pub(crate) const DEFAULT_SCHEMA: &str = "main";

/// Nesting that is still parsed; deeper text is refused before it can exhaust the stack.
const RECURSION_LIMIT: usize = 50;

const SHOW_CATALOGS: &str =
    "SELECT DISTINCT catalog_name FROM information_schema.schemata ORDER BY catalog_name";
const SHOW_SCHEMAS: &str = "SELECT catalog_name, schema_name FROM information_schema.schemata \
                            ORDER BY catalog_name, schema_name";

/// A statement that is allowed.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// It has rows and changes nothing.
    Query(Parsed),
    /// It changes a setting of the session.
    Setting(SettingChange),
}

/// The one statement in `sql`, if it is of a kind that is allowed.
///
/// # Errors
/// `Invalid` for text that does not parse, is empty, too long, too deep or holds several statements;
/// `Unsupported` and `Forbidden` for statements that are not allowed.
pub(crate) fn parse(sql: &str) -> Result<Admitted> {
    let statement = read(sql)?;
    match setting_change(&statement)? {
        Some(change) => Ok(Admitted::Setting(change)),
        None => query(statement).map(Admitted::Query),
    }
}

/// The one statement in `sql`, whatever it does.
fn read(sql: &str) -> Result<Parsed> {
    if sql.len() > MAX_SQL_BYTES {
        return Err(Error::invalid(format!("the statement is longer than {MAX_SQL_BYTES} bytes")));
    }
    chains::check(sql)?;
    let mut statements = DFParserBuilder::new(sql)
        .with_dialect(&Grammar)
        .with_recursion_limit(RECURSION_LIMIT)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| from_datafusion(&error))?;
    let statement =
        statements.pop_front().ok_or_else(|| Error::invalid("there is no statement in the text"))?;
    if !statements.is_empty() {
        return Err(Error::invalid("there are several statements in the text: send them one by one"));
    }
    Ok(statement)
}

fn query(statement: Parsed) -> Result<Parsed> {
    admit(&statement)?;
    spelled_out(statement)
}

/// Lets only reading statements through.
fn admit(statement: &Parsed) -> Result<()> {
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
        | Sql::ShowColumns { .. }
        | Sql::ShowCatalogs { .. }
        | Sql::ShowDatabases { .. }
        | Sql::ShowSchemas { .. }
        | Sql::ShowCreate { obj_type: ShowCreateObject::Table, .. } => {}
        Sql::Explain { statement, .. } => return admit_explained(statement),
        Sql::Copy { .. } => return Err(no_files("COPY")),
        Sql::AttachDatabase { .. } | Sql::AttachDuckDBDatabase { .. } => return Err(no_files("ATTACH")),
        Sql::Install { .. } | Sql::Load { .. } => return Err(no_files("LOAD")),
        other => return Err(not_admitted(&first_word(other))),
    }
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

fn first_word(statement: &Sql) -> String {
    statement.to_string().split_whitespace().next().unwrap_or("this").to_uppercase()
}

fn not_admitted(what: &str) -> Error {
    Error::unsupported(format!("{what} is not allowed here: only SELECT, EXPLAIN, SHOW and DESCRIBE are"))
}

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
            return ControlFlow::Break(not_admitted(&first_word(statement)));
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

/// Statements that the planner does not know, as the queries they stand for.
fn spelled_out(statement: Parsed) -> Result<Parsed> {
    let Parsed::Statement(sql) = &statement else { return Ok(statement) };
    let (text, options) = match sql.as_ref() {
        Sql::ShowCatalogs { show_options, .. } | Sql::ShowDatabases { show_options, .. } => {
            (SHOW_CATALOGS, show_options)
        }
        Sql::ShowSchemas { show_options, .. } => (SHOW_SCHEMAS, show_options),
        _ => return Ok(statement),
    };
    let ShowStatementOptions { show_in, starts_with, limit, limit_from, filter_position } = options;
    if show_in.is_some()
        || starts_with.is_some()
        || limit.is_some()
        || limit_from.is_some()
        || filter_position.is_some()
    {
        return Err(Error::unsupported("SHOW takes no filter here: select from information_schema.schemata"));
    }
    query(read(text)?)
}

/// Makes two-part names whole: `x.y` is schema and table of the current catalog if that has such a
/// schema, else catalog and table in [`DEFAULT_SCHEMA`].
pub(crate) fn complete_names(statement: &mut Parsed, catalogs: &dyn CatalogProviderList, current: &str) {
    let sql = match statement {
        Parsed::Statement(sql) => sql.as_mut(),
        Parsed::Explain(explain) => return complete_names(&mut explain.statement, catalogs, current),
        Parsed::CopyTo(_) | Parsed::CreateExternalTable(_) | Parsed::Reset(_) => return,
    };
    let mut names = Names { catalogs, current, completed: HashSet::new() };
    let _: ControlFlow<()> = sql.visit(&mut names);
    let mut columns = Columns { completed: names.completed };
    let _: ControlFlow<()> = sql.visit(&mut columns);
}

struct Names<'a> {
    catalogs: &'a dyn CatalogProviderList,
    current: &'a str,
    /// The pairs that became catalog and table.
    completed: HashSet<(String, String)>,
}

impl Names<'_> {
    fn complete(&mut self, name: &mut ObjectName) {
        let [ObjectNamePart::Identifier(first), ObjectNamePart::Identifier(second)] = name.0.as_slice()
        else {
            return;
        };
        let (first, second) = (normalized(first), normalized(second));
        let has_schema = |schema: &str| {
            schema == "information_schema"
                || self.catalogs.catalog(self.current).is_some_and(|catalog| catalog.schema(schema).is_some())
        };
        if has_schema(&first) || self.catalogs.catalog(&first).is_none() {
            return;
        }
        name.0.insert(1, ObjectNamePart::Identifier(Ident::new(DEFAULT_SCHEMA)));
        self.completed.insert((first, second));
    }
}

impl VisitorMut for Names<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        self.complete(relation);
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &mut Sql) -> ControlFlow<()> {
        if let Sql::ShowCreate { obj_name, .. } = statement {
            self.complete(obj_name);
        }
        ControlFlow::Continue(())
    }
}

/// Lets `catalog.table.column` follow a name that became `catalog.main.table`.
struct Columns {
    completed: HashSet<(String, String)>,
}

impl VisitorMut for Columns {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expression
            && let [first, second, _] = parts.as_slice()
            && self.completed.contains(&(normalized(first), normalized(second)))
        {
            parts.insert(1, Ident::new(DEFAULT_SCHEMA));
        }
        ControlFlow::Continue(())
    }
}

/// The names that are called as table functions, lower case as they are looked up.
pub(crate) fn table_functions(statement: &Parsed) -> HashSet<String> {
    let mut functions = TableFunctions(HashSet::new());
    match statement {
        Parsed::Statement(sql) => {
            let _: ControlFlow<()> = sql.visit(&mut functions);
        }
        Parsed::Explain(explain) => return table_functions(&explain.statement),
        Parsed::CopyTo(_) | Parsed::CreateExternalTable(_) | Parsed::Reset(_) => {}
    }
    functions.0
}

struct TableFunctions(HashSet<String>);

impl Visitor for TableFunctions {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: Some(_), .. } = factor
            && let [ObjectNamePart::Identifier(function)] = name.0.as_slice()
        {
            self.0.insert(normalized(function));
        }
        ControlFlow::Continue(())
    }
}

/// The name an identifier stands for: lower case unless quoted.
fn normalized(identifier: &Ident) -> String {
    match identifier.quote_style {
        Some(_) => identifier.value.clone(),
        None => identifier.value.to_lowercase(),
    }
}

#[cfg(test)]
mod tests;
