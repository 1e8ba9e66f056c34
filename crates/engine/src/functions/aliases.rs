//! Other names of functions that DataFusion has.

use datafusion::common::Result as PlanResult;
use datafusion::execution::{FunctionRegistry, SessionState};

/// DataFusion's name, and the names that DuckDB and PostgreSQL have for the same.
const SCALAR: &[(&str, &[&str])] = &[
    ("make_array", &["list_value", "list_pack"]),
    ("array_min", &["list_min"]),
    ("regexp_like", &["regexp_matches"]),
    ("string_to_array", &["string_split", "str_split"]),
    ("starts_with", &["prefix"]),
    ("ends_with", &["suffix"]),
    ("upper", &["ucase"]),
    ("lower", &["lcase"]),
    ("octet_length", &["strlen"]),
    ("ascii", &["unicode", "ord"]),
    ("ceil", &["ceiling"]),
    ("get_field", &["struct_extract"]),
    ("uuid", &["gen_random_uuid"]),
    ("signum", &["sign"]),
    ("struct", &["struct_value"]),
];

const AGGREGATE: &[(&str, &[&str])] = &[
    ("array_agg", &["list"]),
    ("first_value", &["first"]),
    ("last_value", &["last"]),
    ("any_value", &["arbitrary"]),
    ("bool_and", &["every"]),
    ("var", &["variance"]),
    ("approx_distinct", &["approx_count_distinct"]),
    ("approx_percentile_cont", &["approx_quantile"]),
];

pub(super) fn register(state: &mut SessionState) -> PlanResult<()> {
    for (name, aliases) in SCALAR {
        let function = state.udf(name)?.as_ref().clone().with_aliases(aliases.iter().copied());
        state.register_udf(function.into())?;
    }
    for (name, aliases) in AGGREGATE {
        let function = state.udaf(name)?.as_ref().clone().with_aliases(aliases.iter().copied());
        state.register_udaf(function.into())?;
    }
    Ok(())
}
