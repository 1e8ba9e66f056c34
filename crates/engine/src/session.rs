//! One caller at one door.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SessionState;
use datafusion::prelude::SessionConfig;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use pintail_identity::Principal;
use pintail_types::{QueryId, Result};

use crate::catalog::{SessionCatalogs, visible};
use crate::engine::Engine;
use crate::execution::Execution;
use crate::functions::Caller;
use crate::maintenance::Call;
use crate::past::PastCatalogs;
use crate::registry::ActiveQuery;
use crate::statement::Statement;
use crate::stream::Limits;
use crate::system::SystemSchema;
use crate::temporary::TemporaryTables;
use crate::update::IngestTarget;
use crate::wire::WireProfile;

/// How a session starts.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionOptions {
    /// Which types leave.
    pub profile: WireProfile,
    /// Whether statements that change something are refused, whoever sends them.
    pub read_only: bool,
}

/// One caller at one door: who asks, through what, for which types. Cheap to clone; clones share their settings
/// and temporary tables.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    principal: Principal,
    door: &'static str,
    options: SessionOptions,
    /// What it started with.
    initial: Arc<SessionState>,
    /// What it has now: every change of a setting makes a new one.
    state: ArcSwap<SessionState>,
    query_timeout: Mutex<Option<Duration>>,
    temporary: Arc<TemporaryTables>,
}

/// The numbers of the storage's and of the session's own tables.
pub(crate) type Generation = (i64, u64);

impl Session {
    pub(crate) fn new(
        engine: Arc<Engine>,
        principal: Principal,
        door: &'static str,
        options: SessionOptions,
    ) -> Self {
        let temporary = Arc::new(engine.temporary_tables());
        let system = SystemSchema { tables: Arc::clone(engine.system()), principal: principal.clone() };
        let system = Arc::new(system);
        let mut state = engine.template().clone();
        PastCatalogs::new(visible(engine.catalogs(), &principal), &system).register(&mut state);
        let catalogs = SessionCatalogs::list(
            engine.catalogs(),
            &system,
            &principal,
            &temporary,
            &state,
            options.profile,
        );
        state.register_catalog_list(catalogs);
        // The catalogs have one of their own.
        state.config_mut().options_mut().catalog.information_schema = false;
        let caller = Caller { name: principal.name.clone() };
        state.config_mut().options_mut().extensions.insert(caller);
        let initial = Arc::new(state);
        let state = ArcSwap::new(Arc::clone(&initial));
        let query_timeout = Mutex::new(engine.query_timeout());
        Self(Arc::new(Inner { engine, principal, door, options, initial, state, query_timeout, temporary }))
    }

    /// Plans `sql`: one statement that reads, or one that changes tables or a setting.
    ///
    /// # Errors
    /// `Invalid` for what does not parse or plan, with the position where it is known; `NotFound` for a
    /// table that does not exist; `Unsupported` and `Forbidden` for other statements.
    pub async fn statement(&self, sql: &str) -> Result<Statement> {
        Statement::plan(self.clone(), sql).await
    }

    /// Plans a query that is a plan of Substrait, which another program made.
    ///
    /// # Errors
    /// `Invalid` for bytes that are no such plan, and for what does not plan; `NotFound` for a table that does not
    /// exist; `Unsupported` for plans that read files or change something.
    pub async fn substrait(&self, plan: &[u8]) -> Result<Statement> {
        Statement::of_substrait(self.clone(), plan).await
    }

    /// Plans `CALL system.vacuum(expire_older_than)`.
    ///
    /// # Errors
    /// `Invalid` for text that is no length of time, `Forbidden` for who is no admin.
    pub async fn vacuum(&self, expire_older_than: Option<&str>) -> Result<Statement> {
        let call = Call::vacuum(expire_older_than)?;
        Statement::of_call(self.clone(), call, "CALL system.vacuum").await
    }

    /// Who asks.
    pub fn principal(&self) -> &Principal {
        &self.0.principal
    }

    /// The listener.
    pub fn door(&self) -> &'static str {
        self.0.door
    }

    /// Which types leave.
    pub fn profile(&self) -> WireProfile {
        self.0.options.profile
    }

    /// Whether statements that change something are refused, whoever sends them.
    pub fn is_read_only(&self) -> bool {
        self.0.options.read_only
    }

    /// Writes a stream of batches into a user table, as one commit: all rows or none.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` and `Invalid` as `target` says; `Forbidden` for telemetry tables, for a principal
    /// that may not write and on a read-only listener; the first error of `batches`.
    pub async fn ingest(
        &self,
        target: IngestTarget,
        schema: SchemaRef,
        batches: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<u64> {
        crate::update::ingest(self, target, schema, batches).await
    }

    /// The catalog of names that have none.
    pub fn current_catalog(&self) -> String {
        self.0.state.load().config_options().catalog.default_catalog.clone()
    }

    /// The schema of names that have none.
    pub fn current_schema(&self) -> String {
        self.0.state.load().config_options().catalog.default_schema.clone()
    }

    /// Puts one moment of all tables into `config`. While the number that it gives stays, so do their columns.
    pub(crate) async fn pin(&self, config: &mut SessionConfig) -> Result<Generation> {
        let stored = self.engine().storage().pin(config).await?;
        Ok((stored, self.0.temporary.generation()))
    }

    /// The session's own tables.
    pub(crate) fn temporary(&self) -> &Arc<TemporaryTables> {
        &self.0.temporary
    }

    /// The catalog that user tables and views are kept in.
    pub(crate) fn lake_catalog(&self) -> &str {
        self.0.engine.catalogs().first().map_or("", |catalog| catalog.name.as_str())
    }

    /// Runs `work`, which changes something, as the query `id`; gives the number of rows that it changed.
    pub(crate) async fn run_update<F: Future<Output = Result<u64>> + Send + 'static>(
        &self,
        id: QueryId,
        sql: &str,
        work: impl FnOnce(Execution) -> F,
    ) -> Result<u64> {
        let engine = self.engine();
        let query = self.begin(id, sql);
        let (execution, memory) = engine.execution(&query);
        let work = work(execution);
        let done = self
            .limits(&query)
            .guard(async {
                query.admit().await?;
                query.started(Some(memory));
                engine.runtime().run(work).await
            })
            .await;
        if let Ok(rows) = &done {
            query.delivered(usize::try_from(*rows).unwrap_or(usize::MAX), 0);
        }
        query.close(done.as_ref().map(|_| ()));
        done.map_err(|error| error.of_query(id))
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    /// The state of this moment.
    pub(crate) fn state(&self) -> Arc<SessionState> {
        self.0.state.load_full()
    }

    /// The state before any setting was changed.
    pub(crate) fn initial_state(&self) -> &SessionState {
        &self.0.initial
    }

    pub(crate) fn replace_state(&self, state: SessionState) {
        self.0.state.store(Arc::new(state));
    }

    pub(crate) fn query_timeout(&self) -> Option<Duration> {
        *self.0.query_timeout.lock()
    }

    pub(crate) fn set_query_timeout(&self, timeout: Option<Duration>) {
        *self.0.query_timeout.lock() = timeout;
    }

    pub(crate) fn begin(&self, id: QueryId, sql: &str) -> ActiveQuery {
        self.0.engine.registry().begin(id, self.0.door, &self.0.principal, sql)
    }

    pub(crate) fn limits(&self, query: &ActiveQuery) -> Limits {
        Limits::new(query.cancellation(), self.query_timeout())
    }
}

/// The state to plan or run one statement in: `now()` is now.
pub(crate) fn at_this_moment(state: &SessionState) -> SessionState {
    let mut state = state.clone();
    state.mark_start_execution();
    state
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("principal", &self.0.principal)
            .field("door", &self.0.door)
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
