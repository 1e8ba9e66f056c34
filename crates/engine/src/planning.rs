//! From a syntax tree to a logical plan.

use datafusion::common::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as Parsed;
use pintail_types::Result;

use crate::dialect::{MAX_SYNONYMS, resolve_synonym};
use crate::error::from_datafusion;
use crate::missing::missing_name;
use crate::time_travel::TimeTravel;

/// Plans a statement whose names are whole. Names in it that are no columns become those of the columns that they
/// stand for.
///
/// # Errors
/// `NotFound` and `Invalid` for what it names and does not exist, with the place; else what planning fails with.
pub(crate) async fn plan(state: &SessionState, parsed: &mut Parsed) -> Result<LogicalPlan> {
    let mut travel = TimeTravel::new(state);
    match resolving_synonyms(state, parsed, &mut travel).await {
        Ok(plan) => Ok(plan),
        Err(error) => {
            let looked_up = travel.looked_up(parsed)?;
            Err(missing_name(state, &looked_up).await.unwrap_or_else(|| from_datafusion(&error)))
        }
    }
}

/// The same with the planner's own error.
pub(crate) async fn plan_with_synonyms(
    state: &SessionState,
    parsed: &mut Parsed,
) -> Result<LogicalPlan, DataFusionError> {
    resolving_synonyms(state, parsed, &mut TimeTravel::new(state)).await
}

async fn resolving_synonyms(
    state: &SessionState,
    parsed: &mut Parsed,
    travel: &mut TimeTravel<'_>,
) -> Result<LogicalPlan, DataFusionError> {
    for _ in 0..MAX_SYNONYMS {
        match plan_once(state, parsed, travel).await {
            Err(error) if resolve_synonym(&error, parsed) => {}
            outcome => return outcome,
        }
    }
    plan_once(state, parsed, travel).await
}

async fn plan_once(
    state: &SessionState,
    parsed: &Parsed,
    travel: &mut TimeTravel<'_>,
) -> Result<LogicalPlan, DataFusionError> {
    let looked_up = travel.looked_up(parsed).map_err(|error| DataFusionError::External(Box::new(error)))?;
    state.statement_to_plan(looked_up).await
}
