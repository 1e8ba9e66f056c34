//! Type names of DuckDB and PostgreSQL that DataFusion does not know.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{Result as PlanResult, not_impl_err};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, TimezoneInfo};

/// Digits of the widest integer, DuckDB's HUGEINT, that a 128-bit decimal holds.
const HUGE_DIGITS: u8 = 38;

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
