//! `pintail sql`: a client of any Flight SQL server. Results are written as they arrive.

pub(super) mod connect;
mod table;
pub(super) mod writer;

#[cfg(test)]
mod tests;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use pintail_types::{Error, ErrorKind, Result};
use tonic::transport::Channel;

use crate::cli::{OutputForm, Sql};
use crate::output;

use writer::ResultWriter;

/// Runs the statements one after the other; the first error ends it.
pub(crate) fn run(arguments: &Sql) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("no runtime: {error}")))?;
    runtime.block_on(async {
        let mut client = connect::connect(&arguments.url, &arguments.access).await?;
        for (index, sql) in arguments.execute.iter().enumerate() {
            if index > 0 && arguments.output == OutputForm::Table {
                output::line("")?;
            }
            query(&mut client, sql, arguments.output).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn query(client: &mut FlightSqlServiceClient<Channel>, sql: &str, form: OutputForm) -> Result<()> {
    let info = client.execute(sql.to_owned(), None).await.map_err(flight_error)?;
    let schema = info
        .clone()
        .try_decode_schema()
        .map_err(|error| Error::internal(format!("the server's result schema can't be read: {error}")))?;
    if schema.fields().is_empty() {
        return changed(info.total_records, form);
    }
    let mut writer = ResultWriter::new(form, schema, BufWriter::new(io::stdout().lock()))?;
    for endpoint in info.endpoint {
        let ticket =
            endpoint.ticket.ok_or_else(|| Error::internal("the server sent an endpoint without a ticket"))?;
        let mut batches = client.do_get(ticket).await.map_err(flight_error)?;
        while let Some(batch) = batches.try_next().await.map_err(flight_error)? {
            writer.write(&batch)?;
        }
    }
    writer.finish()?.flush().map_err(output::failed)
}

/// Tells people what a statement without a result has changed; programs get an empty result.
fn changed(rows: i64, form: OutputForm) -> Result<()> {
    match (form, rows) {
        (OutputForm::Table, 1) => output::line("(1 row changed)"),
        (OutputForm::Table, 0..) => output::line(format!("({rows} rows changed)")),
        (OutputForm::Table, _) => output::line("(done)"),
        (OutputForm::Json, _) => output::line("[]"),
        (OutputForm::Csv, _) => Ok(()),
    }
}

pub(super) fn flight_error(error: FlightError) -> Error {
    match error {
        FlightError::Tonic(status) => status_error(&status),
        other => Error::internal(other.to_string()),
    }
}

fn status_error(status: &tonic::Status) -> Error {
    let kind = match status.code() {
        tonic::Code::Unauthenticated => ErrorKind::Unauthenticated,
        tonic::Code::PermissionDenied => ErrorKind::Forbidden,
        tonic::Code::Unavailable => ErrorKind::Unavailable,
        tonic::Code::ResourceExhausted => ErrorKind::Exhausted,
        tonic::Code::Cancelled => ErrorKind::Cancelled,
        tonic::Code::DeadlineExceeded => ErrorKind::DeadlineExceeded,
        tonic::Code::NotFound => ErrorKind::NotFound,
        tonic::Code::Internal | tonic::Code::Unknown | tonic::Code::DataLoss => ErrorKind::Internal,
        _ => ErrorKind::Invalid,
    };
    let hint = match kind {
        ErrorKind::Unauthenticated => {
            " (log in with --token or --user and --password, or PINTAIL_TOKEN, PINTAIL_USER and PINTAIL_PASSWORD)"
        }
        _ => "",
    };
    Error::new(kind, format!("{}{hint}", status.message()))
}
