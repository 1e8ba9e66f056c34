//! Functions that make long text out of little, held to a size: no memory pool sees what they make.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::compute::kernels::length::length;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// The most text that one call makes for one batch of rows, in bytes.
const MAX_TEXT_BYTES: i64 = 64 << 20;

/// The longest character in UTF-8.
const MAX_CHARACTER_BYTES: i64 = 4;

/// The functions, those among them that can make long text held to [`MAX_TEXT_BYTES`].
pub(crate) fn bounded(functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    let bound = |function: Arc<ScalarUDF>| {
        let makes = match function.name() {
            "repeat" => Makes::Copies,
            "lpad" | "rpad" => Makes::Padding,
            _ => return function,
        };
        Arc::new(ScalarUDF::new_from_impl(Bounded { function, makes }))
    };
    functions.into_iter().map(bound).collect()
}

/// What the number in the second argument means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Makes {
    /// So many copies of the first argument.
    Copies,
    /// The first argument, filled up to so many characters.
    Padding,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    function: Arc<ScalarUDF>,
    makes: Makes,
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function.return_type(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bytes = self.bytes_of(&arguments)?;
        if bytes > MAX_TEXT_BYTES {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{} would make {bytes} bytes of text at once, at most {MAX_TEXT_BYTES} are allowed: make shorter text, \
                 or less of it",
                self.name()
            )));
        }
        self.function.invoke_with_args(arguments)
    }
}

impl Bounded {
    /// At most so many bytes would be made.
    fn bytes_of(&self, arguments: &ScalarFunctionArgs) -> Result<i64> {
        let [text, number, ..] = arguments.args.as_slice() else { return Ok(0) };
        let is_constant = arguments.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { arguments.number_rows };
        let lengths = integers(&byte_lengths(text)?, rows)?;
        let numbers = integers(number, rows)?;
        let of_row = |(length, number): (Option<i64>, Option<i64>)| {
            let (length, number) = (length.unwrap_or(0), number.unwrap_or(0).max(0));
            match self.makes {
                Makes::Copies => length.saturating_mul(number),
                Makes::Padding => number.saturating_mul(MAX_CHARACTER_BYTES),
            }
        };
        Ok(lengths.iter().zip(&numbers).map(of_row).fold(0, i64::saturating_add))
    }
}

/// The length of each text; of a constant only once.
fn byte_lengths(text: &ColumnarValue) -> Result<ColumnarValue> {
    Ok(match text {
        ColumnarValue::Array(texts) => ColumnarValue::Array(length(texts)?),
        ColumnarValue::Scalar(text) => {
            let length = length(&text.to_array()?)?;
            ColumnarValue::Scalar(ScalarValue::try_from_array(&length, 0)?)
        }
    })
}

fn integers(numbers: &ColumnarValue, rows: usize) -> Result<Int64Array> {
    let numbers = cast(&numbers.to_array(rows)?, &DataType::Int64)?;
    Ok(numbers.as_primitive::<Int64Type>().clone())
}
