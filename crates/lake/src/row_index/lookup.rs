//! What is looked for: the texts that a condition allows a column to be.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

/// Columns whose texts each belong to few rows, so that an index of them pays: the identifiers of calls, of calls
/// that belong together, and of traces.
const COLUMNS: [&str; 4] = ["session_id", "cid", "callid", "trace_id"];

/// More texts than this are not looked up one by one.
const MAX_TEXTS: usize = 64;

/// A column, and what gives the texts that it must be one of: expressions that read no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lookup {
    pub(crate) column: String,
    pub(crate) texts: Vec<Expr>,
}

impl Lookup {
    /// What the conditions, all of which must hold, say of a column that is indexed.
    pub(crate) fn of(conditions: &[Expr]) -> Option<Self> {
        conditions.iter().find_map(Self::of_condition)
    }

    fn of_condition(condition: &Expr) -> Option<Self> {
        match condition {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
                Self::of_text(left, right).or_else(|| Self::of_text(right, left))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                let (left, right) = (Self::of_condition(left)?, Self::of_condition(right)?);
                if left.column != right.column {
                    return None;
                }
                Self::new(left.column, left.texts.into_iter().chain(right.texts).collect())
            }
            Expr::InList(InList { expr, list, negated: false }) => Self::new(column(expr)?, list.clone()),
            _ => None,
        }
    }

    fn of_text(of: &Expr, text: &Expr) -> Option<Self> {
        Self::new(column(of)?, vec![text.clone()])
    }

    fn new(column: String, texts: Vec<Expr>) -> Option<Self> {
        (texts.len() <= MAX_TEXTS && texts.iter().all(is_text)).then_some(Self { column, texts })
    }
}

fn column(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Column(column) if COLUMNS.contains(&column.name.as_str()) => Some(column.name.clone()),
        _ => None,
    }
}

/// Whether it gives a text without reading a row: a literal, or what stands for the value of a parameter.
fn is_text(expression: &Expr) -> bool {
    let is_one_value = match expression {
        Expr::Literal(..) => true,
        Expr::ScalarFunction(call) => call.args.is_empty(),
        _ => false,
    };
    let text = [DataType::Utf8, DataType::Utf8View, DataType::LargeUtf8];
    is_one_value && expression.get_type(&DFSchema::empty()).is_ok_and(|data_type| text.contains(&data_type))
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, in_list, lit};

    use super::*;

    #[test]
    fn texts_are_found_in_equalities_and_lists() {
        let other = col("method").eq(lit("INVITE"));
        let many = |count: usize| {
            in_list(col("session_id"), (0..count).map(|n| lit(n.to_string())).collect(), false)
        };
        let found = |column: &str, texts: &[&str]| {
            let texts = texts.iter().map(|text| lit(*text)).collect();
            Some(Lookup { column: column.to_owned(), texts })
        };
        let check = |conditions: &[Expr], expected: Option<Lookup>| {
            assert_eq!(Lookup::of(conditions), expected, "{conditions:?}");
        };
        check(&[], None);
        check(std::slice::from_ref(&other), None);
        check(&[other.clone(), col("session_id").eq(lit("a"))], found("session_id", &["a"]));
        check(&[lit("a").eq(col("t.cid"))], found("cid", &["a"]));
        check(
            &[col("session_id").eq(lit("a")).or(col("session_id").eq(lit("b")))],
            found("session_id", &["a", "b"]),
        );
        check(&[col("session_id").eq(lit("a")).or(col("cid").eq(lit("a")))], None);
        check(&[col("session_id").eq(lit("a")).or(other)], None);
        check(&[col("session_id").not_eq(lit("a"))], None);
        check(&[col("session_id").eq(lit(5))], None);
        check(&[col("session_id").eq(col("cid"))], None);
        check(
            &[in_list(col("session_id"), vec![lit("a"), lit("b")], false)],
            found("session_id", &["a", "b"]),
        );
        check(&[in_list(col("session_id"), vec![lit("a"), lit("b")], true)], None);
        check(&[in_list(col("session_id"), vec![lit("a"), col("cid")], false)], None);
        assert_eq!(Lookup::of(&[many(MAX_TEXTS)]).map(|lookup| lookup.texts.len()), Some(MAX_TEXTS));
        check(&[many(MAX_TEXTS + 1)], None);
    }
}
