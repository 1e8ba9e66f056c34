//! DoAction: prepared statements, cancelling, renewing, sessions.

use std::collections::HashMap;

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, ProstMessageExt,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
    RenewFlightEndpointRequest, Ticket,
};
use bytes::Bytes;
use pintail_engine::Session;
use pintail_types::{Error, Result};
use prost::Message as _;

use crate::access::Caller;
use crate::command::{action_body, of_ticket, plain_body};
use crate::door::Door;
use crate::service::encoded_schema;
use crate::session_messages::{
    CloseSessionResult, CloseStatus, GetSessionOptionsResult, OptionError, OptionErrorValue, OptionValue,
    SessionOptionValue, SetSessionOptionsRequest, SetSessionOptionsResult,
};

/// `ActionCreatePreparedStatementResult.is_update = false`, field 4 of the published protocol, which
/// arrow-flight does not have yet.
const IS_NOT_UPDATE: [u8; 2] = [0x20, 0x00];

/// `ActionCancelQueryResult.CancelResult.CANCEL_RESULT_CANCELLED`
const CANCEL_RESULT_CANCELLED: i32 = 1;

/// The actions there are, each with what it does and the messages it takes and gives.
const ACTIONS: [(&str, &str); 8] = [
    (
        "CreatePreparedStatement",
        "Plans a statement and keeps it: ActionCreatePreparedStatementRequest, \
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
        "CreatePreparedStatement" => create_prepared(door, caller, action_body(body)?).await.map(Some),
        "ClosePreparedStatement" => {
            let request: ActionClosePreparedStatementRequest = action_body(body)?;
            door.close_prepared(caller, &request.prepared_statement_handle);
            Ok(None)
        }
        "CancelQuery" => {
            let request: ActionCancelQueryRequest = action_body(body)?;
            let info = plain_body(&request.info, "FlightInfo")?;
            cancel(door, caller, &info)?;
            Ok(Some(encode(&ActionCancelQueryResult { result: CANCEL_RESULT_CANCELLED }.as_any())))
        }
        "CancelFlightInfo" => {
            let request: CancelFlightInfoRequest = plain_body(body, "CancelFlightInfoRequest")?;
            let info = request.info.ok_or_else(|| Error::invalid("the request names no FlightInfo"))?;
            cancel(door, caller, &info)?;
            Ok(Some(encode(&CancelFlightInfoResult { status: CancelStatus::Cancelled.into() })))
        }
        "RenewFlightEndpoint" => {
            let request: RenewFlightEndpointRequest = plain_body(body, "RenewFlightEndpointRequest")?;
            let endpoint = request.endpoint.ok_or_else(|| Error::invalid("the request names no endpoint"))?;
            let ticket =
                endpoint.ticket.as_ref().ok_or_else(|| Error::invalid("the endpoint has no ticket"))?;
            door.renew_ticket(caller, of_ticket(ticket)?)?;
            Ok(Some(encode(&endpoint)))
        }
        "SetSessionOptions" => {
            let request = plain_body(body, "SetSessionOptionsRequest")?;
            Ok(Some(encode(&set_session_options(&door.session(&caller.principal), request))))
        }
        "GetSessionOptions" => Ok(Some(encode(&session_options(&door.session(&caller.principal))))),
        "CloseSession" => {
            if let Some(session) = &caller.session {
                door.access.sessions.close(session);
            }
            Ok(Some(encode(&CloseSessionResult { status: CloseStatus::Closed.into() })))
        }
        other => Err(Error::unsupported(format!("the action '{other}' is not served"))),
    }
}

async fn create_prepared(
    door: &Door,
    caller: &Caller,
    request: ActionCreatePreparedStatementRequest,
) -> Result<Bytes> {
    let prepared = door.prepare(caller, request).await?;
    let result = ActionCreatePreparedStatementResult {
        prepared_statement_handle: prepared.handle,
        dataset_schema: encoded_schema(&prepared.schema)?,
        parameter_schema: Bytes::new(),
    };
    let mut value = result.encode_to_vec();
    value.extend_from_slice(&IS_NOT_UPDATE);
    let type_url = ActionCreatePreparedStatementResult::type_url().to_owned();
    Ok(encode(&Any { type_url, value: value.into() }))
}

fn cancel(door: &Door, caller: &Caller, info: &FlightInfo) -> Result<()> {
    let tickets =
        info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref()).collect::<Vec<&Ticket>>();
    if tickets.is_empty() {
        return Err(Error::not_found("the FlightInfo has no ticket"));
    }
    tickets.into_iter().try_for_each(|ticket| door.cancel_ticket(caller, of_ticket(ticket)?))
}

/// Where bare names resolve is the only option of a session, and it is fixed: setting it to what it is
/// succeeds, as drivers do when they connect.
fn set_session_options(session: &Session, request: SetSessionOptionsRequest) -> SetSessionOptionsResult {
    let current = current_place(session);
    let errors = request.session_options.into_iter().filter_map(|(name, option)| {
        let Some((_, now)) = current.iter().find(|(known, _)| *known == name) else {
            return Some((name, OptionErrorValue::InvalidName));
        };
        match option.value {
            None => None,
            Some(OptionValue::Text(wanted)) if wanted == *now => None,
            Some(_) => Some((name, OptionErrorValue::InvalidValue)),
        }
    });
    SetSessionOptionsResult {
        errors: errors.map(|(name, error)| (name, OptionError { value: error.into() })).collect(),
    }
}

fn session_options(session: &Session) -> GetSessionOptionsResult {
    let options = current_place(session)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), SessionOptionValue { value: Some(OptionValue::Text(value)) }));
    GetSessionOptionsResult { session_options: options.collect::<HashMap<_, _>>() }
}

fn current_place(session: &Session) -> [(&'static str, String); 2] {
    [("catalog", session.current_catalog().to_owned()), ("schema", session.current_schema().to_owned())]
}

fn encode(message: &impl prost::Message) -> Bytes {
    message.encode_to_vec().into()
}
