//! What a request asks for: Flight SQL commands and plain SQL text, read with errors in plain words.

use arrow_flight::sql::{Any, Command, ProstMessageExt};
use arrow_flight::{FlightDescriptor, Ticket, flight_descriptor::DescriptorType};
use bytes::Bytes;
use pintail_types::{Error, Result};
use prost::Message as _;

/// Messages of Flight SQL are named by this and their own name, after any prefix with a slash.
const PACKAGE: &str = "arrow.flight.protocol.sql.";

/// The prefix that arrow-flight knows.
const PREFIX: &str = "type.googleapis.com/";

/// A descriptor's or ticket's content.
#[derive(Debug)]
pub(crate) enum Asked {
    /// The command is SQL text itself: plain Flight.
    Sql(String),
    /// A table by its path: `[table]`, `[schema, table]` or `[catalog, schema, table]`.
    Path(Vec<String>),
    /// A Flight SQL message.
    Command(Command),
}

/// Reads a descriptor.
///
/// # Errors
/// `Invalid` if it is neither a Flight SQL command nor SQL text nor a path; `Unsupported` for a command that is not
/// known.
pub(crate) fn of_descriptor(descriptor: &FlightDescriptor) -> Result<Asked> {
    match descriptor.r#type() {
        DescriptorType::Cmd => read(&descriptor.cmd, "command"),
        DescriptorType::Path => Ok(Asked::Path(descriptor.path.clone())),
        DescriptorType::Unknown => {
            Err(Error::invalid("the descriptor has no type: send a command descriptor"))
        }
    }
}

/// The query for all rows of the table with this path.
///
/// # Errors
/// `Invalid` for a path that is not one of a table.
pub(crate) fn select_all(path: &[String]) -> Result<String> {
    if !(1..=3).contains(&path.len()) || path.iter().any(String::is_empty) {
        return Err(Error::invalid(format!(
            "a path is [table], [schema, table] or [catalog, schema, table], not '{}'",
            path.join(".")
        )));
    }
    let quoted = path.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\"")));
    Ok(format!("SELECT * FROM {}", quoted.collect::<Vec<_>>().join(".")))
}

/// The name of a command without its package.
pub(crate) fn name_of(command: &Command) -> &str {
    command.type_url().rsplit('.').next().unwrap_or_default()
}

/// Reads a ticket.
///
/// # Errors
/// As [`of_descriptor`].
pub(crate) fn of_ticket(ticket: &Ticket) -> Result<Asked> {
    read(&ticket.ticket, "ticket")
}

fn read(bytes: &Bytes, what: &str) -> Result<Asked> {
    if let Some(any) = as_flight_sql(bytes) {
        let name = any.type_url.rsplit('.').next().unwrap_or_default().to_owned();
        return match Command::try_from(any) {
            Ok(Command::Unknown(_)) => Err(Error::unsupported(format!("{name} is not served"))),
            Ok(command) => Ok(Asked::Command(command)),
            Err(_) => Err(Error::invalid(format!("the {what} is not a well-formed {name}"))),
        };
    }
    match std::str::from_utf8(bytes) {
        Ok(sql) if sql.trim().is_empty() => Err(Error::invalid("empty query")),
        Ok(sql) => Ok(Asked::Sql(sql.to_owned())),
        Err(_) => Err(Error::invalid(format!("the {what} is neither a Flight SQL message nor SQL text"))),
    }
}

/// The `Any` of a Flight SQL message, with the prefix that the next step knows. Text can look like
/// protobuf, so only the package's name decides.
fn as_flight_sql(bytes: &Bytes) -> Option<Any> {
    let mut any = Any::decode(bytes.clone()).ok()?;
    let name = any.type_url.rsplit_once('/').map_or(any.type_url.as_str(), |(_, name)| name);
    if !name.starts_with(PACKAGE) {
        return None;
    }
    any.type_url = format!("{PREFIX}{name}");
    Some(any)
}

/// Reads the body of an action that carries a Flight SQL message: wrapped in `Any`, as the protocol says, or
/// bare, as hand-written scripts send it.
///
/// # Errors
/// `Invalid` if it is neither.
pub(crate) fn action_body<M: ProstMessageExt>(body: &Bytes) -> Result<M> {
    let name = M::type_url().rsplit('.').next().unwrap_or_default();
    let malformed = || Error::invalid(format!("the action's body is not a well-formed {name}"));
    let bare = match as_flight_sql(body) {
        Some(any) if any.type_url == M::type_url() => any.value,
        Some(any) => {
            let other = any.type_url.rsplit('.').next().unwrap_or_default();
            return Err(Error::invalid(format!("the action's body is {other} where {name} is wanted")));
        }
        None => body.clone(),
    };
    M::decode(bare).map_err(|_| malformed())
}

/// Reads the body of an action of plain Flight, which is not wrapped.
///
/// # Errors
/// `Invalid` if it is something else.
pub(crate) fn plain_body<M: prost::Message + Default>(body: &Bytes, name: &str) -> Result<M> {
    M::decode(body.clone())
        .map_err(|_| Error::invalid(format!("the action's body is not a well-formed {name}")))
}

#[cfg(test)]
mod tests {
    use arrow_flight::sql::{ActionClosePreparedStatementRequest, CommandGetCatalogs, CommandStatementQuery};
    use pintail_types::ErrorKind;

    use super::*;

    fn asked(bytes: impl Into<Bytes>) -> Result<String> {
        of_descriptor(&FlightDescriptor::new_cmd(bytes)).map(|asked| match asked {
            Asked::Sql(sql) => format!("sql {sql}"),
            Asked::Path(path) => format!("path {path:?}"),
            Asked::Command(command) => command.type_url().replace(PREFIX, ""),
        })
    }

    #[test]
    fn commands_and_text_are_told_apart() {
        let query = CommandStatementQuery { query: "SELECT 1".into(), transaction_id: None };
        let mut other_prefix = CommandGetCatalogs {}.as_any();
        other_prefix.type_url = "type.example.org/arrow.flight.protocol.sql.CommandGetCatalogs".into();
        for (bytes, expected) in [
            (query.as_any().encode_to_vec(), "arrow.flight.protocol.sql.CommandStatementQuery"),
            (other_prefix.encode_to_vec(), "arrow.flight.protocol.sql.CommandGetCatalogs"),
            (b"SELECT 1".to_vec(), "sql SELECT 1"),
            (b"\nSELECT 1".to_vec(), "sql \nSELECT 1"),
            (b"\n\x05hello".to_vec(), "sql \n\u{5}hello"),
        ] {
            assert_eq!(asked(bytes).unwrap(), expected);
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_in_plain_words() {
        let mut broken = CommandGetCatalogs {}.as_any();
        broken.type_url = CommandStatementQuery::type_url().into();
        broken.value = Bytes::from_static(b"\xff");
        let mut unknown = CommandGetCatalogs {}.as_any();
        unknown.type_url = format!("{PREFIX}{PACKAGE}CommandFromTheFuture");
        for (bytes, kind) in [
            (b"".to_vec(), ErrorKind::Invalid),
            (b" \n ".to_vec(), ErrorKind::Invalid),
            (vec![0xff, 0xfe, 0x00], ErrorKind::Invalid),
            (broken.encode_to_vec(), ErrorKind::Invalid),
            (unknown.encode_to_vec(), ErrorKind::Unsupported),
        ] {
            let error = asked(bytes).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(!error.message().contains("DecodeError"), "{error}");
        }
        let no_type = FlightDescriptor::default();
        assert_eq!(of_descriptor(&no_type).unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn paths_are_quoted() {
        for (path, expected) in [
            (&["t"][..], Some("SELECT * FROM \"t\"")),
            (&["S", "a\"b.c"], Some("SELECT * FROM \"S\".\"a\"\"b.c\"")),
            (&["c", "s", "t"], Some("SELECT * FROM \"c\".\"s\".\"t\"")),
            (&[], None),
            (&["c", "", "t"], None),
            (&["a", "b", "c", "d"], None),
        ] {
            let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(select_all(&path).ok().as_deref(), expected, "{path:?}");
        }
    }

    #[test]
    fn action_bodies_may_be_wrapped_or_bare() {
        let close =
            ActionClosePreparedStatementRequest { prepared_statement_handle: Bytes::from_static(b"h") };
        for body in [close.as_any().encode_to_vec(), close.encode_to_vec()] {
            let read: ActionClosePreparedStatementRequest = action_body(&body.into()).unwrap();
            assert_eq!(read, close);
        }
        let other = CommandGetCatalogs {}.as_any().encode_to_vec();
        assert!(action_body::<ActionClosePreparedStatementRequest>(&other.into()).is_err());
    }
}
