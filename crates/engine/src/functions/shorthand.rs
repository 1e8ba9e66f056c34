//! Functions that stand for an expression of other functions, written once and used in planning and in running.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, Result, ScalarValue, exec_err, plan_err};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility, lit,
};
use datafusion::optimizer::analyzer::type_coercion::TypeCoercionRewriter;
use datafusion::physical_expr::create_physical_expr;

/// The expression that a call stands for.
type Expand = Arc<dyn Fn(&Call) -> Result<Expr> + Send + Sync>;

/// One call of a shorthand.
pub(super) struct Call {
    /// The function's name, for messages.
    pub(super) name: &'static str,
    /// The arguments.
    pub(super) args: Vec<Expr>,
    /// Their types.
    pub(super) types: Vec<DataType>,
}

impl Call {
    /// The argument at `index`, which the number of arguments guarantees.
    pub(super) fn arg(&self, index: usize) -> Expr {
        self.args.get(index).cloned().unwrap_or_else(|| lit(ScalarValue::Null))
    }

    pub(super) fn data_type(&self, index: usize) -> &DataType {
        self.types.get(index).unwrap_or(&DataType::Null)
    }

    /// The value of an argument that is a constant.
    pub(super) fn constant(&self, index: usize) -> Option<&ScalarValue> {
        match self.args.get(index) {
            Some(Expr::Literal(value, _)) => Some(value),
            _ => None,
        }
    }

    /// The text of an argument that has to be a constant.
    pub(super) fn constant_text(&self, index: usize, what: &str) -> Result<&str> {
        match self.constant(index).and_then(|value| value.try_as_str().flatten()) {
            Some(text) => Ok(text),
            None => plan_err!("{}: the {what} must be a constant text", self.name),
        }
    }

    /// The whole number of an argument that has to be a constant.
    pub(super) fn constant_number(&self, index: usize, what: &str) -> Result<i64> {
        let number = self.constant(index).and_then(|value| value.cast_to(&DataType::Int64).ok());
        match number {
            Some(ScalarValue::Int64(Some(number))) => Ok(number),
            _ => plan_err!("{}: the {what} must be a constant number", self.name),
        }
    }
}

/// A function that stands for an expression of other functions.
pub(super) struct Shorthand {
    name: &'static str,
    arguments: RangeInclusive<usize>,
    signature: Signature,
    expand: Expand,
}

/// A function of `arguments` arguments that stands for what `expand` makes of a call.
pub(super) fn shorthand(
    name: &'static str,
    arguments: RangeInclusive<usize>,
    expand: impl Fn(&Call) -> Result<Expr> + Send + Sync + 'static,
) -> ScalarUDF {
    // No more than stable: an expression of the current time may be behind it.
    let signature = Signature::user_defined(Volatility::Stable);
    ScalarUDF::from(Shorthand { name, arguments, signature, expand: Arc::new(expand) })
}

impl Shorthand {
    /// The expression for a call with arguments of `schema`, its types made to fit.
    fn expanded(&self, args: Vec<Expr>, schema: &DFSchema) -> Result<Expr> {
        let types = args.iter().map(|arg| arg.get_type(schema)).collect::<Result<_>>()?;
        let expression = (self.expand)(&Call { name: self.name, args, types })?;
        expression.rewrite(&mut TypeCoercionRewriter::new(schema)).data()
    }
}

impl ScalarUDFImpl for Shorthand {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if self.arguments.contains(&types.len()) {
            return Ok(types.to_vec());
        }
        let (least, most) = (self.arguments.start(), self.arguments.end());
        if least == most {
            return plan_err!("{} takes {least} arguments, not {}", self.name, types.len());
        }
        plan_err!("{} takes {least} to {most} arguments, not {}", self.name, types.len())
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        exec_err!("{}: the type depends on the arguments", self.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let named: Vec<Field> = args.arg_fields.iter().enumerate().map(placeholder_field).collect();
        let values = args.scalar_arguments.iter().enumerate().map(|(index, constant)| match constant {
            Some(value) => lit((*value).clone()),
            None => placeholder(index),
        });
        let schema = DFSchema::try_from(Schema::new(named))?;
        let data_type = self.expanded(values.collect(), &schema)?.get_type(&schema)?;
        Ok(Arc::new(Field::new(self.name, data_type, true)))
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(ExprSimplifyResult::Simplified(self.expanded(args, context.schema())?))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (mut values, mut fields, mut columns) = (Vec::new(), Vec::new(), Vec::new());
        for (index, value) in args.args.into_iter().enumerate() {
            match value {
                ColumnarValue::Scalar(value) => values.push(lit(value)),
                ColumnarValue::Array(column) => {
                    values.push(placeholder(index));
                    fields.push(Field::new(placeholder_name(index), column.data_type().clone(), true));
                    columns.push(column);
                }
            }
        }
        let schema = Arc::new(Schema::new(fields));
        let options = RecordBatchOptions::new().with_row_count(Some(args.number_rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?;
        let schema = DFSchema::try_from(schema)?;
        let expression = self.expanded(values, &schema)?;
        evaluate(&expression, &schema, &batch, args.config_options)
    }
}

fn evaluate(
    expression: &Expr,
    schema: &DFSchema,
    batch: &RecordBatch,
    config: Arc<ConfigOptions>,
) -> Result<ColumnarValue> {
    let mut properties = ExecutionProps::new();
    properties.config_options = Some(config);
    let planning = PhysicalPlanningContext::default();
    create_physical_expr(expression, schema, &properties, &planning)?.evaluate(batch)
}

fn placeholder_name(index: usize) -> String {
    format!("argument {}", index + 1)
}

fn placeholder(index: usize) -> Expr {
    Expr::Column(Column::new_unqualified(placeholder_name(index)))
}

fn placeholder_field((index, field): (usize, &FieldRef)) -> Field {
    field.as_ref().clone().with_name(placeholder_name(index))
}

impl PartialEq for Shorthand {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Shorthand {}

impl Hash for Shorthand {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for Shorthand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shorthand").field("name", &self.name).finish_non_exhaustive()
    }
}
