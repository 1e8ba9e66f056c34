//! Type names of DuckDB and PostgreSQL that DataFusion does not know.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result as PlanResult;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::DataType as SqlType;

/// Digits of the widest integer, DuckDB's HUGEINT, that a 128-bit decimal holds.
const HUGE_DIGITS: u8 = 38;

/// DuckDB's unsigned and huge integers, blobs, and JSON and uuids, which are text here.
#[derive(Debug)]
pub(crate) struct ForeignTypes;

impl TypePlanner for ForeignTypes {
    fn plan_type_field(&self, sql_type: &SqlType) -> PlanResult<Option<FieldRef>> {
        let data_type = match sql_type {
            SqlType::Blob(_) => DataType::Binary,
            SqlType::UTinyInt => DataType::UInt8,
            SqlType::USmallInt => DataType::UInt16,
            SqlType::UBigInt => DataType::UInt64,
            SqlType::HugeInt => DataType::Decimal128(HUGE_DIGITS, 0),
            SqlType::JSON | SqlType::JSONB | SqlType::Uuid => DataType::Utf8,
            SqlType::Custom(name, modifiers)
                if modifiers.is_empty() && name.to_string().eq_ignore_ascii_case("uinteger") =>
            {
                DataType::UInt32
            }
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(Field::new("", data_type, true))))
    }
}
