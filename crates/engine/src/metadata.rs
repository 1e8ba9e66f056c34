//! What there is to query, for the doors' metadata requests.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::SchemaProvider;
use datafusion::catalog::information_schema::INFORMATION_SCHEMA;
use datafusion::common::TableReference;
use datafusion::logical_expr::TableType;
use pintail_types::Result;

use crate::error::from_datafusion;
use crate::like::like;
use crate::session::Session;
use crate::system::SYSTEM_SCHEMA;
use crate::wire::wire_schema;

/// A stored table.
const BASE_TABLE: &str = "BASE TABLE";
/// A query with a name.
const VIEW: &str = "VIEW";
/// A table of what the server knows about itself.
const SYSTEM_TABLE: &str = "SYSTEM TABLE";

/// The kinds of tables there are.
pub const TABLE_TYPES: [&str; 3] = [BASE_TABLE, SYSTEM_TABLE, VIEW];

/// Which tables to list. Patterns are those of [`crate::like`]; what is absent matches everything.
#[derive(Debug, Clone, Default)]
pub struct TableFilter {
    /// The catalog, exactly.
    pub catalog: Option<String>,
    /// A pattern for the schema.
    pub schema_pattern: Option<String>,
    /// A pattern for the table.
    pub table_pattern: Option<String>,
    /// Kinds of [`TABLE_TYPES`]; empty for all.
    pub table_types: Vec<String>,
    /// Whether [`TableInfo::schema`] is wanted.
    pub with_schema: bool,
}

/// A table that the caller may see.
#[derive(Debug, Clone, PartialEq)]
pub struct TableInfo {
    /// Its catalog.
    pub catalog: String,
    /// Its schema.
    pub schema_name: String,
    /// Its name.
    pub name: String,
    /// One of [`TABLE_TYPES`].
    pub table_type: &'static str,
    /// Its columns in wire types, if asked for.
    pub schema: Option<SchemaRef>,
}

impl Session {
    /// The names of the catalogs.
    pub fn catalogs(&self) -> Vec<String> {
        self.state().catalog_list().catalog_names()
    }

    /// Pairs of catalog and schema. `catalog` is exact, `pattern` is for the schema.
    pub fn schemas(&self, catalog: Option<&str>, pattern: Option<&str>) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for name in self.catalogs() {
            if catalog.is_some_and(|wanted| wanted != name) {
                continue;
            }
            let Some(provider) = self.state().catalog_list().catalog(&name) else { continue };
            let mut schemas = provider.schema_names();
            schemas.retain(|schema| schema != INFORMATION_SCHEMA);
            schemas.push(INFORMATION_SCHEMA.to_owned());
            schemas.retain(|schema| matches(pattern, schema));
            found.extend(schemas.into_iter().map(|schema| (name.clone(), schema)));
        }
        found
    }

    /// The tables that match `filter`.
    ///
    /// # Errors
    /// What keeps a catalog from being read.
    pub async fn tables(&self, filter: &TableFilter) -> Result<Vec<TableInfo>> {
        let (session, filter) = (self.clone(), filter.clone());
        // Off the caller's threads: catalogs may read their files here.
        self.engine().runtime().run(async move { session.list(&filter).await }).await
    }

    async fn list(&self, filter: &TableFilter) -> Result<Vec<TableInfo>> {
        let mut found = Vec::new();
        for (catalog, schema_name) in
            self.schemas(filter.catalog.as_deref(), filter.schema_pattern.as_deref())
        {
            let reference = TableReference::full(catalog.as_str(), schema_name.as_str(), "");
            // A schema that went away between the two looks has no tables.
            let Ok(schema) = self.state().schema_for_ref(reference) else { continue };
            for name in schema.table_names() {
                if !matches(filter.table_pattern.as_deref(), &name) {
                    continue;
                }
                let Some(table_type) = table_type(&schema_name, schema.as_ref(), &name).await? else {
                    continue;
                };
                if !filter.table_types.is_empty()
                    && !filter.table_types.iter().any(|wanted| wanted == table_type)
                {
                    continue;
                }
                let columns = match filter.with_schema {
                    true => Some(self.columns(schema.as_ref(), &name).await?),
                    false => None,
                };
                let Some(columns) = columns.map_or(Some(None), |columns| columns.map(Some)) else { continue };
                found.push(TableInfo {
                    catalog: catalog.clone(),
                    schema_name: schema_name.clone(),
                    name,
                    table_type,
                    schema: columns,
                });
            }
        }
        Ok(found)
    }

    async fn columns(&self, schema: &dyn SchemaProvider, name: &str) -> Result<Option<SchemaRef>> {
        let table = schema.table(name).await.map_err(|error| from_datafusion(&error))?;
        Ok(table.map(|table| wire_schema(&table.schema(), self.profile())))
    }
}

fn matches(pattern: Option<&str>, name: &str) -> bool {
    pattern.is_none_or(|pattern| like(pattern, name))
}

async fn table_type(
    schema_name: &str,
    schema: &dyn SchemaProvider,
    name: &str,
) -> Result<Option<&'static str>> {
    if matches!(schema_name, INFORMATION_SCHEMA | SYSTEM_SCHEMA) {
        return Ok(Some(SYSTEM_TABLE));
    }
    let table_type = schema.table_type(name).await.map_err(|error| from_datafusion(&error))?;
    Ok(table_type.map(|table_type| match table_type {
        TableType::View => VIEW,
        TableType::Base | TableType::Temporary => BASE_TABLE,
    }))
}
