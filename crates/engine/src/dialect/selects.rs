//! Queries in the spellings that the planner knows.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Fetch, GroupByExpr, JoinConstraint, JoinOperator, LimitClause, OrderBy, OrderByExpr, OrderByKind,
    Query, Select, SelectItem, SetExpr, Top, TopQuantity, VisitorMut, WildcardAdditionalOptions,
};
use pintail_types::{Error, Result};

use super::normalized;
use super::repeated::name_repeated;
use super::synonyms::TIME;
use super::trees::number;

/// Spells queries out.
pub(super) struct Selects;

impl VisitorMut for Selects {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        match spell_query(query) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        match spell_select(select) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn spell_query(query: &mut Query) -> Result<()> {
    if let Some(fetch) = query.fetch.take() {
        let Fetch { with_ties, percent, quantity } = fetch;
        limit(query, quantity.unwrap_or_else(|| number(1)), percent, with_ties)?;
    }
    if let SetExpr::Select(select) = query.body.as_mut() {
        if let Some(order_by) = &mut query.order_by {
            order_by_all(order_by, select);
        }
        if let Some(Top { with_ties, percent, quantity }) = select.top.take() {
            let quantity = match quantity {
                Some(TopQuantity::Constant(rows)) => number(rows),
                Some(TopQuantity::Expr(rows)) => rows,
                None => number(1),
            };
            limit(query, quantity, percent, with_ties)?;
        }
    }
    Ok(())
}

fn limit(query: &mut Query, rows: Expr, percent: bool, with_ties: bool) -> Result<()> {
    if percent {
        return Err(Error::unsupported(
            "rows can't be limited to a percentage: give their number, or QUALIFY percent_rank() OVER (ORDER BY …) <= 0.1",
        ));
    }
    if with_ties {
        return Err(Error::unsupported(
            "WITH TIES is not supported: use QUALIFY rank() OVER (ORDER BY …) <= n",
        ));
    }
    match &mut query.limit_clause {
        None => {
            query.limit_clause =
                Some(LimitClause::LimitOffset { limit: Some(rows), offset: None, limit_by: Vec::new() });
            Ok(())
        }
        Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => {
            *limit = Some(rows);
            Ok(())
        }
        Some(_) => Err(Error::invalid("the query has two limits: leave one out")),
    }
}

/// `ORDER BY ALL` is by every column of the list, from left to right. What a wildcard stands for the planner knows.
fn order_by_all(order_by: &mut OrderBy, select: &Select) {
    let OrderByKind::All(options) = &order_by.kind else { return };
    let has_wildcard = select
        .projection
        .iter()
        .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    if has_wildcard {
        return;
    }
    let by = |position: usize| OrderByExpr { expr: number(position), options: *options, with_fill: None };
    order_by.kind = OrderByKind::Expressions((1..=select.projection.len()).map(by).collect());
}

fn spell_select(select: &mut Select) -> Result<()> {
    if select.projection.is_empty() && !select.from.is_empty() {
        select.projection.push(SelectItem::Wildcard(WildcardAdditionalOptions::default()));
    }
    for item in &select.projection {
        if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item
            && options.opt_rename.is_some()
        {
            return Err(Error::unsupported("* RENAME is not supported: write * EXCLUDE (old), old AS new"));
        }
    }
    for from in &mut select.from {
        for join in &mut from.joins {
            spell_join(&mut join.join_operator)?;
        }
    }
    group_by_time(select);
    name_repeated(&mut select.projection);
    Ok(())
}

fn spell_join(operator: &mut JoinOperator) -> Result<()> {
    let spelled = match operator {
        JoinOperator::Semi(constraint) => JoinOperator::LeftSemi(constraint.clone()),
        JoinOperator::Anti(constraint) => JoinOperator::LeftAnti(constraint.clone()),
        // Else a misspelled kind of join is taken for the alias of a table, and all rows for all.
        JoinOperator::Join(JoinConstraint::None) => {
            return Err(Error::invalid(
                "JOIN needs ON or USING; for every row with every other write CROSS JOIN",
            ));
        }
        JoinOperator::AsOf { .. } => return Err(super::hints::no_asof_join()),
        _ => return Ok(()),
    };
    *operator = spelled;
    Ok(())
}

/// `date_bin(…) AS time … GROUP BY time` groups by the bucket, also where the table has a column `time` itself.
fn group_by_time(select: &mut Select) {
    let GroupByExpr::Expressions(group_by, _) = &mut select.group_by else { return };
    for expression in group_by {
        let Expr::Identifier(name) = &*expression else { continue };
        if !normalized(name).eq_ignore_ascii_case(TIME) {
            continue;
        }
        let named = select.projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if normalized(alias) == normalized(name) => Some(expr),
            _ => None,
        });
        if let Some(named) = named {
            *expression = named.clone();
        }
    }
}
