//! `SHOW setting` and `SHOW ALL`.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    Expr, Parens, Query, SetExpr, Statement as Sql, Value, VisitMut, VisitorMut,
};
use pintail_types::Result;

use super::{normalized, read};

/// The form of the answer; its row is exchanged for those of the settings.
const ANSWER: &str = "SELECT name, value FROM (VALUES ('', '')) AS settings (name, value) ORDER BY name";

/// The setting that a statement shows, in lower case; its parts are joined by dots, as in `pintail.query_timeout`.
pub(crate) fn shown_setting(statement: &Parsed) -> Option<String> {
    let Parsed::Statement(sql) = statement else { return None };
    let Sql::ShowVariable { variable } = sql.as_ref() else { return None };
    Some(variable.iter().map(normalized).collect::<Vec<_>>().join("."))
}

/// The query for the names and values of some settings.
///
/// # Errors
/// None: the form of the answer parses.
pub(crate) fn settings_query(settings: Vec<(String, String)>) -> Result<Parsed> {
    let mut query = read(ANSWER)?;
    if let Parsed::Statement(sql) = &mut query {
        let _: ControlFlow<()> = sql.visit(&mut Rows(settings));
    }
    Ok(query)
}

struct Rows(Vec<(String, String)>);

impl VisitorMut for Rows {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Values(values) = query.body.as_mut() {
            let text = |text| Expr::Value(Value::SingleQuotedString(text).with_empty_span());
            let rows = std::mem::take(&mut self.0).into_iter();
            values.rows =
                rows.map(|(name, value)| Parens::with_empty_span(vec![text(name), text(value)])).collect();
        }
        ControlFlow::Continue(())
    }
}
