//! One caller at one door.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SessionState;
use futures::stream::BoxStream;
use pintail_identity::Principal;
use pintail_types::{QueryId, Result};

use crate::catalog::SessionCatalogs;
use crate::engine::Engine;
use crate::registry::ActiveQuery;
use crate::statement::Statement;
use crate::stream::Limits;
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
    state: SessionState,
}

impl Session {
    pub(crate) fn new(
        engine: Arc<Engine>,
        principal: Principal,
        door: &'static str,
        options: SessionOptions,
    ) -> Self {
        let catalogs = SessionCatalogs::new(engine.catalogs(), engine.system(), &principal);
        let mut state = engine.template().clone();
        state.register_catalog_list(Arc::new(catalogs));
        Self(Arc::new(Inner { engine, principal, door, options, state }))
    }

    /// Plans `sql`: one SELECT, EXPLAIN, SHOW or DESCRIBE.
    ///
    /// # Errors
    /// `Invalid` for what does not parse or plan, with the position where it is known; `NotFound` for a
    /// table that does not exist; `Unsupported` and `Forbidden` for other statements.
    pub async fn statement(&self, sql: &str) -> Result<Statement> {
        Statement::plan(self.clone(), sql).await
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
    pub fn current_catalog(&self) -> &str {
        &self.0.state.config_options().catalog.default_catalog
    }

    /// The schema of names that have none.
    pub fn current_schema(&self) -> &str {
        &self.0.state.config_options().catalog.default_schema
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    /// The state to plan or run one statement in: `now()` is now.
    pub(crate) fn state(&self) -> SessionState {
        let mut state = self.0.state.clone();
        state.mark_start_execution();
        state
    }

    /// The state for looking around.
    pub(crate) fn state_ref(&self) -> &SessionState {
        &self.0.state
    }

    pub(crate) fn begin(&self, id: QueryId, sql: &str) -> ActiveQuery {
        self.0.engine.registry().begin(id, self.0.door, &self.0.principal, sql)
    }

    pub(crate) fn limits(&self, query: &ActiveQuery) -> Limits {
        Limits::new(query.cancellation(), self.0.engine.query_timeout())
    }
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
