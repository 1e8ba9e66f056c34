//! Foreign clients in Python.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Runs statements on a lake with official DuckDB and writes the rows of the last one as JSON.
const DUCKDB: &str = r#"
import json, sys
import duckdb
from duckdb_extensions import import_extension
for name in ("sqlite_scanner", "ducklake"):
    import_extension(name)
connection = duckdb.connect()
connection.execute("LOAD sqlite_scanner; LOAD ducklake; SET TimeZone='UTC'")
connection.execute(f"ATTACH 'ducklake:sqlite:{sys.argv[1]}' AS lake {sys.argv[2]}; USE lake")
for statement in sys.argv[3:]:
    cursor = connection.execute(statement)
names = [column[0] for column in cursor.description]
def shown(value):
    return value.hex() if isinstance(value, bytes) else str(value)
print(json.dumps([dict(zip(names, row)) for row in cursor.fetchall()], default=shown))
"#;

/// The interpreter that `variable` names, else the one of the environment that the gate makes.
fn interpreter(variable: &str, environment: &str) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable).filter(|value| !value.is_empty()) {
        return Some(named.into());
    }
    let home = std::env::var_os("HOME")?;
    let path = Path::new(&home).join(".cache/pintail").join(environment).join("bin/python");
    path.exists().then_some(path)
}

/// The interpreter with official DuckDB; says so when there is none.
pub(crate) fn duckdb_python() -> Option<PathBuf> {
    found(interpreter("PINTAIL_DUCKDB_PYTHON", "duckdb-venv"), "PINTAIL_DUCKDB_PYTHON")
}

fn found(python: Option<PathBuf>, variable: &str) -> Option<PathBuf> {
    if python.is_none() {
        println!("skipped: no Python for it; `cargo xtask test` makes one, or set {variable}");
    }
    python
}

/// The rows of a statement as official DuckDB reads the lake.
pub(crate) fn duckdb_rows(python: &Path, catalog: &Path, sql: &str) -> Vec<Value> {
    duckdb(python, catalog, "(READ_ONLY)", &[sql])
}

/// Runs statements with official DuckDB, which may change the lake; gives the rows of the last one.
pub(crate) fn duckdb_writes(python: &Path, catalog: &Path, statements: &[&str]) -> Vec<Value> {
    duckdb(python, catalog, "", statements)
}

/// The same, with options of its own for the lake: to make one.
pub(crate) fn duckdb_makes(python: &Path, catalog: &Path, options: &str, statements: &[&str]) -> Vec<Value> {
    duckdb(python, catalog, options, statements)
}

fn duckdb(python: &Path, catalog: &Path, options: &str, statements: &[&str]) -> Vec<Value> {
    let mut command = Command::new(python);
    let output = command.args(["-c", DUCKDB]).arg(catalog).arg(options).args(statements).output().unwrap();
    let text = succeeded(&output);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn succeeded(output: &Output) -> String {
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{text}\n{errors}", output.status);
    text.into_owned()
}
