//! `pintail lake compact|expire|cleanup|retention|move|apply-storage-policy|vacuum`: through the running server, or as the only writer.

use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;

use arrow::array::{AsArray, RecordBatch};
use futures::TryStreamExt;
use pintail_engine::{maintenance_rows, parse_age};
use pintail_lake::MaintenanceTask;
use pintail_types::{Error, ErrorKind, Result};

use super::sql::connect::connect;
use super::sql::flight_error;
use super::sql::writer::ResultWriter;
use crate::cli::{Lake, MaintainedLake, OutputForm, ServerAccess};
use crate::config::{self, Config};
use crate::output;
use crate::wiring::OfflineLake;

/// What is to be done, as this process does it and as a server is told.
struct Order {
    task: MaintenanceTask,
    procedure: &'static str,
    arguments: Vec<(&'static str, String)>,
}

/// Does it. The exit code is 1 if a step failed.
pub(super) fn run(command: &Lake, lake: &MaintainedLake) -> Result<ExitCode> {
    let order = Order::of(command)?;
    let rows = match &lake.url {
        Some(url) => on_server(url, &lake.access, &order)?,
        None => here_or_on_server(lake, &order)?,
    };
    told(&rows, lake.place.json)
}

/// Has the server do it that the lake's configuration names, or `--url`; `locked` is what says that one runs.
pub(super) fn by_its_server(command: &Lake, lake: &MaintainedLake, locked: Error) -> Result<ExitCode> {
    let order = Order::of(command)?;
    let rows = match &lake.url {
        Some(url) => on_server(url, &lake.access, &order)?,
        None => on_its_server(lake, &config::load(lake.place.config.as_deref())?.config, &order, locked)?,
    };
    told(&rows, lake.place.json)
}

fn told(rows: &[RecordBatch], json: bool) -> Result<ExitCode> {
    show(rows, json)?;
    let all_finished = rows.iter().all(|batch| {
        let states = batch.column_by_name("state").and_then(|states| states.as_string_opt::<i32>());
        states.is_some_and(|states| states.iter().all(|state| state == Some("finished")))
    });
    Ok(if all_finished { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

impl Order {
    fn of(command: &Lake) -> Result<Self> {
        let mut arguments = Vec::new();
        let mut add = |name: &'static str, value: &Option<String>| {
            arguments.extend(value.clone().map(|value| (name, value)));
        };
        let age =
            |name: &str, text: &Option<String>| text.as_deref().map(|text| parse_age(name, text)).transpose();
        let (procedure, task) = match command {
            Lake::Compact { table, volume, .. } => {
                add("table", table);
                add("volume", volume);
                ("compact", MaintenanceTask::Compact { table: table.clone(), volume: volume.clone() })
            }
            Lake::Expire { older_than, .. } => {
                add("older_than", older_than);
                let older_than = age("--older-than", older_than)?;
                ("expire_snapshots", MaintenanceTask::ExpireSnapshots { older_than })
            }
            Lake::Cleanup { older_than, .. } => {
                add("older_than", older_than);
                ("cleanup", MaintenanceTask::Cleanup { older_than: age("--older-than", older_than)? })
            }
            Lake::Vacuum { expire_older_than, .. } => {
                add("expire_older_than", expire_older_than);
                let expire_older_than = age("--expire-older-than", expire_older_than)?;
                ("vacuum", MaintenanceTask::Vacuum { expire_older_than })
            }
            Lake::Fsck { repair, .. } => {
                arguments.push(("repair", repair.to_string()));
                ("fsck", MaintenanceTask::Fsck { repair: *repair })
            }
            Lake::Move { table, date, from, to, .. } => {
                let [table, date, from_volume, to_volume] = [table, date, from, to].map(Clone::clone);
                arguments.extend([
                    ("table", table.clone()),
                    ("date", date.clone()),
                    ("from_volume", from_volume.clone()),
                    ("to_volume", to_volume.clone()),
                ]);
                ("move", MaintenanceTask::Move { table, date, from_volume, to_volume })
            }
            Lake::ApplyStoragePolicy { dry_run, .. } => {
                arguments.push(("dry_run", dry_run.to_string()));
                ("apply_storage_policy", MaintenanceTask::ApplyStoragePolicy { dry_run: *dry_run })
            }
            Lake::Retention { .. } | Lake::Info(_) | Lake::Snapshots(_) => {
                ("retention", MaintenanceTask::Retention)
            }
        };
        Ok(Self { task, procedure, arguments })
    }

    /// The statement that asks a server for it.
    fn sql(&self) -> String {
        let argument = |(name, value): &(&str, String)| format!("{name} => '{}'", value.replace('\'', "''"));
        let arguments: Vec<String> = self.arguments.iter().map(argument).collect();
        format!("CALL system.{}({})", self.procedure, arguments.join(", "))
    }
}

/// Does it as the only writer of the lake or, if a server is that, asks the server.
fn here_or_on_server(lake: &MaintainedLake, order: &Order) -> Result<Vec<RecordBatch>> {
    let config = config::load(lake.place.config.as_deref())?.config;
    let locked = match OfflineLake::open(&config) {
        Ok(offline) => return Ok(vec![maintenance_rows(&offline.maintain(&order.task)?)?]),
        Err(error) if error.kind() == ErrorKind::Unavailable => error,
        Err(error) => return Err(error),
    };
    on_its_server(lake, &config, order, locked)
}

/// Asks the server that has the lake `locked`.
fn on_its_server(
    lake: &MaintainedLake,
    config: &Config,
    order: &Order,
    locked: Error,
) -> Result<Vec<RecordBatch>> {
    let (url, token) = server_of(config).ok_or_else(|| {
        Error::unavailable(format!(
            "{locked}; if that is a server, name its Flight SQL listener with --url: the configuration has none with a \
             fixed port"
        ))
    })?;
    let mut access = lake.access.clone();
    access.token = access.token.or(token);
    on_server(&url, &access, order).map_err(|error| error.context(locked))
}

/// The Flight SQL listener of a configuration, and the token that it takes.
fn server_of(config: &Config) -> Option<(String, Option<String>)> {
    let (sql, plain) = (&config.node.flightsql_server, &config.node.flight_server);
    let (host, port, is_tls, token) = if !config.node.enable {
        return None;
    } else if sql.enable && !sql.read_only {
        (&sql.host, sql.port, sql.tls_enable, &sql.auth_token)
    } else if plain.enable {
        (&plain.host, plain.port, plain.tls_enable, &plain.auth_token)
    } else {
        return None;
    };
    let host = match host.as_str() {
        "" | "0.0.0.0" | "::" | "[::]" => "127.0.0.1",
        host => host,
    };
    let scheme = if is_tls { "grpc+tls" } else { "grpc" };
    let token = Some(token.clone()).filter(|token| !token.is_empty());
    (port > 0).then(|| (format!("{scheme}://{host}:{port}"), token))
}

fn on_server(url: &str, access: &ServerAccess, order: &Order) -> Result<Vec<RecordBatch>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("no runtime: {error}")))?;
    runtime.block_on(async {
        let mut client = connect(url, access).await?;
        let info = client.execute(order.sql(), None).await.map_err(flight_error)?;
        let mut rows = Vec::new();
        for ticket in info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket) {
            let batches = client.do_get(ticket).await.map_err(flight_error)?;
            rows.extend(batches.try_collect::<Vec<_>>().await.map_err(flight_error)?);
        }
        Ok(rows)
    })
}

fn show(rows: &[RecordBatch], json: bool) -> Result<()> {
    let form = if json { OutputForm::Json } else { OutputForm::Table };
    let schema = rows
        .first()
        .map_or_else(|| maintenance_rows(&[]).map(|none| none.schema()), |rows| Ok(rows.schema()))?;
    let mut writer = ResultWriter::new(form, schema.as_ref().clone(), BufWriter::new(io::stdout().lock()))?;
    for batch in rows {
        writer.write(batch)?;
    }
    writer.finish()?.flush().map_err(output::failed)
}
