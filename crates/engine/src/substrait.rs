//! Queries that come as plans of Substrait, made by other programs.
//!
//! A plan is bytes of strangers, and says what to read by itself, so it is held to what SQL is held to: it reads tables and
//! views of the session's catalogs, and nothing else; no files, no extensions. It is bounded in bytes, and protobuf bounds
//! its depth.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::{DFSchema, DataFusionError, Result as PlanResult, TableReference};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion_substrait::extensions::Extensions;
use datafusion_substrait::logical_plan::consumer::{
    DefaultSubstraitLambdaConsumer, SubstraitConsumer, from_read_rel, from_substrait_plan_with_consumer,
};
use datafusion_substrait::serializer::deserialize_bytes;
use datafusion_substrait::substrait::proto::plan_rel::RelType;
use datafusion_substrait::substrait::proto::read_rel::ReadType;
use datafusion_substrait::substrait::proto::{Plan, ReadRel, Type, Version};
use datafusion_substrait::substrait::version::version;
use futures::FutureExt;
use parking_lot::Mutex;
use pintail_types::{Error, Result, reason};

use crate::dialect::highest_placeholder;
use crate::error::from_datafusion;

/// The longest plan, in bytes. One byte can become a column, so this is less than for SQL.
pub const MAX_PLAN_BYTES: usize = 256 << 10;

/// The version of Substrait whose plans are read, such as `0.85.0`.
pub fn substrait_version() -> String {
    let Version { major_number, minor_number, patch_number, .. } = version();
    format!("{major_number}.{minor_number}.{patch_number}")
}

/// Reads a plan.
///
/// # Errors
/// `Invalid` for bytes that are no plan with one result, and for too many of them.
pub(crate) fn decode(bytes: &[u8]) -> Result<Plan> {
    if bytes.len() > MAX_PLAN_BYTES {
        let message = format!("the plan is longer than {MAX_PLAN_BYTES} bytes");
        return Err(Error::invalid(message).with_reason(reason::STATEMENT_TOO_COMPLEX));
    }
    let plan = deserialize_bytes(bytes)
        .map_err(|_| Error::invalid("the plan is not well-formed, or nested too deeply, for Substrait"))?;
    let has_result = match plan.relations.as_slice() {
        [relation] => match &relation.rel_type {
            Some(RelType::Root(root)) => root.input.is_some(),
            Some(RelType::Rel(_)) => true,
            None => false,
        },
        _ => false,
    };
    has_result.then_some(*plan).ok_or_else(|| Error::invalid("the plan does not have exactly one result"))
}

/// The logical plan that `plan` stands for among the tables of `state`.
///
/// # Errors
/// `NotFound` for a table that does not exist; `Invalid` and `Unsupported` for what cannot be done.
pub(crate) async fn logical_plan(state: &SessionState, plan: &Plan) -> Result<LogicalPlan> {
    let extensions = Extensions::try_from(&plan.extensions).map_err(|error| refused(&error))?;
    let consumer = Consumer {
        state,
        extensions: &extensions,
        outer_schemas: Mutex::default(),
        lambdas: DefaultSubstraitLambdaConsumer::new(),
    };
    // The crate looks up columns by numbers of the plan without asking whether there are as many.
    let read = AssertUnwindSafe(from_substrait_plan_with_consumer(&consumer, plan)).catch_unwind().await;
    let read = read.map_err(|_| Error::invalid("the plan refers to a column that is not there"))?;
    read.map_err(|error| refused(&error))
}

/// The number of parameters `$1` to `$n` of a plan.
///
/// # Errors
/// `Invalid` for a gap in their numbers, and for too many.
pub(crate) fn parameter_count(plan: &LogicalPlan) -> Result<usize> {
    let names = plan.get_parameter_names().map_err(|error| from_datafusion(&error))?;
    let numbers = names.iter().filter_map(|name| name.strip_prefix('$')?.parse().ok());
    highest_placeholder(numbers.collect())
}

/// What a plan says that cannot be understood is no defect of the server.
fn refused(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::Substrait(message) | DataFusionError::Internal(message) => {
            Error::invalid(format!("the plan cannot be read: {message}"))
        }
        other => from_datafusion(other),
    }
}

/// Reads the parts of one plan.
struct Consumer<'a> {
    state: &'a SessionState,
    extensions: &'a Extensions,
    /// Those of the queries around a subquery, the innermost last.
    outer_schemas: Mutex<Vec<Arc<DFSchema>>>,
    lambdas: DefaultSubstraitLambdaConsumer,
}

#[async_trait]
impl SubstraitConsumer for Consumer<'_> {
    async fn resolve_table_ref(
        &self,
        reference: &TableReference,
    ) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        let found = match self.state.schema_for_ref(reference.clone()) {
            Ok(schema) => schema.table(reference.table()).await?,
            Err(_) => None,
        };
        let missing = || {
            let missing = Error::not_found(format!("table {reference} does not exist"));
            DataFusionError::External(Box::new(missing.with_reason(reason::UNDEFINED_TABLE)))
        };
        found.ok_or_else(missing).map(Some)
    }

    fn get_extensions(&self) -> &Extensions {
        self.extensions
    }

    fn get_function_registry(&self) -> &impl FunctionRegistry {
        self.state
    }

    async fn consume_read(&self, read: &ReadRel) -> PlanResult<LogicalPlan> {
        match read.read_type {
            Some(ReadType::NamedTable(_) | ReadType::VirtualTable(_)) => {}
            _ => {
                return Err(DataFusionError::NotImplemented(
                    "A plan reads tables by their names, and no files".to_owned(),
                ));
            }
        }
        from_read_rel(self, read).await
    }

    fn push_outer_schema(&self, schema: Arc<DFSchema>) {
        self.outer_schemas.lock().push(schema);
    }

    fn pop_outer_schema(&self) {
        self.outer_schemas.lock().pop();
    }

    fn get_outer_schema(&self, steps_out: usize) -> Option<Arc<DFSchema>> {
        let schemas = self.outer_schemas.lock();
        schemas.len().checked_sub(steps_out).and_then(|index| schemas.get(index)).map(Arc::clone)
    }

    fn push_lambda_parameters(
        &self,
        parameters: &[Type],
        input_schema: &DFSchema,
    ) -> PlanResult<Vec<String>> {
        self.lambdas.push_lambda_parameters(self, parameters, input_schema)
    }

    fn pop_lambda_parameters(&self) {
        self.lambdas.pop_lambda_parameters();
    }

    fn lambda_variable(&self, steps_out: usize, field_index: usize) -> PlanResult<Expr> {
        self.lambdas.lambda_variable(steps_out, field_index)
    }
}
