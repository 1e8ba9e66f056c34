//! What the requests share: callers' sessions, and the statements behind tickets and handles.

use std::sync::Arc;

use arrow_flight::sql::{CommandStatementQuery, SubstraitPlan};
use pintail_engine::{Engine, Session, SessionOptions, WireProfile};
use pintail_identity::Authenticator;
use pintail_identity::sessions::Session as Login;
use pintail_types::{Clock, Error, Micros, Result};

use crate::access::{Access, Caller};
use crate::handle::HandleKind;
use crate::planned::{Budget, Flight, Planned, Prepared};
use crate::server::DoorOptions;
use crate::sessions::{DoorSession, DoorSessions};
use crate::store::Store;
use crate::transactions;

/// Statements behind tickets that were not fetched yet, or may be fetched again.
const MAX_TICKETS: usize = 1024;

/// A ticket is good for so long after its last use: clients may show the schema first and fetch later.
const TICKET_LIFETIME: Micros = 15 * 60 * 1_000_000;

/// Prepared statements of all clients together.
const MAX_PREPARED: usize = 4096;

/// A prepared statement is forgotten so long after its last use.
pub(crate) const PREPARED_LIFETIME: Micros = 2 * 3600 * 1_000_000;

/// Bytes of bound parameters, all handles together.
const MAX_BOUND_BYTES: usize = 256 << 20;

/// The state of one listener.
pub(crate) struct Door {
    pub(crate) engine: Arc<Engine>,
    name: &'static str,
    pub(crate) read_only: bool,
    profile: WireProfile,
    pub(crate) access: Access,
    sessions: DoorSessions,
    pub(crate) tickets: Store<Flight>,
    pub(crate) prepared: Store<Prepared>,
    pub(crate) bound: Arc<Budget>,
}

impl Door {
    pub(crate) fn new(engine: Arc<Engine>, authenticator: Authenticator, options: DoorOptions) -> Self {
        let (signer, clock) = (options.signer, options.clock as Arc<dyn Clock>);
        Self {
            engine,
            name: options.name,
            read_only: options.read_only,
            profile: options.profile,
            access: Access::new(authenticator, options.sessions),
            sessions: DoorSessions::new(options.max_sessions),
            tickets: Store::new(
                HandleKind::Ticket,
                MAX_TICKETS,
                TICKET_LIFETIME,
                signer.clone(),
                Arc::clone(&clock),
            ),
            prepared: Store::new(HandleKind::Prepared, MAX_PREPARED, PREPARED_LIFETIME, signer, clock),
            bound: Budget::new(MAX_BOUND_BYTES),
        }
    }

    /// The engine's session for this caller, opened if there is none.
    ///
    /// # Errors
    /// `Unavailable` if there are too many sessions.
    pub(crate) fn session(&self, caller: &Caller) -> Result<Session> {
        let open = || self.open_session(caller, self.profile);
        let own = match &caller.session {
            Some(login) => match self.sessions.named(login.id) {
                Some(own) => own,
                None => self.sessions.name(login.id, open()?),
            },
            None => caller.connection.session_or_open(&caller.principal, open)?,
        };
        Ok(own.engine_session(caller.profile, |profile| self.new_engine_session(caller, profile)))
    }

    /// The engine's session for this caller to look into. If there is none it is one that nobody will see again.
    pub(crate) fn session_to_look_into(&self, caller: &Caller) -> Session {
        let own = match &caller.session {
            Some(login) => self.sessions.named(login.id),
            None => caller.connection.session_of(&caller.principal),
        };
        let opened = own.and_then(|own| own.opened_engine_session(caller.profile));
        opened.unwrap_or_else(|| self.new_engine_session(caller, caller.profile.unwrap_or(self.profile)))
    }

    /// Opens a session that has a bearer of its own. What the Handshake's headers say holds for all of it: drivers
    /// send them with some calls only.
    ///
    /// # Errors
    /// `Unavailable` if there are too many sessions.
    pub(crate) fn login(&self, caller: &Caller) -> Result<(String, Login)> {
        let session = caller.profile.map(|profile| self.open_session(caller, profile)).transpose()?;
        let (token, login) = self.access.sessions.open(caller.principal.clone())?;
        if let Some(session) = session {
            self.sessions.name(login.id, session);
        }
        Ok((token, login))
    }

    /// Ends the caller's session; a bearer that names it is refused from now on.
    pub(crate) fn close_session(&self, caller: &Caller) {
        match &caller.session {
            Some(login) => {
                self.access.sessions.close(login);
                self.sessions.close(login.id);
            }
            None => caller.connection.close_session(&caller.principal),
        }
    }

    /// Gives back what is not used any more: ended sessions, forgotten tickets and statements.
    pub(crate) fn tidy(&self) {
        self.sessions.retain(|id| self.access.sessions.is_live(id));
        self.tickets.remove_expired();
        self.prepared.remove_expired();
    }

    /// Plans a statement in the caller's session.
    ///
    /// # Errors
    /// Those of planning.
    pub(crate) async fn plan(&self, caller: &Caller, sql: &str) -> Result<Arc<Planned>> {
        if sql.trim().is_empty() {
            return Err(Error::invalid("empty query"));
        }
        let session = self.session(caller)?;
        let statement = Box::pin(session.statement(sql)).await?;
        Planned::new(statement).map(Arc::new)
    }

    /// Plans a query that comes as a plan of Substrait.
    ///
    /// # Errors
    /// Those of planning, and `Invalid` if there is no plan.
    pub(crate) async fn plan_substrait(
        &self,
        caller: &Caller,
        plan: Option<&SubstraitPlan>,
    ) -> Result<Arc<Planned>> {
        let plan = plan.ok_or_else(|| Error::invalid("the command has no plan"))?;
        let session = self.session(caller)?;
        let statement = Box::pin(session.substrait(&plan.plan)).await?;
        Planned::new(statement).map(Arc::new)
    }

    /// As [`Self::plan`].
    ///
    /// # Errors
    /// As [`Self::plan`], and `NotFound` if the command names a transaction.
    pub(crate) async fn plan_query(
        &self,
        caller: &Caller,
        query: &CommandStatementQuery,
    ) -> Result<Arc<Planned>> {
        transactions::refuse(query.transaction_id.as_ref())?;
        self.plan(caller, &query.query).await
    }

    fn open_session(&self, caller: &Caller, profile: WireProfile) -> Result<DoorSession> {
        self.sessions.open(&caller.principal, profile, |id| self.access.sessions.is_live(id))
    }

    fn new_engine_session(&self, caller: &Caller, profile: WireProfile) -> Session {
        let options = SessionOptions { profile, read_only: self.read_only };
        self.engine.session(caller.principal.clone(), self.name, options)
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("name", &self.name).finish_non_exhaustive()
    }
}
