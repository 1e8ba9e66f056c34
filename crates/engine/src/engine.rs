//! The engine: what all sessions share.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, PeakRecordingPool};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SessionState, SessionStateDefaults};
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;
use parking_lot::RwLock;
use pintail_identity::Principal;
use pintail_lake::{Lake, TelemetryStatistics};
use pintail_types::{Clock, Error, Result};

use crate::dialect::DEFAULT_SCHEMA;
use crate::duckdb_operators::DuckDbOperators;
use crate::error::from_datafusion;
use crate::execution::Execution;
use crate::fairness::FairJoins;
use crate::functions;
use crate::json_operators::NoContainment;
use crate::long_text;
use crate::maintenance::MaintenanceTable;
use crate::node::NodeFacts;
use crate::registry::{ActiveQuery, QueryRegistry};
use crate::relations::ForeignRelations;
use crate::runtime::QueryRuntime;
use crate::session::{Session, SessionOptions};
use crate::sql_types::ForeignTypes;
use crate::storage::{LakeStorage, Storage, StorageCatalog};
use crate::subscripts::TextSubscripts;
use crate::system::{QueriesTable, SystemTable, SystemTables};
use crate::temporary::TemporaryTables;
use crate::top_rows::TopRows;
use crate::window_partitions::WindowPartitions;

/// Rows of a batch between two steps of a plan. Half of DataFusion's default: telemetry rows with payloads are
/// wide, a dozen batches are under way in a plan, and the memory of those that are read is in no pool.
const BATCH_ROWS: usize = 4096;

/// The most memory that one partition of a sort keeps for merging its spilled runs.
const MAX_SORT_RESERVATION: u64 = 10 << 20;

/// The limits of an engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Memory for the operators of all queries together, in bytes.
    pub memory_bytes: u64,
    /// The directory for what does not fit; made if it does not exist.
    pub spill_path: PathBuf,
    /// Queries that run at a time; others wait. At least 1.
    pub max_queries: usize,
    /// How long a query may take, from its submission to its last row.
    pub query_timeout: Option<Duration>,
    /// How long a reader may take no rows before its query is ended: until then it keeps its place among
    /// `max_queries`, and the rows of its moment in memory.
    pub stall_timeout: Option<Duration>,
    /// Threads that one query may use; one for each processor if absent.
    pub target_partitions: Option<usize>,
}

/// The one place where SQL becomes Arrow.
pub struct Engine {
    storage: Arc<dyn Storage>,
    catalogs: Vec<StorageCatalog>,
    system: Arc<SystemTables>,
    template: SessionState,
    runtime_env: Arc<RuntimeEnv>,
    runtime: QueryRuntime,
    registry: Arc<QueryRegistry>,
    node_facts: RwLock<Option<Arc<dyn NodeFacts>>>,
    query_timeout: Option<Duration>,
    /// Memory for the operators of all queries and for temporary tables.
    memory_bytes: usize,
}

impl Engine {
    /// An engine over `lake`.
    ///
    /// # Errors
    /// If the spill directory cannot be made or the query threads do not start.
    pub fn new(options: EngineOptions, lake: Arc<Lake>, clock: Arc<dyn Clock>) -> Result<Arc<Self>> {
        Self::with_storage(options, Arc::new(LakeStorage(lake)), clock)
    }

    /// An engine over any tables.
    ///
    /// # Errors
    /// As [`Self::new`]; `Invalid` if `storage` has no catalog.
    pub fn with_storage(
        options: EngineOptions,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>> {
        let catalogs = storage.catalogs();
        let first = catalogs.first().ok_or_else(|| Error::invalid("the storage has no catalog"))?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let partitions = options.target_partitions.unwrap_or(threads).max(1);
        let runtime_env = runtime_env(&options, storage.as_ref())?;
        let config = session_config(&first.name, partitions, options.memory_bytes);
        let template = template(config, Arc::clone(&runtime_env))?;
        let registry = Arc::new(QueryRegistry::new(options.max_queries, options.stall_timeout, clock));
        let system = Arc::new(SystemTables::default());
        system.register(Arc::new(QueriesTable { registry: Arc::clone(&registry) }));
        if let Some(maintainer) = storage.maintainer() {
            system.register(Arc::new(MaintenanceTable(maintainer)));
        }
        Ok(Arc::new(Self {
            storage,
            catalogs,
            system,
            template,
            runtime_env,
            runtime: QueryRuntime::new(threads)?,
            registry,
            node_facts: RwLock::new(None),
            query_timeout: options.query_timeout,
            memory_bytes: usize::try_from(options.memory_bytes).unwrap_or(usize::MAX),
        }))
    }

    /// Adds a table to schema `system`; it takes the place of one of the same name.
    pub fn register_system_table(&self, table: Arc<dyn SystemTable>) {
        self.system.register(table);
    }

    /// A session for `principal`, who came through `door`.
    pub fn session(
        self: &Arc<Self>,
        principal: Principal,
        door: &'static str,
        options: SessionOptions,
    ) -> Session {
        Session::new(Arc::clone(self), principal, door, options)
    }

    /// All queries.
    pub fn queries(&self) -> &QueryRegistry {
        &self.registry
    }

    /// Says who knows the facts about the node.
    pub fn set_node_facts(&self, facts: Arc<dyn NodeFacts>) {
        *self.node_facts.write() = Some(facts);
    }

    /// Who knows the facts about the node, once it was said.
    pub fn node_facts(&self) -> Option<Arc<dyn NodeFacts>> {
        self.node_facts.read().as_ref().map(Arc::clone)
    }

    /// How many rows of telemetry there are and where in time they lie, told without reading one; none if there is no
    /// telemetry.
    ///
    /// # Errors
    /// When the storage can't tell.
    pub async fn telemetry_statistics(&self) -> Result<Option<TelemetryStatistics>> {
        self.storage.telemetry_statistics().await
    }

    /// The version that doors tell.
    pub const fn server_version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    pub(crate) fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }

    pub(crate) fn catalogs(&self) -> &[StorageCatalog] {
        &self.catalogs
    }

    pub(crate) const fn system(&self) -> &Arc<SystemTables> {
        &self.system
    }

    pub(crate) const fn template(&self) -> &SessionState {
        &self.template
    }

    pub(crate) const fn runtime(&self) -> &QueryRuntime {
        &self.runtime
    }

    pub(crate) const fn registry(&self) -> &Arc<QueryRegistry> {
        &self.registry
    }

    pub(crate) const fn query_timeout(&self) -> Option<Duration> {
        self.query_timeout
    }

    /// What a new session keeps its own tables in.
    pub(crate) fn temporary_tables(&self) -> TemporaryTables {
        TemporaryTables::new(&self.runtime_env.memory_pool, self.memory_bytes)
    }

    /// What a query runs with: the shared environment, with a pool that records what it holds of the shared memory.
    pub(crate) fn execution(&self, query: &ActiveQuery) -> (Execution, Arc<PeakRecordingPool>) {
        let memory = Arc::new(PeakRecordingPool::new(Arc::clone(&self.runtime_env.memory_pool)));
        let mut own = RuntimeEnv::clone(&self.runtime_env);
        own.memory_pool = Arc::<PeakRecordingPool>::clone(&memory);
        (Execution::new(Arc::new(own), query.end()), memory)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("storage", &self.storage)
            .field("queries", &self.registry)
            .finish_non_exhaustive()
    }
}

fn runtime_env(options: &EngineOptions, storage: &dyn Storage) -> Result<Arc<RuntimeEnv>> {
    let spill_path = &options.spill_path;
    std::fs::create_dir_all(spill_path).map_err(|error| {
        Error::unavailable(format!("spill directory {} cannot be made: {error}", spill_path.display()))
            .with_source(error)
    })?;
    let memory = usize::try_from(options.memory_bytes).unwrap_or(usize::MAX);
    let spill =
        DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![spill_path.clone()]));
    let runtime_env = RuntimeEnvBuilder::new()
        // Fair among the operators that can spill: one greedy sort does not starve the others.
        .with_memory_pool(Arc::new(FairSpillPool::new(memory)))
        .with_disk_manager_builder(spill)
        .build_arc()
        .map_err(|error| from_datafusion(&error))?;
    // There by default, and would read any file of the machine.
    runtime_env
        .deregister_object_store(ObjectStoreUrl::local_filesystem().as_ref())
        .map_err(|error| from_datafusion(&error))?;
    for (url, store) in storage.object_stores() {
        runtime_env.register_object_store(url.as_ref(), store);
    }
    Ok(runtime_env)
}

fn session_config(catalog: &str, partitions: usize, memory_bytes: u64) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(catalog, DEFAULT_SCHEMA)
        .with_information_schema(true)
        .with_target_partitions(partitions)
        .with_batch_size(BATCH_ROWS);
    let options = config.options_mut();
    // Text is cast for the wire once less.
    options.sql_parser.map_string_types_to_utf8view = false;
    // Errors tell line and column.
    options.sql_parser.collect_spans = true;
    let reservation = (memory_bytes / (8 * partitions as u64)).min(MAX_SORT_RESERVATION);
    options.execution.sort_spill_reservation_bytes = usize::try_from(reservation).unwrap_or(usize::MAX);
    config
}

/// The rules of DataFusion, and ours among them: for the first rows in an order, for small partitions of windows, and for
/// joins that let others have their turn.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let place = rules.iter().position(|rule| rule.name() == TopRows::AFTER);
    let place = place.map_or(rules.len(), |place| place + 1);
    let ours: [Arc<dyn PhysicalOptimizerRule + Send + Sync>; 2] =
        [Arc::new(TopRows), Arc::new(WindowPartitions)];
    rules.splice(place..place, ours);
    rules.push(Arc::new(FairJoins));
    rules
}

/// Ours are asked first: of subscripts the default ones take all for those of lists.
fn expr_planners() -> Vec<Arc<dyn ExprPlanner>> {
    let mut planners: Vec<Arc<dyn ExprPlanner>> =
        vec![Arc::new(TextSubscripts), Arc::new(DuckDbOperators), Arc::new(NoContainment)];
    planners.extend(SessionStateDefaults::default_expr_planners());
    planners
}

/// The state that every session starts from. It has no file formats, table factories or table functions
/// that read files.
fn template(config: SessionConfig, runtime_env: Arc<RuntimeEnv>) -> Result<SessionState> {
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime_env)
        .with_type_planner(Arc::new(ForeignTypes))
        .with_expr_planners(expr_planners())
        .with_scalar_functions(long_text::bounded(SessionStateDefaults::default_scalar_functions()))
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_function_list(SessionStateDefaults::default_table_functions())
        .with_physical_optimizer_rules(physical_rules())
        .build();
    datafusion_functions_json::register_all(&mut state).map_err(|error| from_datafusion(&error))?;
    functions::register_all(&mut state).map_err(|error| from_datafusion(&error))?;
    let relations = Arc::new(ForeignRelations);
    state.register_relation_planner(relations).map_err(|error| from_datafusion(&error))?;
    Ok(state)
}
