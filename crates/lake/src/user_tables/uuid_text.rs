//! A uuid of a file as the text that statements see.

use std::sync::Arc;

use arrow::array::{Array as _, AsArray, StringArray};
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::catalog::Session;
use datafusion::common::{Result as DataFusionResult, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use uuid::Uuid;

/// The text of a column of sixteen bytes, as the column `field`.
pub(crate) fn uuid_text(
    state: &dyn Session,
    column: Arc<dyn PhysicalExpr>,
    schema: &Schema,
    field: &FieldRef,
) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
    let signature = Signature::any(1, Volatility::Immutable);
    let function = Arc::new(ScalarUDF::from(UuidText { signature, field: Arc::clone(field) }));
    let options = Arc::clone(state.config().options());
    Ok(Arc::new(ScalarFunctionExpr::try_new(function, vec![column], schema, options)?))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct UuidText {
    signature: Signature,
    field: FieldRef,
}

impl ScalarUDFImpl for UuidText {
    fn name(&self) -> &str {
        "uuid_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _arguments: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let [bytes] =
            <[ColumnarValue; 1]>::try_from(arguments.args).or_else(|_| exec_err!("one argument"))?;
        let bytes = bytes.into_array(arguments.number_rows)?;
        let Some(bytes) = bytes.as_fixed_size_binary_opt() else {
            return exec_err!("a uuid is kept as {}, not as sixteen bytes", bytes.data_type());
        };
        let text = |bytes: &[u8]| Uuid::from_slice(bytes).map(|uuid| uuid.to_string()).ok();
        let texts: StringArray = bytes.iter().map(|bytes| bytes.and_then(text)).collect();
        Ok(ColumnarValue::Array(Arc::new(texts)))
    }
}
