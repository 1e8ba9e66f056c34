//! The servers that clients are tried on: one in clear with every kind of identity, one that is read-only, one with TLS,
//! one without credentials.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::certificates::Certificates;
use super::oidc::{self, Provider};
use super::server::Server;
use super::target::{TABLE, Target};
use crate::{Result, process};

const ADMIN_TOKEN: &str = "clients-admin-token";
const READER_TOKEN: &str = "clients-reader-token";
/// SHA-256 of the two, which is what the configuration holds.
const ADMIN_SHA256: &str = "3c297abe430c807e4e92999048045c815031a5fb19d0dc7b48f044dde595b36a";
const READER_SHA256: &str = "fa7be3069746dbf5821eb90b527123c112d4892881e02401955ae9f85b423fe3";

const USER: &str = "writer";
const PASSWORD: &str = "clients-password";
/// A line of the users' file with argon2 of [`PASSWORD`], at a price that does not slow the tests down.
const USERS: &str = "writer:$argon2id$v=19$m=1024,t=1,p=1$Mj7pYhZc3aiJXN0t7A4cJA$qcmlbBmSivHfWvB3EskFj4bvD4KgRUiPtmOjb0wCt5E:writers\n";

/// Queries that the server without credentials runs at once: more than the load program has open.
const OPEN_QUERIES: u32 = 128;

/// Calls that the generator makes.
const CALLS: &str = "100";
/// How long to wait until generated packets are all visible.
const PATIENCE: Duration = Duration::from_secs(30);

/// The running servers.
#[derive(Debug)]
pub(crate) struct Servers {
    /// Kept until the end: dropping them stops them.
    _untouched: [Server; 3],
    tls: Server,
    tls_config: Value,
    folder: TempDir,
}

impl Servers {
    /// Starts them, fills one with calls, and writes the file that clients are given.
    pub(crate) fn start(binary: &Path, provider: Option<&Provider>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("pintail-clients-").tempdir()?;
        let path = folder.path();
        let certificates = Certificates::make(path)?;
        std::fs::write(path.join("users"), USERS)?;
        let mut identity = json!({
            "tokens": [
                {"name": "admin", "sha256": ADMIN_SHA256, "groups": ["admin"]},
                {"name": "reader", "sha256": READER_SHA256, "groups": ["readers"]},
            ],
            "users_file": path.join("users"),
        });
        if let Some(provider) = provider {
            identity["oidc"] = json!([{
                "issuer": provider.issuer, "client_id": oidc::CLIENT_ID, "client_secret": oidc::CLIENT_SECRET,
                "audience": "pintail",
            }]);
        }
        let mut open = config(&json!({}), json!({}), json!({}));
        open["limits"] = json!({"max_queries": OPEN_QUERIES});
        let open = Server::start(binary, &path.join("open"), &open)?;
        let plain = config(&identity, json!({}), json!({}));
        let plain = Server::start(binary, &path.join("plain"), &plain)?;
        let read_only = config(&identity, json!({"read_only": true}), json!({}));
        let read_only = Server::start(binary, &path.join("read_only"), &read_only)?;
        let server = &certificates.server;
        let over_tls = json!({"tls_enable": true, "tls_cert": server.certificate, "tls_key": server.key});
        let mut mutual = over_tls.clone();
        mutual["tls_client_ca"] = json!(certificates.authority);
        let mut tls_config = config(&identity, over_tls, mutual);
        let tls = Server::start(binary, &path.join("tls"), &tls_config)?;
        // After a restart it listens where its clients left it.
        for (section, listener) in [("flightsql_server", "node_flightsql"), ("flight_server", "flight")] {
            tls_config["node"][section]["port"] = json!(tls.address(listener)?.port());
        }

        let mut target = Target::with_queries();
        target.put("open", open.address("node_flightsql")?);
        target.put("open_pid", open.pid());
        target.put("plain", plain.address("node_flightsql")?);
        target.put("plain_flight", plain.address("flight")?);
        target.put("read_only", read_only.address("node_flightsql")?);
        target.put("tls", format!("localhost:{}", tls.address("node_flightsql")?.port()));
        target.put("mutual_tls", format!("localhost:{}", tls.address("flight")?.port()));
        target.put("ca", certificates.authority.display());
        target.put("client_certificate", certificates.client.certificate.display());
        target.put("client_key", certificates.client.key.display());
        target.put("token", ADMIN_TOKEN);
        target.put("reader_token", READER_TOKEN);
        target.put("user", USER);
        target.put("password", PASSWORD);
        target.put("oidc_user", oidc::USER);
        target.put("oidc_password", oidc::PASSWORD);
        target.put("oidc_token", provider.map_or("", |provider| &provider.token));
        target.put("rows", fill(binary, &plain)?);
        let servers = Self { _untouched: [open, plain, read_only], tls, tls_config, folder };
        std::fs::write(servers.target_file(), target.text())?;
        Ok(servers)
    }

    /// The file that clients are given.
    pub(crate) fn target_file(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    /// Stops the server with TLS and starts it again on the same ports and data.
    pub(crate) fn restart_tls(&mut self) -> Result<()> {
        self.tls.restart(&self.tls_config)
    }
}

/// A configuration with everything on free ports of loopback; the two Flight listeners with settings of their own.
fn config(identity: &Value, flight_sql: Value, flight: Value) -> Value {
    let listen = json!({"enable": true, "host": "127.0.0.1", "port": 0});
    let with = |settings: Value| {
        let mut merged = listen.clone();
        if let (Some(merged), Value::Object(settings)) = (merged.as_object_mut(), settings) {
            merged.extend(settings);
        }
        merged
    };
    json!({
        "data_dir": "data",
        "ingest": {"udp": listen, "tcp": listen, "http": listen},
        "storage": {"ducklake": {"flush_interval_sec": 3600}},
        "node": {"enable": true, "flight_server": with(flight), "http_server": listen, "flightsql_server": with(flight_sql)},
        "prometheus": listen,
        "identity": identity,
    })
}

/// Sends generated calls over TCP and waits until all are visible; gives the rows of the table that clients ask.
fn fill(binary: &Path, server: &Server) -> Result<u64> {
    let mut generator = Command::new(binary);
    generator.args(["hep", "gen", "--transport", "tcp", "--rate", "0", "--calls", CALLS, "--json", "--to"]);
    let sent: Value =
        serde_json::from_str(&process::output(generator.arg(server.address("hep_tcp")?.to_string()))?)?;
    let visible = "SELECT count(*) AS n FROM hep_messages";
    let limit = Instant::now() + PATIENCE;
    while Some(number(binary, server, visible)?) != sent["packets"].as_u64() {
        if Instant::now() > limit {
            return Err(
                format!("not all of {} packets were visible within {PATIENCE:?}", sent["packets"]).into()
            );
        }
    }
    number(binary, server, &format!("SELECT count(*) AS n FROM {TABLE}"))
}

/// The one number that a statement gives, asked with our own command.
fn number(binary: &Path, server: &Server, sql: &str) -> Result<u64> {
    let url = format!("grpc://{}", server.address("node_flightsql")?);
    let mut ask = Command::new(binary);
    ask.args(["sql", "--url", &url, "--token", ADMIN_TOKEN, "--output", "json", "-e", sql]);
    let rows: Value = serde_json::from_str(&process::output(&mut ask)?)?;
    Ok(rows[0]["n"].as_u64().unwrap_or_default())
}
