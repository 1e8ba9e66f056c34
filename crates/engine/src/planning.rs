//! From a syntax tree to a logical plan.

use datafusion::common::DataFusionError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as Parsed;
use pintail_lake::StoredView;
use pintail_types::Result;

use crate::dialect::{MAX_SYNONYMS, number_columns, resolve_synonym};
use crate::error::{from_datafusion, has_repeated_names};
use crate::missing::missing_name;
use crate::sql_types::put_in_zone;
use crate::time_travel::TimeTravel;

/// Plans a statement whose names are whole. Names in it that are no columns become those of the columns that they
/// stand for.
///
/// # Errors
/// `NotFound` and `Invalid` for what it names and does not exist, with the place; why a view that it reads can't be
/// planned; else what planning fails with.
pub(crate) async fn plan(state: &SessionState, parsed: &mut Parsed) -> Result<LogicalPlan> {
    let mut travel = TimeTravel::new(state);
    match resolving_synonyms(state, parsed, &mut travel).await {
        Ok(plan) => {
            check_views(&plan)?;
            Ok(plan)
        }
        Err(error) => {
            let looked_up = travel.looked_up(parsed)?;
            Err(missing_name(state, &looked_up).await.unwrap_or_else(|| from_datafusion(&error)))
        }
    }
}

/// A view that can't be planned is listed, with no columns that a client could be told of: reading it fails here, before
/// anything is answered.
fn check_views(plan: &LogicalPlan) -> Result<()> {
    let mut refusal = None;
    let checked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            refusal = provider.downcast_ref::<StoredView>().and_then(StoredView::refusal);
        }
        Ok(if refusal.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    checked.map_err(|error| from_datafusion(&error))?;
    refusal.map_or(Ok(()), Err)
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
    if let Some(zone) = &state.config_options().execution.time_zone {
        put_in_zone(parsed, zone);
    }
    for _ in 0..MAX_SYNONYMS {
        match plan_once(state, parsed, travel).await {
            Err(error) if resolve_synonym(&error, parsed) => {}
            Err(error) if has_repeated_names(&error) && number_columns(parsed) => {}
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
