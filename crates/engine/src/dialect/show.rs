//! Statements that the planner does not know, as the queries over `information_schema` that they stand for.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, ObjectName, SetExpr, ShowStatementFilter, ShowStatementFilterPosition,
    ShowStatementIn, ShowStatementOptions, Statement as Sql, VisitMut, VisitorMut,
};
use pintail_types::{Error, Result};

use super::trees::{binary, call, text};
use super::{DEFAULT_SCHEMA, normalized, query, read};

const CATALOGS: &str = "SELECT DISTINCT catalog_name FROM information_schema.schemata ORDER BY catalog_name";
const SCHEMAS: &str = "SELECT catalog_name, schema_name FROM information_schema.schemata \
                       ORDER BY catalog_name, schema_name";
const TABLES: &str = "SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables \
                      ORDER BY table_catalog, table_schema, table_name";
/// The second relation has one row, and is there to fail if there is no such table.
const COLUMNS: &str = "SELECT table_catalog, table_schema, table_name, column_name, data_type, is_nullable \
                       FROM information_schema.columns, (SELECT count(*) FROM \"the table\" WHERE false) \
                       ORDER BY ordinal_position";
const THE_TABLE: &str = "the table";

/// SHOW as a query, where the planner does not take it as it is.
pub(super) fn spelled_out(statement: Parsed) -> Result<Parsed> {
    let Parsed::Statement(sql) = &statement else { return Ok(statement) };
    match sql.as_ref() {
        Sql::ShowCatalogs { show_options, .. } | Sql::ShowDatabases { show_options, .. } => {
            let Options { place, filter } = options(show_options, "catalog_name")?;
            if place.is_some() {
                return Err(Error::unsupported("SHOW DATABASES takes no FROM: it shows all catalogs"));
            }
            filtered(CATALOGS, filter)
        }
        Sql::ShowSchemas { show_options, .. } => {
            let Options { place, filter } = options(show_options, "schema_name")?;
            let catalog = place.map(|place| is("catalog_name", last_part(place)));
            filtered(SCHEMAS, both(catalog, filter))
        }
        Sql::ShowTables { show_options, .. } if is_plain(show_options) => Ok(statement),
        Sql::ShowTables { show_options, .. } => {
            let Options { place, filter } = options(show_options, "table_name")?;
            filtered(TABLES, both(place.map(in_place).transpose()?, filter))
        }
        Sql::ShowViews { show_options, .. } => {
            let Options { place, filter } = options(show_options, "table_name")?;
            let views = Some(is("table_type", "VIEW".to_owned()));
            filtered(TABLES, both(views, both(place.map(in_place).transpose()?, filter)))
        }
        // The planner's own shows the tables of the same name in all schemas.
        Sql::ShowColumns { extended: false, full: false, show_options } => {
            let Options { place, filter } = options(show_options, "column_name")?;
            let table =
                place.ok_or_else(|| Error::invalid("SHOW COLUMNS needs a table: SHOW COLUMNS FROM t"))?;
            let mut columns = filtered(COLUMNS, both(Some(of_table(table)?), filter))?;
            if let Parsed::Statement(sql) = &mut columns {
                let _: ControlFlow<()> = sql.visit(&mut TheTable(table));
            }
            Ok(columns)
        }
        _ => Ok(statement),
    }
}

/// What SHOW is limited to.
struct Options<'a> {
    /// What stands after FROM or IN.
    place: Option<&'a ObjectName>,
    filter: Option<Expr>,
}

fn options<'a>(given: &'a ShowStatementOptions, filtered_column: &str) -> Result<Options<'a>> {
    let ShowStatementOptions { show_in, starts_with, limit, limit_from, filter_position } = given;
    if starts_with.is_some() || limit.is_some() || limit_from.is_some() {
        return Err(Error::unsupported(
            "SHOW takes FROM, LIKE and WHERE: for more select from information_schema",
        ));
    }
    let place = match show_in {
        None => None,
        Some(ShowStatementIn { parent_name: Some(name), .. }) => Some(name),
        Some(_) => return Err(Error::unsupported("SHOW takes a name after FROM")),
    };
    let filter = filter_position.as_ref().map(|position| match position {
        ShowStatementFilterPosition::Infix(filter) | ShowStatementFilterPosition::Suffix(filter) => {
            condition(filter, filtered_column)
        }
    });
    Ok(Options { place, filter })
}

fn is_plain(options: &ShowStatementOptions) -> bool {
    let ShowStatementOptions { show_in, starts_with, limit, limit_from, filter_position } = options;
    show_in.is_none()
        && starts_with.is_none()
        && limit.is_none()
        && limit_from.is_none()
        && filter_position.is_none()
}

fn condition(filter: &ShowStatementFilter, filtered_column: &str) -> Expr {
    let expr = Box::new(column(filtered_column));
    let like = |pattern: &str| Box::new(text(pattern));
    match filter {
        ShowStatementFilter::Where(condition) => condition.clone(),
        ShowStatementFilter::Like(pattern) | ShowStatementFilter::NoKeyword(pattern) => {
            Expr::Like { negated: false, any: false, expr, pattern: like(pattern), escape_char: None }
        }
        ShowStatementFilter::ILike(pattern) => {
            Expr::ILike { negated: false, any: false, expr, pattern: like(pattern), escape_char: None }
        }
    }
}

/// One name is a schema or a catalog, two are both.
fn in_place(place: &ObjectName) -> Result<Expr> {
    match parts(place).as_slice() {
        [one] => {
            let either =
                binary(is("table_schema", one.clone()), BinaryOperator::Or, is("table_catalog", one.clone()));
            Ok(Expr::Nested(Box::new(either)))
        }
        [catalog, schema] => Ok(binary(
            is("table_catalog", catalog.clone()),
            BinaryOperator::And,
            is("table_schema", schema.clone()),
        )),
        _ => Err(Error::invalid(format!("{place} is no schema: write catalog.schema"))),
    }
}

/// The rows of one table, found as a table of a query is.
fn of_table(table: &ObjectName) -> Result<Expr> {
    let equals = |name: &str, value: Expr| binary(column(name), BinaryOperator::Eq, value);
    let place = |catalog: Expr, schema: Expr| {
        binary(equals("table_catalog", catalog), BinaryOperator::And, equals("table_schema", schema))
    };
    let here = || call("current_database", Vec::new());
    let (place, name) = match parts(table).as_slice() {
        [name] => (place(here(), call("current_schema", Vec::new())), name.clone()),
        [first, name] => {
            let schema = place(here(), text(first));
            let catalog = place(text(first), text(DEFAULT_SCHEMA));
            (Expr::Nested(Box::new(binary(schema, BinaryOperator::Or, catalog))), name.clone())
        }
        [catalog, schema, name] => (place(text(catalog), text(schema)), name.clone()),
        _ => return Err(Error::invalid(format!("{table} is no table: write catalog.schema.table"))),
    };
    Ok(binary(place, BinaryOperator::And, is("table_name", name)))
}

fn parts(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(|part| part.as_ident().map(normalized)).collect()
}

fn last_part(name: &ObjectName) -> String {
    parts(name).pop().unwrap_or_default()
}

fn column(name: &str) -> Expr {
    Expr::Identifier(Ident::new(name))
}

fn is(name: &str, value: String) -> Expr {
    binary(column(name), BinaryOperator::Eq, text(value))
}

fn both(one: Option<Expr>, other: Option<Expr>) -> Option<Expr> {
    match (one, other) {
        (Some(one), Some(other)) => Some(binary(one, BinaryOperator::And, other)),
        (one, other) => one.or(other),
    }
}

fn filtered(base: &str, condition: Option<Expr>) -> Result<Parsed> {
    let mut parsed = query(read(base)?)?;
    if let Parsed::Statement(sql) = &mut parsed
        && let Sql::Query(query) = sql.as_mut()
        && let SetExpr::Select(select) = query.body.as_mut()
    {
        select.selection = condition;
    }
    Ok(parsed)
}

/// Puts a name in the place of [`THE_TABLE`].
struct TheTable<'a>(&'a ObjectName);

impl VisitorMut for TheTable<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        if last_part(relation) == THE_TABLE {
            *relation = self.0.clone();
        }
        ControlFlow::Continue(())
    }
}
