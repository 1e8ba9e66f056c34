//! Type names of DuckDB and PostgreSQL that DataFusion does not know.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{Result as PlanResult, not_impl_err};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    DataType as SqlType, Expr, Ident, ObjectName, TimezoneInfo, VisitMut, VisitorMut,
};

/// Digits of the widest integer, DuckDB's HUGEINT, that a 128-bit decimal holds.
const HUGE_DIGITS: u8 = 38;

/// The zone of timestamps with a zone in sessions that set none.
const UTC: &str = "UTC";

/// The type `TIMESTAMPTZ` of a zone, which stands behind it. Nobody can write this name.
const ZONED: &str = "timestamp in zone";

/// DuckDB's integers, timestamps and blobs, and JSON and UUID, which are text here.
#[derive(Debug)]
pub(crate) struct ForeignTypes;

impl TypePlanner for ForeignTypes {
    fn plan_type_field(&self, sql_type: &SqlType) -> PlanResult<Option<FieldRef>> {
        let data_type = match sql_type {
            SqlType::UTinyInt | SqlType::UInt8 => DataType::UInt8,
            SqlType::USmallInt | SqlType::UInt16 => DataType::UInt16,
            SqlType::UInt32 => DataType::UInt32,
            SqlType::UBigInt | SqlType::UInt64 => DataType::UInt64,
            SqlType::HugeInt | SqlType::UHugeInt => DataType::Decimal128(HUGE_DIGITS, 0),
            SqlType::Signed => DataType::Int32,
            SqlType::JSON | SqlType::JSONB | SqlType::Uuid => DataType::Utf8,
            SqlType::Blob(_) => DataType::Binary,
            // As in both, and in DuckLake; DataFusion's own would be nanoseconds.
            SqlType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone)
            | SqlType::Datetime(None)
            | SqlType::TimestampNtz(None) => DataType::Timestamp(TimeUnit::Microsecond, None),
            SqlType::Timestamp(precision, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => {
                DataType::Timestamp(unit_of(*precision), Some(UTC.into()))
            }
            SqlType::Custom(name, zone) if name.to_string() == ZONED => {
                DataType::Timestamp(TimeUnit::Microsecond, zone.first().map(|zone| zone.as_str().into()))
            }
            SqlType::Custom(name, modifiers) if modifiers.is_empty() => {
                let name = name.to_string().to_lowercase();
                match named(&name) {
                    Some(data_type) => data_type,
                    None if name == "inet" => {
                        return not_impl_err!("the type INET is not supported: addresses are text here");
                    }
                    None => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(Field::new("", data_type, true))))
    }
}

/// Turns `TIMESTAMPTZ` in casts and literals into timestamps of this zone, which text without an offset is read in. The
/// planner of types knows no session.
pub(crate) fn put_in_zone(statement: &mut Parsed, zone: &str) {
    match statement {
        Parsed::Statement(sql) => {
            let _: ControlFlow<()> = sql.visit(&mut InZone(zone));
        }
        Parsed::Explain(explain) => put_in_zone(&mut explain.statement, zone),
        Parsed::CopyTo(_) | Parsed::CreateExternalTable(_) | Parsed::Reset(_) => {}
    }
}

struct InZone<'a>(&'a str);

impl VisitorMut for InZone<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        let data_type = match expression {
            Expr::Cast { data_type, .. } => data_type,
            Expr::TypedString(typed) => &mut typed.data_type,
            _ => return ControlFlow::Continue(()),
        };
        if let SqlType::Timestamp(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) = data_type {
            let name = ObjectName::from(vec![Ident::new(ZONED)]);
            *data_type = SqlType::Custom(name, vec![self.0.to_owned()]);
        }
        ControlFlow::Continue(())
    }
}

/// The unit that has this many digits of seconds.
const fn unit_of(precision: Option<u64>) -> TimeUnit {
    match precision {
        Some(0) => TimeUnit::Second,
        Some(1..=3) => TimeUnit::Millisecond,
        Some(7..) => TimeUnit::Nanosecond,
        None | Some(4..=6) => TimeUnit::Microsecond,
    }
}

/// Names that the parser does not know as types.
fn named(name: &str) -> Option<DataType> {
    Some(match name {
        "int1" => DataType::Int8,
        "short" => DataType::Int16,
        "long" => DataType::Int64,
        "uinteger" => DataType::UInt32,
        "timestamp_s" => DataType::Timestamp(TimeUnit::Second, None),
        "timestamp_ms" => DataType::Timestamp(TimeUnit::Millisecond, None),
        "timestamp_us" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamp_ns" => DataType::Timestamp(TimeUnit::Nanosecond, None),
        // In quotes, as views of DuckDB have it.
        "\"timestamp with time zone\"" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => return None,
    })
}
