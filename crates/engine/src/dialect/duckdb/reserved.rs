//! Names that are words of DuckDB's grammar, such as `at` and `end`: it takes them in quotes only.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, TableAlias, TableFactor, VisitorMut,
};

use crate::dialect::normalized;

/// Words that are no names of columns without quotes.
const RESERVED: &str = include_str!("reserved.txt");

/// Puts names in quotes that need them.
pub(super) struct Quoting;

impl VisitorMut for Quoting {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for named in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            quote_alias(&mut named.alias);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                quote(alias);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::Function { alias: Some(alias), .. }
            | TableFactor::NestedJoin { alias: Some(alias), .. } => quote_alias(alias),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        for part in &mut relation.0 {
            if let ObjectNamePart::Identifier(name) = part {
                quote(name);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        match expression {
            Expr::Identifier(name) => quote(name),
            Expr::CompoundIdentifier(parts) => parts.iter_mut().for_each(quote),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn quote_alias(alias: &mut TableAlias) {
    quote(&mut alias.name);
    alias.columns.iter_mut().for_each(|column| quote(&mut column.name));
}

fn quote(name: &mut Ident) {
    let small = normalized(name);
    if name.quote_style.is_none() && RESERVED.lines().any(|word| word == small) {
        *name = super::quoted(small);
    }
}
