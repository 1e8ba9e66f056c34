//! Foreign clients in Python.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// Official DuckDB as a process: reads statements, a JSON array on a line, and writes for each line the rows of the last
/// statement, or the error.
const DUCKDB: &str = r#"
import json, sys
import duckdb
from duckdb_extensions import import_extension
for name in ("sqlite_scanner", "ducklake"):
    import_extension(name)
connection = duckdb.connect()
connection.execute("LOAD sqlite_scanner; LOAD ducklake; SET TimeZone='UTC'; SET enable_progress_bar=false")
def shown(value):
    return value.hex() if isinstance(value, bytes) else str(value)
for line in sys.stdin:
    try:
        for statement in json.loads(line):
            cursor = connection.execute(statement)
        names = [column[0] for column in cursor.description]
        answer = {"rows": [dict(zip(names, row)) for row in cursor.fetchall()]}
    except duckdb.Error as error:
        answer = {"error": str(error)}
    print(json.dumps(answer, default=shown), flush=True)
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

/// The interpreter with a server that speaks S3; says so when there is none.
pub(crate) fn s3_python() -> Option<PathBuf> {
    found(interpreter("PINTAIL_S3_PYTHON", "s3-venv"), "PINTAIL_S3_PYTHON")
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
    let mut duckdb = DuckDb::start(python);
    duckdb.attach(catalog, options);
    duckdb.rows(statements)
}

/// Official DuckDB in a process of its own, which ends with this.
#[derive(Debug)]
pub(crate) struct DuckDb {
    child: Child,
    statements: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl DuckDb {
    pub(crate) fn start(python: &Path) -> Self {
        let mut child = Command::new(python)
            .args(["-c", DUCKDB])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (statements, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, statements, answers: BufReader::new(answers) }
    }

    /// Attaches the lake of this catalog, with options such as `(READ_ONLY)`, under the name `lake`, and uses it.
    pub(crate) fn attach(&mut self, catalog: &Path, options: &str) {
        let attach = format!("ATTACH 'ducklake:sqlite:{}' AS lake {options}", catalog.display());
        self.rows(&[&attach, "USE lake", "SELECT 1"]);
    }

    /// Lets go of the lake.
    pub(crate) fn detach(&mut self) {
        self.rows(&["USE memory", "DETACH lake", "SELECT 1"]);
    }

    /// The rows of the last of these statements, which must succeed.
    pub(crate) fn rows(&mut self, statements: &[&str]) -> Vec<Value> {
        self.try_rows(statements).unwrap_or_else(|error| panic!("{statements:?}: {error}"))
    }

    /// The rows of the last of these statements, or what DuckDB says against one of them.
    pub(crate) fn try_rows(&mut self, statements: &[&str]) -> Result<Vec<Value>, String> {
        writeln!(self.statements, "{}", json!(statements)).unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        match answer["rows"].take() {
            Value::Array(rows) => Ok(rows),
            _ => Err(answer["error"].to_string()),
        }
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
