//! What there is to try, and which driver has it.

/// Something that a client may be able to do: its name in the printed lines, and as the table says it.
#[derive(Debug)]
pub(crate) struct Feature {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
}

const fn feature(name: &'static str, title: &'static str) -> Feature {
    Feature { name, title }
}

/// In the order of the table.
pub(crate) static FEATURES: &[Feature] = &[
    feature("anonymous", "connect without credentials, on loopback"),
    feature("token", "connect with a token"),
    feature("basic", "connect with user and password"),
    feature("oidc", "user and password of an OIDC provider"),
    feature("oidc-token", "bearer JWT of an OIDC provider"),
    feature("refused", "wrong credentials are refused"),
    feature("tls", "TLS"),
    feature("mutual-tls", "mutual TLS"),
    feature("restart", "the session outlives a restart of the server"),
    feature("probe", "the health probe"),
    feature("server-info", "facts about the server"),
    feature("catalogs", "catalogs"),
    feature("schemas", "schemas"),
    feature("tables", "tables, with patterns"),
    feature("columns", "columns with their types"),
    feature("table-types", "table types"),
    feature("type-info", "type info"),
    feature("keys", "keys (there are none, and that is said)"),
    feature("actions", "list of actions"),
    feature("query", "query"),
    feature("empty", "empty result"),
    feature("types", "every type"),
    feature("nulls", "NULL of every type"),
    feature("big", "a million rows"),
    feature("wide", "a row of 3 MB"),
    feature("errors", "errors with code, text and position"),
    feature("cancel", "cancel, and the plan stops"),
    feature("prepared", "prepared statement, run again and again"),
    feature("parameters", "typed parameters"),
    feature("parameter-rows", "parameters of many rows"),
    feature("shared-handle", "a handle used on another connection"),
    feature("ddl", "CREATE, ALTER, DROP"),
    feature("update-counts", "counts of INSERT, UPDATE, DELETE"),
    feature("batch", "a batch of updates"),
    feature("ingest", "bulk ingest, every mode"),
    feature("telemetry", "telemetry tables refuse writes"),
    feature("read-only", "a read-only listener refuses writes"),
    feature("session-options", "session options"),
    feature("substrait", "a query as a plan of Substrait"),
    feature("compression", "gzip, where the client compresses"),
    feature("transactions", "transactions are refused, and said to be absent"),
    feature("time", "nanoseconds and plain types for Grafana"),
    feature("macros", "what the editor's macros send"),
    feature("dashboard", "every panel of examples/grafana"),
    feature("connections", "1,000 connections, 64 running queries"),
    feature("prepared-memory", "10,000 prepared statements leave memory flat"),
];

/// One column of the table: a driver that people connect with.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its name in the printed lines.
    pub(crate) name: &'static str,
    /// Its name in the table.
    pub(crate) title: &'static str,
    /// The features that the driver has, each of which must pass.
    pub(crate) features: &'static str,
}

impl Client {
    /// Whether the driver can do `feature` at all.
    pub(crate) fn has(&self, feature: &str) -> bool {
        self.features.split_whitespace().any(|name| name == feature)
    }
}

/// What a program is started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// A script under `clients/python`.
    Python(&'static str),
    /// `clients/java`
    Java,
    /// A subcommand of `clients/go`.
    Go(&'static str),
    /// An example of ours.
    Rust(&'static str),
}

/// A process that tries one client or several.
#[derive(Debug)]
pub(crate) struct Program {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    pub(crate) language: Language,
    /// Paths in the checkout that it is given after the target file.
    pub(crate) arguments: &'static [&'static str],
    pub(crate) clients: &'static [Client],
}

/// In the order in which they run and stand in the table.
pub(crate) static PROGRAMS: [Program; 9] = [
    Program {
        name: "adbc-python",
        language: Language::Python("flight_adbc.py"),
        arguments: &[],
        clients: &[Client {
            name: "adbc-python",
            title: "ADBC Python",
            features: "anonymous token basic oidc oidc-token refused tls mutual-tls restart server-info catalogs schemas \
                       tables columns table-types query empty types nulls big wide errors cancel prepared parameters \
                       parameter-rows ddl update-counts batch ingest telemetry read-only session-options substrait \
                       transactions",
        }],
    },
    Program {
        name: "frames",
        language: Language::Python("flight_frames.py"),
        arguments: &[],
        clients: &[
            Client {
                name: "pandas",
                title: "pandas",
                features: "token basic oidc oidc-token refused tls query empty types nulls big errors ingest",
            },
            Client {
                name: "polars",
                title: "polars",
                features: "anonymous token basic oidc oidc-token refused tls query empty types nulls big errors parameters \
                           ingest",
            },
        ],
    },
    Program {
        name: "dbapi",
        language: Language::Python("flight_dbapi.py"),
        arguments: &[],
        clients: &[
            Client {
                name: "flightsql-dbapi",
                title: "flightsql-dbapi",
                features: "anonymous token basic oidc oidc-token refused tls mutual-tls restart server-info catalogs \
                           schemas tables columns table-types type-info keys query empty types nulls big wide errors \
                           cancel prepared parameters ddl update-counts telemetry read-only",
            },
            Client {
                name: "sqlalchemy",
                title: "SQLAlchemy",
                features: "token basic oidc oidc-token tls schemas tables columns query empty errors parameters",
            },
        ],
    },
    Program {
        name: "pyarrow",
        language: Language::Python("flight_pyarrow.py"),
        arguments: &[],
        clients: &[Client {
            name: "pyarrow",
            title: "pyarrow",
            features: "anonymous token basic oidc oidc-token refused tls mutual-tls restart actions query empty types nulls \
                       big wide errors cancel shared-handle read-only compression",
        }],
    },
    Program {
        name: "jdbc",
        language: Language::Java,
        arguments: &[],
        clients: &[Client {
            name: "jdbc",
            title: "JDBC",
            features: "anonymous token basic oidc oidc-token refused tls mutual-tls restart server-info catalogs schemas \
                       tables columns table-types keys query empty types nulls big wide errors cancel prepared parameters \
                       ddl update-counts batch telemetry read-only session-options transactions",
        }],
    },
    Program {
        name: "adbc-go",
        language: Language::Go("adbc"),
        arguments: &[],
        clients: &[Client {
            name: "adbc-go",
            title: "ADBC Go",
            features: "anonymous token basic oidc oidc-token refused tls mutual-tls restart server-info catalogs schemas \
                       tables columns table-types query empty types nulls big wide errors cancel prepared parameters \
                       parameter-rows ddl update-counts batch ingest telemetry read-only session-options transactions",
        }],
    },
    Program {
        name: "grafana",
        language: Language::Go("grafana"),
        arguments: &["examples/grafana/dashboard.json"],
        clients: &[
            Client {
                name: "grafana-influxdb",
                title: "Grafana InfluxDB (SQL)",
                features: "anonymous token oidc-token refused tls probe tables columns query empty nulls big wide errors \
                           time macros dashboard",
            },
            Client {
                name: "grafana-plugin",
                title: "Grafana Flight SQL plugin",
                features: "token basic oidc tls restart probe server-info tables columns query errors time",
            },
        ],
    },
    Program {
        name: "arrow-rs",
        language: Language::Rust("flight_client"),
        arguments: &[],
        clients: &[Client {
            name: "arrow-rs",
            title: "Rust",
            features: "anonymous token basic oidc oidc-token refused tls mutual-tls restart server-info catalogs schemas \
                       tables columns table-types type-info keys query empty types nulls big wide errors cancel prepared \
                       parameters parameter-rows ddl update-counts batch ingest telemetry read-only",
        }],
    },
    Program {
        name: "load",
        language: Language::Rust("flight_load"),
        arguments: &[],
        clients: &[Client { name: "load", title: "load", features: "connections prepared-memory" }],
    },
];

/// What a driver has and the server does not do rightly yet: client, feature, and what is missing. One that passes has
/// to be taken off this list.
pub(crate) static NOT_YET: &[(&str, &str, &str)] = &[];

/// Whether it is known that the server does not do this for the client yet.
pub(crate) fn is_not_yet(client: &str, feature: &str) -> bool {
    NOT_YET.iter().any(|(name, missing, _)| *name == client && *missing == feature)
}

/// The client of this name.
pub(crate) fn client(name: &str) -> Option<&'static Client> {
    PROGRAMS.iter().flat_map(|program| program.clients).find(|client| client.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_of_a_client_is_known_and_every_feature_has_a_client() {
        let known = |name: &str| FEATURES.iter().any(|feature| feature.name == name);
        let clients = || PROGRAMS.iter().flat_map(|program| program.clients);
        for client in clients() {
            for name in client.features.split_whitespace() {
                assert!(known(name), "{}: {name}", client.name);
            }
        }
        for feature in FEATURES {
            assert!(clients().any(|client| client.has(feature.name)), "{}", feature.name);
        }
    }
}
