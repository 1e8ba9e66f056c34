//! The views that come with every lake: `sip_transactions` and `hep_messages`.
//!
//! One text serves two dialects. In our own catalog it is planned over the union of hot rows and files; as
//! `ducklake_view` rows in a volume's catalog official DuckDB has it too. What the dialects spell differently
//! stands in the text as `{WORDS}`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::catalog::CatalogProvider;
use datafusion::common::Result as DataFusionResult;
use datafusion::datasource::{TableProvider, ViewTable};
use datafusion::prelude::{SessionConfig, SessionContext};
use parking_lot::Mutex;
use pintail_ducklake::ViewSpec;
use pintail_types::TelemetryTable;

/// What the catalog is called where a view is planned.
const PLANNED_CATALOG: &str = "lake";

/// A view that every lake has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    SipTransactions,
    HepMessages,
}

impl View {
    pub(crate) const ALL: [Self; 2] = [Self::SipTransactions, Self::HepMessages];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SipTransactions => "sip_transactions",
            Self::HepMessages => "hep_messages",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.name() == name)
    }

    const fn comment(self) -> &'static str {
        match self {
            Self::SipTransactions => "one row per SIP call: who, when, how it ended",
            Self::HepMessages => "the messages of all protocols together",
        }
    }
}

/// How the texts are spelled for an engine.
#[derive(Debug, Clone, Copy)]
enum Dialect {
    DataFusion,
    DuckDb,
}

impl Dialect {
    fn spell(self, text: &str) -> String {
        let words = match self {
            Self::DataFusion => [
                ("{CATALOG}", ""),
                ("{FIRST}", "first_value"),
                ("{LAST}", "last_value"),
                ("{MICROS:", "CAST("),
                (":MICROS}", " AS BIGINT)"),
                ("{DIV}", "/"),
                ("{USER_AGENT}", "json_get_str(data_extra, 'user_agent')"),
            ],
            Self::DuckDb => [
                ("{CATALOG}", "{DUCKLAKE_CATALOG}."),
                ("{FIRST}", "first"),
                ("{LAST}", "last"),
                ("{MICROS:", "epoch_us("),
                (":MICROS}", ")"),
                ("{DIV}", "//"),
                ("{USER_AGENT}", "json_extract_string(data_extra, '$.user_agent')"),
            ],
        };
        words.iter().fold(text.to_owned(), |text, (word, spelling)| text.replace(word, spelling))
    }
}

/// The final answer of a call is the last one to an INVITE that is not a challenge or a hint to try again
/// elsewhere; without one, the challenge itself.
const SIP_TRANSACTIONS: &str = r"
SELECT call_id, caller, callee, src_ip, dst_ip, user_agent, started_at, ringing_at, answered_at,
       COALESCE(bye_at, CASE WHEN answered_at IS NULL THEN final_at END) AS ended_at,
       CAST((setup_to - setup_from) {DIV} 1000 AS BIGINT) AS setup_ms,
       CAST(({MICROS:bye_at:MICROS} - {MICROS:answered_at:MICROS}) {DIV} 1000 AS BIGINT) AS duration_ms,
       final_code,
       CASE WHEN answered_at IS NOT NULL AND bye_at IS NOT NULL THEN 'completed'
            WHEN answered_at IS NOT NULL THEN 'answered'
            WHEN cancel_at IS NOT NULL OR final_code = '487' THEN 'cancelled'
            WHEN final_code IS NOT NULL THEN 'failed'
            WHEN bye_at IS NOT NULL THEN 'completed'
            WHEN ringing_at IS NOT NULL THEN 'ringing'
            ELSE 'trying' END AS state,
       messages
FROM (
  SELECT call_id, caller, callee, src_ip, dst_ip, user_agent, started_at, ringing_at, answered_at, bye_at,
         cancel_at, final_at, final_code, messages,
         {MICROS:invite_at:MICROS} AS setup_from,
         {MICROS:CASE WHEN ringing_at IS NULL THEN first_final_at
                       WHEN first_final_at IS NULL OR ringing_at <= first_final_at THEN ringing_at
                       ELSE first_final_at END:MICROS} AS setup_to
  FROM (
    SELECT session_id AS call_id,
           {FIRST}(caller ORDER BY rank_caller, timestamp) AS caller,
           {FIRST}(callee ORDER BY rank_caller, timestamp) AS callee,
           {FIRST}(src_ip ORDER BY rank_caller, timestamp) AS src_ip,
           {FIRST}(dst_ip ORDER BY rank_caller, timestamp) AS dst_ip,
           {FIRST}(user_agent ORDER BY rank_caller, timestamp) AS user_agent,
           MIN(timestamp) AS started_at,
           MIN(CASE WHEN method = 'INVITE' THEN timestamp END) AS invite_at,
           MIN(CASE WHEN response_code LIKE '18_' AND cseq_method = 'INVITE' THEN timestamp END) AS ringing_at,
           MIN(CASE WHEN response_code LIKE '2__' AND cseq_method = 'INVITE' THEN timestamp END) AS answered_at,
           MIN(CASE WHEN final_rank > 1 THEN timestamp END) AS first_final_at,
           MAX(CASE WHEN final_rank > 0 THEN timestamp END) AS final_at,
           {LAST}(final_response ORDER BY final_rank, timestamp) AS final_code,
           MIN(CASE WHEN method = 'BYE' THEN timestamp END) AS bye_at,
           MIN(CASE WHEN method = 'CANCEL' THEN timestamp END) AS cancel_at,
           COUNT(*) AS messages
    FROM (
      SELECT session_id, timestamp, caller, callee, src_ip, dst_ip, method, response_code, cseq_method,
             {USER_AGENT} AS user_agent,
             CASE WHEN method = 'INVITE' THEN 0 ELSE 1 END AS rank_caller,
             CASE WHEN cseq_method = 'INVITE' AND response_code >= '200' THEN response_code END AS final_response,
             CASE WHEN cseq_method <> 'INVITE' OR response_code IS NULL OR response_code < '200' THEN 0
                  WHEN response_code IN ('401', '407') THEN 1
                  WHEN response_code LIKE '2__' THEN 3
                  ELSE 2 END AS final_rank
      FROM {CATALOG}main.hep_proto_1_call
      WHERE session_id IS NOT NULL
    ) AS ranked
    GROUP BY session_id
  ) AS gathered
) AS timed";

/// The columns of `hep_messages`; a table that lacks one shows NULL there.
const MESSAGE_COLUMNS: [(&str, &str); 14] = [
    ("session_id", "VARCHAR"),
    ("cid", "VARCHAR"),
    ("src_ip", "VARCHAR"),
    ("dst_ip", "VARCHAR"),
    ("src_port", "INTEGER UNSIGNED"),
    ("dst_port", "INTEGER UNSIGNED"),
    ("protocol", "INTEGER UNSIGNED"),
    ("node_id", "VARCHAR"),
    ("method", "VARCHAR"),
    ("response_code", "VARCHAR"),
    ("payload", "VARCHAR"),
    ("data_extra", "VARCHAR"),
    ("uuid", "VARCHAR"),
    ("date", "DATE"),
];

/// `hep_messages` over these tables.
fn hep_messages(tables: &BTreeSet<TelemetryTable>) -> String {
    let mut text = String::new();
    for table in tables {
        let Some(protocol) = table.protocol() else { continue };
        let name = table.name();
        let schema = table.schema();
        let column = |name: &str| {
            let (_, sql_type) =
                MESSAGE_COLUMNS.iter().find(|(column, _)| *column == name).unwrap_or(&("", "VARCHAR"));
            let sql_type = if *sql_type == "INTEGER UNSIGNED" { "{UINTEGER}" } else { sql_type };
            match schema.index_of(name) {
                Ok(_) => name.to_owned(),
                Err(_) => format!("CAST(NULL AS {sql_type}) AS {name}"),
            }
        };
        if !text.is_empty() {
            text.push_str("\nUNION ALL\n");
        }
        let rest: Vec<String> = MESSAGE_COLUMNS[..12].iter().map(|(name, _)| column(name)).collect();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "SELECT uuid, date, timestamp, {protocol} AS proto_type, '{name}' AS table_name, {} FROM {{CATALOG}}main.{name}",
            rest.join(", ")
        );
    }
    text
}

fn text(view: View, tables: &BTreeSet<TelemetryTable>, dialect: Dialect) -> String {
    let unsigned = match dialect {
        Dialect::DataFusion => "INTEGER UNSIGNED",
        Dialect::DuckDb => "UINTEGER",
    };
    let text = match view {
        View::SipTransactions => SIP_TRANSACTIONS.trim().to_owned(),
        View::HepMessages => hep_messages(tables).replace("{UINTEGER}", unsigned),
    };
    dialect.spell(&text)
}

/// The views for a volume's catalog.
pub(crate) fn duckdb_views() -> Vec<ViewSpec> {
    let tables: BTreeSet<TelemetryTable> = TelemetryTable::KNOWN.into_iter().collect();
    let spec = |view: View| ViewSpec {
        name: view.name().to_owned(),
        sql: text(view, &tables, Dialect::DuckDb),
        comment: Some(view.comment().to_owned()),
    };
    View::ALL.into_iter().map(spec).collect()
}

/// The views as planned for the tables that there are. Whoever keeps it keeps the lake too.
#[derive(Debug, Default)]
pub(crate) struct PlannedViews {
    planned: Mutex<Vec<Planned>>,
}

#[derive(Debug)]
struct Planned {
    view: View,
    tables: BTreeSet<TelemetryTable>,
    table: Arc<ViewTable>,
}

impl PlannedViews {
    /// The view over these tables of a catalog.
    pub(crate) async fn table(
        &self,
        catalog: Arc<dyn CatalogProvider>,
        view: View,
        tables: BTreeSet<TelemetryTable>,
    ) -> DataFusionResult<Arc<dyn TableProvider>> {
        let known = self
            .planned
            .lock()
            .iter()
            .find(|known| known.view == view && known.tables == tables)
            .map(|known| Arc::clone(&known.table));
        if let Some(table) = known {
            return Ok(table);
        }
        let sql = text(view, &tables, Dialect::DataFusion);
        let plan = planning_context(catalog)?.state().create_logical_plan(&sql).await?;
        let table = Arc::new(ViewTable::new(plan, Some(sql)));
        let mut planned = self.planned.lock();
        planned.retain(|known| known.view != view);
        planned.push(Planned { view, tables, table: Arc::clone(&table) });
        Ok(table)
    }
}

/// Where the texts are planned: their tables are those of the one catalog.
fn planning_context(catalog: Arc<dyn CatalogProvider>) -> DataFusionResult<SessionContext> {
    let config = SessionConfig::new()
        .with_default_catalog_and_schema(PLANNED_CATALOG, crate::flush::MAIN)
        // Text stays as the tables have it.
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
    let mut context = SessionContext::new_with_config(config);
    datafusion_functions_json::register_all(&mut context)?;
    context.register_catalog(PLANNED_CATALOG, catalog);
    Ok(context)
}
