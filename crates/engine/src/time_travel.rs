//! Tables that a statement reads as they were: each is looked up in a catalog of its moment.
//!
//! Which snapshot a moment means is decided when a statement is planned, once for all its tables; a statement is planned
//! anew for every execution that reads the past.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::catalog::information_schema::INFORMATION_SCHEMA;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr as PlannedExpr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    Expr, ExprWithAlias, Ident, ObjectName, ObjectNamePart, Query, TableFactor, TableVersion, VisitMut,
    VisitorMut,
};
use pintail_lake::Moment;
use pintail_types::{Error, Result, SnapshotId, reason};

use crate::dialect::normalized;
use crate::error::from_datafusion;
use crate::missing::position;
use crate::past::{PastCatalogs, past_name};
use crate::system::SYSTEM_SCHEMA;
use crate::temporary::TEMPORARY_CATALOG;

/// The moments of one statement.
pub(crate) struct TimeTravel<'a> {
    state: &'a SessionState,
    /// The snapshots of the moments that were met: all tables of a moment are read at the same ones.
    met: HashMap<(String, Moment), Vec<SnapshotId>>,
}

impl<'a> TimeTravel<'a> {
    /// For a statement that is planned in `state`.
    pub(crate) fn new(state: &'a SessionState) -> Self {
        Self { state, met: HashMap::new() }
    }

    /// The statement with the names of tables in catalogs of their moments.
    ///
    /// # Errors
    /// `NotFound` for a snapshot that is not there; `Invalid` for a moment that is none, and for what has no past.
    pub(crate) fn looked_up(&mut self, statement: &Parsed) -> Result<Parsed> {
        let mut statement = statement.clone();
        let sql = match &mut statement {
            Parsed::Statement(sql) => sql.as_mut(),
            Parsed::Explain(explain) => {
                let explained = self.looked_up(&explain.statement)?;
                *explain.statement = explained;
                return Ok(statement);
            }
            Parsed::CopyTo(_) | Parsed::CreateExternalTable(_) | Parsed::Reset(_) => return Ok(statement),
        };
        let mut tables =
            Tables { travel: self, scopes: Vec::new(), past: HashMap::new(), present: HashSet::new() };
        if let ControlFlow::Break(error) = sql.visit(&mut tables) {
            return Err(error);
        }
        let Tables { mut past, present, .. } = tables;
        past.retain(|name, catalogs| catalogs.len() == 1 && !present.contains(name));
        if !past.is_empty() {
            let _: ControlFlow<()> = sql.visit(&mut Columns(past));
        }
        Ok(statement)
    }

    /// The catalog that has the table as it was.
    fn catalog(&mut self, name: &Name, version: &TableVersion) -> Result<String> {
        if name.catalog == TEMPORARY_CATALOG {
            return Err(no_past("a temporary table"));
        }
        if [SYSTEM_SCHEMA, INFORMATION_SCHEMA].contains(&name.schema.as_str()) {
            return Err(no_past("a system table"));
        }
        let catalogs = PastCatalogs::of(self.state);
        // In a view that is read in the past, what it says itself of a table goes first.
        let present = catalogs.present(&name.catalog);
        let Some(past) = catalogs.get(present) else {
            return Err(match self.state.catalog_list().catalog(&name.catalog) {
                Some(_) => no_past(&format!("a table of {}", name.catalog)),
                None => Error::not_found(format!("catalog {} does not exist", name.catalog))
                    .with_reason(reason::UNDEFINED_CATALOG),
            });
        };
        let moment = moment(self.state, version)?;
        let snapshots = match self.met.entry((present.to_owned(), moment)) {
            Entry::Occupied(met) => met.into_mut(),
            Entry::Vacant(new) => new.insert(past.snapshots_at(moment)?),
        };
        Ok(past_name(present, snapshots))
    }
}

fn no_past(what: &str) -> Error {
    Error::invalid(format!("{what} has no past: time travel is for tables and views of a lake"))
}

/// The name of a table in full.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    catalog: String,
    schema: String,
    table: String,
}

impl Name {
    fn of(name: &ObjectName, state: &SessionState) -> Option<Self> {
        let mut parts =
            name.0.iter().map(|part| part.as_ident().map(normalized)).collect::<Option<Vec<_>>>()?;
        let defaults = &state.config_options().catalog;
        let table = parts.pop()?;
        let schema = parts.pop().unwrap_or_else(|| defaults.default_schema.clone());
        let catalog = parts.pop().unwrap_or_else(|| defaults.default_catalog.clone());
        parts.is_empty().then_some(Self { catalog, schema, table })
    }
}

/// Renames the tables of the past.
struct Tables<'a, 'b> {
    travel: &'a mut TimeTravel<'b>,
    scopes: Vec<Scope>,
    /// The catalogs in which tables are read that have no alias.
    past: HashMap<Name, HashSet<String>>,
    /// Tables that are read as they are.
    present: HashSet<Name>,
}

/// The queries under WITH that a query can name.
struct Scope {
    names: Vec<String>,
    /// How many of them can be named here: those before, or all where they may name themselves.
    visible: usize,
}

impl Tables<'_, '_> {
    fn is_under_with(&self, name: &ObjectName) -> bool {
        let [ObjectNamePart::Identifier(only)] = name.0.as_slice() else { return false };
        let only = normalized(only);
        self.scopes.iter().any(|scope| scope.names[..scope.visible].contains(&only))
    }

    fn table(&mut self, factor: &mut TableFactor) -> Result<()> {
        let TableFactor::Table { name, version, args: None, alias, .. } = factor else { return Ok(()) };
        let full = Name::of(name, self.travel.state);
        let (Some(version), Some(full)) = (version.take(), &full) else {
            self.present.extend(full);
            return Ok(());
        };
        if self.is_under_with(name) {
            return Err(no_past(&format!("{name} under WITH")));
        }
        let catalog = self.travel.catalog(full, &version)?;
        let span = name.0.first().and_then(ObjectNamePart::as_ident).map(|first| first.span);
        let quoted = |part: &str| {
            let part = Ident::with_quote('"', part);
            ObjectNamePart::Identifier(Ident { span: span.unwrap_or(part.span), ..part })
        };
        name.0 = Vec::from([&catalog, &full.schema, &full.table].map(|part| quoted(part)));
        if alias.is_none() {
            self.past.entry(full.clone()).or_default().insert(catalog);
        }
        Ok(())
    }
}

impl VisitorMut for Tables<'_, '_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let mut scope = Scope { names: Vec::new(), visible: 0 };
        if let Some(with) = &query.with {
            scope.names = with.cte_tables.iter().map(|query| normalized(&query.alias.name)).collect();
            scope.visible = if with.recursive { scope.names.len() } else { 0 };
        }
        self.scopes.push(scope);
        ControlFlow::Continue(())
    }

    /// The first queries within one are those under its WITH, in order.
    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.scopes.pop();
        if let Some(outer) = self.scopes.last_mut() {
            outer.visible = (outer.visible + 1).min(outer.names.len());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let place = match factor {
            TableFactor::Table { name, .. } => {
                name.0.first().and_then(ObjectNamePart::as_ident).and_then(position)
            }
            _ => None,
        };
        match (self.table(factor), place) {
            (Ok(()), _) => ControlFlow::Continue(()),
            (Err(error), Some(place)) if error.position().is_none() => ControlFlow::Break(error.at(place)),
            (Err(error), _) => ControlFlow::Break(error),
        }
    }
}

/// Lets `catalog.schema.table.column` follow the one table of that name, which has another catalog now.
struct Columns(HashMap<Name, HashSet<String>>);

impl VisitorMut for Columns {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expression
            && let [catalog, schema, table, _] = parts.as_mut_slice()
        {
            let [catalog_name, schema, table] = [&*catalog, schema, table].map(normalized);
            let name = Name { catalog: catalog_name, schema, table };
            if let Some(past) = self.0.get(&name).and_then(|catalogs| catalogs.iter().next()) {
                *catalog = Ident { span: catalog.span, ..Ident::with_quote('"', past.as_str()) };
            }
        }
        ControlFlow::Continue(())
    }
}

/// The moment that was written behind a table.
fn moment(state: &SessionState, version: &TableVersion) -> Result<Moment> {
    match version {
        TableVersion::VersionAsOf(number) => snapshot(&constant(state, number)?),
        TableVersion::TimestampAsOf(time) => {
            self::time(&constant(state, time)?, &zone(state.config_options()))
        }
        other => Err(Error::internal(format!("{other} was let through as a moment"))),
    }
}

/// The value of a constant expression.
fn constant(state: &SessionState, expression: &Expr) -> Result<ScalarValue> {
    let failed = |error| from_datafusion(&error);
    let expression = ExprWithAlias { expr: expression.clone(), alias: None };
    let nothing = DFSchema::empty();
    let planned = state.create_logical_expr_from_sql_expr(expression, &nothing).map_err(failed)?;
    let context = SimplifyContext::builder()
        .with_config_options(state.config_options().clone())
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    let coerced = simplifier.coerce(planned, &nothing).map_err(failed)?;
    match simplifier.simplify(coerced).map_err(failed)? {
        PlannedExpr::Literal(value, _) => Ok(value),
        other => {
            let message = format!("a moment is a constant, not {other}: no parameter can stand for it");
            Err(Error::unsupported(message))
        }
    }
}

/// What a number of a snapshot, or a time, means as the bound of a feed.
pub(crate) fn bound(value: &ScalarValue, zone: &DataType) -> Result<Moment> {
    if value.data_type().is_integer() { snapshot(value) } else { time(value, zone) }
}

fn snapshot(value: &ScalarValue) -> Result<Moment> {
    let is_number = value.data_type().is_integer() || value.data_type().is_string();
    match value.cast_to(&DataType::Int64) {
        Ok(ScalarValue::Int64(Some(number))) if is_number && number >= 0 => {
            Ok(Moment::Snapshot(SnapshotId(number)))
        }
        _ => Err(Error::invalid(format!("{value} is no number of a snapshot"))
            .with_reason(reason::INVALID_PARAMETER_VALUE)),
    }
}

/// Times without an offset are of the session's time zone.
fn time(value: &ScalarValue, zone: &DataType) -> Result<Moment> {
    let is_time = value.data_type().is_string() || value.data_type().is_temporal();
    match value.cast_to(zone) {
        Ok(ScalarValue::TimestampMicrosecond(Some(micros), _)) if is_time => Ok(Moment::Time(micros)),
        _ => Err(Error::invalid(format!("{value} is no time")).with_reason(reason::INVALID_DATETIME_FORMAT)),
    }
}

/// The type of times in the session's time zone.
pub(crate) fn zone(options: &ConfigOptions) -> DataType {
    let zone = options.execution.time_zone.as_deref().unwrap_or("UTC");
    DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()))
}
