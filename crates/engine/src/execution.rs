//! What the plans of a query run in.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionConfig;
use tokio_util::sync::CancellationToken;

use crate::fairness::QueryEnd;

/// What one execution runs with.
#[derive(Debug, Clone)]
pub(crate) struct Execution {
    runtime_env: Arc<RuntimeEnv>,
    end: CancellationToken,
}

impl Execution {
    /// In this environment, until the query has come to this `end`.
    pub(crate) const fn new(runtime_env: Arc<RuntimeEnv>, end: CancellationToken) -> Self {
        Self { runtime_env, end }
    }

    /// What a plan runs in. Plans hold the functions that they call, so it knows none by name.
    pub(crate) fn task_context(self, session_id: String, config: SessionConfig) -> Arc<TaskContext> {
        let config = config.with_extension(Arc::new(QueryEnd(self.end)));
        let (scalar, higher_order) = (HashMap::new(), HashMap::new());
        let (aggregate, window) = (HashMap::new(), HashMap::new());
        let runtime_env = self.runtime_env;
        let context =
            TaskContext::new(None, session_id, config, scalar, higher_order, aggregate, window, runtime_env);
        Arc::new(context)
    }
}
