//! Names for columns of a list that would have the same.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{Expr, Ident, Select, SelectItem, VisitMut, VisitorMut};

use super::normalized;
use super::trees::take;

/// Gives every expression of every list a name of its own; false if all have one. Two functions can be one to the
/// planner, and two columns one with and without the name of its table: only when it says so is this asked for.
pub(crate) fn number_columns(statement: &mut Parsed) -> bool {
    match statement {
        Parsed::Statement(sql) => {
            let mut naming = Naming { done: false };
            let _: ControlFlow<()> = sql.visit(&mut naming);
            naming.done
        }
        Parsed::Explain(explain) => number_columns(&mut explain.statement),
        Parsed::CopyTo(_) | Parsed::CreateExternalTable(_) | Parsed::Reset(_) => false,
    }
}

struct Naming {
    done: bool,
}

impl VisitorMut for Naming {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut seen = HashSet::new();
        for item in &mut select.projection {
            match item {
                SelectItem::UnnamedExpr(Expr::Identifier(name)) if seen.insert(normalized(name)) => {}
                SelectItem::UnnamedExpr(expression) => {
                    let name = free_name(&mut seen, &shown_name(expression));
                    *item = named(expression, name);
                    self.done = true;
                }
                SelectItem::ExprWithAlias { alias, .. } => {
                    seen.insert(normalized(alias));
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

fn shown_name(expression: &Expr) -> String {
    match expression {
        Expr::Identifier(name) => normalized(name),
        Expr::CompoundIdentifier(parts) => parts.last().map(normalized).unwrap_or_default(),
        other => without_types(other),
    }
}

fn named(expression: &mut Expr, name: String) -> SelectItem {
    SelectItem::ExprWithAlias { expr: take(expression), alias: Ident::with_quote('"', name) }
}

/// The name, with a number if it is taken.
fn free_name(seen: &mut HashSet<String>, name: &str) -> String {
    let numbered = (1..).map(|number| format!("{name}_{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|name| seen.insert(name.clone())).unwrap_or_default()
}

/// Gives names to expressions of the same text: columns of a result have different ones. DuckDB numbers them alike.
pub(super) fn name_repeated(items: &mut [SelectItem]) {
    let mut seen = HashSet::new();
    for item in items {
        let SelectItem::UnnamedExpr(expression) = item else { continue };
        let shown = without_types(expression);
        let name = free_name(&mut seen, &shown);
        if name != shown {
            *item = named(expression, name);
        }
    }
}

/// The text without what the planner leaves out of names: types, and quotes in intervals.
fn without_types(expression: &Expr) -> String {
    let mut expression = expression.clone();
    let _: ControlFlow<()> = expression.visit(&mut WithoutTypes);
    expression.to_string()
}

struct WithoutTypes;

impl VisitorMut for WithoutTypes {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        let shown = match expression {
            Expr::Cast { expr, .. } | Expr::Nested(expr) => take(expr),
            Expr::TypedString(typed) => Expr::Value(typed.value.clone()),
            Expr::Interval(_) => Expr::Identifier(Ident::new(expression.to_string().replace('\'', ""))),
            _ => return ControlFlow::Continue(()),
        };
        *expression = shown;
        ControlFlow::Continue(())
    }
}
