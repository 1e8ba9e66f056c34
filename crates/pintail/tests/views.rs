//! Views with official DuckDB beside us: whoever makes one, both read the same rows under the same names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::Value;
use support::{Server, python};

/// Who makes a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    Pintail,
    DuckDb,
}
use Maker::{DuckDb, Pintail};

const TABLE: [&str; 2] = [
    "CREATE TABLE t (id INTEGER, name VARCHAR, ts TIMESTAMP, at INTEGER, part DOUBLE, list INTEGER[])",
    "INSERT INTO t VALUES (7, 'abc', '2026-01-02 03:04:05', 1, 1.5, [1, 2, 3]), (-7, 'a_c', '1969-12-31 23:00:00', 2, -0.5, [])",
];

/// A view of `t` by its maker and query, and its rows.
const VIEWS: &[(Maker, &str, &str)] = &[
    (DuckDb, "SELECT count(*), count(*) AS n FROM t", r#"[{"count_star()":2,"n":2}]"#),
    (DuckDb, "SELECT count(*) FILTER (id > 0) AS n FROM t", r#"[{"n":1}]"#),
    (
        DuckDb,
        "SELECT id / 2 AS x, id // 2 AS y, id // 0 AS z, part // 2 AS p, id % 4 AS r FROM t ORDER BY id",
        r#"[{"x":-3.5,"y":-3,"z":null,"p":-0.25,"r":-3},{"x":3.5,"y":3,"z":null,"p":0.75,"r":3}]"#,
    ),
    (DuckDb, "SELECT 7 / 2", r#"[{"(7 / 2)":3.5}]"#),
    (DuckDb, "SELECT sum(id) / count(*) AS x FROM t", r#"[{"x":0.0}]"#),
    (
        DuckDb,
        "SELECT [1, id] AS l, {'a': id, 'b': name} AS s FROM t WHERE id > 0",
        r#"[{"l":[1,7],"s":{"a":7,"b":"abc"}}]"#,
    ),
    (DuckDb, "SELECT id ** 2 AS x, id ^ 2 AS y FROM t WHERE id > 0", r#"[{"x":49.0,"y":49.0}]"#),
    (
        DuckDb,
        "SELECT name[1:2] AS x, name[2] AS y, name[-1] AS z, name[2:3] AS r, list[1:2] AS l, list[2:] AS m, name[:2] AS n FROM t WHERE id > 0",
        r#"[{"x":"ab","y":"b","z":"c","r":"bc","l":[1,2],"m":[2,3],"n":"ab"}]"#,
    ),
    (DuckDb, "SELECT CAST('{\"a\": [1]}' AS JSON) ->> '$.a[0]' AS x", r#"[{"x":"1"}]"#),
    (
        DuckDb,
        "SELECT name ~ 'b' AS x, name ~ 'a.c' AS y, name !~ 'b' AS z, name SIMILAR TO 'a_c' AS s FROM t ORDER BY id",
        r#"[{"x":false,"y":true,"z":true,"s":true},{"x":false,"y":true,"z":true,"s":false}]"#,
    ),
    (
        DuckDb,
        r"SELECT name LIKE 'a_c' AS x, name LIKE 'a\_c' AS y, name LIKE 'a$_c' ESCAPE '$' AS z FROM t WHERE id < 0",
        r#"[{"x":true,"y":false,"z":true}]"#,
    ),
    (DuckDb, "SELECT id FROM t WHERE id NOT IN (SELECT -7) AND name NOT ILIKE 'X%'", r#"[{"id":7}]"#),
    (DuckDb, "SELECT list_transform(list, x -> x + 1) AS x FROM t WHERE id > 0", r#"[{"x":[2,3,4]}]"#),
    (
        DuckDb,
        "SELECT epoch_us(ts + INTERVAL 1 DAY) AS x, extract(hour FROM ts) AS h, ts < DATE '2026-01-03' AS b FROM t WHERE id > 0",
        r#"[{"x":1767409445000000,"h":3,"b":true}]"#,
    ),
    (
        DuckDb,
        "SELECT substring(name FROM 1 FOR 2) AS x, trim(name) AS t, position('c' IN name) AS p, left(name, 1) AS l FROM t WHERE id > 0",
        r#"[{"x":"ab","t":"abc","p":3,"l":"a"}]"#,
    ),
    (
        DuckDb,
        "SELECT id = ANY(list) AS x, id IN (SELECT unnest([7])) AS y, id NOT IN (1, 7) AS z, (SELECT list(id ORDER BY id DESC) FROM t) AS l FROM t ORDER BY id",
        r#"[{"x":false,"y":false,"z":true,"l":[7,-7]},{"x":false,"y":true,"z":false,"l":[7,-7]}]"#,
    ),
    (
        DuckDb,
        "SELECT epoch_us(ts AT TIME ZONE 'Europe/Berlin') AS x, epoch_us((ts::TIMESTAMPTZ) AT TIME ZONE 'Europe/Berlin') AS y, epoch_us(now() AT TIME ZONE 'Asia/Tokyo') - epoch_us(now()) AS z FROM t WHERE id > 0",
        r#"[{"x":1767319445000000,"y":1767326645000000,"z":32400000000}]"#,
    ),
    (
        DuckDb,
        "SELECT name, id, id, count(*) OVER (), count(*) OVER (PARTITION BY name) AS n FROM t ORDER BY ALL",
        r#"[{"name":"a_c","id":-7,"id_1":-7,"count() OVER ()":2,"n":1},{"name":"abc","id":7,"id_1":7,"count() OVER ()":2,"n":1}]"#,
    ),
    (
        DuckDb,
        "SELECT 5 % 0 AS i, CAST(5.5 AS DECIMAL(4, 1)) % 0 AS d, id / 0 > 1 AS more, CASE WHEN id > 0 THEN 'p' ELSE 'n' END AS c FROM t ORDER BY id",
        r#"[{"i":null,"d":null,"more":false,"c":"n"},{"i":null,"d":null,"more":true,"c":"p"}]"#,
    ),
    (
        DuckDb,
        "WITH u AS (SELECT id, count(*) AS n FROM t GROUP BY ROLLUP (id)) SELECT u.n, v.a FROM u JOIN (VALUES (7, 'x')) v(b, a) ON u.id = v.b",
        r#"[{"n":1,"a":"x"}]"#,
    ),
    (DuckDb, "SELECT r.x FROM range(2) AS r(x)", r#"[{"x":0},{"x":1}]"#),
    (DuckDb, "SELECT name, id FROM t ORDER BY ALL", r#"[{"name":"a_c","id":-7},{"name":"abc","id":7}]"#),
    (DuckDb, "SELECT id FROM t UNION ALL SELECT 1 ORDER BY 1", r#"[{"id":-7},{"id":1},{"id":7}]"#),
    (Pintail, "SELECT count(*) FROM t", r#"[{"count(*)":2}]"#),
    (
        Pintail,
        "SELECT id / 2 AS x, id // 2 AS y, id / 2.0 AS d, part // 2 AS p, sum(id) / 2 AS s FROM t GROUP BY ALL ORDER BY x",
        r#"[{"x":-3,"y":-3,"d":-3.5,"p":-1.0,"s":-3},{"x":3,"y":3,"d":3.5,"p":0.0,"s":3}]"#,
    ),
    (Pintail, "SELECT id / 2 FROM t WHERE id / 2 > 2", r#"[{"t.id / Int64(2)":3}]"#),
    (
        Pintail,
        "SELECT name ~ 'B' AS x, name ~* 'B' AS y, name !~ 'b' AS n, name SIMILAR TO 'a_c' AS s FROM t ORDER BY id",
        r#"[{"x":false,"y":false,"n":true,"s":true},{"x":false,"y":true,"n":false,"s":true}]"#,
    ),
    (
        Pintail,
        r"SELECT name LIKE 'a\_c' AS x, name NOT LIKE 'a_c' AS y FROM t ORDER BY id",
        r#"[{"x":true,"y":false},{"x":false,"y":false}]"#,
    ),
    (
        Pintail,
        "SELECT epoch_us(date_bin(INTERVAL '7 days', ts)) AS x, epoch_us(time_bucket(INTERVAL '7 days', ts)) AS y FROM t ORDER BY id",
        r#"[{"x":-604800000000,"y":-259200000000},{"x":1767225600000000,"y":1766966400000000}]"#,
    ),
    (Pintail, "SELECT at, x.at AS by FROM t AS x WHERE at < 2", r#"[{"at":1,"by":1}]"#),
    (Pintail, "SELECT id ^ 2 AS x, id ** 2 AS y FROM t WHERE id > 0", r#"[{"x":49.0,"y":49.0}]"#),
    (Pintail, "SELECT name[1:2] AS x, [id, 1] AS l FROM t WHERE id > 0", r#"[{"x":"ab","l":[7,1]}]"#),
];

/// What DuckDB would not read, or read as something else, and a part of the error.
const REFUSED: &[(&str, &str)] = &[
    ("SELECT to_char(ts, '%Y') AS x FROM t", "to_char is missing or differs: use strftime"),
    ("SELECT approx_percentile_cont(id, 0.5) AS x FROM t", "approx_percentile_cont is missing or differs"),
    ("SELECT id FROM t WHERE arrow_typeof(id) = 'Int32'", "arrow_typeof is missing or differs: use typeof"),
];

#[test]
fn both_read_a_view_alike_whoever_made_it() {
    let Some(python) = python::duckdb_python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    for statement in TABLE {
        pintail(&server, statement);
    }
    let made = |who: Maker| {
        let views = VIEWS.iter().enumerate().filter(move |(_, (maker, ..))| *maker == who);
        views.map(|(number, (_, query, _))| format!("CREATE VIEW v{number} AS {query}"))
    };
    made(Pintail).for_each(|statement| pintail(&server, &statement));
    for (query, message) in REFUSED {
        let output = server.sql(&["-e", &format!("CREATE VIEW refused AS {query}")]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(message), "{query}: {error}");
    }
    let unreadable = "CREATE VIEW globs AS SELECT name GLOB 'a*' AS x FROM t".to_owned();
    let all: String = (0..VIEWS.len())
        .map(|number| {
            format!(
                ", (SELECT CAST(to_json(list(one_row)) AS VARCHAR) FROM v{number} AS one_row) AS v{number}"
            )
        })
        .collect();
    let statements: Vec<String> =
        made(DuckDb).chain([unreadable, format!("SELECT 0 AS zero{all}")]).collect();
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    let theirs = python::duckdb_writes(&python, &server.catalog(), &statements).remove(0);
    let mut failures = Vec::new();
    for (number, (maker, query, expected)) in VIEWS.iter().enumerate() {
        let view = format!("v{number}");
        let expected = rows(expected);
        let found = rows(theirs[&view].as_str().unwrap());
        if found != expected {
            failures.push(format!("DuckDB reads in {maker:?}'s {query}: {found:?}, not {expected:?}"));
        }
        match our_rows(&server, &view) {
            Ok(ours) if ours == expected => {}
            ours => failures.push(format!("we read in {maker:?}'s {query}: {ours:?}, not {expected:?}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let output = server.sql(&["-e", "SELECT * FROM globs"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("view globs can't be planned"), "{error}");
}

fn our_rows(server: &Server, view: &str) -> Result<Vec<Value>, String> {
    let output = server.sql(&["--output", "json", "-e", &format!("SELECT * FROM {view}")]);
    match output.status.success() {
        true => Ok(rows(&String::from_utf8(output.stdout).unwrap())),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

fn rows(json: &str) -> Vec<Value> {
    sorted(serde_json::from_str(json).unwrap())
}

/// Rows in an order of their own: who reads a view is not promised that of its query.
fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_cached_key(Value::to_string);
    rows
}

fn pintail(server: &Server, statement: &str) {
    let output = server.sql(&["-e", statement]);
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Functions that a view may have are all DuckDB's, and names that it puts in quotes are words of its grammar.
#[test]
fn duckdb_has_the_functions_and_words_of_views() {
    let Some(python) = python::duckdb_python() else { return };
    let mut duckdb = python::DuckDb::start(&python);
    for (words, theirs) in [
        (
            include_str!("../../engine/src/dialect/duckdb/functions.txt"),
            "function_name FROM duckdb_functions()",
        ),
        (
            include_str!("../../engine/src/dialect/duckdb/reserved.txt"),
            "keyword_name FROM duckdb_keywords() WHERE keyword_category IN ('reserved', 'type_function')",
        ),
    ] {
        let ours: Vec<String> = words.lines().map(|word| format!("('{word}')")).collect();
        let missing =
            format!("SELECT * FROM (VALUES {}) v(word) WHERE word NOT IN (SELECT {theirs})", ours.join(", "));
        let missing = duckdb.rows(&[&missing]);
        assert!(missing.is_empty(), "{missing:?}");
    }
    let words = include_str!("../../engine/src/dialect/duckdb/reserved.txt").lines().count();
    let theirs =
        "SELECT count(*) AS n FROM duckdb_keywords() WHERE keyword_category IN ('reserved', 'type_function')";
    assert_eq!(duckdb.rows(&[theirs])[0]["n"], words);
}
