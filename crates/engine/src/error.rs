//! From DataFusion's errors to ours: a kind that says what to do, a reason code, and one short line.

mod words;

use std::error::Error as StdError;
use std::io;

use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::object_store;
use datafusion::parquet::errors::ParquetError;
use datafusion::sql::sqlparser::parser::ParserError;
use pintail_types::{Error, ErrorKind, Position, reason};

use words::{in_our_words, short};

/// What a DataFusion error means for the one who asked.
pub(crate) fn from_datafusion(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::SQL(parser, _) => from_parser(parser),
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let error = from_datafusion(inner);
            match diagnostic.span {
                Some(span) if error.position().is_none() => {
                    error.at(Position { line: span.start.line, column: span.start.column })
                }
                _ => error,
            }
        }
        DataFusionError::Context(_, inner) => from_datafusion(inner),
        DataFusionError::Shared(inner) => from_datafusion(inner),
        DataFusionError::Collection(errors) => {
            errors.first().map_or_else(|| Error::internal("unknown error"), from_datafusion)
        }
        DataFusionError::Plan(message) => with_reason(ErrorKind::Invalid, plan_reason(message), message),
        DataFusionError::Configuration(message) => {
            with_reason(ErrorKind::Invalid, reason::INVALID_PARAMETER_VALUE, message)
        }
        DataFusionError::Execution(message) => {
            with_reason(ErrorKind::Invalid, reason::DATA_EXCEPTION, message)
        }
        DataFusionError::SchemaError(schema, _) => {
            with_reason(ErrorKind::Invalid, schema_reason(schema), &schema.to_string())
        }
        DataFusionError::NotImplemented(message) => new(ErrorKind::Unsupported, message),
        DataFusionError::ResourcesExhausted(message) => new(ErrorKind::Exhausted, message)
            .context("the query needs more than the limits allow")
            .with_reason(reason::OUT_OF_MEMORY),
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
            let (message, position) = split_position(message);
            let error = syntax_error(message);
            match position {
                Some(position) => error.at(position),
                None => error,
            }
        }
        ParserError::RecursionLimitExceeded => {
            syntax_error("the statement is nested too deeply").with_reason(reason::STATEMENT_TOO_COMPLEX)
        }
    }
}

/// The text does not parse.
pub(crate) fn syntax_error(message: &str) -> Error {
    Error::invalid(short(message)).context("syntax error").with_reason(reason::SYNTAX_ERROR)
}

/// The parser tells the position only at the end of its message: `… at Line: 1, Column: 8`.
fn split_position(message: &str) -> (&str, Option<Position>) {
    let found = message.rsplit_once(" at Line: ").and_then(|(text, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some((text, Position { line: line.parse().ok()?, column: column.parse().ok()? }))
    });
    match found {
        Some((text, position)) => (text, Some(position)),
        None => (message, None),
    }
}

const fn schema_reason(error: &SchemaError) -> &'static str {
    match error {
        SchemaError::AmbiguousReference { .. } => reason::AMBIGUOUS_COLUMN,
        SchemaError::DuplicateQualifiedField { .. } | SchemaError::DuplicateUnqualifiedField { .. } => {
            reason::DUPLICATE_COLUMN
        }
        SchemaError::FieldNotFound { .. } => reason::UNDEFINED_COLUMN,
    }
}

/// So says the planner where two columns of a list have one name.
const REPEATED_NAMES: &str = "Projections require unique expression names";

/// Whether planning failed because two columns of a list have one name.
pub(crate) fn has_repeated_names(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::Plan(message) if message.contains(REPEATED_NAMES))
}

/// The planner has one error for much; only its words tell which.
fn plan_reason(message: &str) -> &'static str {
    for (words, reason) in [
        ("must appear in the GROUP BY clause", reason::GROUPING_ERROR),
        (REPEATED_NAMES, reason::DUPLICATE_COLUMN),
        ("Failed to coerce arguments", reason::UNDEFINED_FUNCTION),
        ("Invalid function", reason::UNDEFINED_FUNCTION),
        ("Cannot coerce", reason::DATATYPE_MISMATCH),
        ("Cannot infer common", reason::DATATYPE_MISMATCH),
    ] {
        if message.contains(words) {
            return reason;
        }
    }
    ErrorKind::Invalid.reason()
}

fn from_arrow(error: &ArrowError) -> Error {
    match error {
        ArrowError::ExternalError(inner) => from_foreign(inner.as_ref()),
        ArrowError::IoError(_, io) => from_io(io),
        ArrowError::ParquetError(message) => new(ErrorKind::Corrupt, message),
        ArrowError::MemoryError(message) => with_reason(ErrorKind::Exhausted, reason::OUT_OF_MEMORY, message),
        ArrowError::DivideByZero => Error::invalid("division by zero").with_reason(reason::DIVISION_BY_ZERO),
        ArrowError::CastError(message) => {
            with_reason(ErrorKind::Invalid, reason::INVALID_TEXT_REPRESENTATION, message)
        }
        ArrowError::ParseError(message) => {
            with_reason(ErrorKind::Invalid, reason::INVALID_DATETIME_FORMAT, message)
        }
        ArrowError::ArithmeticOverflow(message) => {
            with_reason(ErrorKind::Invalid, reason::NUMERIC_OUT_OF_RANGE, message)
        }
        ArrowError::ComputeError(message) | ArrowError::InvalidArgumentError(message) => {
            with_reason(ErrorKind::Invalid, reason::DATA_EXCEPTION, message)
        }
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
        object_store::Error::NotFound { path, .. } => Error::unavailable(format!(
            "data file {path} is missing: run the query again, and if it stays so see pintail lake fsck"
        ))
        .with_reason(reason::SERIALIZATION_FAILURE),
        other => with_reason(ErrorKind::Unavailable, reason::IO_ERROR, &other.to_string()),
    }
}

fn from_io(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::exhausted("no space is left for spill files").with_reason(reason::DISK_FULL)
        }
        _ => with_reason(ErrorKind::Unavailable, reason::IO_ERROR, &error.to_string()),
    }
}

/// An error that came through DataFusion from elsewhere: ours as it was, theirs by its type.
fn from_foreign(error: &(dyn StdError + 'static)) -> Error {
    if let Some(ours) = error.downcast_ref::<Error>() {
        return ours.reworded(short(ours.message()));
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
    with_reason(kind, kind.reason(), message)
}

/// An error with this reason, unless its message is one that says less than it means.
fn with_reason(kind: ErrorKind, reason: &'static str, message: &str) -> Error {
    in_our_words(message).unwrap_or_else(|| Error::new(kind, short(message)).with_reason(reason))
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
        let sql = |message: &str| {
            DataFusionError::SQL(Box::new(ParserError::ParserError(message.to_owned())), None)
        };
        let arrow = |error| DataFusionError::ArrowError(Box::new(error), None);
        for (error, kind, reason, message) in [
            (DataFusionError::Plan("Bad plan.".into()), ErrorKind::Invalid, "42000", "bad plan"),
            (DataFusionError::Plan("SELECT is odd".into()), ErrorKind::Invalid, "42000", "SELECT is odd"),
            (DataFusionError::NotImplemented("X".into()), ErrorKind::Unsupported, "0A000", "x"),
            (DataFusionError::Internal("oops\nbacktrace".into()), ErrorKind::Internal, "XX000", "oops"),
            (nested, ErrorKind::Conflict, "40001", "table t changed"),
            (arrow(ArrowError::DivideByZero), ErrorKind::Invalid, "22012", "division by zero"),
            (arrow(ArrowError::CastError("No number".into())), ErrorKind::Invalid, "22P02", "no number"),
            (
                DataFusionError::IoError(io::Error::from(io::ErrorKind::StorageFull)),
                ErrorKind::Exhausted,
                "53100",
                "no space is left for spill files",
            ),
            (
                sql("Expected: end, found: x at Line: 2, Column: 17"),
                ErrorKind::Invalid,
                "42601",
                "syntax error: expected: end, found: x at line 2, column 17",
            ),
            (sql("a at Line: b"), ErrorKind::Invalid, "42601", "syntax error: a at Line: b"),
        ] {
            let mapped = from_datafusion(&error);
            assert_eq!((mapped.kind(), mapped.reason(), mapped.message()), (kind, reason, message));
        }
    }
}
