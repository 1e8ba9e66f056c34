use datafusion::sql::sqlparser::tokenizer::Tokenizer;
use proptest::prelude::*;

use super::*;
use crate::dialect::read;

/// The tree of a statement as text; what is read in the past shows behind the table and its alias.
fn tree(sql: &str) -> String {
    read(sql).unwrap_or_else(|error| panic!("{sql}: {error}")).to_string()
}

#[test]
fn every_spelling_gives_the_table_its_moment() {
    for (sql, expected) in [
        ("SELECT * FROM t AT SNAPSHOT 4", "SELECT * FROM t VERSION AS OF 4"),
        ("SELECT * FROM t at snapshot -1 WHERE a", "SELECT * FROM t VERSION AS OF -1 WHERE a"),
        ("SELECT * FROM t AT (VERSION => 4)", "SELECT * FROM t VERSION AS OF 4"),
        ("SELECT * FROM t AT(version=>2+2)", "SELECT * FROM t VERSION AS OF 2 + 2"),
        ("SELECT * FROM t FOR VERSION AS OF 4 LIMIT 1", "SELECT * FROM t VERSION AS OF 4 LIMIT 1"),
        ("SELECT * FROM t AT SNAPSHOT ?", "SELECT * FROM t VERSION AS OF ?"),
        (
            "SELECT * FROM t AT TIMESTAMP '2025-01-23 09:00:00' WHERE a",
            "SELECT * FROM t TIMESTAMP AS OF '2025-01-23 09:00:00' WHERE a",
        ),
        (
            "SELECT * FROM t AT (TIMESTAMP => now() - INTERVAL '1 hour') JOIN u ON true",
            "SELECT * FROM t TIMESTAMP AS OF now() - INTERVAL '1 hour' JOIN u ON true",
        ),
        (
            "SELECT * FROM t FOR TIMESTAMP AS OF TIMESTAMP '2025-01-23' a",
            "SELECT * FROM t a TIMESTAMP AS OF TIMESTAMP '2025-01-23'",
        ),
        ("SELECT * FROM t FOR SYSTEM_TIME AS OF now()", "SELECT * FROM t TIMESTAMP AS OF now()"),
    ] {
        assert_eq!(tree(sql), expected, "{sql}");
    }
}

#[test]
fn it_stands_behind_any_name_of_a_table_before_or_behind_its_alias() {
    let moment = "VERSION AS OF 4";
    for (sql, expected) in [
        ("SELECT * FROM a.b.t AT SNAPSHOT 4", format!("SELECT * FROM a.b.t {moment}")),
        ("SELECT * FROM \"T t\" AT SNAPSHOT 4 AS x", format!("SELECT * FROM \"T t\" AS x {moment}")),
        ("SELECT * FROM t AS x AT SNAPSHOT 4", format!("SELECT * FROM t AS x {moment}")),
        ("SELECT * FROM s.t x AT SNAPSHOT 4", format!("SELECT * FROM s.t x {moment}")),
        ("SELECT * FROM t AT SNAPSHOT 4 x (a, b)", format!("SELECT * FROM t x (a, b) {moment}")),
        ("SELECT * FROM t \"at\" AT SNAPSHOT 4", format!("SELECT * FROM t \"at\" {moment}")),
        ("SELECT * FROM version AT SNAPSHOT 4", format!("SELECT * FROM version {moment}")),
        (
            "SELECT * FROM t AT SNAPSHOT 4 a JOIN t b AT SNAPSHOT 4 USING (id)",
            format!("SELECT * FROM t a {moment} JOIN t b {moment} USING(id)"),
        ),
        ("SELECT * FROM u, t AT SNAPSHOT 4", format!("SELECT * FROM u, t {moment}")),
        ("SELECT * FROM (t AT SNAPSHOT 4)", format!("SELECT * FROM t {moment}")),
        (
            "WITH a AS (SELECT * FROM t AT SNAPSHOT 4) SELECT (SELECT max(b) FROM t AT SNAPSHOT 4) FROM a",
            format!("WITH a AS (SELECT * FROM t {moment}) SELECT (SELECT max(b) FROM t {moment}) FROM a"),
        ),
        ("FROM t AT SNAPSHOT 4", format!("SELECT * FROM t {moment}")),
        ("TABLE t AT SNAPSHOT 4", format!("SELECT * FROM t {moment}")),
        ("EXPLAIN SELECT * FROM t AT SNAPSHOT 4", format!("EXPLAIN SELECT * FROM t {moment}")),
        ("INSERT INTO u SELECT * FROM t AT SNAPSHOT 4", format!("INSERT INTO u SELECT * FROM t {moment}")),
        (
            "CREATE TABLE u AS SELECT * FROM t /* then */ AT -- at snapshot 5\n SNAPSHOT 4",
            format!("CREATE TABLE u AS SELECT * FROM t {moment}"),
        ),
    ] {
        assert_eq!(tree(sql), expected, "{sql}");
    }
}

#[test]
fn names_texts_and_comments_of_the_same_letters_stay() {
    for sql in [
        "SELECT at FROM t",
        "SELECT at snapshot FROM t",
        "SELECT at AS snapshot, snapshot AS version, version AS timestamp FROM t AS at",
        "SELECT at timestamp FROM snapshot at",
        "SELECT * FROM t at (version, timestamp)",
        "SELECT 'FROM t AT SNAPSHOT 4', \"AT SNAPSHOT 4\" FROM t",
        "SELECT * FROM t -- AT SNAPSHOT 4\n WHERE /* AT TIMESTAMP '2025-01-23' */ a",
        "SELECT a AT TIME ZONE 'UTC', at AT TIME ZONE 'UTC' FROM t",
        "SELECT TIMESTAMP '2025-01-23' AS at, CAST(a AS TIMESTAMP) FROM t",
        "SELECT substring(version FOR 3), substring(a FROM 1 FOR 2) FROM t",
        "SELECT at, (version) FROM t ORDER BY at, timestamp",
        "SELECT * FROM t PIVOT (sum(a) FOR version IN (1, 2))",
    ] {
        let tokens = Tokenizer::new(&Grammar, sql).tokenize_with_location().unwrap();
        let (left, clauses) = lift(tokens.clone()).unwrap();
        assert_eq!(left, tokens, "{sql}");
        assert!(clauses.0.is_empty(), "{sql}");
        tree(sql);
    }
}

proptest! {
    /// The words of the clauses are names wherever names may stand.
    #[test]
    fn the_words_are_names_everywhere(
        names in prop::collection::vec(prop::sample::select(vec![
            "at", "snapshot", "version", "timestamp", "of", "system_time", "\"for\"",
        ]), 6),
        template in prop::sample::select(vec![
            "SELECT {0} {1}, {2} AS {3} FROM {4} AS {5} WHERE {0} > 4",
            "SELECT {0}.{1} FROM {2} JOIN {3} AS {4} ON {0}.{5} = {4}.{1} ORDER BY {1}",
            "WITH {0} AS (SELECT 4 AS {1}) SELECT {1}, '{2} {3} 4' FROM {0} WHERE {1} IN (4, 5) -- {4} {5} 4",
            "SELECT count(*) FILTER (WHERE {0} = '{1}') AS {2}, {3}({4}, 4) FROM {5}",
            "INSERT INTO {0} ({1}, {2}) SELECT {3}, {4} FROM {5} GROUP BY {3}, {4} HAVING {3} < 4",
        ]),
    ) {
        let sql = (0..names.len()).fold(template.to_owned(), |sql, index| {
            sql.replace(&format!("{{{index}}}"), names[index])
        });
        let tokens = Tokenizer::new(&Grammar, &sql).tokenize_with_location().unwrap();
        let (left, clauses) = lift(tokens.clone()).unwrap();
        prop_assert_eq!(left, tokens);
        prop_assert!(clauses.0.is_empty());
    }
}

#[test]
fn what_has_no_past_is_refused_with_its_place() {
    let no_table = "syntax error: time travel follows the name of a table in FROM or JOIN, or its alias";
    for (sql, message, column) in [
        ("SELECT * FROM (SELECT 1) AT SNAPSHOT 4", no_table, 26),
        ("SELECT * FROM (SELECT 1) AS a AT SNAPSHOT 4", no_table, 31),
        ("SELECT * FROM range(3) AT SNAPSHOT 4", no_table, 24),
        ("SELECT * FROM range(3) a AT (VERSION => 4)", no_table, 26),
        ("SELECT a AT SNAPSHOT 4 FROM t", no_table, 10),
        ("SELECT * FROM t WHERE a = b FOR VERSION AS OF 4", no_table, 29),
        ("INSERT INTO t AT SNAPSHOT 4 VALUES (1)", no_table, 15),
        ("SELECT * FROM t AT SNAPSHOT 4 AT SNAPSHOT 5", no_table, 31),
        ("SELECT * FROM t AT SNAPSHOT 4 a AT SNAPSHOT 5", no_table, 33),
        (
            "SELECT * FROM t AT (VERSION => 4, 5)",
            "syntax error: AT (…) holds one moment: expected ), found ,",
            17,
        ),
        ("SELECT * FROM t AT (VERSION => )", "syntax error: expected: an expression, found: )", 32),
        ("SELECT * FROM t FOR TIMESTAMP AS OF, u", "syntax error: expected: an expression, found: ,", 36),
    ] {
        let error = read(sql).unwrap_err();
        assert!(error.message().starts_with(message), "{sql}: {error}");
        assert_eq!(
            error.position().map(|place| (place.line, place.column)),
            Some((1, column)),
            "{sql}: {error}"
        );
    }
}

#[test]
fn other_spellings_name_the_ones_that_are_taken() {
    for sql in [
        "SELECT * FROM t AT SNAPSHOT four",
        "SELECT * FROM t AT VERSION 4",
        "SELECT * FROM t VERSION AS OF 4",
        "SELECT * FROM t TIMESTAMP AS OF '2025-01-23'",
    ] {
        let error = read(sql).unwrap_err();
        assert!(error.message().starts_with("time travel is written t AT SNAPSHOT 4"), "{sql}: {error}");
    }
}

#[test]
fn views_are_spelled_as_duckdb_reads_them() {
    let mut parsed = read("SELECT * FROM t x AT SNAPSHOT 4, u FOR TIMESTAMP AS OF now()").unwrap();
    let Parsed::Statement(sql) = &mut parsed else { panic!("{parsed}") };
    let _: ControlFlow<()> = sql.visit(&mut AsDuckDb);
    assert_eq!(sql.to_string(), "SELECT * FROM t x AT(VERSION => 4), u AT(TIMESTAMP => now())");
    assert_eq!(tree(&sql.to_string()), "SELECT * FROM t x VERSION AS OF 4, u TIMESTAMP AS OF now()");
}
