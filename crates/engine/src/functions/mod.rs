//! Functions that people know from DuckDB and PostgreSQL and DataFusion does not have, or has under another name.

mod aggregates;
mod aliases;
mod calendar;
mod counts;
mod dates;
mod formats;
pub(crate) mod intervals;
pub(crate) mod json;
mod lists;
mod series;
mod session;
mod shorthand;
mod templates;
mod text;
pub(crate) mod types;
pub(crate) mod zones;

use datafusion::common::Result as PlanResult;
use datafusion::execution::{FunctionRegistry, SessionState};

pub(crate) use session::Caller;

/// Registers all of them. One that has the name of a function of DataFusion takes its place.
pub(crate) fn register_all(state: &mut SessionState) -> PlanResult<()> {
    aliases::register(state)?;
    series::register(state);
    let families = [
        dates::functions(),
        calendar::functions(),
        intervals::functions(),
        text::functions(),
        formats::functions(),
        json::functions(),
        lists::functions(),
        types::functions(),
        zones::functions(),
        session::functions(),
    ];
    for function in families.into_iter().flatten() {
        state.register_udf(function.into())?;
    }
    for function in aggregates::functions().into_iter().chain(counts::functions()) {
        state.register_udaf(function.into())?;
    }
    Ok(())
}
