//! Prepared statements: made, bound and closed.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Schema, TimeUnit};
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    ActionCreatePreparedSubstraitPlanRequest, Any, CommandPreparedStatementQuery,
    DoPutPreparedStatementResult, ProstMessageExt,
};
use bytes::Bytes;
use pintail_engine::Statement;
use pintail_types::{Error, Result};
use prost::Message as _;

use crate::access::Caller;
use crate::door::Door;
use crate::incoming::Incoming;
use crate::planned::{Bound, Charge, Planned, Prepared};
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
        self.keep(caller, planned)
    }

    /// As [`Self::prepare`], for a query that is a plan of Substrait.
    ///
    /// # Errors
    /// As [`Self::prepare`], and `Invalid` if there is no plan.
    pub(crate) async fn prepare_substrait(
        &self,
        caller: &Caller,
        request: ActionCreatePreparedSubstraitPlanRequest,
    ) -> Result<Bytes> {
        transactions::refuse(request.transaction_id.as_ref())?;
        let planned = self.plan_substrait(caller, request.plan.as_ref()).await?;
        self.keep(caller, planned)
    }

    /// Keeps what was planned and gives the action's result.
    fn keep(&self, caller: &Caller, planned: Arc<Planned>) -> Result<Bytes> {
        let parameters = planned.statement.parameters();
        let parameter_schema = if parameters.fields().is_empty() {
            Bytes::new()
        } else {
            encoded_schema(&bindable(&parameters))?
        };
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

/// The parameters in the units that JDBC's driver writes. It puts milliseconds, and for dates days, into a vector of
/// whatever unit is announced (arrow-java, `TimestampAvaticaParameterConverter`, `TimeAvaticaParameterConverter` and
/// `DateAvaticaParameterConverter` of the versions 18 and 19). Values that come in other units are taken in those.
fn bindable(parameters: &Schema) -> Schema {
    let field = |field: &FieldRef| {
        let data_type = match field.data_type() {
            DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
            DataType::Time32(_) | DataType::Time64(_) => DataType::Time32(TimeUnit::Millisecond),
            DataType::Date64 => DataType::Date32,
            other => other.clone(),
        };
        field.as_ref().clone().with_data_type(data_type)
    };
    Schema::new(parameters.fields().iter().map(field).collect::<Vec<_>>())
}

/// Every parameter has a column.
pub(crate) fn check_columns(statement: &Statement, columns: usize) -> Result<()> {
    let wanted = Arc::clone(&statement.parameters()).fields().len();
    if columns == wanted {
        return Ok(());
    }
    Err(Error::invalid(format!("the statement has {wanted} parameters and {columns} columns were bound")))
}
