//! Which table a statement changes, and who keeps it.

use std::fmt;
use std::sync::Arc;

use datafusion::catalog::information_schema::INFORMATION_SCHEMA;
use datafusion::common::TableReference;
use datafusion::datasource::TableType;
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectNamePart};
use pintail_lake::TableName;
use pintail_types::{Error, Result, reason};

use crate::dialect::{DEFAULT_SCHEMA, normalized};
use crate::error::from_datafusion;
use crate::session::Session;
use crate::storage::TableWriter;
use crate::system::SYSTEM_SCHEMA;
use crate::temporary::TEMPORARY_CATALOG;

/// A table, and what writes it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) writer: Arc<dyn TableWriter>,
    pub(super) table: TableName,
    /// Whether the table belongs to the session.
    pub(super) is_temporary: bool,
}

impl Target {
    /// The table of this name, in the catalog and schema of the session where it says none.
    pub(super) fn named(session: &Session, name: &ObjectName) -> Result<Self> {
        let mut parts = parts(name)?;
        let table = parts.pop().unwrap_or_default();
        let mut schema = parts.pop();
        let mut catalog = parts.pop();
        if !parts.is_empty() || table.is_empty() {
            return Err(Error::invalid(format!("{name} is no name of a table")));
        }
        if let (None, Some(first)) = (&catalog, &schema)
            && is_catalog(session, first)
        {
            catalog = schema.replace(DEFAULT_SCHEMA.to_owned());
        }
        Self::of_parts(session, catalog, schema, table)
    }

    /// The table of these names, in the catalog and schema of the session where they are absent.
    pub(super) fn of_parts(
        session: &Session,
        catalog: Option<String>,
        schema: Option<String>,
        table: String,
    ) -> Result<Self> {
        let is_bare = catalog.is_none() && schema.is_none();
        if is_bare && session.temporary().exists(&table) || catalog.as_deref() == Some(TEMPORARY_CATALOG) {
            return Ok(Self::temporary(session, table));
        }
        let schema = schema.unwrap_or_else(|| session.current_schema());
        let table = TableName { schema, name: table };
        let writer = writer(session, catalog, &table.schema)?;
        writer.admit(&table)?;
        Ok(Self { writer, table, is_temporary: false })
    }

    /// The temporary table of this name.
    pub(super) fn temporary(session: &Session, table: String) -> Self {
        let writer: Arc<dyn TableWriter> = Arc::clone(session.temporary()) as Arc<dyn TableWriter>;
        let table = TableName { schema: DEFAULT_SCHEMA.to_owned(), name: table };
        Self { writer, table, is_temporary: true }
    }

    /// What there is of this name.
    pub(super) async fn table_type(&self, session: &Session) -> Result<Option<TableType>> {
        let TableName { schema, name } = &self.table;
        if self.is_temporary {
            return Ok(session.temporary().exists(name).then_some(TableType::Temporary));
        }
        let reference = TableReference::full(session.lake_catalog(), schema.as_str(), name.as_str());
        let Ok(schema) = session.state().schema_for_ref(reference) else { return Ok(None) };
        schema.table_type(name).await.map_err(|error| from_datafusion(&error))
    }

    /// There is nothing of this name.
    pub(super) fn missing(&self) -> Error {
        Error::not_found(format!("table {self} does not exist")).with_reason(reason::UNDEFINED_TABLE)
    }

    /// What writes the schema of this name, and the schema.
    pub(super) fn schema(session: &Session, name: &ObjectName) -> Result<(Arc<dyn TableWriter>, String)> {
        let mut parts = parts(name)?;
        let schema = parts.pop().unwrap_or_default();
        let catalog = parts.pop();
        if !parts.is_empty() || schema.is_empty() {
            return Err(Error::invalid(format!("{name} is no name of a schema")));
        }
        Ok((writer(session, catalog, &schema)?, schema))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.fmt(f)
    }
}

/// Whether the first of two parts of a name is a catalog, as it is in queries: not if it is a schema.
fn is_catalog(session: &Session, first: &str) -> bool {
    let current = session.state().catalog_list().catalog(&session.current_catalog());
    let is_schema = current.is_some_and(|catalog| catalog.schema(first).is_some());
    !is_schema && (first == TEMPORARY_CATALOG || session.catalogs().iter().any(|catalog| catalog == first))
}

/// What writes the tables of a schema.
fn writer(session: &Session, catalog: Option<String>, schema: &str) -> Result<Arc<dyn TableWriter>> {
    if schema == SYSTEM_SCHEMA || schema == INFORMATION_SCHEMA {
        return Err(Error::forbidden(format!("schema {schema} is kept by the server and can't be changed")));
    }
    let catalog = catalog.unwrap_or_else(|| session.current_catalog());
    if !session.catalogs().contains(&catalog) {
        return Err(Error::not_found(format!("catalog {catalog} does not exist"))
            .with_reason(reason::UNDEFINED_CATALOG));
    }
    let writer = session.engine().storage().writer();
    writer.ok_or_else(|| Error::unsupported(format!("the tables of catalog {catalog} can only be read")))
}

fn parts(name: &ObjectName) -> Result<Vec<String>> {
    let part = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(identifier) => Ok(normalized(identifier)),
        ObjectNamePart::Function(_) => Err(Error::invalid(format!("{name} is no name"))),
    };
    name.0.iter().map(part).collect()
}
