//! User tables with official DuckDB beside us: it reads every type that we write, both write in turn, and each sees
//! the other's rows and columns.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::PathBuf;

use pintail_ducklake::{Catalog, CatalogOptions};
use serde_json::Value;
use support::{Server, python};

/// How a column is shown by a query of ours and by one of DuckDB, so that equal values are equal JSON.
type Shown = (&'static str, &'static str);

const PLAIN: Shown = ("{}", "{}");
const TEXT: Shown = ("CAST({} AS VARCHAR)", "CAST({} AS VARCHAR)");
const LOWER: Shown = ("lower(CAST({} AS VARCHAR))", "lower(CAST({} AS VARCHAR))");
const HEX: Shown = ("encode({}, 'hex')", "lower(hex({}))");
const SECONDS: Shown = ("CAST({} AS BIGINT)", "CAST(epoch({}) AS BIGINT)");
const MILLISECONDS: Shown = ("CAST({} AS BIGINT)", "epoch_ms({})");
const MICROSECONDS: Shown = ("CAST({} AS BIGINT)", "epoch_us({})");
const NANOSECONDS: Shown = ("CAST({} AS BIGINT)", "epoch_ns({})");

/// A column of one type.
struct Kind {
    name: &'static str,
    /// Empty for types that have no name in our SQL: their columns come from the query that makes the table.
    sql_type: &'static str,
    shown: Shown,
    /// Each as SQL and as the JSON that shows it.
    values: [(&'static str, &'static str); 2],
}

const fn kind(
    name: &'static str,
    sql_type: &'static str,
    shown: Shown,
    values: [(&'static str, &'static str); 2],
) -> Kind {
    Kind { name, sql_type, shown, values }
}

const KINDS: &[Kind] = &[
    kind("i8", "TINYINT", PLAIN, [("-128", "-128"), ("127", "127")]),
    kind("i16", "SMALLINT", PLAIN, [("-32768", "-32768"), ("32767", "32767")]),
    kind("i32", "INTEGER", PLAIN, [("-2147483648", "-2147483648"), ("2147483647", "2147483647")]),
    kind(
        "i64",
        "BIGINT",
        PLAIN,
        [("-9223372036854775808", "-9223372036854775808"), ("9223372036854775807", "9223372036854775807")],
    ),
    kind("u8", "UTINYINT", PLAIN, [("0", "0"), ("255", "255")]),
    kind("u16", "USMALLINT", PLAIN, [("0", "0"), ("65535", "65535")]),
    kind("u32", "UINTEGER", PLAIN, [("0", "0"), ("4294967295", "4294967295")]),
    kind("u64", "UBIGINT", PLAIN, [("0", "0"), ("18446744073709551615", "18446744073709551615")]),
    kind("f32", "REAL", PLAIN, [("-0.5", "-0.5"), ("16777216.0", "16777216.0")]),
    kind("f64", "DOUBLE", PLAIN, [("0.1", "0.1"), ("1e300", "1e300")]),
    kind(
        "odd",
        "DOUBLE",
        LOWER,
        [("CAST('NaN' AS DOUBLE)", r#""nan""#), ("CAST('-inf' AS DOUBLE)", r#""-inf""#)],
    ),
    kind("small_decimal", "DECIMAL(4, 1)", TEXT, [("-999.9", r#""-999.9""#), ("0.1", r#""0.1""#)]),
    kind(
        "decimal",
        "DECIMAL(18, 3)",
        TEXT,
        [
            ("-1.250", r#""-1.250""#),
            ("CAST('123456789012345.678' AS DECIMAL(18, 3))", r#""123456789012345.678""#),
        ],
    ),
    kind(
        "wide",
        "DECIMAL(38, 10)",
        TEXT,
        [
            (
                "CAST('-1234567890123456789012345678.0123456789' AS DECIMAL(38, 10))",
                r#""-1234567890123456789012345678.0123456789""#,
            ),
            ("7", r#""7.0000000000""#),
        ],
    ),
    kind("text", "VARCHAR", PLAIN, [("''", r#""""#), ("'żółw 🐢 ''\"\\'", r#""żółw 🐢 '\"\\""#)]),
    kind("raw", "BLOB", HEX, [("X'00ff7f5c78'", r#""00ff7f5c78""#), ("X''", r#""""#)]),
    kind("ok", "BOOLEAN", PLAIN, [("true", "true"), ("false", "false")]),
    kind(
        "day",
        "DATE",
        TEXT,
        [("DATE '1969-12-31'", r#""1969-12-31""#), ("DATE '2026-02-28'", r#""2026-02-28""#)],
    ),
    kind(
        "clock",
        "TIME",
        TEXT,
        [("TIME '00:00:00'", r#""00:00:00""#), ("TIME '23:59:59.999999'", r#""23:59:59.999999""#)],
    ),
    kind(
        "seconds",
        "TIMESTAMP(0)",
        SECONDS,
        [("'2026-01-02 03:04:05'", "1767323045"), ("'1969-12-31 23:59:59'", "-1")],
    ),
    kind(
        "millis",
        "TIMESTAMP(3)",
        MILLISECONDS,
        [("'2026-01-02 03:04:05.678'", "1767323045678"), ("'1969-12-31 23:59:59.999'", "-1")],
    ),
    kind(
        "micros",
        "TIMESTAMP",
        MICROSECONDS,
        [("'2026-01-02 03:04:05.678901'", "1767323045678901"), ("'1969-12-31 23:59:59.999999'", "-1")],
    ),
    kind(
        "nanos",
        "TIMESTAMP(9)",
        NANOSECONDS,
        [
            ("'2026-01-02 03:04:05.678901234'", "1767323045678901234"),
            ("'1969-12-31 23:59:59.999999999'", "-1"),
        ],
    ),
    kind(
        "zoned",
        "TIMESTAMP WITH TIME ZONE",
        MICROSECONDS,
        [("'2026-01-02T04:04:05.678901+01:00'", "1767323045678901"), ("'1970-01-01T00:00:00Z'", "0")],
    ),
    kind(
        "ident",
        "UUID",
        TEXT,
        [
            ("'00000000-0000-0000-0000-000000000000'", r#""00000000-0000-0000-0000-000000000000""#),
            ("'01234567-89ab-cdef-0123-456789ABCDEF'", r#""01234567-89ab-cdef-0123-456789abcdef""#),
        ],
    ),
    kind("document", "JSON", TEXT, [("'{\"a\": [1, null]}'", r#""{\"a\": [1, null]}""#), ("'1'", r#""1""#)]),
    kind("list", "INTEGER[]", PLAIN, [("[1, NULL, 3]", "[1, null, 3]"), ("[]", "[]")]),
    kind(
        "place",
        "STRUCT<x INTEGER, y VARCHAR>",
        PLAIN,
        [
            ("named_struct('x', 1, 'y', 'z')", r#"{"x": 1, "y": "z"}"#),
            ("named_struct('x', CAST(NULL AS INT), 'y', '')", r#"{"x": null, "y": ""}"#),
        ],
    ),
    kind(
        "tags",
        "",
        PLAIN,
        [
            ("map(['k', 'l'], ['v', NULL])", r#"{"k": "v", "l": null}"#),
            ("map(['m'], ['w'])", r#"{"m": "w"}"#),
        ],
    ),
    kind(
        "places",
        "",
        PLAIN,
        [
            ("[named_struct('x', 1, 'y', ['a', NULL])]", r#"[{"x": 1, "y": ["a", null]}]"#),
            ("[named_struct('x', 2, 'y', ['b'])]", r#"[{"x": 2, "y": ["b"]}]"#),
        ],
    ),
    kind("lists", "", PLAIN, [("[[1, 2], [3]]", "[[1, 2], [3]]"), ("[[4]]", "[[4]]")]),
];

/// A server with the lake that both write.
struct Site {
    server: Server,
    python: PathBuf,
    _directory: tempfile::TempDir,
}

impl Site {
    /// None where there is no DuckDB.
    fn new() -> Option<Self> {
        let python = python::duckdb_python()?;
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(directory.path());
        Some(Self { server, python, _directory: directory })
    }

    fn pintail(&self, statement: &str) {
        let output = self.server.sql(&["-e", statement]);
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs a statement with DuckDB and gives the rows of `query`, in one process.
    fn duckdb(&self, statement: &str, query: &str) -> Vec<Value> {
        python::duckdb_writes(&self.python, &self.server.catalog(), &[statement, query])
    }

    /// Asserts that we and DuckDB, which has just started, see these rows, and that the catalog is sound.
    fn assert_rows(&self, after: &str, queries: &Queries, expected: &[Value]) {
        assert_same(&self.server.query(&queries.ours), expected, &format!("ours after {after}"));
        let theirs = python::duckdb_rows(&self.python, &self.server.catalog(), &queries.theirs);
        assert_same(&theirs, expected, &format!("DuckDB's after {after}"));
        let options = CatalogOptions::default();
        let catalog = Catalog::open_read_only(&self.server.catalog(), &options).unwrap();
        let problems = catalog.check().unwrap();
        assert!(problems.is_empty(), "after {after}: {problems:#?}");
    }
}

/// Compares row by row and column by column: a difference in wide rows is hard to see.
fn assert_same(found: &[Value], expected: &[Value], whose: &str) {
    for (row, wanted) in found.iter().zip(expected) {
        for (column, value) in wanted.as_object().unwrap() {
            assert_eq!(row.get(column), Some(value), "{whose}: {column} of row {}", row["id"]);
        }
    }
    assert_eq!(found, expected, "{whose}");
}

/// The same rows, asked for in two dialects.
struct Queries {
    ours: String,
    theirs: String,
}

impl Queries {
    fn of_kinds(table: &str, kinds: &[&Kind]) -> Self {
        let list = |shown: fn(&Kind) -> &'static str| {
            let column =
                |kind: &&Kind| format!(", {} AS {}", shown(kind).replace("{}", kind.name), kind.name);
            kinds.iter().map(column).collect::<String>()
        };
        Self {
            ours: format!("SELECT id{} FROM {table} ORDER BY id", list(|kind| kind.shown.0)),
            theirs: format!("SELECT id{} FROM {table} ORDER BY id", list(|kind| kind.shown.1)),
        }
    }
}

/// A row with the value `index` of each kind; with nulls where there is none.
fn expected_row(kinds: &[&Kind], id: i64, index: usize) -> Value {
    let value = |kind: &&Kind| match kind.values.get(index) {
        Some((_, json)) => serde_json::from_str(json).unwrap(),
        None => Value::Null,
    };
    let columns = kinds.iter().map(|kind| (kind.name.to_owned(), value(kind)));
    Value::Object([("id".to_owned(), id.into())].into_iter().chain(columns).collect())
}

/// The rows with these ids, each with the values that its last digit counts to.
fn expected_rows(kinds: &[&Kind], ids: &[i64]) -> Vec<Value> {
    ids.iter().map(|id| expected_row(kinds, *id, usize::try_from(id % 10).unwrap())).collect()
}

/// Moves rows about until every way of writing them has been taken by both.
fn check_kinds(site: &Site, table: &str, kinds: &[&Kind]) {
    let queries = Queries::of_kinds(table, kinds);
    let columns: String = kinds.iter().map(|kind| format!(", {}", kind.name)).collect();
    let agree = |after: &str, ids: &[i64]| site.assert_rows(after, &queries, &expected_rows(kinds, ids));
    agree("we made the table", &[0, 1, 2]);
    site.pintail(&format!("UPDATE {table} SET id = id + 10"));
    agree("we rewrote the rows", &[10, 11, 12]);
    let copy = format!("INSERT INTO {table} SELECT id + 10{columns} FROM {table}");
    site.duckdb(&copy, "SELECT 1");
    agree("DuckDB inlined rows", &[10, 11, 12, 20, 21, 22]);
    site.pintail(&format!("UPDATE {table} SET id = id + 100 WHERE id >= 20"));
    agree("we rewrote inlined rows", &[10, 11, 12, 120, 121, 122]);
    site.duckdb(&format!("UPDATE {table} SET id = id - 90 WHERE id > 100"), "SELECT 1");
    agree("DuckDB rewrote rows of ours", &[10, 11, 12, 30, 31, 32]);
    site.pintail(&format!("INSERT INTO {table} SELECT id + 10{columns} FROM {table} WHERE id >= 30"));
    agree("we copied rows of DuckDB", &[10, 11, 12, 30, 31, 32, 40, 41, 42]);
    site.duckdb("CALL ducklake_flush_inlined_data('lake')", "SELECT 1");
    agree("DuckDB put its rows into files", &[10, 11, 12, 30, 31, 32, 40, 41, 42]);
    site.duckdb("CALL ducklake_merge_adjacent_files('lake')", "SELECT 1");
    agree("DuckDB merged files", &[10, 11, 12, 30, 31, 32, 40, 41, 42]);
    site.pintail(&format!("INSERT INTO {table} SELECT id + 10{columns} FROM {table} WHERE id >= 40"));
    let compact = || site.server.query(&format!("CALL system.compact('{table}')")).remove(0);
    let merged = compact();
    assert!(merged["files_in"].as_u64() > merged["files_out"].as_u64(), "{merged}");
    assert_eq!(compact()["message"], "nothing to merge", "after {merged}");
    agree("we merged files", &[10, 11, 12, 30, 31, 32, 40, 41, 42, 50, 51, 52]);
    site.pintail(&format!("UPDATE {table} SET id = id + 100 WHERE id >= 50"));
    agree("we rewrote merged rows", &[10, 11, 12, 30, 31, 32, 40, 41, 42, 150, 151, 152]);
}

#[test]
fn every_type_is_the_same_for_both_whoever_wrote_it() {
    let Some(site) = Site::new() else { return };
    let (typed, made): (Vec<&Kind>, Vec<&Kind>) = KINDS.iter().partition(|kind| !kind.sql_type.is_empty());
    let values = |kinds: &[&Kind], index: usize| -> String {
        kinds.iter().map(|kind| format!(", {} AS {}", kind.values[index].0, kind.name)).collect()
    };
    let columns: String = typed.iter().map(|kind| format!(", {} {}", kind.name, kind.sql_type)).collect();
    site.pintail(&format!("CREATE TABLE typed (id BIGINT{columns})"));
    for index in [0, 1] {
        site.pintail(&format!("INSERT INTO typed SELECT {index}{}", values(&typed, index)));
    }
    site.pintail("INSERT INTO typed (id) VALUES (2)");
    check_kinds(&site, "typed", &typed);

    site.pintail(&format!("CREATE TABLE made AS SELECT CAST(0 AS BIGINT) AS id{}", values(&made, 0)));
    site.pintail(&format!("INSERT INTO made SELECT 1 AS id{}", values(&made, 1)));
    site.pintail("INSERT INTO made (id) VALUES (2)");
    check_kinds(&site, "made", &made);
}

/// Who runs a statement.
#[derive(Debug, Clone, Copy)]
enum Who {
    Pintail,
    DuckDb,
}
use Who::{DuckDb, Pintail};

/// Who does what, and the rows after it as a JSON array; empty where the next statement tells.
const TURNS: &[(Who, &str, &str)] = &[
    (Pintail, "CREATE TABLE t (id BIGINT, name VARCHAR, raw BLOB)", "[]"),
    (
        Pintail,
        "INSERT INTO t VALUES (1, 'a', X'01'), (2, 'b', NULL), (3, 'c', X'ff')",
        r#"[{"id":1,"name":"a","raw":"01"},{"id":2,"name":"b","raw":null},{"id":3,"name":"c","raw":"ff"}]"#,
    ),
    (DuckDb, r"INSERT INTO t VALUES (4, 'd', '\x00\xFE'::BLOB), (5, NULL, ''::BLOB)", ""),
    (DuckDb, "UPDATE t SET name = 'aa' WHERE id = 1", ""),
    (
        DuckDb,
        "DELETE FROM t WHERE id = 2",
        r#"[{"id":1,"name":"aa","raw":"01"},{"id":3,"name":"c","raw":"ff"},{"id":4,"name":"d","raw":"00fe"},
            {"id":5,"name":null,"raw":""}]"#,
    ),
    (Pintail, "ALTER TABLE t ADD COLUMN note VARCHAR DEFAULT 'old'", ""),
    (
        DuckDb,
        "INSERT INTO t VALUES (6, 'f', NULL, 'six'), (7, 'g', NULL, NULL)",
        r#"[{"id":1,"name":"aa","raw":"01","note":"old"},{"id":3,"name":"c","raw":"ff","note":"old"},
            {"id":4,"name":"d","raw":"00fe","note":"old"},{"id":5,"name":null,"raw":"","note":"old"},
            {"id":6,"name":"f","raw":null,"note":"six"},{"id":7,"name":"g","raw":null,"note":null}]"#,
    ),
    (DuckDb, "DELETE FROM t WHERE id IN (3, 4)", ""),
    (Pintail, "ALTER TABLE t RENAME COLUMN name TO title", ""),
    (
        DuckDb,
        "INSERT INTO t (id, title) VALUES (8, 'h')",
        r#"[{"id":1,"title":"aa","raw":"01","note":"old"},{"id":5,"title":null,"raw":"","note":"old"},
            {"id":6,"title":"f","raw":null,"note":"six"},{"id":7,"title":"g","raw":null,"note":null},
            {"id":8,"title":"h","raw":null,"note":"old"}]"#,
    ),
    (
        Pintail,
        "UPDATE t SET title = 'new', raw = X'0102' WHERE id IN (1, 6, 8)",
        r#"[{"id":1,"title":"new","raw":"0102","note":"old"},{"id":5,"title":null,"raw":"","note":"old"},
            {"id":6,"title":"new","raw":"0102","note":"six"},{"id":7,"title":"g","raw":null,"note":null},
            {"id":8,"title":"new","raw":"0102","note":"old"}]"#,
    ),
    (DuckDb, "ALTER TABLE t ADD COLUMN flag BIGINT DEFAULT 1", ""),
    (Pintail, "INSERT INTO t (id, flag) VALUES (9, 0)", ""),
    (Pintail, "DELETE FROM t WHERE id IN (5, 7)", ""),
    (
        DuckDb,
        "INSERT INTO t (id, title) VALUES (10, 'j')",
        r#"[{"id":1,"title":"new","raw":"0102","note":"old","flag":1},
            {"id":6,"title":"new","raw":"0102","note":"six","flag":1},
            {"id":8,"title":"new","raw":"0102","note":"old","flag":1},
            {"id":9,"title":null,"raw":null,"note":"old","flag":0},
            {"id":10,"title":"j","raw":null,"note":"old","flag":1}]"#,
    ),
    (Pintail, "ALTER TABLE t DROP COLUMN raw", ""),
    (
        DuckDb,
        "INSERT INTO t VALUES (11, 'k', 'eleven', NULL)",
        r#"[{"id":1,"title":"new","note":"old","flag":1},{"id":6,"title":"new","note":"six","flag":1},
            {"id":8,"title":"new","note":"old","flag":1},{"id":9,"title":null,"note":"old","flag":0},
            {"id":10,"title":"j","note":"old","flag":1},{"id":11,"title":"k","note":"eleven","flag":null}]"#,
    ),
    (DuckDb, "ALTER TABLE t RENAME COLUMN flag TO ok", ""),
    (DuckDb, "INSERT INTO t VALUES (12, 'l', 'twelve', 1)", ""),
    (DuckDb, "UPDATE t SET note = 'changed' WHERE id >= 10", ""),
    (
        Pintail,
        "DELETE FROM t WHERE id = 11 OR id = 6",
        r#"[{"id":1,"title":"new","note":"old","ok":1},{"id":8,"title":"new","note":"old","ok":1},
            {"id":9,"title":null,"note":"old","ok":0},{"id":10,"title":"j","note":"changed","ok":1},
            {"id":12,"title":"l","note":"changed","ok":1}]"#,
    ),
    (DuckDb, "ALTER TABLE t DROP COLUMN note", ""),
    (Pintail, "UPDATE t SET ok = 1 - ok WHERE id < 10", ""),
    (
        DuckDb,
        "INSERT INTO t VALUES (13, 'm', NULL)",
        r#"[{"id":1,"title":"new","ok":0},{"id":8,"title":"new","ok":0},{"id":9,"title":null,"ok":1},
            {"id":10,"title":"j","ok":1},{"id":12,"title":"l","ok":1},{"id":13,"title":"m","ok":null}]"#,
    ),
    // The name of a column that is gone, for another one.
    (Pintail, "ALTER TABLE t ADD COLUMN note INTEGER", ""),
    (DuckDb, "UPDATE t SET note = id WHERE id > 12 OR id = 1", ""),
    (Pintail, "INSERT INTO t VALUES (14, 'n', 1, 14)", ""),
    (DuckDb, "CALL ducklake_flush_inlined_data('lake')", ""),
    (DuckDb, "CALL ducklake_rewrite_data_files('lake', delete_threshold => 0)", ""),
    (DuckDb, "CALL ducklake_merge_adjacent_files('lake')", ""),
    (Pintail, "CALL system.compact('t')", ""),
    (
        Pintail,
        "DELETE FROM t WHERE title = 'new'",
        r#"[{"id":9,"title":null,"ok":1,"note":null},{"id":10,"title":"j","ok":1,"note":null},
            {"id":12,"title":"l","ok":1,"note":null},{"id":13,"title":"m","ok":null,"note":13},
            {"id":14,"title":"n","ok":1,"note":14}]"#,
    ),
    (DuckDb, "CALL ducklake_expire_snapshots('lake', older_than => now())", ""),
    (
        Pintail,
        "CALL system.vacuum('0 seconds')",
        r#"[{"id":9,"title":null,"ok":1,"note":null},{"id":10,"title":"j","ok":1,"note":null},
            {"id":12,"title":"l","ok":1,"note":null},{"id":13,"title":"m","ok":null,"note":13},
            {"id":14,"title":"n","ok":1,"note":14}]"#,
    ),
    (Pintail, "TRUNCATE TABLE t", "[]"),
];

#[test]
fn both_change_rows_and_columns_in_turn() {
    let Some(site) = Site::new() else { return };
    let all = "SELECT * FROM t ORDER BY id".to_owned();
    let queries = Queries { ours: all.clone(), theirs: all.clone() };
    for (who, statement, expected) in TURNS {
        match who {
            Pintail => site.pintail(statement),
            DuckDb => drop(site.duckdb(statement, &all)),
        }
        if !expected.is_empty() {
            let expected: Vec<Value> = serde_json::from_str(expected).unwrap();
            site.assert_rows(statement, &queries, &expected);
        }
    }
}
