//! Aggregates that need to know how often each value occurs.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use datafusion::physical_expr::expressions::Literal;

pub(super) fn functions() -> Vec<AggregateUDF> {
    let function = |name, arguments| {
        let signature = Signature::any(arguments, Volatility::Immutable);
        AggregateUDF::from(CountedValues { name, arguments, signature })
    };
    vec![function("mode", 1), function("quantile_disc", 2), function("quantile", 2)]
}

/// `mode(x)`: the most frequent value, the smallest of several. `quantile_disc(x, 0.5)`: the smallest value that at
/// least this part of the values does not exceed.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CountedValues {
    name: &'static str,
    arguments: usize,
    signature: Signature,
}

impl AggregateUDFImpl for CountedValues {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let pick = match self.arguments {
            1 => Pick::MostFrequent,
            _ => Pick::Quantile(quantile(self.name, &args)?),
        };
        let data_type = args.return_field.data_type().clone();
        Ok(Box::new(Counts { pick, data_type, counts: HashMap::new(), value_bytes: 0 }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let list = |name: &str, data_type: DataType| {
            Arc::new(Field::new_list(
                format_state_name(args.name, name),
                Field::new_list_field(data_type, true),
                true,
            ))
        };
        Ok(vec![list("values", args.return_field.data_type().clone()), list("counts", DataType::Int64)])
    }
}

fn quantile(name: &str, args: &AccumulatorArgs<'_>) -> Result<f64> {
    let constant = args.exprs.get(1).and_then(|argument| argument.downcast_ref::<Literal>());
    let value = constant.and_then(|literal| literal.value().cast_to(&DataType::Float64).ok());
    match value {
        Some(ScalarValue::Float64(Some(quantile))) if (0.0..=1.0).contains(&quantile) => Ok(quantile),
        _ => plan_err!("{name}: the quantile must be a constant between 0 and 1"),
    }
}

#[derive(Debug, Clone, Copy)]
enum Pick {
    MostFrequent,
    Quantile(f64),
}

/// How often each value occurred.
#[derive(Debug)]
struct Counts {
    pick: Pick,
    data_type: DataType,
    counts: HashMap<ScalarValue, i64>,
    /// What the values hold beyond their place in the map.
    value_bytes: usize,
}

impl Counts {
    fn add(&mut self, value: ScalarValue, count: i64) {
        if let Some(known) = self.counts.get_mut(&value) {
            *known += count;
            return;
        }
        self.value_bytes += value.size() - size_of::<ScalarValue>();
        self.counts.insert(value, count);
    }

    /// The values in order, with their counts.
    fn sorted(&self) -> Vec<(&ScalarValue, i64)> {
        let mut sorted: Vec<_> = self.counts.iter().map(|(value, count)| (value, *count)).collect();
        sorted.sort_by(|(one, _), (other, _)| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
        sorted
    }
}

impl Accumulator for Counts {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for row in 0..values[0].len() {
            if values[0].is_valid(row) {
                self.add(ScalarValue::try_from_array(&values[0], row)?.compacted(), 1);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (values, counts) = (states[0].as_list::<i32>(), states[1].as_list::<i32>());
        for row in 0..values.len() {
            let (values, counts) = (values.value(row), counts.value(row));
            let counts: &Int64Array = counts.as_primitive::<Int64Type>();
            if values.len() != counts.len() {
                return exec_err!("{} values with {} counts", values.len(), counts.len());
            }
            for at in 0..values.len() {
                self.add(ScalarValue::try_from_array(&values, at)?.compacted(), counts.value(at));
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (values, counts): (Vec<ScalarValue>, Vec<i64>) = self.counts.drain().unzip();
        self.value_bytes = 0;
        let values = ScalarValue::new_list_nullable(&values, &self.data_type);
        let counts = SingleRowListArrayBuilder::new(Arc::new(Int64Array::from(counts))).build_list_scalar();
        Ok(vec![ScalarValue::List(values), counts])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sorted = self.sorted();
        let picked = match self.pick {
            // Of several the last that is greatest is given by `max_by_key`: the smallest value, from behind.
            Pick::MostFrequent => sorted.into_iter().rev().max_by_key(|(_, count)| *count),
            Pick::Quantile(quantile) => {
                let all: i64 = sorted.iter().map(|(_, count)| count).sum();
                // Rows are fewer than what a double counts exactly.
                #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
                let mut wanted = ((all as f64 * quantile).ceil() as i64).max(1);
                sorted.into_iter().find(|(_, count)| {
                    wanted -= count;
                    wanted <= 0
                })
            }
        };
        match picked {
            Some((value, _)) => Ok(value.clone()),
            None => ScalarValue::try_from(&self.data_type),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.capacity() * size_of::<(ScalarValue, i64)>() + self.value_bytes
    }
}
