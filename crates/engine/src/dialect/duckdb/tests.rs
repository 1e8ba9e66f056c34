use super::*;
use crate::quotients::Operands;

#[test]
fn views_of_duckdb_are_read() {
    for (text, expected) in [
        ("SELECT count_star() AS n FROM t", "SELECT count(*) AS n FROM t"),
        ("SELECT count_star() FROM t", "SELECT count(*) AS \"count_star()\" FROM t"),
        (
            "SELECT count_star(), count_star(), id, t.Id FROM t",
            "SELECT count(*) AS \"count_star()\", count(*) AS \"count_star()_1\", id, t.Id AS \"Id_1\" FROM t",
        ),
        (
            "SELECT count() FILTER (WHERE (id > 1)) OVER () AS n FROM t",
            "SELECT count(*) FILTER (WHERE (id > 1)) OVER () AS n FROM t",
        ),
        ("SELECT main.list_value(1, 2) AS l", "SELECT list_value(1, 2) AS l"),
        ("SELECT main.struct_pack(a := 1) AS s", "SELECT named_struct('a', 1) AS s"),
        ("SELECT \"left\"(t, 1) AS x FROM t", "SELECT left(t, 1) AS x FROM t"),
        ("SELECT * FROM \"range\"(3)", "SELECT * FROM range(3)"),
        ("SELECT l[2:] AS x, l[:2] AS y FROM t", "SELECT l[2:-1] AS x, l[1:2] AS y FROM t"),
        ("SELECT other.f(1) AS x", "SELECT other.f(1) AS x"),
        ("SELECT CAST(t AS \"JSON\") AS x FROM t", "SELECT CAST(t AS JSON) AS x FROM t"),
        (
            "SELECT CAST(t AS \"TIMESTAMP WITH TIME ZONE\") AS x",
            "SELECT CAST(t AS \"TIMESTAMP WITH TIME ZONE\") AS x",
        ),
        ("SELECT CAST(t AS \"DOUBLE\") AS x", "SELECT CAST(t AS DOUBLE) AS x"),
        ("SELECT (id ** 2) AS x", "SELECT (power(id, 2)) AS x"),
        ("SELECT (id ^ 2) AS x", "SELECT (power(id, 2)) AS x"),
        (r"SELECT (t ~~ 'a\_%') AS x", r"SELECT (t LIKE 'a\\_%') AS x"),
        ("SELECT (t !~~* 'a%') AS x", "SELECT (t NOT ILIKE 'a%') AS x"),
        ("SELECT (t ~~ p) AS x FROM t", r"SELECT (t LIKE replace(p, '\', '\\')) AS x FROM t"),
        (r"SELECT not_like_escape(t, 'a$_', '$') AS x", r"SELECT t NOT LIKE 'a\_' AS x"),
        (r"SELECT like_escape(t, 'a$$\%', '$') AS x", r"SELECT t LIKE 'a\$\\%' AS x"),
        (r"SELECT ilike_escape(t, 'a\_', '\') AS x", r"SELECT t ILIKE 'a\_' AS x"),
        (r"SELECT like_escape(t, p, '\') AS x", r"SELECT t LIKE p AS x"),
        ("SELECT like_escape(t, 'a$', '$') AS x", "SELECT like_escape(t, 'a$', '$') AS x"),
        ("SELECT (t ~ 'a') AS x", "SELECT (regexp_full_match(t, 'a')) AS x"),
        ("SELECT (t SIMILAR TO 'a_') AS x", "SELECT (regexp_full_match(t, 'a_')) AS x"),
        ("SELECT (id = ANY(SELECT 1)) AS x", "SELECT (id IN (SELECT 1 AS \"1\")) AS x"),
        ("SELECT (id = ANY(SELECT unnest(l))) AS x FROM t", "SELECT (array_has(l, id)) AS x FROM t"),
        (
            "SELECT list_sort(list(id), 'DESCENDING', 'ORDER_DEFAULT') AS l FROM t",
            "SELECT list_sort(list(id), 'DESC', 'NULLS LAST') AS l FROM t",
        ),
        (
            "SELECT list_transform(l, (lambda x: (x + 1))) AS x",
            "SELECT list_transform(l, (x) -> (x + 1)) AS x",
        ),
        ("SELECT list_transform(l, (x -> (x + 1))) AS x", "SELECT list_transform(l, (x) -> (x + 1)) AS x"),
        ("SELECT a, b FROM t ORDER BY COLUMNS(*)", "SELECT a, b FROM t ORDER BY 1, 2"),
    ] {
        let read = parse_view(text).map(|read| read.to_string());
        assert_eq!(read.as_deref().map_err(ToString::to_string), Ok(expected), "{text}");
    }
    for text in ["DELETE FROM t", "SHOW TABLES", "SELECT 1; SELECT 2", "SELECT (", ""] {
        assert!(parse_view(text).is_err(), "{text}");
    }
}

fn written(text: &str) -> std::result::Result<String, String> {
    let Ok(Parsed::Statement(mut sql)) = super::super::read(text) else { panic!("{text}") };
    write_view(&mut sql, &Operands::default()).map_err(|error| error.to_string())?;
    Ok(sql.to_string())
}

#[test]
fn views_are_written_for_duckdb() {
    for (text, expected) in [
        ("SELECT t ~ 'a'", "SELECT regexp_matches(t, 'a')"),
        ("SELECT t !~* 'a'", "SELECT (NOT regexp_matches(t, 'a', 'i'))"),
        ("SELECT t NOT SIMILAR TO 'a_'", "SELECT (NOT regexp_full_match(t, 'a.'))"),
        (r"SELECT t LIKE 'a\_%'", r"SELECT t LIKE 'a\_%' ESCAPE '\'"),
        ("SELECT t LIKE 'a_%'", "SELECT t LIKE 'a_%'"),
        (
            "SELECT date_bin(INTERVAL '1 hour', ts)",
            "SELECT time_bucket(INTERVAL '1 hour', ts, TIMESTAMP '1970-01-01 00:00:00')",
        ),
        ("SELECT date_bin(w, ts, origin)", "SELECT time_bucket(w, ts, origin)"),
        (
            "WITH left AS (SELECT at FROM t) SELECT l.at, \"end\" AS by FROM left l JOIN u AS full ON l.at = full.at",
            "WITH \"left\" AS (SELECT \"at\" FROM t) SELECT l.\"at\", \"end\" AS \"by\" FROM \"left\" l JOIN u AS \"full\" ON l.\"at\" = \"full\".\"at\"",
        ),
        ("SELECT coalesce(a, COUNT(*))", "SELECT coalesce(a, COUNT(*))"),
        ("SELECT * FROM t AT SNAPSHOT 4", "SELECT * FROM t AT(VERSION => 4)"),
    ] {
        assert_eq!(written(text).as_deref(), Ok(expected));
    }
    for (text, message) in [
        ("SELECT arrow_typeof(a)", "where arrow_typeof is missing or differs: use typeof"),
        ("SELECT max(to_char(a, '%Y')) OVER ()", "where to_char is missing or differs: use strftime"),
        ("SELECT isnanos(a)", "where isnanos is missing or differs"),
    ] {
        let error = written(text).unwrap_err();
        assert!(error.ends_with(message), "{error}");
    }
}

#[test]
fn divisions_are_as_the_planner_told_them() {
    let mut query = super::super::read("SELECT a / b, a // b").unwrap();
    assert!(mark_quotients(&mut query));
    let Parsed::Statement(sql) = &mut query else { panic!("{query}") };
    let error = write_view(sql, &Operands::default()).unwrap_err();
    assert!(error.to_string().contains("a / b depends on types"), "{error}");
    assert!(!mark_quotients(&mut super::super::read("SELECT a % b").unwrap()));
}

#[test]
fn lists_are_in_order() {
    for words in [include_str!("functions.txt"), include_str!("reserved.txt")] {
        assert!(words.lines().is_sorted_by(|one, next| one < next));
    }
}
