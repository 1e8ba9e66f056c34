//! Where the demonstration runs, and what it says at its beginning and end.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;

use pintail_types::{Error, Result};
use tempfile::TempDir;

use super::live::{Figures, grouped};
use crate::cli::Demo;
use crate::config::Config;
use crate::wiring::Listeners;

const LOOPBACK: &str = "127.0.0.1";
/// Parquet files appear soon.
const FLUSH_INTERVAL_SEC: u64 = 10;
/// The question of the printed examples.
const QUESTION: &str =
    "SELECT method, count(*) AS messages FROM hep_proto_1_call GROUP BY method ORDER BY messages DESC";

/// A configuration of its own, and the directory it keeps data in.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) config: Config,
    directory: PathBuf,
    /// Removes the directory at the end, unless it was given.
    temporary: Option<TempDir>,
    /// What is not as one would expect.
    remarks: Vec<String>,
}

impl Setup {
    /// # Errors
    /// `Invalid` when the directory can't be made.
    pub(super) fn new(arguments: &Demo) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::invalid(format!("no directory for the data: {error}")).with_source(error)
        };
        let (directory, temporary) = match &arguments.dir {
            Some(given) => {
                std::fs::create_dir_all(given).map_err(failed)?;
                (std::path::absolute(given).map_err(failed)?, None)
            }
            None => {
                let made = tempfile::Builder::new().prefix("pintail-demo-").tempdir().map_err(failed)?;
                (made.path().to_path_buf(), Some(made))
            }
        };
        let mut config = Config { data_dir: directory.display().to_string(), ..Config::default() };
        config.storage.ducklake.flush_interval_sec = FLUSH_INTERVAL_SEC;
        config.node.enable = true;
        config.node.flightsql_server.enable = true;
        config.ingest.tcp.enable = true;
        config.ingest.udp.host = LOOPBACK.into();
        config.ingest.tcp.host = LOOPBACK.into();
        config.ingest.http.host = LOOPBACK.into();
        config.log.level = "warn".into();
        config.log.output = vec!["stderr".into()];
        let mut setup = Self { config, directory, temporary, remarks: Vec::new() };
        setup.choose_ports(arguments.ephemeral);
        Ok(setup)
    }

    /// The usual ports, or free ones where they are taken or not wanted.
    fn choose_ports(&mut self, ephemeral: bool) {
        let config = &mut self.config;
        config.node.http_server.port = Some(config.node.flight_server.port + 1);
        let http_port = config.node.http_server.port.get_or_insert(0);
        let ports: [(&str, &mut u16, bool); 7] = [
            ("HEP UDP", &mut config.ingest.udp.port, true),
            ("HEP TCP", &mut config.ingest.tcp.port, false),
            ("HEP HTTP", &mut config.ingest.http.port, false),
            ("Flight", &mut config.node.flight_server.port, false),
            ("node HTTP", http_port, false),
            ("Flight SQL", &mut config.node.flightsql_server.port, false),
            ("metrics", &mut config.prometheus.port, false),
        ];
        for (name, port, udp) in ports {
            if ephemeral {
                *port = 0;
            } else if !is_free(*port, udp) {
                self.remarks.push(format!("port {port} is taken: {name} uses a free one"));
                *port = 0;
            }
        }
    }

    /// Where everything is, and how to ask.
    pub(super) fn introduction(&self, listeners: &Listeners) -> String {
        let address = |name: &str| listeners.get(name).map_or_else(|| "-".to_owned(), ToString::to_string);
        let program = std::env::args().next().unwrap_or_else(|| "pintail".to_owned());
        let (http, sql) = (address("node_http"), address("node_flightsql"));
        let catalog = self.directory.join("homer_catalog.sqlite");
        let kept = if self.temporary.is_some() { "temporary, removed at the end" } else { "kept" };
        let mut lines = vec![format!(
            "Pintail {} is running; data in {} ({kept})",
            env!("CARGO_PKG_VERSION"),
            self.directory.display()
        )];
        lines.extend(self.remarks.iter().map(|remark| format!("  {remark}")));
        lines.extend([
            format!("  packets in: HEP over UDP {}, TCP {}, HTTP {}", address("hep_udp"), address("hep_tcp"), address("hep_http")),
            format!("  answers out: Flight SQL {sql}, HTTP {http}, Flight {}, metrics {}", address("flight"), address("metrics")),
            String::new(),
            "Ask it, from another terminal:".to_owned(),
            format!("  {program} sql --url grpc://{sql} -e \"{QUESTION}\""),
            format!("  curl -s http://{http}/query -d '{{\"sql\": \"{QUESTION}\"}}' -H 'Content-Type: application/json'"),
            "  pip install adbc-driver-flightsql adbc-driver-manager pyarrow".to_owned(),
            format!(
                "  python3 -c 'import adbc_driver_flightsql.dbapi as flight; cursor = flight.connect(\"grpc://{sql}\", autocommit=True).cursor(); \
                 cursor.execute(\"{QUESTION}\"); print(cursor.fetch_arrow_table())'"
            ),
            format!("  duckdb -c \"INSTALL ducklake; INSTALL sqlite; ATTACH 'ducklake:sqlite:{}' AS lake (READ_ONLY); FROM lake.sip_transactions LIMIT 5\"", catalog.display()),
            String::new(),
            "Ctrl-C ends it.".to_owned(),
            String::new(),
        ]);
        lines.join("\n")
    }

    /// What became of everything.
    pub(super) fn summary(&self, sent: u64, stored: u64, figures: &Figures) -> String {
        let place = match &self.temporary {
            Some(_) => "the temporary data is removed".to_owned(),
            None => format!("the lake stays in {}", self.directory.display()),
        };
        format!(
            "{} packets sent, {} stored | {} | {place}",
            grouped(sent),
            grouped(stored),
            figures.describe()
        )
    }
}

/// Whether nobody has the port on loopback. Somebody may take it a moment later; then starting fails and says so.
fn is_free(port: u16, udp: bool) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port);
    if udp { UdpSocket::bind(address).is_ok() } else { TcpListener::bind(address).is_ok() }
}
