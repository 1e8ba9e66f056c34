//! What the clients are told: where the servers are, who may come in, and what to ask. One `key=value` line each, which
//! every language reads with its standard library.

use std::fmt::Write as _;

/// Every type that can leave, each in a column named after it.
const TYPES: &str = "SELECT arrow_cast(-8, 'Int8') AS int8, arrow_cast(-16000, 'Int16') AS int16, \
    arrow_cast(-2000000000, 'Int32') AS int32, -9000000000000000000 AS int64, arrow_cast(200, 'UInt8') AS uint8, \
    arrow_cast(60000, 'UInt16') AS uint16, arrow_cast(4000000000, 'UInt32') AS uint32, \
    arrow_cast(18000000000000000000, 'UInt64') AS uint64, arrow_cast(1.5, 'Float32') AS float32, \
    CAST(2.25 AS DOUBLE) AS float64, CAST(12345.678 AS DECIMAL(18,3)) AS decimal, TRUE AS boolean, 'Grüße' AS text, \
    arrow_cast('view', 'Utf8View') AS view, arrow_cast('word', 'Dictionary(Int32, Utf8)') AS dictionary, \
    X'00ff' AS binary, DATE '2026-01-02' AS date, TIME '03:04:05' AS time, \
    TIMESTAMP '2026-01-02 03:04:05.678901' AS timestamp, \
    arrow_cast(TIMESTAMP '2026-01-02 03:04:05.678901', 'Timestamp(Microsecond, Some(\"UTC\"))') AS timestamp_utc, \
    [1, 2, NULL] AS list, named_struct('a', 1, 'b', 'x') AS struct, MAP {'k': 1} AS map";

/// Bytes of the one value of the query `wide`: more than a message should have, less than the 4 MiB that some
/// clients take.
const WIDE_LENGTH: u32 = 3_000_000;

/// The telemetry table that clients ask.
pub(crate) const TABLE: &str = "hep_proto_1_call";

/// Lines of `key=value`.
#[derive(Debug, Default)]
pub(crate) struct Target(String);

impl Target {
    /// Everything that is the same for all runs.
    pub(crate) fn with_queries() -> Self {
        let mut target = Self::default();
        target.put("catalog", "homer_lake");
        target.put("table", TABLE);
        target.put("query_types", TYPES);
        target
            .put("query_nulls", format!("SELECT t.* FROM (SELECT 1 AS one) LEFT JOIN ({TYPES}) t ON FALSE"));
        target.put("query_empty", format!("SELECT * FROM {TABLE} WHERE session_id = 'nobody has this'"));
        target.put(
            "query_big",
            "SELECT a.value * 1000 + b.value AS n, 'row' AS text FROM generate_series(0, 999) a, generate_series(0, 999) b",
        );
        target.put("query_wide", format!("SELECT repeat('x', {WIDE_LENGTH}) AS wide"));
        target.put("wide_length", WIDE_LENGTH);
        // It would stream for hours. MARKER is replaced by a text of its own each time.
        target.put(
            "query_slow",
            "SELECT 'MARKER' AS marker, a.value FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b",
        );
        target.put(
            "query_live",
            "SELECT count(*) AS n FROM system.queries WHERE state IN ('planning', 'queued', 'running') \
             AND sql LIKE '%MARKER%' AND sql NOT LIKE '%system.queries%'",
        );
        target
    }

    /// Adds a line.
    pub(crate) fn put(&mut self, key: &str, value: impl std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{key}={value}");
    }

    /// The content of the file.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}
