//! DoAction: prepared statements, cancelling, renewing, sessions.

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest, ProstMessageExt,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
    RenewFlightEndpointRequest,
};
use bytes::Bytes;
use pintail_types::{Error, Result};

use crate::access::Caller;
use crate::command::{action_body, of_ticket, plain_body};
use crate::door::Door;
use crate::flights::Cancelled;
use crate::session_messages::{CloseSessionResult, CloseStatus};
use crate::{session_options, transactions};

/// `ActionCancelQueryResult.CancelResult.CANCEL_RESULT_CANCELLED`
const CANCEL_RESULT_CANCELLED: i32 = 1;

/// `ActionCancelQueryResult.CancelResult.CANCEL_RESULT_NOT_CANCELLABLE`
const CANCEL_RESULT_NOT_CANCELLABLE: i32 = 3;

/// The actions there are, each with what it does and the messages it takes and gives.
const ACTIONS: [(&str, &str); 9] = [
    (
        "CreatePreparedStatement",
        "Plans a statement and keeps it: ActionCreatePreparedStatementRequest, \
         ActionCreatePreparedStatementResult",
    ),
    (
        "CreatePreparedSubstraitPlan",
        "Plans a query that is a plan of Substrait and keeps it: ActionCreatePreparedSubstraitPlanRequest, \
         ActionCreatePreparedStatementResult",
    ),
    ("ClosePreparedStatement", "Forgets a prepared statement: ActionClosePreparedStatementRequest, nothing"),
    ("CancelQuery", "Stops a query by its FlightInfo: ActionCancelQueryRequest, ActionCancelQueryResult"),
    ("CancelFlightInfo", "Stops a query by its FlightInfo: CancelFlightInfoRequest, CancelFlightInfoResult"),
    ("RenewFlightEndpoint", "Keeps a ticket for longer: RenewFlightEndpointRequest, FlightEndpoint"),
    ("SetSessionOptions", "Sets options of the session: SetSessionOptionsRequest, SetSessionOptionsResult"),
    ("GetSessionOptions", "Lists options of the session: GetSessionOptionsRequest, GetSessionOptionsResult"),
    ("CloseSession", "Ends the session: CloseSessionRequest, CloseSessionResult"),
];

/// The answer to ListActions.
pub(crate) fn action_types() -> impl Iterator<Item = ActionType> {
    ACTIONS.into_iter().map(|(name, description)| ActionType {
        r#type: name.to_owned(),
        description: description.to_owned(),
    })
}

/// Does an action and gives the body of its one result, or `None` where it has no result.
///
/// # Errors
/// `Unsupported` for an action that is not served, `Invalid` for a body that cannot be read, and those of the
/// action itself.
pub(crate) async fn act(door: &Door, caller: &Caller, action: Action) -> Result<Option<Bytes>> {
    let body = &action.body;
    match action.r#type.as_str() {
        "CreatePreparedStatement" => door.prepare(caller, action_body(body)?).await.map(Some),
        "CreatePreparedSubstraitPlan" => door.prepare_substrait(caller, action_body(body)?).await.map(Some),
        "ClosePreparedStatement" => {
            let request: ActionClosePreparedStatementRequest = action_body(body)?;
            door.close_prepared(caller, &request.prepared_statement_handle);
            Ok(None)
        }
        "CancelQuery" => {
            let request: ActionCancelQueryRequest = action_body(body)?;
            let result = match cancel(door, caller, &plain_body(&request.info, "FlightInfo")?)? {
                Cancelled::Yes => CANCEL_RESULT_CANCELLED,
                Cancelled::TooLate => CANCEL_RESULT_NOT_CANCELLABLE,
            };
            Ok(Some(encode(&ActionCancelQueryResult { result }.as_any())))
        }
        "CancelFlightInfo" => {
            let request: CancelFlightInfoRequest = plain_body(body, "CancelFlightInfoRequest")?;
            let info = request.info.ok_or_else(|| Error::invalid("the request names no FlightInfo"))?;
            let status = match cancel(door, caller, &info)? {
                Cancelled::Yes => CancelStatus::Cancelled,
                Cancelled::TooLate => CancelStatus::NotCancellable,
            };
            Ok(Some(encode(&CancelFlightInfoResult { status: status.into() })))
        }
        "RenewFlightEndpoint" => {
            let request: RenewFlightEndpointRequest = plain_body(body, "RenewFlightEndpointRequest")?;
            let endpoint = request.endpoint.ok_or_else(|| Error::invalid("the request names no endpoint"))?;
            let ticket =
                endpoint.ticket.as_ref().ok_or_else(|| Error::invalid("the endpoint has no ticket"))?;
            let asked = of_ticket(ticket)?;
            Ok(Some(encode(&door.renew(caller, endpoint, asked)?)))
        }
        "SetSessionOptions" => {
            let request = plain_body(body, "SetSessionOptionsRequest")?;
            Ok(Some(encode(&session_options::set(&door.session(caller)?, request))))
        }
        "GetSessionOptions" => Ok(Some(encode(&session_options::get(&door.session_to_look_into(caller))))),
        "CloseSession" => {
            door.close_session(caller);
            Ok(Some(encode(&CloseSessionResult { status: CloseStatus::Closed.into() })))
        }
        "BeginTransaction" | "BeginSavepoint" => Err(transactions::cannot_begin()),
        "EndTransaction" | "EndSavepoint" => Err(transactions::unknown()),
        other => Err(Error::unsupported(format!("the action '{other}' is not served"))),
    }
}

/// Stops what a FlightInfo stands for. It is too late only if it is for all of its tickets.
fn cancel(door: &Door, caller: &Caller, info: &FlightInfo) -> Result<Cancelled> {
    let mut tickets = info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref()).peekable();
    if tickets.peek().is_none() {
        return Err(Error::not_found("the FlightInfo has no ticket"));
    }
    let mut outcome = Cancelled::TooLate;
    for ticket in tickets {
        if door.cancel(caller, of_ticket(ticket)?)? == Cancelled::Yes {
            outcome = Cancelled::Yes;
        }
    }
    Ok(outcome)
}

fn encode(message: &impl prost::Message) -> Bytes {
    message.encode_to_vec().into()
}
