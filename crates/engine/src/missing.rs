//! What a statement that does not plan names and does not exist: where it stands, and what may have been meant.

use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Statement as Sql, Visit, Visitor,
};
use pintail_lake::StoredView;
use pintail_types::{Error, Position, reason};

use crate::dialect::{normalized, table_functions};

/// Functions that people know from elsewhere, and what to write here.
const ALTERNATIVES: &[(&str, &str)] = &[
    ("date_bin_gapfill", "date_bin, and join with generate_series to fill the gaps"),
    ("locf", "last_value(x) IGNORE NULLS OVER (ORDER BY …)"),
    ("interpolate", "lag and lead"),
    ("histogram", "GROUP BY with count(*)"),
    ("list_aggregate", "list_sum, list_avg, list_min, list_max or list_join"),
    ("list_aggr", "list_sum, list_avg, list_min, list_max or list_join"),
    ("list_median", "unnest and median"),
    ("list_mode", "unnest and mode"),
    ("list_histogram", "unnest, and GROUP BY with count(*)"),
    ("list_bool_and", "NOT list_contains(list, false)"),
    ("list_bool_or", "list_contains(list, true)"),
    ("list_where", "list_filter(list, x -> condition)"),
    ("list_select", "list_transform(positions, i -> list[i])"),
    ("list_grade_up", "list_sort, or unnest and row_number() OVER (ORDER BY …)"),
    ("list_reduce", "list_sum or list_product, or unnest and an aggregate"),
    ("reduce", "list_sum or list_product, or unnest and an aggregate"),
    ("regexp_extract_all", "regexp_extract, regexp_count or regexp_match"),
    ("regexp_split_to_array", "string_split"),
    ("regexp_split_to_table", "unnest(string_split(text, separator))"),
    ("percentile_disc", "quantile_disc(x, 0.5)"),
    ("all", "x LIKE 'a%' AND x LIKE 'b%'"),
    ("columns", "the names of the columns"),
    ("try_strptime", "TRY_CAST(text AS TIMESTAMP)"),
    ("json_type", "json_get and typeof, or ->"),
    ("json_valid", "json_array_length(document) IS NOT NULL, for arrays and objects"),
    ("json_group_array", "to_json(array_agg(value))"),
    ("json_group_object", "to_json(map(array_agg(key), array_agg(value)))"),
    ("json_object", "to_json({'key': value})"),
    ("json_array", "to_json([value])"),
    ("row_to_json", "to_json({'key': value})"),
    ("duckdb_tables", "information_schema.tables"),
    ("duckdb_columns", "information_schema.columns"),
    ("ducklake_snapshots", "snapshots()"),
    ("ducklake_table_changes", "table_changes('schema.table', 1, 5)"),
    ("ducklake_table_insertions", "table_insertions('schema.table', 1, 5)"),
    ("ducklake_table_deletions", "table_deletions('schema.table', 1, 5)"),
    ("pragma_table_info", "DESCRIBE t, or information_schema.columns"),
];

/// The error for the first table, table function or function of `parsed` that does not exist, or view that can't be read.
pub(crate) async fn missing_name(state: &SessionState, parsed: &Parsed) -> Option<Error> {
    let sql = syntax_tree(parsed)?;
    let mut names = Names::default();
    let _: ControlFlow<()> = sql.visit(&mut names);
    match missing_table(state, parsed, &names.tables).await {
        Some(error) => Some(error),
        None => missing_function(state, parsed, &names),
    }
}

fn syntax_tree(parsed: &Parsed) -> Option<&Sql> {
    match parsed {
        Parsed::Statement(sql) => Some(sql),
        Parsed::Explain(explain) => syntax_tree(&explain.statement),
        Parsed::CopyTo(_) | Parsed::CreateExternalTable(_) | Parsed::Reset(_) => None,
    }
}

/// The names of tables and functions, as they stand in the text.
#[derive(Default)]
struct Names {
    tables: Vec<ObjectName>,
    functions: Vec<ObjectName>,
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.tables.push(relation.clone());
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expression {
            self.functions.push(function.name.clone());
        }
        ControlFlow::Continue(())
    }
}

async fn missing_table(state: &SessionState, parsed: &Parsed, names: &[ObjectName]) -> Option<Error> {
    let functions = table_functions(parsed);
    for reference in state.resolve_table_references(parsed).ok()? {
        if reference.schema().is_none() && functions.contains(reference.table()) {
            continue;
        }
        let catalog = &state.config_options().catalog;
        let name = reference.clone().resolve(&catalog.default_catalog, &catalog.default_schema);
        let schema = state.schema_for_ref(reference.clone()).ok();
        let found = match &schema {
            Some(schema) => schema.table(&name.table).await.ok()?,
            None => None,
        };
        if let Some(found) = found {
            // Of a view that can't be planned no columns may be known, which is not what is wrong with it.
            match found.downcast_ref::<StoredView>().and_then(StoredView::refusal) {
                Some(refusal) => return Some(refusal),
                None => continue,
            }
        }
        let others = schema.map(|schema| schema.table_names()).unwrap_or_default();
        let message = with_suggestion(format!("table {reference} does not exist"), &name.table, others);
        let error = Error::not_found(message).with_reason(reason::UNDEFINED_TABLE);
        let written = names.iter().find(|written| is_name_of(written, &reference));
        return Some(at_name(error, written));
    }
    None
}

fn missing_function(state: &SessionState, parsed: &Parsed, names: &Names) -> Option<Error> {
    for function in table_functions(parsed) {
        if !state.table_functions().contains_key(&function) {
            let others = state.table_functions().keys().cloned();
            let written = names.tables.iter().find(|written| is_name_of(written, &function.as_str().into()));
            return Some(at_name(no_function("table function", &function, others), written));
        }
    }
    for name in &names.functions {
        let [ObjectNamePart::Identifier(identifier)] = name.0.as_slice() else { continue };
        let function = normalized(identifier);
        if function_exists(state, &function) {
            continue;
        }
        let scalar = state.scalar_functions().keys().cloned();
        let others = scalar.chain(state.aggregate_functions().keys().cloned());
        return Some(at_name(no_function("function", &function, others), Some(name)));
    }
    None
}

fn function_exists(state: &SessionState, name: &str) -> bool {
    // The planner's own: no function that is looked up.
    name == "unnest"
        || state.scalar_functions().contains_key(name)
        || state.aggregate_functions().contains_key(name)
        || state.window_functions().contains_key(name)
        || state.higher_order_functions().contains_key(name)
}

fn no_function(what: &str, name: &str, others: impl IntoIterator<Item = String>) -> Error {
    if let Some((_, alternative)) = ALTERNATIVES.iter().find(|(function, _)| *function == name) {
        return Error::unsupported(format!("{what} {name} is not supported: use {alternative}"));
    }
    Error::invalid(with_suggestion(format!("{what} {name} does not exist"), name, others))
        .with_reason(reason::UNDEFINED_FUNCTION)
}

fn is_name_of(written: &ObjectName, reference: &TableReference) -> bool {
    let parts = [reference.catalog(), reference.schema(), Some(reference.table())];
    let wanted = parts.into_iter().flatten();
    let written = written.0.iter().filter_map(|part| part.as_ident().map(normalized));
    wanted.eq(written)
}

fn at_name(error: Error, name: Option<&ObjectName>) -> Error {
    let first = name.and_then(|name| name.0.first()).and_then(ObjectNamePart::as_ident);
    match first.and_then(position) {
        Some(position) => error.at(position),
        None => error,
    }
}

/// Where an identifier stands; names that were put in by a pass stand nowhere.
pub(crate) fn position(identifier: &Ident) -> Option<Position> {
    let start = identifier.span.start;
    (start.line > 0).then_some(Position { line: start.line, column: start.column })
}

/// `message`, and the name that may have been meant.
pub(crate) fn with_suggestion(
    message: String,
    name: &str,
    others: impl IntoIterator<Item = String>,
) -> String {
    let by_distance = others.into_iter().map(|other| (levenshtein(name, &other), other));
    match by_distance.min() {
        // Less than half of the name is another one.
        Some((distance, other)) if distance * 2 < name.chars().count() => {
            format!("{message}, did you mean {other}?")
        }
        _ => message,
    }
}
