//! A statement with rows: its plan, kept between executions.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SQLOptions;
use datafusion::sql::parser::Statement as Parsed;
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use pintail_types::{Error, Result};

use crate::dialect::{complete_names, number_placeholders};
use crate::error::from_datafusion;
use crate::parameters;
use crate::planning;
use crate::ready_plan::ReadyPlan;
use crate::session::{Generation, Session, at_this_moment};
use crate::wire::wire_schema;

/// A statement with rows.
pub(super) struct Query {
    session: Session,
    /// The session's state when the statement was planned: names stay what they were then.
    state: Arc<SessionState>,
    parsed: Parsed,
    /// How many parameters the text has.
    parameter_count: usize,
    /// The schemas that were announced; later plans must have the same.
    announced: Announced,
    /// The newest plan.
    planned: Mutex<Arc<Planned>>,
}

/// What a statement's caller was told of it.
#[derive(Debug, Clone)]
struct Announced {
    /// The wire schema of the rows.
    schema: SchemaRef,
    /// One field for each parameter.
    parameters: SchemaRef,
}

/// A plan and what it was made for.
struct Planned {
    plan: ReadyPlan,
    /// The storage's number when the plan was made: while it stays, the plan holds.
    generation: Generation,
}

impl Query {
    pub(super) async fn plan(session: Session, mut parsed: Parsed) -> Result<Self> {
        let parameter_count = number_placeholders(&mut parsed)?;
        let base = session.state();
        let mut state = at_this_moment(&base);
        let generation = session.pin(state.config_mut()).await?;
        let (catalog, schema) = (session.current_catalog(), session.current_schema());
        complete_names(&mut parsed, state.catalog_list().as_ref(), &catalog, &schema);
        let (plan, announced) = plan_in(&session, &state, &mut parsed, parameter_count).await?;
        let planned = Mutex::new(Arc::new(Planned { plan, generation }));
        Ok(Self { session, state: base, parsed, parameter_count, announced, planned })
    }

    /// The wire schema of the rows.
    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.announced.schema)
    }

    /// One field for each parameter, in the types of the plan.
    pub(super) fn parameters(&self) -> SchemaRef {
        Arc::clone(&self.announced.parameters)
    }

    /// Binds the query to this moment and to `values`, and starts its plan once for each of them.
    pub(super) async fn start(
        &self,
        runtime_env: Arc<RuntimeEnv>,
        mut values: Vec<Vec<ScalarValue>>,
    ) -> Result<SendableRecordBatchStream> {
        let planned = Arc::clone(&self.planned.lock());
        if planned.plan.is_timeless() {
            let context = task_context(&self.state, runtime_env);
            let started = planned.plan.start(&self.state, Vec::new(), context).await;
            return started.map_err(|error| from_datafusion(&error));
        }
        let mut state = at_this_moment(&self.state);
        let generation = self.session.pin(state.config_mut()).await?;
        let planned = self.planned_for(&state, planned, generation).await?;
        let context = task_context(&state, runtime_env);
        if values.len() == 1
            && let Some(row) = values.pop()
        {
            return planned.plan.start(&state, row, context).await.map_err(|error| from_datafusion(&error));
        }
        let schema = planned.plan.schema();
        let all = futures::stream::iter(values)
            .then(move |row| {
                let (planned, state, context) = (Arc::clone(&planned), state.clone(), Arc::clone(&context));
                async move { planned.plan.start(&state, row, context).await }
            })
            .try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, all)))
    }

    /// The plan, made again if a table may have changed.
    async fn planned_for(
        &self,
        state: &SessionState,
        planned: Arc<Planned>,
        generation: Generation,
    ) -> Result<Arc<Planned>> {
        if planned.generation == generation {
            return Ok(planned);
        }
        let mut parsed = self.parsed.clone();
        let (plan, announced) = plan_in(&self.session, state, &mut parsed, self.parameter_count).await?;
        if !same_columns(&announced.schema, &self.announced.schema)
            || !same_columns(&announced.parameters, &self.announced.parameters)
        {
            return Err(Error::conflict("a table changed since the statement was planned: plan it again"));
        }
        let planned = Arc::new(Planned { plan, generation });
        *self.planned.lock() = Arc::clone(&planned);
        Ok(planned)
    }
}

/// What a plan runs in. Plans hold the functions that they call, so it knows none by name.
fn task_context(state: &SessionState, runtime_env: Arc<RuntimeEnv>) -> Arc<TaskContext> {
    let config = state.config().clone();
    let session_id = state.session_id().to_owned();
    let (scalar, higher_order) = (HashMap::new(), HashMap::new());
    let (aggregate, window) = (HashMap::new(), HashMap::new());
    let context =
        TaskContext::new(None, session_id, config, scalar, higher_order, aggregate, window, runtime_env);
    Arc::new(context)
}

fn same_columns(one: &Schema, other: &Schema) -> bool {
    let columns = |schema: &Schema| -> Vec<_> {
        let fields = schema.fields().iter();
        fields.map(|field| (field.name().clone(), field.data_type().clone(), field.is_nullable())).collect()
    };
    columns(one) == columns(other)
}

async fn plan_in(
    session: &Session,
    state: &SessionState,
    parsed: &mut Parsed,
    parameter_count: usize,
) -> Result<(ReadyPlan, Announced)> {
    let plan = planning::plan(state, parsed).await;
    let plan = plan.map_err(|error| parameters::hint(error, parameter_count))?;
    // The statement was admitted by its syntax tree; this holds the planner to it.
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)
        .map_err(|error| from_datafusion(&error))?;
    let (plan, parameters) = parameters::typed(state, plan, parameter_count)?;
    let schema = wire_schema(&result_schema(state, &plan)?, session.profile());
    let plan = ReadyPlan::new(state, plan).await.map_err(|error| from_datafusion(&error))?;
    Ok((plan, Announced { schema, parameters }))
}

/// The schema that the rows will have: coercion, as of the sides of a UNION, may change it.
fn result_schema(state: &SessionState, plan: &LogicalPlan) -> Result<Schema> {
    if matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_)) {
        return Ok(plan.schema().as_arrow().clone());
    }
    let analyzed = state
        .analyzer()
        .execute_and_check(plan.clone(), state.config_options(), |_, _| {})
        .map_err(|error| from_datafusion(&error))?;
    Ok(analyzed.schema().as_arrow().clone())
}
