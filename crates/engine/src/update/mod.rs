//! Statements that change tables: what they are to do is planned anew at every execution, on the tables of that
//! moment, and done as one commit.

mod columns;
mod ingest;
mod names;
mod rows;
mod schema;

use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::Statement as Sql;
use futures::{StreamExt, TryStreamExt};
use pintail_lake::{Author, Destination, Rows, SchemaChange};
use pintail_types::{Error, Result};

pub(crate) use self::ingest::ingest;
pub use self::ingest::{IfExists, IfMissing, IngestTarget};
use self::names::Target;
use self::rows::RowsChange;
use crate::dialect::{complete_names, first_word, number_placeholders};
use crate::error::from_datafusion;
use crate::execution::Execution;
use crate::parameters;
use crate::session::{Session, at_this_moment};

/// A statement that changes something.
pub(crate) struct Update {
    session: Session,
    /// The session's state when the statement was planned: names stay what they were then.
    state: Arc<SessionState>,
    sql: Sql,
    author: Author,
    /// How many parameters the text has.
    parameter_count: usize,
    /// One field for each parameter.
    parameters: SchemaRef,
}

/// What a statement is to do, on the tables of one moment.
enum Change {
    /// Nothing: what it asks for is so already.
    None,
    Schema(Target, SchemaChange),
    /// Put the rows of a query into a table.
    Fill(Target, Destination, LogicalPlan),
    /// Change or remove some rows.
    Rows(Target, RowsChange),
    /// Remove all rows.
    Truncate(Target),
}

impl Update {
    /// Plans the statement once, which tells whether it can be run and which parameters it has.
    ///
    /// # Errors
    /// `Forbidden` if the session may not change anything, or not this table. What planning fails with.
    pub(crate) async fn plan(session: Session, mut parsed: Parsed) -> Result<Self> {
        admit(&session)?;
        let parameter_count = number_placeholders(&mut parsed)?;
        let state = session.state();
        let mut now = at_this_moment(&state);
        session.pin(now.config_mut()).await?;
        let (catalog, schema) = (session.current_catalog(), session.current_schema());
        complete_names(&mut parsed, now.catalog_list().as_ref(), &catalog, &schema);
        let Parsed::Statement(sql) = parsed else {
            return Err(Error::internal("a statement of another grammar was let through"));
        };
        let author = Author { name: session.principal().name.clone(), statement: first_word(&sql) };
        let parameters = Arc::new(Schema::empty());
        let mut update = Self { session, state, sql: *sql, author, parameter_count, parameters };
        update.parameters = Box::pin(update.change(&now)).await?.1;
        Ok(update)
    }

    /// One field for each parameter.
    pub(crate) fn parameters(&self) -> SchemaRef {
        Arc::clone(&self.parameters)
    }

    /// Runs it once for each row of values and gives the number of rows that changed. Rows that are added are one
    /// commit, whatever the number of values.
    pub(crate) async fn run(&self, execution: Execution, values: Vec<Vec<ScalarValue>>) -> Result<u64> {
        admit(&self.session)?;
        if matches!(self.sql, Sql::Insert(_)) {
            return Box::pin(self.run_once(&execution, values)).await;
        }
        let mut changed = 0;
        for row in values {
            changed += Box::pin(self.run_once(&execution, vec![row])).await?;
        }
        Ok(changed)
    }

    async fn run_once(&self, execution: &Execution, values: Vec<Vec<ScalarValue>>) -> Result<u64> {
        if let Some(target) = rows::target(&self.session, &self.sql)? {
            target.writer.settle_rows(&target.table).await?;
        }
        let mut state = at_this_moment(&self.state);
        self.session.pin(state.config_mut()).await?;
        let (change, parameters) = Box::pin(self.change(&state)).await?;
        if parameters != self.parameters {
            return Err(Error::conflict("a table changed since the statement was planned: plan it again"));
        }
        let author = &self.author;
        match change {
            Change::None => Ok(0),
            Change::Schema(target, change) => {
                target.writer.change_schema(change, author).await?;
                Ok(0)
            }
            Change::Fill(target, destination, plan) => {
                let columns = Arc::clone(plan.schema().inner());
                let rows = rows_of(plan, state, execution.clone(), values);
                target.writer.load(&target.table, destination, columns, rows, author).await
            }
            Change::Rows(target, change) => {
                let provider = target.writer.rows_with_ids(&target.table, state.config()).await?;
                let kind = change.kind();
                let plan = change.with_row_ids(provider)?;
                let config = state.config().clone();
                let rows = rows_of(plan, state, execution.clone(), values);
                target.writer.change_rows(&target.table, kind, &config, rows, author).await
            }
            Change::Truncate(target) => target.writer.truncate(&target.table, state.config(), author).await,
        }
    }

    /// What is to be done in `state`, and the parameters.
    async fn change(&self, state: &SessionState) -> Result<(Change, SchemaRef)> {
        let change = match &self.sql {
            Sql::Insert(_) | Sql::Update(_) | Sql::Delete(_) | Sql::Truncate(_) => {
                Box::pin(rows::change(&self.session, state, &self.sql)).await?
            }
            sql => Box::pin(schema::change(&self.session, state, sql)).await?,
        };
        let typed = |plan| parameters::typed(state, plan, self.parameter_count);
        Ok(match change {
            Change::Fill(target, destination, plan) => {
                let (plan, parameters) = typed(plan)?;
                (Change::Fill(target, destination, plan), parameters)
            }
            Change::Rows(target, rows) => {
                let (rows, parameters) = rows.typed(typed)?;
                (Change::Rows(target, rows), parameters)
            }
            other if self.parameter_count == 0 => (other, Arc::new(Schema::empty())),
            _ => {
                return Err(Error::invalid(
                    "parameters stand for values, not for parts of a statement like this",
                ));
            }
        })
    }
}

/// Whether the session may change anything.
fn admit(session: &Session) -> Result<()> {
    if session.is_read_only() {
        return Err(Error::forbidden("this listener is read-only"));
    }
    if !session.principal().may_write() {
        return Err(Error::forbidden(format!(
            "{} may not change tables: that takes group writers",
            session.principal().name
        )));
    }
    Ok(())
}

/// The rows of `plan`, for each row of values one after the other.
fn rows_of(
    plan: LogicalPlan,
    state: SessionState,
    execution: Execution,
    values: Vec<Vec<ScalarValue>>,
) -> Rows {
    let context = execution.task_context(state.session_id().to_owned(), state.config().clone());
    let state = Arc::new(state);
    futures::stream::iter(values)
        .then(move |row| {
            let (plan, state, context) = (plan.clone(), Arc::clone(&state), Arc::clone(&context));
            async move {
                let plan = if row.is_empty() { plan } else { plan.replace_params_with_values(&row.into())? };
                execute_stream(state.create_physical_plan(&plan).await?, context)
            }
        })
        .try_flatten()
        .map_err(|error| from_datafusion(&error))
        .boxed()
}
