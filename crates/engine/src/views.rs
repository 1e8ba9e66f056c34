//! Views that users make: their text in the catalog, and their plan when they are read.
//!
//! A text is the query in DuckDB's dialect with every table named in full, `{DUCKLAKE_CATALOG}` standing for the lake,
//! which is how official DuckDB writes and reads it. It is planned anew whenever it is read, with the catalogs of the session: a
//! view shows nothing that its reader may not see.

use std::collections::HashSet;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use datafusion::catalog::information_schema::INFORMATION_SCHEMA;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::datasource::{TableType, ViewTable};
use datafusion::execution::{FunctionRegistry as _, SessionState};
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    CreateView, Ident, ObjectName, ObjectNamePart, Query, Statement as Sql, VisitMut, VisitorMut,
};
use pintail_lake::StoredView;
use pintail_types::{Error, Result};

use crate::catalog::SessionCatalogs;
use crate::dialect::{
    DEFAULT_SCHEMA, complete_names, mark_quotients, name_columns, normalized, parse_view, spell_out_queries,
    table_functions, write_view,
};
use crate::error::from_datafusion;
use crate::grafana::IOX;
use crate::planning;
use crate::quotients::Operands;
use crate::session::Session;
use crate::system::SYSTEM_SCHEMA;

/// What stands for the name of the lake in the text of a view.
const CATALOG_PLACEHOLDER: &str = "{DUCKLAKE_CATALOG}";

/// Views on views that are still planned.
const MAX_DEPTH: usize = 16;

tokio::task_local! {
    /// How many views are being planned, each for the one before it.
    static DEPTH: usize;
}

/// The text of a view that is to be made.
///
/// # Errors
/// `NotFound` and `Invalid` if its query can't be planned; `Unsupported` for tables that are not the lake's, and for
/// what DuckDB does not have.
pub(crate) async fn definition(
    session: &Session,
    state: &SessionState,
    create: &CreateView,
) -> Result<String> {
    if !create.columns.is_empty() {
        return Err(Error::unsupported("a view takes its columns from the query: name them there"));
    }
    let mut parsed = Parsed::Statement(Box::new(Sql::Query(create.query.clone())));
    let mut spelled = parsed.clone();
    spell_out_queries(&mut spelled)?;
    let plan = planning::plan(state, &mut spelled).await?;
    let columns: Vec<String> = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
    name_columns(&mut parsed, &columns);
    let operands = operands(state, &mut parsed).await?;
    let mut names = FullNames {
        lake: session.lake_catalog().to_owned(),
        catalog: session.current_catalog(),
        schema: session.current_schema(),
        not_tables: table_functions(&parsed),
    };
    let Parsed::Statement(sql) = &mut parsed else {
        return Err(Error::internal("a query became another statement"));
    };
    write_view(sql, &operands)?;
    match sql.visit(&mut names) {
        ControlFlow::Continue(()) => Ok(sql.to_string()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// What the query's divisions divide; it gets marks by which they are told.
async fn operands(state: &SessionState, query: &mut Parsed) -> Result<Arc<Operands>> {
    let operands = Arc::new(Operands::default());
    if !mark_quotients(query) {
        return Ok(operands);
    }
    let mut state = state.clone();
    let planner: Arc<dyn ExprPlanner> = Arc::<Operands>::clone(&operands);
    state.register_expr_planner(planner).map_err(|error| from_datafusion(&error))?;
    let mut marked = query.clone();
    spell_out_queries(&mut marked)?;
    planning::plan(&state, &mut marked).await?;
    Ok(operands)
}

/// Gives every table its full name.
struct FullNames {
    lake: String,
    catalog: String,
    schema: String,
    /// Names of table functions and of queries under WITH.
    not_tables: HashSet<String>,
}

impl FullNames {
    fn complete(&self, name: &mut ObjectName) -> Result<()> {
        let mut parts: Vec<String> = Vec::with_capacity(3);
        for part in &name.0 {
            let ObjectNamePart::Identifier(part) = part else { return Ok(()) };
            parts.push(normalized(part));
        }
        if let [only] = parts.as_slice()
            && self.not_tables.contains(only)
        {
            return Ok(());
        }
        if parts.len() == 1 {
            parts.insert(0, self.schema.clone());
        }
        if parts.len() == 2 {
            parts.insert(0, self.catalog.clone());
        }
        let is_kept = ![SYSTEM_SCHEMA, IOX, INFORMATION_SCHEMA].contains(&parts[1].as_str());
        if parts[0] != self.lake || !is_kept {
            return Err(Error::unsupported(format!(
                "a view is kept in the lake and can show tables of {} only, not {name}",
                self.lake
            )));
        }
        let quoted = parts[1..].iter().map(|part| Ident::with_quote('"', part.as_str()));
        let full = std::iter::once(Ident::new(CATALOG_PLACEHOLDER)).chain(quoted);
        name.0 = full.map(ObjectNamePart::Identifier).collect();
        Ok(())
    }
}

impl VisitorMut for FullNames {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let named = query.with.iter().flat_map(|with| &with.cte_tables);
        self.not_tables.extend(named.map(|query| normalized(&query.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<Error> {
        match self.complete(relation) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

/// Plans the views of the lake for one session.
pub(crate) struct ViewPlanner {
    template: Arc<SessionState>,
    catalogs: Weak<SessionCatalogs>,
    /// The name of the lake.
    lake: String,
}

impl ViewPlanner {
    pub(crate) const fn new(
        template: Arc<SessionState>,
        catalogs: Weak<SessionCatalogs>,
        lake: String,
    ) -> Self {
        Self { template, catalogs, lake }
    }

    /// The same for the lake as it was, which has another name.
    pub(crate) fn of_the_past(&self, lake: String) -> Self {
        Self { template: Arc::clone(&self.template), catalogs: Weak::clone(&self.catalogs), lake }
    }

    async fn plan(&self, text: &str) -> Result<ViewTable> {
        let depth = DEPTH.try_with(|depth| *depth).unwrap_or_default();
        if depth == MAX_DEPTH {
            return Err(Error::invalid(format!("more than {MAX_DEPTH} views stand on each other")));
        }
        DEPTH.scope(depth + 1, self.plan_one(text)).await
    }

    async fn plan_one(&self, text: &str) -> Result<ViewTable> {
        let catalogs = self.catalogs.upgrade().ok_or_else(|| Error::cancelled("the session has ended"))?;
        let lake = Ident::with_quote('"', self.lake.as_str()).to_string();
        let text = text.replace(CATALOG_PLACEHOLDER, &lake);
        let mut parsed = parse_view(&text)?;
        complete_names(&mut parsed, catalogs.as_ref(), &self.lake, DEFAULT_SCHEMA);
        let mut state = SessionState::clone(&self.template);
        state.register_catalog_list(catalogs);
        // Names without a catalog are of the same moment as those with it.
        state.config_mut().options_mut().catalog.default_catalog.clone_from(&self.lake);
        // What is missing is not looked for here: that would plan the views below once more, and double with every level.
        let plan = planning::plan_with_synonyms(&state, &mut parsed).await;
        let plan = plan.map_err(|error| from_datafusion(&error))?;
        Ok(ViewTable::new(plan, Some(text)))
    }
}

impl fmt::Debug for ViewPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewPlanner").field("lake", &self.lake).finish_non_exhaustive()
    }
}

/// The lake's catalog with its views planned.
#[derive(Debug)]
pub(crate) struct WithViews {
    pub(crate) inner: Arc<dyn CatalogProvider>,
    pub(crate) planner: Arc<ViewPlanner>,
}

impl CatalogProvider for WithViews {
    fn schema_names(&self) -> Vec<String> {
        self.inner.schema_names()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let inner = self.inner.schema(name)?;
        Some(Arc::new(SchemaWithViews { inner, planner: Arc::clone(&self.planner) }))
    }
}

#[derive(Debug)]
struct SchemaWithViews {
    inner: Arc<dyn SchemaProvider>,
    planner: Arc<ViewPlanner>,
}

#[async_trait]
impl SchemaProvider for SchemaWithViews {
    fn table_names(&self) -> Vec<String> {
        self.inner.table_names()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        let Some(table) = self.inner.table(name).await? else { return Ok(None) };
        let Some(view) = table.downcast_ref::<StoredView>() else { return Ok(Some(table)) };
        match self.planner.plan(view.text()).await {
            Ok(planned) => Ok(Some(Arc::new(planned))),
            // What was written for another engine stays listed; reading it says why it can't be.
            Err(error) if DEPTH.try_with(|_| ()).is_err() => Ok(Some(view.unreadable(name, error))),
            Err(error) => Err(DataFusionError::External(Box::new(error))),
        }
    }

    async fn table_type(&self, name: &str) -> PlanResult<Option<TableType>> {
        self.inner.table_type(name).await
    }

    fn table_exist(&self, name: &str) -> bool {
        self.inner.table_exist(name)
    }
}
