//! Intervals made of numbers.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Float64Array, IntervalMonthDayNanoArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::shorthand::{Call, shorthand};

/// Functions that make an interval, and what one of it is in months, days and nanoseconds.
const UNITS: [(&str, i32, i32, i64); 11] = [
    ("to_centuries", 1200, 0, 0),
    ("to_decades", 120, 0, 0),
    ("to_years", 12, 0, 0),
    ("to_months", 1, 0, 0),
    ("to_weeks", 0, 7, 0),
    ("to_days", 0, 1, 0),
    ("to_hours", 0, 0, 3_600_000_000_000),
    ("to_minutes", 0, 0, 60_000_000_000),
    ("to_seconds", 0, 0, 1_000_000_000),
    ("to_milliseconds", 0, 0, 1_000_000),
    ("to_microseconds", 0, 0, 1_000),
];

/// The function that multiplies an interval.
pub(crate) const MULTIPLY: &str = "interval_multiply";

pub(super) fn functions() -> Vec<ScalarUDF> {
    let unit = |&(name, months, days, nanos)| {
        ScalarUDF::from(ToInterval {
            name,
            one: IntervalMonthDayNano::new(months, days, nanos),
            signature: Signature::numeric(1, Volatility::Immutable),
        })
    };
    let mut functions: Vec<ScalarUDF> = UNITS.iter().map(unit).collect();
    functions.push(ScalarUDF::from(Multiply { signature: Signature::any(2, Volatility::Immutable) }));
    functions.push(shorthand("date_add", 2..=3, date_add));
    functions
}

/// `date_add(date, interval)`, and Trino's `date_add(part, number, date)`.
fn date_add(call: &Call) -> Result<Expr> {
    if call.args.len() == 2 {
        return Ok(call.arg(0) + call.arg(1));
    }
    let part = call.constant_text(0, "part")?.to_lowercase();
    let Some(unit) = unit_of(&part) else {
        return plan_err!(
            "date_add: '{part}' is no part; take year, month, week, day, hour, minute or second"
        );
    };
    let function = functions().into_iter().find(|function| function.name() == unit);
    match function {
        Some(function) => Ok(call.arg(2) + function.call(vec![call.arg(1)])),
        None => plan_err!("date_add: '{part}' is no part"),
    }
}

/// The function that makes intervals of a unit, named in singular or plural.
pub(crate) fn unit_of(unit: &str) -> Option<&'static str> {
    let unit = unit.to_lowercase();
    let unit = unit.trim_end_matches('s');
    UNITS
        .iter()
        .map(|(name, ..)| *name)
        .find(|name| name.strip_prefix("to_").is_some_and(|plural| plural.strip_suffix('s') == Some(unit)))
}

/// `to_days(3)` and its like.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToInterval {
    name: &'static str,
    one: IntervalMonthDayNano,
    signature: Signature,
}

impl ScalarUDFImpl for ToInterval {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Interval(IntervalUnit::MonthDayNano))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let numbers = cast(&columns[0], &DataType::Float64)?;
        let numbers: &Float64Array = numbers.as_primitive::<Float64Type>();
        let intervals = numbers.iter().map(|number| number.map(|number| times(self.one, number)).transpose());
        let intervals: IntervalMonthDayNanoArray = intervals.collect::<Result<_>>()?;
        Ok(ColumnarValue::Array(Arc::new(intervals)))
    }
}

/// An interval times a number.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Multiply {
    signature: Signature,
}

impl ScalarUDFImpl for Multiply {
    fn name(&self) -> &str {
        MULTIPLY
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Interval(IntervalUnit::MonthDayNano))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let intervals = cast(&columns[0], &DataType::Interval(IntervalUnit::MonthDayNano))?;
        let numbers = cast(&columns[1], &DataType::Float64)?;
        let numbers: &Float64Array = numbers.as_primitive::<Float64Type>();
        let intervals: &IntervalMonthDayNanoArray = intervals.as_primitive::<IntervalMonthDayNanoType>();
        let products = intervals.iter().zip(numbers).map(|(interval, number)| {
            interval.zip(number).map(|(interval, number)| times(interval, number)).transpose()
        });
        let products: IntervalMonthDayNanoArray = products.collect::<Result<_>>()?;
        Ok(ColumnarValue::Array(Arc::new(products)))
    }
}

const NANOS_PER_DAY: f64 = 86_400e9;

/// Parts of a month become days of a month of 30, and parts of a day become time, as in PostgreSQL.
fn times(interval: IntervalMonthDayNano, number: f64) -> Result<IntervalMonthDayNano> {
    let months = f64::from(interval.months) * number;
    let days = f64::from(interval.days) * number + months.fract() * 30.0;
    // Whole days of nanoseconds stay exact in i64 and round in f64 only above 104 days.
    #[allow(clippy::cast_precision_loss)]
    let nanos = interval.nanoseconds as f64 * number + days.fract() * NANOS_PER_DAY;
    let fits = |value: f64, most: f64| value.is_finite() && value.abs() < most;
    if !fits(months, f64::from(i32::MAX)) || !fits(days, f64::from(i32::MAX)) || !fits(nanos, 9.2e18) {
        return exec_err!("the interval is out of range");
    }
    #[allow(clippy::cast_possible_truncation)]
    let interval = IntervalMonthDayNano::new(months as i32, days as i32, nanos.round() as i64);
    Ok(interval)
}
