//! One statement: planned once, executed as often as its caller wants.

mod query;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use pintail_types::{Error, QueryId, Result};

use self::query::{Query, Source};
use crate::dialect::{Admitted, parse};
use crate::maintenance::{Call, admit, maintenance_rows, maintenance_schema};
use crate::parameters;
use crate::session::Session;
use crate::settings::SettingChange;
use crate::stream::QueryStream;
use crate::substrait;
use crate::update::Update;
use crate::wire::wire_schema;

/// How a plan of Substrait is listed among the queries.
const SUBSTRAIT_PLAN: &str = "SUBSTRAIT PLAN";

/// A planned statement. Cheap to clone.
#[derive(Clone)]
pub struct Statement(Arc<Inner>);

struct Inner {
    session: Session,
    id: QueryId,
    sql: String,
    work: Work,
    executed: AtomicBool,
}

/// What there is to do.
enum Work {
    Query(Box<Query>),
    Setting(SettingChange),
    Update(Box<Update>),
    Call(Call),
}

impl Statement {
    /// Parses and plans `sql`; listed as a query while it lasts, and as a failed one if it fails.
    pub(crate) async fn plan(session: Session, sql: &str) -> Result<Self> {
        let text = sql.to_owned();
        Self::plan_work(session, sql, async move |session| {
            Ok(match parse(&text)? {
                Admitted::Query(parsed) => {
                    let source = Source::of_sql(session.with_settings_shown(parsed)?)?;
                    Work::Query(Box::new(Query::plan(session, source).await?))
                }
                Admitted::Setting(change) => Work::Setting(change),
                Admitted::Update(parsed) => {
                    Work::Update(Box::new(Box::pin(Update::plan(session, parsed)).await?))
                }
                Admitted::Call(call) => admitted_call(&session, call)?,
            })
        })
        .await
    }

    /// Plans a query that is a plan of Substrait; listed as [`Self::plan`].
    pub(crate) async fn of_substrait(session: Session, plan: &[u8]) -> Result<Self> {
        let plan = plan.to_vec();
        Self::plan_work(session, SUBSTRAIT_PLAN, async move |session| {
            let source = Source::Substrait(Arc::new(substrait::decode(&plan)?));
            Ok(Work::Query(Box::new(Query::plan(session, source).await?)))
        })
        .await
    }

    /// A call that was not made of SQL; `sql` is how it is listed.
    pub(crate) async fn of_call(session: Session, call: Call, sql: &str) -> Result<Self> {
        Self::plan_work(session, sql, async move |session| admitted_call(&session, call)).await
    }

    async fn plan_work<F: Future<Output = Result<Work>> + Send + 'static>(
        session: Session,
        sql: &str,
        work: impl FnOnce(Session) -> F + Send + 'static,
    ) -> Result<Self> {
        let id = QueryId::new();
        let query = session.begin(id, sql);
        let limits = session.limits(&query);
        let planning = {
            let (session, sql) = (session.clone(), sql.to_owned());
            async move {
                let work = work(session.clone()).await?;
                Ok(Self(Arc::new(Inner { session, id, sql, work, executed: AtomicBool::new(false) })))
            }
        };
        let outcome = limits.guard(session.engine().runtime().run(planning)).await;
        match &outcome {
            Ok(_) => query.forget(),
            Err(error) => query.close(Err(error)),
        }
        outcome.map_err(|error| error.of_query(id))
    }

    /// The id of its first execution.
    pub fn id(&self) -> QueryId {
        self.0.id
    }

    /// Whether it changes something and has no rows: run it with [`Self::update`].
    pub fn is_update(&self) -> bool {
        !matches!(self.0.work, Work::Query(_) | Work::Call(_))
    }

    /// Whether it changes nothing but the session: `SET`, `RESET` or `USE`.
    pub fn is_of_session(&self) -> bool {
        matches!(self.0.work, Work::Setting(_))
    }

    /// One field for each parameter, in order, named by its position (`1`, `2`, ...), of the type that the statement
    /// expects there; text where any type would do.
    pub fn parameters(&self) -> SchemaRef {
        wire_schema(&self.planned_parameters(), self.0.session.profile())
    }

    /// The same in the types of the plan.
    fn planned_parameters(&self) -> SchemaRef {
        match &self.0.work {
            Work::Query(query) => query.parameters(),
            Work::Update(update) => update.parameters(),
            Work::Setting(_) | Work::Call(_) => Arc::new(Schema::empty()),
        }
    }

    /// The wire schema of its rows; no fields if it is an update.
    pub fn schema(&self) -> SchemaRef {
        match &self.0.work {
            Work::Query(query) => query.schema(),
            Work::Call(_) => wire_schema(&maintenance_schema(), self.0.session.profile()),
            Work::Setting(_) | Work::Update(_) => Arc::new(Schema::empty()),
        }
    }

    /// Whether its rows come in an order that it asks for. The rows of several executions that follow each other do
    /// not.
    pub fn is_ordered(&self) -> bool {
        matches!(&self.0.work, Work::Query(query) if query.is_ordered())
    }

    /// The text it was made of.
    pub fn sql(&self) -> &str {
        &self.0.sql
    }

    /// Runs it once for each row of `parameters`, or once without; gives the number of rows that were changed, all
    /// executions together, or `None` where that is not known. Every call changes the tables once.
    ///
    /// # Errors
    /// `Invalid` if it is a query, or if the parameters do not fit; `Forbidden` if the principal may not.
    /// `Conflict` if somebody else changed the same at the same time. What the plan itself fails with.
    pub async fn update(&self, parameters: Option<&RecordBatch>) -> Result<Option<u64>> {
        match &self.0.work {
            Work::Update(_) => Box::pin(self.update_rows(parameters)).await.map(Some),
            _ => self.change_setting(parameters).map_err(|error| error.of_query(self.0.id)),
        }
    }

    fn change_setting(&self, parameters: Option<&RecordBatch>) -> Result<Option<u64>> {
        match &self.0.work {
            Work::Query(_) | Work::Update(_) | Work::Call(_) => {
                Err(Error::invalid("the statement is a query"))
            }
            Work::Setting(change) => {
                if let Some(parameters) = parameters {
                    parameters::rows(&Schema::empty(), parameters)?;
                }
                self.0.session.change(change)?;
                Ok(Some(0))
            }
        }
    }

    async fn update_rows(&self, parameters: Option<&RecordBatch>) -> Result<u64> {
        let expected = self.planned_parameters();
        let values = match (parameters, expected.fields().len()) {
            (Some(parameters), _) => parameters::rows(&expected, parameters),
            (None, 0) => Ok(vec![Vec::new()]),
            (None, count) => Err(unbound(count)),
        };
        let values = values.map_err(|error| error.of_query(self.0.id))?;
        let inner = Arc::clone(&self.0);
        let run = |execution| async move {
            match &inner.work {
                Work::Update(update) => update.run(execution, values).await,
                Work::Query(_) | Work::Setting(_) | Work::Call(_) => {
                    Err(Error::internal("the statement changes no tables"))
                }
            }
        };
        self.0.session.run_update(self.next_id(), &self.0.sql, run).await
    }

    /// The id of the next execution.
    fn next_id(&self) -> QueryId {
        if self.0.executed.swap(true, Ordering::Relaxed) { QueryId::new() } else { self.0.id }
    }

    /// Runs it on what the tables hold now. Every execution is a query of its own.
    ///
    /// # Errors
    /// `Invalid` if it has parameters or is an update. `Conflict` if a table changed so that the announced schema does
    /// not hold any more: plan it again. `Exhausted` if too many queries wait. What the plan itself fails with.
    /// `DeadlineExceeded` and `Cancelled` as for the stream.
    pub async fn execute(&self) -> Result<QueryStream> {
        match self.planned_parameters().fields().len() {
            0 => self.execute_rows(vec![Vec::new()]).await,
            count => Err(unbound(count).of_query(self.0.id)),
        }
    }

    /// As [`Self::execute`], with the rows of all rows of `parameters`, one after the other, all of one moment.
    ///
    /// # Errors
    /// As [`Self::execute`], and `Invalid` if the parameters do not fit [`Self::parameters`].
    pub async fn execute_with(&self, parameters: &RecordBatch) -> Result<QueryStream> {
        let rows = parameters::rows(&self.planned_parameters(), parameters);
        self.execute_rows(rows.map_err(|error| error.of_query(self.0.id))?).await
    }

    async fn execute_rows(&self, values: Vec<Vec<ScalarValue>>) -> Result<QueryStream> {
        let inner = Arc::clone(&self.0);
        let engine = self.0.session.engine();
        let id = self.next_id();
        let query = inner.session.begin(id, &inner.sql);
        let limits = inner.session.limits(&query);
        if let Err(error) = limits.guard(query.admit()).await {
            query.close(Err(&error));
            return Err(error.of_query(id));
        }
        if let Work::Query(constant) = &inner.work
            && let Some(row) = constant.constant_row()
        {
            return QueryStream::of_row(&row, self.schema(), query).map_err(|error| error.of_query(id));
        }
        let (execution, memory) = engine.execution(&query);
        let start = async move {
            match &inner.work {
                Work::Query(query) => query.start(execution, values).await,
                Work::Call(call) => call_rows(call, &inner.session).await,
                Work::Setting(_) | Work::Update(_) => {
                    Err(Error::invalid("the statement has no rows: run it as an update"))
                }
            }
        };
        let start = async { start.await.map(|plan| (plan, memory)) };
        let stream = QueryStream::start(start, self.schema(), query, limits, engine.runtime()).await;
        stream.map_err(|error| error.of_query(id))
    }
}

fn admitted_call(session: &Session, call: Call) -> Result<Work> {
    admit(session.principal(), session.is_read_only())?;
    Ok(Work::Call(call))
}

/// What a call did, as rows.
async fn call_rows(call: &Call, session: &Session) -> Result<SendableRecordBatchStream> {
    let rows = maintenance_rows(&call.run(session).await?)?;
    let stream = futures::stream::once(async move { Ok(rows) });
    Ok(Box::pin(RecordBatchStreamAdapter::new(maintenance_schema(), stream)))
}

fn unbound(count: usize) -> Error {
    Error::invalid(format!("the statement has {count} parameters, none were bound"))
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement").field("id", &self.0.id).field("sql", &self.0.sql).finish_non_exhaustive()
    }
}
