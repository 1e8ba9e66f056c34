//! Times in time zones.

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, plan_err};
use datafusion::functions::datetime::to_local_time;
use datafusion::logical_expr::{Expr, ScalarUDF, cast};

use super::dates::timestamp;
use super::shorthand::{Call, shorthand};

/// The function that `x AT TIME ZONE 'Europe/Berlin'` stands for, with the zone first.
pub(crate) const TIMEZONE: &str = "timezone";

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![shorthand(TIMEZONE, 2..=2, at_time_zone)]
}

/// Of a moment, what clocks in the zone show; of a time without a zone, the moment when clocks there show it.
fn at_time_zone(call: &Call) -> Result<Expr> {
    let zone = call.constant_text(0, "time zone")?;
    if zone.parse::<Tz>().is_err() {
        return plan_err!(
            "'{zone}' is no time zone: write a name such as Europe/Berlin, or an offset such as +02:00"
        );
    }
    let in_zone = |unit| DataType::Timestamp(unit, Some(Arc::from(zone)));
    Ok(match call.data_type(1) {
        DataType::Timestamp(unit, Some(_)) => to_local_time().call(vec![cast(call.arg(1), in_zone(*unit))]),
        DataType::Timestamp(unit, None) => cast(call.arg(1), in_zone(*unit)),
        _ => cast(timestamp(call, 1)?, in_zone(TimeUnit::Microsecond)),
    })
}
