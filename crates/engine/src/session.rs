//! One caller at one door.

use std::fmt;
use std::sync::Arc;

use datafusion::execution::SessionState;
use pintail_identity::Principal;
use pintail_types::{QueryId, Result};

use crate::catalog::SessionCatalogs;
use crate::engine::Engine;
use crate::registry::ActiveQuery;
use crate::statement::Statement;
use crate::stream::Limits;
use crate::wire::WireProfile;

/// One caller at one door: who asks, through what, for which types. Cheap to clone.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    principal: Principal,
    door: &'static str,
    profile: WireProfile,
    state: SessionState,
}

impl Session {
    pub(crate) fn new(
        engine: Arc<Engine>,
        principal: Principal,
        door: &'static str,
        profile: WireProfile,
    ) -> Self {
        let catalogs = SessionCatalogs::new(engine.catalogs(), engine.system(), &principal);
        let mut state = engine.template().clone();
        state.register_catalog_list(Arc::new(catalogs));
        Self(Arc::new(Inner { engine, principal, door, profile, state }))
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
        self.0.profile
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
            .field("profile", &self.0.profile)
            .finish_non_exhaustive()
    }
}
