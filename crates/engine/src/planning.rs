//! From a syntax tree to a logical plan.

use datafusion::common::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as Parsed;
use pintail_types::Result;

use crate::dialect::{MAX_SYNONYMS, resolve_synonym};
use crate::error::from_datafusion;
use crate::missing::missing_name;

/// Plans a statement whose names are whole. Names in it that are no columns become those of the columns that they
/// stand for.
///
/// # Errors
/// `NotFound` and `Invalid` for what it names and does not exist, with the place; else what planning fails with.
pub(crate) async fn plan(state: &SessionState, parsed: &mut Parsed) -> Result<LogicalPlan> {
    match plan_with_synonyms(state, parsed).await {
        Ok(plan) => Ok(plan),
        Err(error) => Err(missing_name(state, parsed).await.unwrap_or_else(|| from_datafusion(&error))),
    }
}

/// The same with the planner's own error.
pub(crate) async fn plan_with_synonyms(
    state: &SessionState,
    parsed: &mut Parsed,
) -> Result<LogicalPlan, DataFusionError> {
    for _ in 0..MAX_SYNONYMS {
        match state.statement_to_plan(parsed.clone()).await {
            Err(error) if resolve_synonym(&error, parsed) => {}
            outcome => return outcome,
        }
    }
    state.statement_to_plan(parsed.clone()).await
}
