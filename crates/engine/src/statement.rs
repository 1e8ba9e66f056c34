//! One statement: planned once, executed as often as its caller wants.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SQLOptions;
use datafusion::sql::parser::Statement as Parsed;
use pintail_types::{Error, QueryId, Result};

use crate::dialect::{complete_names, parse, table_functions};
use crate::error::from_datafusion;
use crate::session::Session;
use crate::stream::QueryStream;
use crate::wire::wire_schema;

/// A planned statement. Cheap to clone.
#[derive(Clone)]
pub struct Statement(Arc<Inner>);

struct Inner {
    session: Session,
    id: QueryId,
    sql: String,
    parsed: Parsed,
    planned: Planned,
    executed: AtomicBool,
}

/// A plan and what it was made for.
struct Planned {
    plan: LogicalPlan,
    /// The wire schema.
    schema: SchemaRef,
    /// The storage's number when the plan was made: while it stays, the plan holds.
    generation: i64,
}

impl Statement {
    /// Parses and plans `sql`; listed as a query while it lasts, and as a failed one if it fails.
    pub(crate) async fn plan(session: Session, sql: &str) -> Result<Self> {
        let id = QueryId::new();
        let query = session.begin(id, sql);
        let limits = session.limits(&query);
        let planning = {
            let (session, sql) = (session.clone(), sql.to_owned());
            async move {
                let mut parsed = parse(&sql)?;
                let mut state = session.state();
                let generation = session.engine().storage().pin(state.config_mut()).await?;
                complete_names(&mut parsed, state.catalog_list().as_ref(), session.current_catalog());
                let planned = plan_in(&session, &state, &parsed, generation).await?;
                let executed = AtomicBool::new(false);
                Ok(Self(Arc::new(Inner { session, id, sql, parsed, planned, executed })))
            }
        };
        let outcome = limits.guard(session.engine().runtime().run(planning)).await;
        match &outcome {
            Ok(_) => query.forget(),
            Err(error) => query.close(Err(error)),
        }
        outcome
    }

    /// The id of its first execution.
    pub fn id(&self) -> QueryId {
        self.0.id
    }

    /// Whether it changes something and has no rows: run it with [`Self::update`].
    pub fn is_update(&self) -> bool {
        false
    }

    /// One field for each parameter, in order, named by its position (`1`, `2`, ...), of the type that the statement
    /// expects there. Where any type would do the field's type is `Null`.
    pub fn parameters(&self) -> SchemaRef {
        Arc::new(Schema::empty())
    }

    /// Runs it once for each row of `parameters`, or once without; gives the number of rows that were changed, all
    /// executions together, or `None` where that is not known. Every call changes the tables once.
    ///
    /// # Errors
    /// `Invalid` if it is a query, or if the parameters do not fit; `Forbidden` if the principal may not.
    /// `Conflict` if somebody else changed the same at the same time. What the plan itself fails with.
    pub async fn update(&self, parameters: Option<&RecordBatch>) -> Result<Option<u64>> {
        let _ = parameters;
        Err(Error::invalid("the statement is a query"))
    }

    /// As [`Self::execute`], with the rows of all rows of `parameters`, one after the other.
    ///
    /// # Errors
    /// As [`Self::execute`], and `Invalid` if the parameters do not fit [`Self::parameters`].
    pub async fn execute_with(&self, parameters: &RecordBatch) -> Result<QueryStream> {
        let _ = parameters;
        self.execute().await
    }

    /// The wire schema of its rows; no fields if it is an update.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.planned.schema)
    }

    /// The text it was made of.
    pub fn sql(&self) -> &str {
        &self.0.sql
    }

    /// Runs it on what the tables hold now. Every execution is a query of its own.
    ///
    /// # Errors
    /// `Conflict` if a table changed so that the announced schema does not hold any more: plan it again.
    /// `Exhausted` if too many queries wait. What the plan itself fails with. `DeadlineExceeded` and
    /// `Cancelled` as for the stream.
    pub async fn execute(&self) -> Result<QueryStream> {
        let inner = &self.0;
        let engine = inner.session.engine();
        let id = if inner.executed.swap(true, Ordering::Relaxed) { QueryId::new() } else { inner.id };
        let query = inner.session.begin(id, &inner.sql);
        let limits = inner.session.limits(&query);
        let (runtime_env, memory) = engine.query_memory();
        let started = limits
            .guard(async {
                query.admit().await?;
                engine.runtime().run(start(Arc::clone(inner), runtime_env)).await
            })
            .await;
        let plan = match started {
            Ok(plan) => plan,
            Err(error) => {
                query.close(Err(&error));
                return Err(error);
            }
        };
        query.started(memory);
        QueryStream::start(plan, self.schema(), query, limits, engine.runtime())
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement").field("id", &self.0.id).field("sql", &self.0.sql).finish_non_exhaustive()
    }
}

/// Binds the statement to this moment and starts its plan.
async fn start(inner: Arc<Inner>, runtime_env: Arc<RuntimeEnv>) -> Result<SendableRecordBatchStream> {
    let mut state = inner.session.state();
    let generation = inner.session.engine().storage().pin(state.config_mut()).await?;
    let plan = if generation == inner.planned.generation {
        inner.planned.plan.clone()
    } else {
        plan_again(&inner, &state, generation).await?
    };
    let physical = state.create_physical_plan(&plan).await.map_err(|error| from_datafusion(&error))?;
    let context = TaskContext::from(&state).with_runtime(runtime_env);
    execute_stream(physical, Arc::new(context)).map_err(|error| from_datafusion(&error))
}

async fn plan_again(inner: &Inner, state: &SessionState, generation: i64) -> Result<LogicalPlan> {
    let again = plan_in(&inner.session, state, &inner.parsed, generation).await?;
    if !same_columns(&again.schema, &inner.planned.schema) {
        return Err(Error::conflict("a table changed since the statement was planned: plan it again"));
    }
    Ok(again.plan)
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
    parsed: &Parsed,
    generation: i64,
) -> Result<Planned> {
    let plan = match state.statement_to_plan(parsed.clone()).await {
        Ok(plan) => plan,
        Err(error) => {
            return Err(missing_table(state, parsed).await.unwrap_or_else(|| from_datafusion(&error)));
        }
    };
    // The statement was admitted by its syntax tree; this holds the planner to it.
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)
        .map_err(|error| from_datafusion(&error))?;
    let parameters = plan.get_parameter_names().map_err(|error| from_datafusion(&error))?;
    if !parameters.is_empty() {
        return Err(Error::unsupported(
            "parameters are not supported yet: put the values into the statement",
        ));
    }
    let schema = wire_schema(&result_schema(state, &plan)?, session.profile());
    Ok(Planned { plan, schema, generation })
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

/// The error for a statement that names a table which does not exist.
async fn missing_table(state: &SessionState, parsed: &Parsed) -> Option<Error> {
    let functions = table_functions(parsed);
    for reference in state.resolve_table_references(parsed).ok()? {
        if reference.schema().is_none() && functions.contains(reference.table()) {
            continue;
        }
        let catalog = &state.config_options().catalog;
        let name = reference.clone().resolve(&catalog.default_catalog, &catalog.default_schema);
        let exists = match state.schema_for_ref(reference.clone()) {
            Ok(schema) => schema.table(&name.table).await.ok()?.is_some(),
            Err(_) => false,
        };
        if !exists {
            return Some(Error::not_found(format!("table {reference} does not exist")));
        }
    }
    None
}
