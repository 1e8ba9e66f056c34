use datafusion::catalog::{
    CatalogProvider, CatalogProviderList as _, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider,
};
use pintail_types::ErrorKind;

use super::*;

fn catalogs() -> MemoryCatalogProviderList {
    let list = MemoryCatalogProviderList::new();
    for (name, schemas) in
        [("lake", &["main", "system", "other"][..]), ("other", &["main"]), ("cold", &["main"])]
    {
        let catalog = MemoryCatalogProvider::new();
        for schema in schemas {
            catalog.register_schema(schema, std::sync::Arc::new(MemorySchemaProvider::new())).unwrap();
        }
        list.register_catalog(name.to_owned(), std::sync::Arc::new(catalog));
    }
    list
}

#[test]
fn two_part_names_become_whole() {
    for (sql, expected) in [
        ("SELECT * FROM t", "SELECT * FROM t"),
        ("SELECT * FROM main.t", "SELECT * FROM main.t"),
        ("SELECT * FROM lake.t", "SELECT * FROM lake.main.t"),
        ("SELECT * FROM LAKE.t", "SELECT * FROM LAKE.main.t"),
        ("SELECT * FROM \"LAKE\".t", "SELECT * FROM \"LAKE\".t"),
        ("SELECT * FROM cold.t", "SELECT * FROM cold.main.t"),
        // A schema of the current catalog goes before a catalog of the same name.
        ("SELECT * FROM other.t", "SELECT * FROM other.t"),
        ("SELECT * FROM lake.main.t", "SELECT * FROM lake.main.t"),
        ("SELECT * FROM nowhere.t", "SELECT * FROM nowhere.t"),
        ("SELECT * FROM information_schema.tables", "SELECT * FROM information_schema.tables"),
        ("SELECT 'FROM lake.t' FROM lake.t", "SELECT 'FROM lake.t' FROM lake.main.t"),
        ("SELECT lake.t.a, lake.u.b FROM lake.t", "SELECT lake.main.t.a, lake.u.b FROM lake.main.t"),
        ("SELECT (SELECT max(a) FROM lake.t)", "SELECT (SELECT max(a) FROM lake.main.t)"),
        ("EXPLAIN SELECT * FROM lake.t", "EXPLAIN SELECT * FROM lake.main.t"),
        ("SHOW CREATE TABLE lake.t", "SHOW CREATE TABLE lake.main.t"),
        ("DESCRIBE lake.t", "DESCRIBE lake.main.t"),
    ] {
        let mut statement = read(sql).unwrap();
        complete_names(&mut statement, &catalogs(), "lake", "main");
        assert_eq!(statement.to_string(), expected);
    }
}

#[test]
fn long_text_is_refused() {
    let error = read(&format!("SELECT '{}'", "x".repeat(MAX_SQL_BYTES))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn odd_text_is_refused_and_does_not_panic() {
    for sql in ["", ";", "'", "\"", "\0", "SELECT", "/*", "SELECT 1 /* 'x", "é", "SELECT * FROM"] {
        assert_eq!(read(sql).unwrap_err().kind(), ErrorKind::Invalid, "{sql}");
    }
}
