//! Foreign clients in Python.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::Server;

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

/// A statement asked through three drivers: prints, for each, the rows as JSON on a line.
const CLIENTS: &str = r#"
import json, sys, warnings
warnings.simplefilter("ignore")
import adbc_driver_flightsql.dbapi, flightsql, pyarrow.flight
flight_sql, flight, sql = sys.argv[1:]
host, port = flight_sql.rsplit(":", 1)
def adbc():
    with adbc_driver_flightsql.dbapi.connect(f"grpc://{flight_sql}", autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetch_arrow_table()
def dbapi():
    client = flightsql.FlightSQLClient(host=host, port=int(port), insecure=True)
    return client.do_get(client.execute(sql).endpoints[0].ticket).read_all()
def pyarrow_flight():
    with pyarrow.flight.connect(f"grpc://{flight}") as client:
        info = client.get_flight_info(pyarrow.flight.FlightDescriptor.for_command(sql))
        return client.do_get(info.endpoints[0].ticket).read_all()
for read in (adbc, dbapi, pyarrow_flight):
    print(json.dumps(read().to_pylist(), default=str))
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

/// The interpreter with the clients of Flight SQL; says so when there is none.
pub(crate) fn client_python() -> Option<PathBuf> {
    found(interpreter("PINTAIL_CLIENT_PYTHON", "client-venv"), "PINTAIL_CLIENT_PYTHON")
}

/// The rows of a statement as ADBC, flightsql-dbapi and pyarrow's plain Flight read them, in this order.
pub(crate) fn client_rows(python: &Path, server: &Server, sql: &str) -> [Vec<Value>; 3] {
    let [flight_sql, flight] =
        ["node_flightsql", "flight"].map(|listener| server.address(listener).to_string());
    let output = Command::new(python).args(["-c", CLIENTS, &flight_sql, &flight, sql]).output().unwrap();
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    let mut lines = output.stdout.split(|byte| *byte == b'\n');
    [(); 3].map(|()| serde_json::from_slice(lines.next().unwrap()).unwrap())
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
