//! Timestamps, with all digits that their unit has.

use arrow::array::{
    Array, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray,
};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::TimeUnit;
use arrow::json::writer::{Encoder, NullableEncoder};
use chrono::{DateTime, Datelike, Timelike, Utc};

/// An encoder of `array`, whose values count from 1970 UTC when `zoned` and have no zone otherwise.
pub(super) fn encoder(array: &dyn Array, unit: TimeUnit, zoned: bool) -> Option<NullableEncoder<'_>> {
    let any = array.as_any();
    let values = match unit {
        TimeUnit::Second => any.downcast_ref::<TimestampSecondArray>()?.values(),
        TimeUnit::Millisecond => any.downcast_ref::<TimestampMillisecondArray>()?.values(),
        TimeUnit::Microsecond => any.downcast_ref::<TimestampMicrosecondArray>()?.values(),
        TimeUnit::Nanosecond => any.downcast_ref::<TimestampNanosecondArray>()?.values(),
    };
    let timestamps = Timestamps { values: values.clone(), unit, zoned };
    Some(NullableEncoder::new(Box::new(timestamps), array.nulls().cloned()))
}

struct Timestamps {
    values: ScalarBuffer<i64>,
    unit: TimeUnit,
    zoned: bool,
}

impl Encoder for Timestamps {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        push_timestamp(self.values[index], self.unit, out);
        if self.zoned {
            out.push(b'Z');
        }
        out.push(b'"');
    }
}

pub(super) fn push_timestamp(value: i64, unit: TimeUnit, out: &mut Vec<u8>) {
    let (per_second, digits): (i64, usize) = match unit {
        TimeUnit::Second => (1, 0),
        TimeUnit::Millisecond => (1_000, 3),
        TimeUnit::Microsecond => (1_000_000, 6),
        TimeUnit::Nanosecond => (1_000_000_000, 9),
    };
    let Some(time) = DateTime::<Utc>::from_timestamp(value.div_euclid(per_second), 0) else {
        out.extend_from_slice(value.to_string().as_bytes());
        return;
    };
    let year = time.year();
    match u64::try_from(year) {
        Ok(year @ 0..=9999) => push_digits(year, 4, out),
        // ISO 8601 wants a sign before years of more than four digits.
        _ => out.extend_from_slice(format!("{year:+05}").as_bytes()),
    }
    for (mark, part) in [
        (b'-', time.month()),
        (b'-', time.day()),
        (b'T', time.hour()),
        (b':', time.minute()),
        (b':', time.second()),
    ] {
        out.push(mark);
        push_digits(u64::from(part), 2, out);
    }
    if digits > 0 {
        out.push(b'.');
        push_digits(value.rem_euclid(per_second).unsigned_abs(), digits, out);
    }
}

/// Appends the last `count` decimal digits of `number`.
fn push_digits(mut number: u64, count: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + count, b'0');
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}
