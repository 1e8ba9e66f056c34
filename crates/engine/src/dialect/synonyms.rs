//! Other names of columns: those of Grafana and InfluxDB, names in capitals, and names given in the same list.
//!
//! Only a name that means nothing else is another one. So the planner is asked first; where it knows no such column and
//! tells the place, what is meant takes the place of the name, and the planner is asked again. A column, an alias or a
//! text of the same name stays what it is.

use std::ops::ControlFlow;

use datafusion::common::{Column, DataFusionError, SchemaError, Span, TableReference};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, OrderByKind, Query, Select, SelectItem, SetExpr, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::normalized;
use super::trees::take;

/// The column of time in InfluxDB, for which Grafana asks.
pub(crate) const TIME: &str = "time";
/// The column of time in telemetry tables.
pub(crate) const TIMESTAMP: &str = "timestamp";

/// Names of one statement that can be other ones.
pub(crate) const MAX_SYNONYMS: usize = 100;

/// A name, and the columns that it may stand for, the first that is there.
const SYNONYMS: [(&str, &[&str]); 3] =
    [(TIME, &[TIMESTAMP]), ("callid", &["session_id", "call_id"]), ("call_id", &["session_id", "callid"])];

/// Puts what is meant in the place of the column that planning did not find; false if nothing is.
pub(crate) fn resolve_synonym(error: &DataFusionError, statement: &mut Parsed) -> bool {
    let Some(missing) = missing_column(error) else { return false };
    let sql = match statement {
        Parsed::Statement(sql) => sql.as_mut(),
        Parsed::Explain(explain) => return resolve_synonym(error, &mut explain.statement),
        Parsed::CopyTo(_) | Parsed::CreateExternalTable(_) | Parsed::Reset(_) => return false,
    };
    let name = missing.column.name.as_str();
    let Some(meant) = missing.meant() else {
        let mut aliases = Aliases { place: missing.place, name, done: false };
        let _: ControlFlow<()> = sql.visit(&mut aliases);
        return aliases.done;
    };
    let relation = missing.column.relation.as_ref().map(TableReference::table);
    let mut renaming = Renaming { place: missing.place, relation, name, meant, done: false };
    let _: ControlFlow<()> = match missing.place {
        Some(_) => sql.visit(&mut renaming),
        None => sql.visit(&mut Innermost(&mut renaming)),
    };
    renaming.done
}

/// A column that planning did not find.
struct Missing<'a> {
    /// Where it stands; of arguments of some operators and functions the planner does not tell.
    place: Option<Location>,
    column: &'a Column,
    /// The columns that are there.
    valid: &'a [Column],
}

fn missing_column(error: &DataFusionError) -> Option<Missing<'_>> {
    match error {
        DataFusionError::Diagnostic(diagnostic, inner) => find_missing(inner, diagnostic.span),
        DataFusionError::Context(_, inner) => missing_column(inner),
        DataFusionError::Shared(inner) => missing_column(inner),
        DataFusionError::Collection(errors) => errors.iter().find_map(missing_column),
        _ => find_missing(error, None),
    }
}

fn find_missing(error: &DataFusionError, span: Option<Span>) -> Option<Missing<'_>> {
    match error {
        DataFusionError::SchemaError(schema, _) => {
            let SchemaError::FieldNotFound { field, valid_fields } = schema.as_ref() else { return None };
            let span = span.or_else(|| field.spans.first());
            let place = span.map(|span| Location { line: span.start.line, column: span.start.column });
            Some(Missing { place, column: field, valid: valid_fields })
        }
        DataFusionError::Context(_, inner) => find_missing(inner, span),
        DataFusionError::Shared(inner) => find_missing(inner, span),
        _ => None,
    }
}

impl Missing<'_> {
    /// The name of the column that is meant.
    fn meant(&self) -> Option<String> {
        let same_table =
            |column: &&Column| self.column.relation.is_none() || self.column.relation == column.relation;
        let find = |wanted: &dyn Fn(&str) -> bool| {
            self.valid.iter().filter(same_table).map(|column| &column.name).find(|name| wanted(name)).cloned()
        };
        let name = self.column.name.as_str();
        let in_other_case = find(&|valid| valid != name && valid.eq_ignore_ascii_case(name));
        in_other_case.or_else(|| {
            let (_, columns) = SYNONYMS.iter().find(|(synonym, _)| synonym.eq_ignore_ascii_case(name))?;
            columns.iter().find_map(|column| find(&|valid| valid == *column))
        })
    }
}

/// Gives the column at one place its name, or if that is not known, the column wherever it stands.
struct Renaming<'a> {
    place: Option<Location>,
    relation: Option<&'a str>,
    name: &'a str,
    meant: String,
    done: bool,
}

impl Renaming<'_> {
    /// The identifier of the column, if the expression is the one at the place.
    fn column_in<'e>(&self, expression: &'e mut Expr) -> Option<&'e mut Ident> {
        let parts = match expression {
            Expr::Identifier(name) => std::slice::from_mut(name),
            Expr::CompoundIdentifier(parts) => parts.as_mut_slice(),
            _ => return None,
        };
        let is_of_relation = match (self.relation, &*parts) {
            (None, [_]) => true,
            (Some(relation), [.., table, _]) => normalized(table) == relation,
            _ => false,
        };
        let is_at = |part: &Ident| self.place.is_none_or(|place| part.span.start == place);
        let is_here = is_of_relation && (parts.first().is_some_and(is_at) || parts.last().is_some_and(is_at));
        parts.last_mut().filter(|last| is_here && normalized(last) == self.name)
    }

    fn rename(&mut self, column: &mut Ident) {
        column.value.clone_from(&self.meant);
        column.quote_style = Some('"');
        self.done = true;
    }
}

impl VisitorMut for Renaming<'_> {
    type Break = ();

    /// `SELECT c.time … ORDER BY c.time`: the planner tells no place in ORDER BY.
    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let (SetExpr::Select(select), Some(order_by)) = (query.body.as_mut(), &mut query.order_by) else {
            return ControlFlow::Continue(());
        };
        let OrderByKind::Expressions(order_by) = &mut order_by.kind else { return ControlFlow::Continue(()) };
        for item in &mut select.projection {
            let SelectItem::UnnamedExpr(expression) = item else { continue };
            if !matches!(expression, Expr::CompoundIdentifier(_)) || self.column_in(expression).is_none() {
                continue;
            }
            for order in order_by.iter_mut().filter(|order| order.expr == *expression) {
                if let Expr::CompoundIdentifier(parts) = &mut order.expr
                    && let Some(column) = parts.last_mut()
                {
                    self.rename(column);
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// A column of the list keeps the name that was written.
    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            let SelectItem::UnnamedExpr(expression) = item else { continue };
            let Some(column) = self.column_in(expression) else { continue };
            let alias = column.clone();
            self.rename(column);
            *item = SelectItem::ExprWithAlias { expr: take(expression), alias };
        }
        ControlFlow::Continue(())
    }

    /// More than one expression can be of the same place: some were copied from one clause to another.
    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Some(column) = self.column_in(expression) {
            self.rename(column);
        }
        ControlFlow::Continue(())
    }
}

/// Renames within the innermost query that has the column: inner ones are planned first.
struct Innermost<'a, 'b>(&'a mut Renaming<'b>);

impl VisitorMut for Innermost<'_, '_> {
    type Break = ();

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        select.visit(self.0)?;
        match self.0.done {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Puts the expression that has the name in the list of columns in the place of the name: DuckDB takes such names in
/// WHERE, and later in the list.
struct Aliases<'a> {
    place: Option<Location>,
    name: &'a str,
    done: bool,
}

impl VisitorMut for Aliases<'_> {
    type Break = ();

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let named = select.projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if normalized(alias) == self.name => Some(expr.clone()),
            _ => None,
        });
        let Some(named) = named else { return ControlFlow::Continue(()) };
        let mut putting = PuttingIn { place: self.place, name: self.name, named, done: false };
        for item in &mut select.projection {
            match item {
                // Not into itself.
                SelectItem::ExprWithAlias { alias, .. } if normalized(alias) == self.name => {}
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    expr.visit(&mut putting)?
                }
                _ => {}
            }
        }
        if let Some(selection) = &mut select.selection {
            selection.visit(&mut putting)?;
        }
        self.done = putting.done;
        match self.done {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Replaces one identifier.
struct PuttingIn<'a> {
    place: Option<Location>,
    name: &'a str,
    named: Expr,
    done: bool,
}

impl VisitorMut for PuttingIn<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expression
            && self.place.is_none_or(|place| name.span.start == place)
            && normalized(name) == self.name
        {
            *expression = Expr::Nested(Box::new(self.named.clone()));
            self.done = true;
        }
        ControlFlow::Continue(())
    }
}
