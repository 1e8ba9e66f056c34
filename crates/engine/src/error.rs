//! From DataFusion's errors to ours: a kind that says what to do, and one short line.

use std::error::Error as StdError;
use std::io;

use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Diagnostic};
use datafusion::object_store;
use datafusion::parquet::errors::ParquetError;
use datafusion::sql::sqlparser::parser::ParserError;
use pintail_types::{Error, ErrorKind};

/// The longest message: gRPC sends it in a header, and clients limit those.
const MAX_MESSAGE_BYTES: usize = 2048;

/// What a DataFusion error means for the one who asked.
pub(crate) fn from_datafusion(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::SQL(parser, _) => from_parser(parser),
        DataFusionError::Diagnostic(diagnostic, inner) => match inner.as_ref() {
            // The parser's message tells the position itself.
            DataFusionError::SQL(parser, _) => from_parser(parser),
            _ => with_position(from_datafusion(inner), diagnostic),
        },
        DataFusionError::Context(_, inner) => from_datafusion(inner),
        DataFusionError::Shared(inner) => from_datafusion(inner),
        DataFusionError::Collection(errors) => {
            errors.first().map_or_else(|| Error::internal("unknown error"), from_datafusion)
        }
        DataFusionError::Plan(message)
        | DataFusionError::Configuration(message)
        | DataFusionError::Execution(message) => new(ErrorKind::Invalid, message),
        DataFusionError::SchemaError(schema, _) => new(ErrorKind::Invalid, &schema.to_string()),
        DataFusionError::NotImplemented(message) => new(ErrorKind::Unsupported, message),
        DataFusionError::ResourcesExhausted(message) => {
            new(ErrorKind::Exhausted, message).context("the query needs more than the limits allow")
        }
        DataFusionError::ArrowError(arrow, _) => from_arrow(arrow),
        DataFusionError::ParquetError(parquet) => from_parquet(parquet),
        DataFusionError::ObjectStore(store) => from_object_store(store),
        DataFusionError::IoError(io) => from_io(io),
        DataFusionError::External(inner) => from_foreign(inner.as_ref()),
        DataFusionError::ExecutionJoin(join) if join.is_panic() => panicked(),
        DataFusionError::ExecutionJoin(_) => Error::cancelled("the query was stopped"),
        DataFusionError::Internal(message)
        | DataFusionError::Substrait(message)
        | DataFusionError::Ffi(message) => new(ErrorKind::Internal, message),
    }
}

/// The error of a plan that panicked.
pub(crate) fn panicked() -> Error {
    Error::internal("the query failed because of a defect in the server")
}

fn from_parser(error: &ParserError) -> Error {
    match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            // The parser writes the position in its own way.
            let message =
                message.replacen(" at Line: ", " at line ", 1).replacen(", Column: ", ", column ", 1);
            new(ErrorKind::Invalid, &message).context("syntax error")
        }
        ParserError::RecursionLimitExceeded => {
            Error::invalid("syntax error: the statement is nested too deeply")
        }
    }
}

fn with_position(error: Error, diagnostic: &Diagnostic) -> Error {
    let Some(span) = diagnostic.span else { return error };
    let message = format!("{} at line {}, column {}", error.message(), span.start.line, span.start.column);
    Error::new(error.kind(), message)
}

fn from_arrow(error: &ArrowError) -> Error {
    match error {
        ArrowError::ExternalError(inner) => from_foreign(inner.as_ref()),
        ArrowError::IoError(_, io) => from_io(io),
        ArrowError::MemoryError(message) => new(ErrorKind::Exhausted, message),
        ArrowError::DivideByZero => Error::invalid("division by zero"),
        ArrowError::CastError(message)
        | ArrowError::ParseError(message)
        | ArrowError::ComputeError(message)
        | ArrowError::ArithmeticOverflow(message)
        | ArrowError::InvalidArgumentError(message) => new(ErrorKind::Invalid, message),
        other => new(ErrorKind::Internal, &other.to_string()),
    }
}

fn from_parquet(error: &ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => from_foreign(inner.as_ref()),
        other => new(ErrorKind::Corrupt, &other.to_string()),
    }
}

fn from_object_store(error: &object_store::Error) -> Error {
    match error {
        object_store::Error::NotFound { path, .. } => {
            Error::unavailable(format!("data file {path} is gone; run the query again"))
        }
        other => new(ErrorKind::Unavailable, &other.to_string()),
    }
}

fn from_io(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::exhausted("no space is left for spill files")
        }
        _ => new(ErrorKind::Unavailable, &error.to_string()),
    }
}

/// An error that came through DataFusion from elsewhere: ours as it was, theirs by its type.
fn from_foreign(error: &(dyn StdError + 'static)) -> Error {
    if let Some(ours) = error.downcast_ref::<Error>() {
        return Error::new(ours.kind(), short(ours.message()));
    }
    if let Some(inner) = error.downcast_ref::<DataFusionError>() {
        return from_datafusion(inner);
    }
    if let Some(inner) = error.downcast_ref::<ArrowError>() {
        return from_arrow(inner);
    }
    if let Some(inner) = error.downcast_ref::<ParquetError>() {
        return from_parquet(inner);
    }
    if let Some(inner) = error.downcast_ref::<object_store::Error>() {
        return from_object_store(inner);
    }
    if let Some(inner) = error.downcast_ref::<io::Error>() {
        return from_io(inner);
    }
    match error.source() {
        Some(source) => from_foreign(source),
        None => new(ErrorKind::Internal, &error.to_string()),
    }
}

fn new(kind: ErrorKind, message: &str) -> Error {
    Error::new(kind, short(message))
}

/// The first line, in our form: no capital at the start, no full stop, not too long.
fn short(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default().trim().trim_end_matches('.');
    let line = &line[..line.floor_char_boundary(MAX_MESSAGE_BYTES)];
    let mut characters = line.chars();
    let Some(first) = characters.next() else { return "unknown error".to_owned() };
    // A word that goes on in capitals is a keyword or an abbreviation.
    if characters.clone().next().is_some_and(char::is_uppercase) {
        return line.to_owned();
    }
    first.to_lowercase().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_messages() {
        let nested = DataFusionError::Context(
            "outer".into(),
            Box::new(DataFusionError::External(Box::new(Error::conflict("table t changed")))),
        );
        for (error, kind, message) in [
            (DataFusionError::Plan("Bad plan.".into()), ErrorKind::Invalid, "bad plan"),
            (DataFusionError::Plan("SELECT is odd".into()), ErrorKind::Invalid, "SELECT is odd"),
            (DataFusionError::NotImplemented("X".into()), ErrorKind::Unsupported, "x"),
            (DataFusionError::Internal("oops\nbacktrace".into()), ErrorKind::Internal, "oops"),
            (nested, ErrorKind::Conflict, "table t changed"),
            (
                DataFusionError::ArrowError(Box::new(ArrowError::DivideByZero), None),
                ErrorKind::Invalid,
                "division by zero",
            ),
            (
                DataFusionError::IoError(io::Error::from(io::ErrorKind::StorageFull)),
                ErrorKind::Exhausted,
                "no space is left for spill files",
            ),
        ] {
            let mapped = from_datafusion(&error);
            assert_eq!((mapped.kind(), mapped.message()), (kind, message));
        }
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let mapped = from_datafusion(&DataFusionError::Plan("ü".repeat(5000)));
        assert_eq!(mapped.message().len(), MAX_MESSAGE_BYTES);
    }
}
