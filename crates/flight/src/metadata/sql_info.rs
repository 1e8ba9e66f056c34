//! GetSqlInfo: what this server is and can do. Every value is in the branch of the union that FlightSql.proto
//! gives it, and every value is true: what no test proves is not claimed.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{SqlInfo, SqlSupportsConvert as Convert};
use pintail_engine::substrait_version;
use pintail_types::{Error, Result};

use crate::door::PREPARED_LIFETIME;

/// Ids that some drivers' enums do not know yet: sent only when asked for by number.
const NEWER: [SqlInfo; 2] =
    [SqlInfo::FlightSqlServerBulkIngestion, SqlInfo::FlightSqlServerIngestTransactionsSupported];

const STRINGS: &[(SqlInfo, &str)] = &[
    (SqlInfo::FlightSqlServerName, "Pintail"),
    (SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION")),
    (SqlInfo::FlightSqlServerArrowVersion, arrow::ARROW_VERSION),
    (SqlInfo::SqlIdentifierQuoteChar, "\""),
    (SqlInfo::SqlSearchStringEscape, "\\"),
    (SqlInfo::SqlExtraNameCharacters, ""),
    (SqlInfo::SqlSchemaTerm, "schema"),
    (SqlInfo::SqlProcedureTerm, "procedure"),
    (SqlInfo::SqlCatalogTerm, "catalog"),
];

/// The versions of Substrait: one, of which the tests have plans.
const SUBSTRAIT: [SqlInfo; 2] =
    [SqlInfo::FlightSqlServerSubstraitMinVersion, SqlInfo::FlightSqlServerSubstraitMaxVersion];

const BOOLEANS: &[(SqlInfo, bool)] = &[
    (SqlInfo::FlightSqlServerSql, true),
    (SqlInfo::FlightSqlServerSubstrait, true),
    (SqlInfo::FlightSqlServerCancel, true),
    (SqlInfo::FlightSqlServerIngestTransactionsSupported, false),
    (SqlInfo::SqlDdlCatalog, false),
    (SqlInfo::SqlAllTablesAreSelectable, true),
    (SqlInfo::SqlSupportsColumnAliasing, true),
    (SqlInfo::SqlNullPlusNullIsNull, true),
    (SqlInfo::SqlSupportsTableCorrelationNames, true),
    (SqlInfo::SqlSupportsDifferentTableCorrelationNames, false),
    (SqlInfo::SqlSupportsExpressionsInOrderBy, true),
    (SqlInfo::SqlSupportsOrderByUnrelated, true),
    (SqlInfo::SqlSupportsLikeEscapeClause, true),
    (SqlInfo::SqlSupportsNonNullableColumns, true),
    (SqlInfo::SqlSupportsIntegrityEnhancementFacility, false),
    (SqlInfo::SqlCatalogAtStart, true),
    (SqlInfo::SqlSelectForUpdateSupported, false),
    (SqlInfo::SqlStoredProceduresSupported, false),
    (SqlInfo::SqlCorrelatedSubqueriesSupported, true),
    (SqlInfo::SqlMaxRowSizeIncludesBlobs, false),
    (SqlInfo::SqlTransactionsSupported, false),
    (SqlInfo::SqlDataDefinitionCausesTransactionCommit, false),
    (SqlInfo::SqlDataDefinitionsInTransactionsIgnored, false),
    (SqlInfo::SqlSavepointsSupported, false),
    (SqlInfo::SqlNamedParametersSupported, false),
    (SqlInfo::SqlLocatorsUpdateCopy, false),
    (SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported, false),
];

/// What a listener does unless it is read-only.
const WRITES: [SqlInfo; 4] = [
    SqlInfo::FlightSqlServerBulkIngestion,
    SqlInfo::SqlDdlSchema,
    SqlInfo::SqlDdlTable,
    SqlInfo::SqlBatchUpdatesSupported,
];

/// Zero says that there is no limit, or none that is known.
const NO_LIMIT: &[SqlInfo] = &[
    SqlInfo::SqlMaxBinaryLiteralLength,
    SqlInfo::SqlMaxCharLiteralLength,
    SqlInfo::SqlMaxColumnNameLength,
    SqlInfo::SqlMaxColumnsInGroupBy,
    SqlInfo::SqlMaxColumnsInIndex,
    SqlInfo::SqlMaxColumnsInOrderBy,
    SqlInfo::SqlMaxColumnsInSelect,
    SqlInfo::SqlMaxColumnsInTable,
    SqlInfo::SqlMaxConnections,
    SqlInfo::SqlMaxCursorNameLength,
    SqlInfo::SqlMaxIndexLength,
    SqlInfo::SqlDbSchemaNameLength,
    SqlInfo::SqlMaxProcedureNameLength,
    SqlInfo::SqlMaxCatalogNameLength,
    SqlInfo::SqlMaxRowSize,
    SqlInfo::SqlMaxStatementLength,
    SqlInfo::SqlMaxStatements,
    SqlInfo::SqlMaxTableNameLength,
    SqlInfo::SqlMaxTablesInSelect,
    SqlInfo::SqlMaxUsernameLength,
];

/// Single values and sets of bits; a set holds bit n for the enum's value n.
const INTEGERS: &[(SqlInfo, i32)] = &[
    (SqlInfo::FlightSqlServerTransaction, 0),
    (SqlInfo::FlightSqlServerTransactionTimeout, 0),
    // Names without quotes are stored in lower case, names in quotes as they are, for which there is no value.
    (SqlInfo::SqlIdentifierCase, 3),
    (SqlInfo::SqlQuotedIdentifierCase, 0),
    // Nulls come last when ascending and first when descending: they sort high.
    (SqlInfo::SqlNullOrdering, 0),
    (SqlInfo::SqlSupportedGroupBy, 0b11),
    (SqlInfo::SqlSupportedGrammar, 0b1),
    (SqlInfo::SqlAnsi92SupportedLevel, 0b1),
    (SqlInfo::SqlOuterJoinsSupportLevel, 0b110),
    (SqlInfo::SqlSchemasSupportedActions, 0),
    (SqlInfo::SqlCatalogsSupportedActions, 0),
    (SqlInfo::SqlSupportedPositionedCommands, 0),
    // In comparisons, EXISTS and IN.
    (SqlInfo::SqlSupportedSubqueries, 0b111),
    (SqlInfo::SqlSupportedUnions, 0b11),
    (SqlInfo::SqlDefaultTransactionIsolation, 0),
    (SqlInfo::SqlSupportedTransactionsIsolationLevels, 0b1),
    // Forward only, read only.
    (SqlInfo::SqlSupportedResultSetTypes, 0b10),
    (SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified, 0),
    (SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly, 0b10),
    (SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive, 0),
    (SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive, 0),
];

/// Milliseconds after which a prepared statement that is not used is forgotten.
const PREPARED_TIMEOUT: i64 = PREPARED_LIFETIME / 1000;

const LISTS: &[(SqlInfo, &[&str])] = &[
    (
        SqlInfo::SqlKeywords,
        &["ANTI", "DESCRIBE", "EXCEPT", "EXPLAIN", "ILIKE", "LIMIT", "OFFSET", "QUALIFY", "SEMI", "SHOW"],
    ),
    (
        SqlInfo::SqlNumericFunctions,
        &[
            "abs", "acos", "asin", "atan", "atan2", "ceil", "cos", "degrees", "exp", "floor", "ln", "log",
            "log10", "log2", "pi", "power", "radians", "random", "round", "sign", "sin", "sqrt", "tan",
            "trunc",
        ],
    ),
    (
        SqlInfo::SqlStringFunctions,
        &[
            "ascii",
            "btrim",
            "character_length",
            "chr",
            "concat",
            "concat_ws",
            "initcap",
            "left",
            "length",
            "lower",
            "lpad",
            "ltrim",
            "octet_length",
            "repeat",
            "replace",
            "reverse",
            "right",
            "rpad",
            "rtrim",
            "split_part",
            "starts_with",
            "strpos",
            "substr",
            "translate",
            "trim",
            "upper",
        ],
    ),
    (SqlInfo::SqlSystemFunctions, &["coalesce", "nullif"]),
    (
        SqlInfo::SqlDatetimeFunctions,
        &[
            "current_date",
            "current_time",
            "date_bin",
            "date_part",
            "date_trunc",
            "from_unixtime",
            "make_date",
            "now",
            "to_char",
            "to_date",
            "to_timestamp",
            "to_unixtime",
        ],
    ),
];

/// Columns of the result.
pub(super) fn schema() -> SchemaRef {
    Arc::new(SqlInfoDataBuilder::schema().clone())
}

/// The values with these ids; all published ones if none is named. Unknown ids have no row.
pub(super) fn rows(ids: &[u32], read_only: bool) -> Result<RecordBatch> {
    type Data = OnceLock<std::result::Result<SqlInfoData, String>>;
    static READ_ONLY: Data = OnceLock::new();
    static WRITABLE: Data = OnceLock::new();
    let data = if read_only { &READ_ONLY } else { &WRITABLE };
    let data = data
        .get_or_init(|| build(read_only).map_err(|error| error.to_string()))
        .as_ref()
        .map_err(|error| Error::internal(format!("the server's facts cannot be listed: {error}")))?;
    let newer = NEWER.map(|info| info as u32);
    let listed =
        if ids.is_empty() { all_ids().filter(|id| !newer.contains(id)).collect() } else { ids.to_vec() };
    data.record_batch(listed)
        .map_err(|error| Error::internal("the server's facts cannot be listed").with_source(error))
}

/// Every id that has a value.
fn all_ids() -> impl Iterator<Item = u32> {
    let named = STRINGS.iter().map(|(info, _)| *info);
    named
        .chain(BOOLEANS.iter().map(|(info, _)| *info))
        .chain(WRITES)
        .chain(SUBSTRAIT)
        .chain([SqlInfo::FlightSqlServerReadOnly, SqlInfo::FlightSqlServerStatementTimeout])
        .chain(NO_LIMIT.iter().copied())
        .chain(INTEGERS.iter().map(|(info, _)| *info))
        .chain(LISTS.iter().map(|(info, _)| *info))
        .chain([SqlInfo::SqlSupportsConvert])
        .map(|info| info as u32)
}

fn build(read_only: bool) -> arrow_flight::error::Result<SqlInfoData> {
    let mut builder = SqlInfoDataBuilder::new();
    STRINGS.iter().for_each(|(info, value)| builder.append(*info, *value));
    BOOLEANS.iter().for_each(|(info, value)| builder.append(*info, *value));
    builder.append(SqlInfo::FlightSqlServerReadOnly, read_only);
    WRITES.iter().for_each(|info| builder.append(*info, !read_only));
    SUBSTRAIT.iter().for_each(|info| builder.append(*info, substrait_version().as_str()));
    let prepared_timeout = i32::try_from(PREPARED_TIMEOUT).unwrap_or(i32::MAX);
    builder.append(SqlInfo::FlightSqlServerStatementTimeout, prepared_timeout);
    NO_LIMIT.iter().for_each(|info| builder.append(*info, 0_i64));
    INTEGERS.iter().for_each(|(info, value)| builder.append(*info, *value));
    LISTS.iter().for_each(|(info, values)| builder.append(*info, *values));
    builder.append(SqlInfo::SqlSupportsConvert, conversions());
    builder.build()
}

/// Which types CAST turns into which: numbers and text into each other, and text into dates and times and back.
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    let numbers = [
        Convert::SqlConvertTinyint,
        Convert::SqlConvertSmallint,
        Convert::SqlConvertInteger,
        Convert::SqlConvertBigint,
        Convert::SqlConvertReal,
        Convert::SqlConvertFloat,
        Convert::SqlConvertDecimal,
    ];
    let times = [Convert::SqlConvertDate, Convert::SqlConvertTimestamp];
    let text = Convert::SqlConvertVarchar;
    let mut conversions = BTreeMap::new();
    let mut add = |from: Convert, to: &[Convert]| {
        conversions.insert(from as i32, to.iter().chain([&text]).map(|to| *to as i32).collect::<Vec<_>>());
    };
    numbers.iter().for_each(|from| add(*from, &numbers));
    times.iter().for_each(|from| add(*from, &times));
    add(text, &[&numbers[..], &times[..]].concat());
    conversions
}
