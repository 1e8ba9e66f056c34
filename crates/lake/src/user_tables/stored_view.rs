//! A view that users made, as its text.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::datasource::TableType;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use pintail_types::{Error, ErrorKind};

/// A view that has not been planned: whoever plans statements also plans the text.
///
/// Without that it shows what the files hold, as the DuckLake crate plans it.
#[derive(Debug)]
pub struct StoredView {
    text: String,
    over_files: Arc<dyn TableProvider>,
    /// Why it can't be read.
    refusal: Option<(ErrorKind, String)>,
}

impl StoredView {
    pub(crate) const fn new(text: String, over_files: Arc<dyn TableProvider>) -> Self {
        Self { text, over_files, refusal: None }
    }

    /// Its query, with `{DUCKLAKE_CATALOG}` for the name of the lake.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Why it can't be read, if that is known.
    pub fn refusal(&self) -> Option<Error> {
        let (kind, message) = self.refusal.as_ref()?;
        Some(Error::new(*kind, message.clone()))
    }

    /// The view as one that is listed and fails with this error when it is read.
    pub fn unreadable(&self, name: &str, error: Error) -> Arc<dyn TableProvider> {
        let refusal = Some((error.kind(), format!("view {name} can't be planned: {}", error.message())));
        Arc::new(Self { text: self.text.clone(), over_files: Arc::clone(&self.over_files), refusal })
    }
}

#[async_trait]
impl TableProvider for StoredView {
    fn schema(&self) -> SchemaRef {
        self.over_files.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn get_table_definition(&self) -> Option<&str> {
        Some(&self.text)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        if let Some(refusal) = self.refusal() {
            return Err(DataFusionError::External(Box::new(refusal)));
        }
        self.over_files.scan(state, projection, filters, limit).await
    }
}
