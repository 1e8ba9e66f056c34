//! A statement with rows: its plan, kept between executions.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as PlanResult, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{SQLOptions, SessionConfig};
use datafusion::sql::parser::Statement as Parsed;
use datafusion_substrait::substrait::proto::Plan;
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use pintail_types::{Error, Result};

use crate::dialect::{complete_names, number_placeholders};
use crate::error::from_datafusion;
use crate::execution::Execution;
use crate::parameters;
use crate::planning;
use crate::ready_plan::ReadyPlan;
use crate::session::{Generation, Session, at_this_moment};
use crate::substrait;
use crate::wire::wire_schema;

/// A statement with rows.
pub(super) struct Query {
    session: Session,
    /// The session's state when the statement was planned: names stay what they were then.
    state: Arc<SessionState>,
    source: Source,
    /// The schemas that were announced; later plans must have the same.
    announced: Announced,
    /// The newest plan.
    planned: Mutex<Arc<Planned>>,
}

/// What a query is planned from.
#[derive(Clone)]
pub(super) enum Source {
    /// SQL, and how many parameters it has.
    Sql(Box<Parsed>, usize),
    /// A plan of Substrait.
    Substrait(Arc<Plan>),
}

impl Source {
    /// SQL, with its parameters numbered.
    ///
    /// # Errors
    /// `Invalid` for parameters that cannot be numbered.
    pub(super) fn of_sql(mut parsed: Parsed) -> Result<Self> {
        let parameter_count = number_placeholders(&mut parsed)?;
        Ok(Self::Sql(Box::new(parsed), parameter_count))
    }
}

/// What a statement's caller was told of it.
#[derive(Debug, Clone)]
struct Announced {
    /// The wire schema of the rows.
    schema: SchemaRef,
    /// Whether the rows come in an order that the query asks for.
    is_ordered: bool,
    /// One field for each parameter.
    parameters: SchemaRef,
}

/// A plan and what it was made for.
struct Planned {
    plan: ReadyPlan,
    /// The storage's number when the plan was made: while it stays, the plan holds. None for a plan that reads the past,
    /// which holds for one execution.
    generation: Option<Generation>,
}

impl Query {
    pub(super) async fn plan(session: Session, mut source: Source) -> Result<Self> {
        let base = session.state();
        let mut state = at_this_moment(&base);
        let generation = session.pin(state.config_mut()).await?;
        if let Source::Sql(parsed, _) = &mut source {
            let (catalog, schema) = (session.current_catalog(), session.current_schema());
            complete_names(parsed, state.catalog_list().as_ref(), &catalog, &schema);
        }
        let (planned, announced) = plan_in(&session, &state, &mut source, generation).await?;
        let planned = Mutex::new(Arc::new(planned));
        Ok(Self { session, state: base, source, announced, planned })
    }

    /// The wire schema of the rows.
    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.announced.schema)
    }

    /// Whether the rows come in an order that the query asks for.
    pub(super) const fn is_ordered(&self) -> bool {
        self.announced.is_ordered
    }

    /// One field for each parameter, in the types of the plan.
    pub(super) fn parameters(&self) -> SchemaRef {
        Arc::clone(&self.announced.parameters)
    }

    /// The one row, if it is one of constants.
    pub(super) fn constant_row(&self) -> Option<RecordBatch> {
        self.planned.lock().plan.row().cloned()
    }

    /// Binds the query to this moment and to `values`, and starts its plan once for each of them.
    pub(super) async fn start(
        &self,
        execution: Execution,
        values: Vec<Vec<ScalarValue>>,
    ) -> Result<SendableRecordBatchStream> {
        let planned = Arc::clone(&self.planned.lock());
        let mut config = self.state.config().clone();
        if planned.plan.is_timeless() {
            let context = self.task_context(config, execution);
            let follows_pin = |_: &dyn TableProvider| false;
            let started = planned.plan.start(&self.state, Vec::new(), context, &follows_pin).await;
            return started.map_err(|error| from_datafusion(&error));
        }
        let generation = self.session.pin(&mut config).await?;
        if planned.generation == Some(generation) && planned.plan.kept().is_some() {
            let state = Arc::clone(&self.state);
            return self.start_each(planned, state, self.task_context(config, execution), values).await;
        }
        let mut state = at_this_moment(&self.state);
        *state.config_mut() = config.clone();
        let planned = self.planned_for(&state, planned, generation).await?;
        let context = self.task_context(config, execution);
        self.start_each(planned, Arc::new(state), context, values).await
    }

    /// Starts a plan once for each of `values`, one after the other.
    async fn start_each(
        &self,
        planned: Arc<Planned>,
        state: Arc<SessionState>,
        context: Arc<TaskContext>,
        mut values: Vec<Vec<ScalarValue>>,
    ) -> Result<SendableRecordBatchStream> {
        let engine = Arc::clone(self.session.engine());
        let moment = Arc::clone(&context);
        let start = move |row| {
            let (planned, state, context) = (Arc::clone(&planned), Arc::clone(&state), Arc::clone(&context));
            let engine = Arc::clone(&engine);
            async move {
                let follows_pin = |table: &dyn TableProvider| engine.storage().follows_pin(table);
                planned.plan.start(&state, row, context, &follows_pin).await
            }
        };
        if values.len() == 1
            && let Some(row) = values.pop()
        {
            let rows = start(row).await.map_err(|error| from_datafusion(&error))?;
            return Ok(holding(rows, moment));
        }
        let schema = self.planned.lock().plan.schema();
        let all = futures::stream::iter(values).then(start).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, all)))
    }

    fn task_context(&self, config: SessionConfig, execution: Execution) -> Arc<TaskContext> {
        execution.task_context(self.state.session_id().to_owned(), config)
    }

    /// The plan, made again if a table may have changed.
    async fn planned_for(
        &self,
        state: &SessionState,
        planned: Arc<Planned>,
        generation: Generation,
    ) -> Result<Arc<Planned>> {
        if planned.generation == Some(generation) {
            return Ok(planned);
        }
        let mut source = self.source.clone();
        let (planned, announced) = plan_in(&self.session, state, &mut source, generation).await?;
        if !same_columns(&announced.schema, &self.announced.schema)
            || !same_columns(&announced.parameters, &self.announced.parameters)
        {
            return Err(Error::conflict("a table changed since the statement was planned: plan it again"));
        }
        let planned = Arc::new(planned);
        *self.planned.lock() = Arc::clone(&planned);
        Ok(planned)
    }
}

/// The rows. The moment that they are read at is held as long as they flow: what they are read from is not deleted
/// before. Operators need not hold what they run in.
fn holding(rows: SendableRecordBatchStream, moment: Arc<TaskContext>) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let rows = futures::stream::unfold((rows, moment), async |(mut rows, moment)| {
        let batch = rows.next().await?;
        Some((batch, (rows, moment)))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
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
    source: &mut Source,
    generation: Generation,
) -> Result<(Planned, Announced)> {
    let (plan, parameter_count) = logical_plan(state, source).await?;
    // SQL was admitted by its syntax tree; this holds the planner to it, and plans of others, too.
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)
        .map_err(|error| from_datafusion(&error))?;
    let (plan, parameters) = parameters::typed(state, plan, parameter_count)?;
    let schema = wire_schema(&result_schema(state, &plan)?, session.profile());
    let is_ordered = is_ordered(&plan);
    let reads_past = reads_past(session, &plan).map_err(|error| from_datafusion(&error))?;
    let generation = (!reads_past).then_some(generation);
    let plan = ReadyPlan::new(state, plan).await.map_err(|error| from_datafusion(&error))?;
    Ok((Planned { plan, generation }, Announced { schema, is_ordered, parameters }))
}

/// Whether a table of the plan shows the past.
fn reads_past(session: &Session, plan: &LogicalPlan) -> PlanResult<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let table = source_as_provider(&scan.source)?;
            found |= session.engine().storage().is_of_the_past(table.as_ref());
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// The plan, and how many parameters it has.
async fn logical_plan(state: &SessionState, source: &mut Source) -> Result<(LogicalPlan, usize)> {
    let (parsed, parameter_count) = match source {
        Source::Sql(parsed, parameter_count) => (parsed, *parameter_count),
        Source::Substrait(plan) => {
            let plan = Box::pin(substrait::logical_plan(state, plan)).await?;
            let parameter_count = substrait::parameter_count(&plan)?;
            return Ok((plan, parameter_count));
        }
    };
    let plan = planning::plan(state, parsed).await;
    Ok((plan.map_err(|error| parameters::hint(error, parameter_count))?, parameter_count))
}

/// Whether sorting is the last thing that is done, but for leaving out rows and columns. The order of a subquery is not
/// kept by whatever is around it.
fn is_ordered(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Limit(limit) => is_ordered(&limit.input),
        LogicalPlan::Projection(projection) => is_ordered(&projection.input),
        _ => false,
    }
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
