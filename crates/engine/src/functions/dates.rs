//! Dates and times.

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::functions::datetime::date_bin as date_bin_udf;
use datafusion::functions::datetime::expr_fn::{
    date_bin, date_part, date_trunc, now, to_char, to_timestamp_micros,
};
use datafusion::logical_expr::{Expr, ScalarUDF, cast, lit};

use super::shorthand::{Call, shorthand};
use super::templates::strftime_format;

/// DuckDB's functions that are a part of a date, and the part.
const PARTS: [(&str, &str); 16] = [
    ("year", "year"),
    ("quarter", "quarter"),
    ("month", "month"),
    ("week", "week"),
    ("weekofyear", "week"),
    ("day", "day"),
    ("dayofmonth", "day"),
    ("dayofweek", "dow"),
    ("weekday", "dow"),
    ("dayofyear", "doy"),
    ("hour", "hour"),
    ("minute", "minute"),
    ("second", "second"),
    ("millisecond", "millisecond"),
    ("microsecond", "microsecond"),
    ("epoch", "epoch"),
];

/// Buckets of days and less are measured from Monday, 2000-01-03, as DuckDB and TimescaleDB do.
const BUCKET_ORIGIN_NANOS: i64 = 946_857_600_000_000_000;
/// Buckets of months are measured from 2000-01-01.
const MONTH_BUCKET_ORIGIN_NANOS: i64 = 946_684_800_000_000_000;

pub(super) fn functions() -> Vec<ScalarUDF> {
    let mut functions = vec![
        shorthand("time_bucket", 2..=3, time_bucket),
        shorthand("to_char", 2..=2, to_char_by_template),
        shorthand("date_bin", 2..=3, positive_date_bin),
        shorthand("epoch_ms", 1..=1, |call| epoch(call, TimeUnit::Millisecond)),
        shorthand("epoch_us", 1..=1, |call| epoch(call, TimeUnit::Microsecond)),
        shorthand("epoch_ns", 1..=1, |call| epoch(call, TimeUnit::Nanosecond)),
        shorthand("isodow", 1..=1, isodow),
        shorthand("date_diff", 3..=3, date_diff),
        shorthand("datediff", 3..=3, date_diff),
        shorthand("last_day", 1..=1, last_day),
        shorthand("dayname", 1..=1, |call| Ok(to_char(timestamp(call, 0)?, lit("%A")))),
        shorthand("monthname", 1..=1, |call| Ok(to_char(timestamp(call, 0)?, lit("%B")))),
        shorthand("strftime", 2..=2, strftime),
        shorthand("strptime", 2..=2, strptime),
        shorthand("date", 1..=1, |call| Ok(cast(call.arg(0), DataType::Date32))),
    ];
    for name in ["get_current_timestamp", "transaction_timestamp", "localtimestamp"] {
        functions.push(shorthand(name, 0..=0, |_| Ok(now())));
    }
    for (name, part) in PARTS {
        functions.push(shorthand(name, 1..=1, move |call| Ok(date_part(lit(part), moment(call, 0)?))));
    }
    functions
}

/// The argument as a timestamp: text and dates become one.
pub(super) fn timestamp(call: &Call, index: usize) -> Result<Expr> {
    match call.data_type(index) {
        DataType::Timestamp(..) => Ok(call.arg(index)),
        DataType::Date32 | DataType::Date64 | DataType::Null => Ok(cast(call.arg(index), micros())),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(cast(call.arg(index), micros())),
        other => plan_err!("{}: argument {} must be a date or timestamp, not {other}", call.name, index + 1),
    }
}

/// The argument as something that has parts of a date: intervals and times have, too.
fn moment(call: &Call, index: usize) -> Result<Expr> {
    match call.data_type(index) {
        DataType::Interval(_) | DataType::Duration(_) | DataType::Time32(_) | DataType::Time64(_) => {
            Ok(call.arg(index))
        }
        _ => timestamp(call, index),
    }
}

pub(super) const fn micros() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

/// DataFusion's `date_bin`, with a clear refusal of an interval of nothing: Grafana sends one for panels of less than a
/// second a point.
fn positive_date_bin(call: &Call) -> Result<Expr> {
    check_positive(call)?;
    let mut args = call.args.clone();
    // The origin is in nanoseconds there, and would drag the result along.
    if let (DataType::Timestamp(_, zone), Some(origin)) = (call.data_type(1), args.get_mut(2)) {
        *origin = cast(origin.clone(), DataType::Timestamp(TimeUnit::Nanosecond, zone.clone()));
    }
    Ok(date_bin_udf().call(args))
}

fn check_positive(call: &Call) -> Result<()> {
    let Some(ScalarValue::IntervalMonthDayNano(Some(width))) = call.constant(0) else { return Ok(()) };
    let parts = [i64::from(width.months), i64::from(width.days), width.nanoseconds];
    if parts.iter().any(|part| *part < 0) || parts.iter().all(|part| *part == 0) {
        return plan_err!("{}: the interval must be positive", call.name);
    }
    Ok(())
}

fn time_bucket(call: &Call) -> Result<Expr> {
    check_positive(call)?;
    let width = match call.data_type(0) {
        DataType::Interval(_) => call.arg(0),
        _ => cast(call.arg(0), DataType::Interval(IntervalUnit::MonthDayNano)),
    };
    let in_months =
        matches!(call.constant(0), Some(ScalarValue::IntervalMonthDayNano(Some(width))) if width.months > 0);
    let origin = if in_months { MONTH_BUCKET_ORIGIN_NANOS } else { BUCKET_ORIGIN_NANOS };
    let zone = match call.data_type(1) {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let origin = lit(ScalarValue::TimestampNanosecond(Some(origin), zone.clone()));
    let at = timestamp(call, 1)?;
    let bucket = match call.types.get(2) {
        None => date_bin(width, at, origin),
        Some(DataType::Interval(_)) => date_bin(width, at - call.arg(2), origin) + call.arg(2),
        Some(DataType::Timestamp(..) | DataType::Date32) => {
            date_bin(width, at, cast(call.arg(2), DataType::Timestamp(TimeUnit::Nanosecond, zone)))
        }
        Some(_) => {
            return plan_err!(
                "time_bucket: the third argument must be an origin or an interval; for another time zone write \
                 AT TIME ZONE"
            );
        }
    };
    Ok(match call.data_type(1) {
        DataType::Date32 => cast(bucket, DataType::Date32),
        _ => bucket,
    })
}

/// From a time to a number since 1970, or back.
fn epoch(call: &Call, unit: TimeUnit) -> Result<Expr> {
    if call.data_type(0).is_integer() {
        let at = cast(cast(call.arg(0), DataType::Int64), DataType::Timestamp(unit, None));
        return Ok(if unit == TimeUnit::Nanosecond { at } else { cast(at, micros()) });
    }
    let zone = match call.data_type(0) {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    Ok(cast(cast(timestamp(call, 0)?, DataType::Timestamp(unit, zone)), DataType::Int64))
}

/// Monday is 1 and Sunday 7.
fn isodow(call: &Call) -> Result<Expr> {
    let from_sunday = cast(date_part(lit("dow"), timestamp(call, 0)?), DataType::Int64);
    Ok((from_sunday + lit(6_i64)) % lit(7_i64) + lit(1_i64))
}

/// Boundaries of a part between two times.
fn date_diff(call: &Call) -> Result<Expr> {
    let part = call.constant_text(0, "part")?.to_lowercase();
    let (from, to) = (timestamp(call, 1)?, timestamp(call, 2)?);
    let number = |part: &str, at: &Expr| cast(date_part(lit(part), at.clone()), DataType::Int64);
    let months = |at: &Expr| number("year", at) * lit(12_i64) + number("month", at);
    let quarters = |at: &Expr| number("year", at) * lit(4_i64) + number("quarter", at);
    let date = |at| cast(cast(at, DataType::Date32), DataType::Int32);
    let part = part.trim_end_matches('s');
    Ok(match part {
        "year" => number("year", &to) - number("year", &from),
        "quarter" => quarters(&to) - quarters(&from),
        "month" => months(&to) - months(&from),
        // Days between the two, by seven, whatever the days of the week are: as DuckDB counts.
        "week" => cast((date(to) - date(from)) / lit(7), DataType::Int64),
        _ => {
            let micros_each = part_micros(call.name, part)?;
            let boundary = |at: Expr| {
                let truncated = date_trunc(lit(part), cast(at, micros()));
                cast(cast(truncated, micros()), DataType::Int64)
            };
            (boundary(to) - boundary(from)) / lit(micros_each)
        }
    })
}

/// The microseconds of a part that is always as long.
pub(super) fn part_micros(function: &str, part: &str) -> Result<i64> {
    Ok(match part {
        "microsecond" => 1,
        "millisecond" => 1_000,
        "second" => 1_000_000,
        "minute" => 60_000_000,
        "hour" => 3_600_000_000,
        "day" => 86_400_000_000,
        "week" => 7 * 86_400_000_000,
        _ => {
            return plan_err!(
                "{function}: '{part}' is no part; take year, quarter, month, week, day, hour, minute, second, \
                 millisecond or microsecond"
            );
        }
    })
}

fn last_day(call: &Call) -> Result<Expr> {
    let interval = |months, days| {
        let interval = IntervalMonthDayNano::new(months, days, 0);
        lit(ScalarValue::IntervalMonthDayNano(Some(interval)))
    };
    let first = date_trunc(lit("month"), cast(timestamp(call, 0)?, micros()));
    Ok(cast(first + interval(1, 0) - interval(0, 1), DataType::Date32))
}

/// `strftime(time, format)`, and SQLite's order of arguments.
fn strftime(call: &Call) -> Result<Expr> {
    let format_first = call
        .constant(0)
        .and_then(|value| value.try_as_str().flatten())
        .is_some_and(|text| text.contains('%'));
    let (format, time) = if format_first { (0, 1) } else { (1, 0) };
    let format = call.constant_text(format, "format")?;
    let format = format.replace("%f", "%6f").replace("%g", "%3f").replace("%n", "%9f");
    Ok(to_char(timestamp(call, time)?, lit(format)))
}

/// `to_char(x, format)` in PostgreSQL's templates, or in the formats of `strftime` if there is a `%`.
fn to_char_by_template(call: &Call) -> Result<Expr> {
    let constant = call.constant(1).and_then(|value| value.try_as_str().flatten());
    match constant.filter(|format| !format.contains('%')) {
        Some(template) => Ok(to_char(call.arg(0), lit(strftime_format(template)?))),
        None => Ok(to_char(call.arg(0), call.arg(1))),
    }
}

fn strptime(call: &Call) -> Result<Expr> {
    let format = call.constant_text(1, "format")?.replace(".%f", "%.f").replace("%f", "%6f");
    Ok(to_timestamp_micros(vec![cast(call.arg(0), DataType::Utf8), lit(format)]))
}
