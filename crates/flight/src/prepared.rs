//! Prepared statements: made, bound and closed.

use std::sync::Arc;

use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any,
    CommandPreparedStatementQuery, DoPutPreparedStatementResult, ProstMessageExt,
};
use bytes::Bytes;
use pintail_engine::Statement;
use pintail_types::{Error, Result};
use prost::Message as _;

use crate::access::Caller;
use crate::door::Door;
use crate::incoming::Incoming;
use crate::planned::{Bound, Charge, Prepared};
use crate::service::encoded_schema;
use crate::transactions;

/// Bytes of the parameters of one statement, as they come.
pub(crate) const MAX_PARAMETER_BYTES: usize = 32 << 20;

/// The key of `ActionCreatePreparedStatementResult.is_update`, field 4 of the published protocol, which arrow-flight
/// does not have yet.
const IS_UPDATE: u8 = 0x20;

impl Door {
    /// Plans a statement and keeps it for later executions; gives the action's result.
    ///
    /// # Errors
    /// Those of planning.
    pub(crate) async fn prepare(
        &self,
        caller: &Caller,
        request: ActionCreatePreparedStatementRequest,
    ) -> Result<Bytes> {
        transactions::refuse(request.transaction_id.as_ref())?;
        let planned = self.plan(caller, &request.query).await?;
        let parameters = planned.statement.parameters();
        let parameter_schema =
            if parameters.fields().is_empty() { Bytes::new() } else { encoded_schema(&parameters)? };
        let (dataset_schema, is_update) = (planned.encoded_schema.clone(), planned.statement.is_update());
        let handle = self.prepared.insert(Prepared::new(planned), &caller.principal);
        let result = ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.into(),
            dataset_schema,
            parameter_schema,
        };
        let mut value = result.encode_to_vec();
        value.extend_from_slice(&[IS_UPDATE, is_update.into()]);
        let type_url = ActionCreatePreparedStatementResult::type_url().to_owned();
        Ok(Any { type_url, value: value.into() }.encode_to_vec().into())
    }

    /// Binds rows of parameters to a prepared statement, for all executions until the next binding. The handle
    /// in the answer means the same statement; the old one is good too, for clients that do not look.
    ///
    /// # Errors
    /// `NotFound` for a handle that is not the caller's or is gone; `Invalid` for parameters that do not fit;
    /// `Exhausted` for too many.
    pub(crate) async fn bind(
        &self,
        caller: &Caller,
        command: &CommandPreparedStatementQuery,
        incoming: Incoming,
    ) -> Result<Bytes> {
        let held = self.prepared.get(&command.prepared_statement_handle, &caller.principal)?;
        let bound = match incoming.rows(MAX_PARAMETER_BYTES).await? {
            Some((rows, bytes)) => {
                check_columns(&held.content.planned.statement, rows.num_columns())?;
                Some(Bound::new(rows, self.charge(bytes)?))
            }
            None => None,
        };
        held.content.bind(bound);
        let handle = Some(self.prepared.handle_of(&held).into());
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: handle }.encode_to_vec().into())
    }

    /// Forgets a prepared statement; one that is not known changes nothing.
    pub(crate) fn close_prepared(&self, caller: &Caller, handle: &Bytes) {
        self.prepared.remove(handle, &caller.principal);
    }

    /// Memory for bound parameters. When it is used up, what was unused for longest goes: first tickets, then
    /// prepared statements.
    fn charge(&self, bytes: usize) -> Result<Charge> {
        loop {
            if let Some(charge) = self.bound.take(bytes) {
                return Ok(charge);
            }
            if !self.tickets.remove_oldest() && !self.prepared.remove_oldest() {
                return Err(Error::exhausted("too many parameters are bound: close prepared statements"));
            }
        }
    }
}

/// Every parameter has a column.
pub(crate) fn check_columns(statement: &Statement, columns: usize) -> Result<()> {
    let wanted = Arc::clone(&statement.parameters()).fields().len();
    if columns == wanted {
        return Ok(());
    }
    Err(Error::invalid(format!("the statement has {wanted} parameters and {columns} columns were bound")))
}
