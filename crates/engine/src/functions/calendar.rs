//! Dates put together and taken apart by the calendar.

use std::sync::Arc;

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, IntervalMonthDayNanoArray, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Float64Type, Int64Type, IntervalMonthDayNano, IntervalUnit, TimestampMicrosecondType,
};
use datafusion::arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::functions::datetime::expr_fn::current_date;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::dates::{micros, part_micros, timestamp};
use super::shorthand::{Call, shorthand};

const DAY_MICROS: i64 = 86_400_000_000;

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        shorthand("age", 1..=2, age),
        shorthand("date_sub", 2..=3, date_sub),
        shorthand("datesub", 3..=3, date_sub),
        shorthand("make_timestamp", 1..=6, make_timestamp),
    ]
}

/// The interval between two times, in months, days and time as PostgreSQL counts; of one, until today.
fn age(call: &Call) -> Result<Expr> {
    let (to, from) = match call.args.len() {
        1 => (datafusion::logical_expr::cast(current_date(), micros()), timestamp(call, 0)?),
        _ => (timestamp(call, 0)?, timestamp(call, 1)?),
    };
    Ok(Kernel::Age.of(vec![micro_timestamp(to), micro_timestamp(from)]))
}

/// `date_sub(part, from, to)`: whole parts between two times. `date_sub(date, interval)`: MySQL's.
fn date_sub(call: &Call) -> Result<Expr> {
    if call.args.len() == 2 {
        return Ok(call.arg(0) - call.arg(1));
    }
    let part = call.constant_text(0, "part")?.to_lowercase();
    let times = vec![micro_timestamp(timestamp(call, 1)?), micro_timestamp(timestamp(call, 2)?)];
    let kernel = match part.trim_end_matches('s') {
        "year" => Kernel::WholeMonths(12),
        "quarter" => Kernel::WholeMonths(3),
        "month" => Kernel::WholeMonths(1),
        part => Kernel::WholeMicros(part_micros(call.name, part)?),
    };
    Ok(kernel.of(times))
}

fn make_timestamp(call: &Call) -> Result<Expr> {
    let number = |index, data_type| datafusion::logical_expr::cast(call.arg(index), data_type);
    match call.args.len() {
        1 => Ok(datafusion::logical_expr::cast(number(0, DataType::Int64), micros())),
        6 => {
            let mut parts: Vec<Expr> = (0..5).map(|index| number(index, DataType::Int64)).collect();
            parts.push(number(5, DataType::Float64));
            Ok(Kernel::MakeTimestamp.of(parts))
        }
        _ => plan_err!(
            "make_timestamp takes year, month, day, hour, minute and second, or microseconds since 1970"
        ),
    }
}

fn micro_timestamp(at: Expr) -> Expr {
    datafusion::logical_expr::cast(at, micros())
}

/// What no expression of other functions does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kernel {
    Age,
    /// The months that make one part.
    WholeMonths(i64),
    /// The microseconds that make one part.
    WholeMicros(i64),
    MakeTimestamp,
}

impl Kernel {
    fn of(self, args: Vec<Expr>) -> Expr {
        let signature = Signature::any(args.len(), Volatility::Immutable);
        ScalarUDF::from(CalendarFunction { kernel: self, signature }).call(args)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CalendarFunction {
    kernel: Kernel,
    signature: Signature,
}

impl ScalarUDFImpl for CalendarFunction {
    fn name(&self) -> &'static str {
        match self.kernel {
            Kernel::Age => "age",
            Kernel::WholeMonths(_) | Kernel::WholeMicros(_) => "date_sub",
            Kernel::MakeTimestamp => "make_timestamp",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(match self.kernel {
            Kernel::Age => DataType::Interval(IntervalUnit::MonthDayNano),
            Kernel::WholeMonths(_) | Kernel::WholeMicros(_) => DataType::Int64,
            Kernel::MakeTimestamp => micros(),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let result: ArrayRef = match self.kernel {
            Kernel::Age => Arc::new(ages(&columns[0], &columns[1])?),
            Kernel::WholeMonths(each) => Arc::new(whole_months(&columns[0], &columns[1], each)?),
            Kernel::WholeMicros(each) => Arc::new(whole_micros(&columns[0], &columns[1], each)),
            Kernel::MakeTimestamp => Arc::new(timestamps(&columns)?),
        };
        Ok(ColumnarValue::Array(result))
    }
}

/// The values of two columns of timestamps, row by row.
fn pairs<'a>(one: &'a ArrayRef, other: &'a ArrayRef) -> impl Iterator<Item = Option<(i64, i64)>> + 'a {
    let one = one.as_primitive::<TimestampMicrosecondType>().iter();
    one.zip(other.as_primitive::<TimestampMicrosecondType>().iter()).map(|(one, other)| one.zip(other))
}

fn date_time(micros: i64) -> Result<NaiveDateTime> {
    match timestamp_us_to_datetime(micros) {
        Some(at) => Ok(at),
        None => exec_err!("a timestamp of {micros} microseconds has no date"),
    }
}

fn whole_micros(from: &ArrayRef, to: &ArrayRef, each: i64) -> Int64Array {
    pairs(from, to).map(|pair| pair.map(|(from, to)| to.saturating_sub(from) / each)).collect()
}

fn whole_months(from: &ArrayRef, to: &ArrayRef, each: i64) -> Result<Int64Array> {
    let months = pairs(from, to).map(|pair| match pair {
        Some((from, to)) => Ok(Some(complete_months(date_time(from)?, date_time(to)?) / each)),
        None => Ok(None),
    });
    months.collect()
}

fn ages(to: &ArrayRef, from: &ArrayRef) -> Result<IntervalMonthDayNanoArray> {
    let intervals = pairs(to, from).map(|pair| match pair {
        Some((to, from)) => Ok(Some(interval_between(date_time(from)?, date_time(to)?))),
        None => Ok(None),
    });
    intervals.collect()
}

fn interval_between(from: NaiveDateTime, to: NaiveDateTime) -> IntervalMonthDayNano {
    let (months, rest) = months_and_rest(from, to);
    let (days, rest) = (rest / DAY_MICROS, rest % DAY_MICROS);
    // Timestamps reach over some 300,000 years, so neither of the two overflows.
    let (months, days) = (i32::try_from(months).unwrap_or_default(), i32::try_from(days).unwrap_or_default());
    IntervalMonthDayNano::new(months, days, rest * 1_000)
}

/// The whole months between two times, and the microseconds that are left, both of the sign of the difference.
fn months_and_rest(from: NaiveDateTime, to: NaiveDateTime) -> (i64, i64) {
    if to < from {
        let (months, rest) = months_and_rest(to, from);
        return (-months, -rest);
    }
    let within_month = |at: NaiveDateTime| {
        let since_midnight =
            i64::from(at.num_seconds_from_midnight()) * 1_000_000 + i64::from(at.nanosecond()) / 1_000;
        i64::from(at.day0()) * DAY_MICROS + since_midnight
    };
    let month_number = |at: NaiveDateTime| i64::from(at.year()) * 12 + i64::from(at.month0());
    let months = month_number(to) - month_number(from);
    let rest = within_month(to) - within_month(from);
    if rest >= 0 {
        return (months, rest);
    }
    // A month is borrowed: as long as the one that `from` is in, as in PostgreSQL.
    (months - 1, rest + i64::from(days_of_month(from)) * DAY_MICROS)
}

/// The months that are over. From the end of a longer month one is over at the end of a shorter one, as in DuckDB.
fn complete_months(from: NaiveDateTime, to: NaiveDateTime) -> i64 {
    if to < from {
        return -complete_months(to, from);
    }
    let (months, _) = months_and_rest(from, to);
    let ends_month = to.day() == days_of_month(to) && from.day() > to.day() && from.time() <= to.time();
    months + i64::from(ends_month)
}

fn days_of_month(at: NaiveDateTime) -> u32 {
    u32::from(at.num_days_in_month())
}

fn timestamps(columns: &[ArrayRef]) -> Result<TimestampMicrosecondArray> {
    let mut whole = Vec::with_capacity(5);
    for column in &columns[..5] {
        whole.push(cast(column, &DataType::Int64)?);
    }
    let parts: Vec<&Int64Array> = whole.iter().map(|column| column.as_primitive::<Int64Type>()).collect();
    let seconds: &Float64Array = columns[5].as_primitive::<Float64Type>();
    let mut made = TimestampMicrosecondArray::builder(seconds.len());
    for row in 0..seconds.len() {
        if seconds.is_null(row) || parts.iter().any(|part| part.is_null(row)) {
            made.append_null();
            continue;
        }
        let values = [0, 1, 2, 3, 4].map(|part: usize| parts[part].value(row));
        made.append_value(made_timestamp(values, seconds.value(row))?);
    }
    Ok(made.finish())
}

fn made_timestamp([year, month, day, hour, minute]: [i64; 5], second: f64) -> Result<i64> {
    let date = || {
        NaiveDate::from_ymd_opt(
            i32::try_from(year).ok()?,
            u32::try_from(month).ok()?,
            u32::try_from(day).ok()?,
        )
    };
    let valid = (0..24).contains(&hour) && (0..60).contains(&minute) && (0.0..60.0).contains(&second);
    let Some(midnight) = date().filter(|_| valid).and_then(|date| date.and_hms_opt(0, 0, 0)) else {
        return exec_err!(
            "make_timestamp: {year}-{month}-{day} {hour}:{minute}:{second} is no date and time"
        );
    };
    // Less than 60,000,000, and checked to be no NaN.
    #[allow(clippy::cast_possible_truncation)]
    let micros = (second * 1e6).round() as i64;
    Ok(midnight.and_utc().timestamp_micros() + (hour * 60 + minute) * 60_000_000 + micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn intervals_between() {
        for (from, to, months, days, seconds) in [
            ("2026-01-15T00:00:00", "2026-03-01T00:00:00", 1, 17, 0),
            ("2026-03-01T00:00:00", "2026-01-15T00:00:00", -1, -17, 0),
            ("2026-01-31T00:00:00", "2026-02-28T00:00:00", 0, 28, 0),
            ("2024-02-29T12:00:00", "2025-02-28T11:00:00", 11, 27, 82_800),
            ("2026-01-01T00:00:00", "2026-01-01T00:00:00", 0, 0, 0),
        ] {
            let interval = interval_between(at(from), at(to));
            let expected = IntervalMonthDayNano::new(months, days, seconds * 1_000_000_000);
            assert_eq!(interval, expected, "{from} to {to}");
        }
    }

    #[test]
    fn months_that_are_over() {
        for (from, to, months) in [
            ("2026-01-31T00:00:00", "2026-02-27T00:00:00", 0),
            ("2026-01-31T00:00:00", "2026-02-28T00:00:00", 1),
            ("2026-01-31T12:00:00", "2026-02-28T00:00:00", 0),
            ("2024-02-29T00:00:00", "2026-02-28T00:00:00", 24),
            ("2026-02-28T00:00:00", "2026-01-31T00:00:00", -1),
            ("2026-01-15T00:00:00", "2026-02-15T00:00:00", 1),
        ] {
            assert_eq!(complete_months(at(from), at(to)), months, "{from} to {to}");
        }
    }
}
