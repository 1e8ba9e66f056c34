//! `pintail sql`: a client of any Flight SQL server. Results are written as they arrive.

mod table;
mod writer;

#[cfg(test)]
mod tests;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use pintail_types::{Error, ErrorKind, Result};
use tonic::transport::{Channel, Endpoint};

use crate::cli::{OutputForm, Sql};
use crate::output;

use writer::ResultWriter;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest message taken from a server.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// Runs the statements one after the other; the first error ends it.
pub(crate) fn run(arguments: &Sql) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("no runtime: {error}")))?;
    runtime.block_on(async {
        let mut client = connect(&arguments.url, arguments.token.as_deref()).await?;
        for (index, sql) in arguments.execute.iter().enumerate() {
            if index > 0 && arguments.output == OutputForm::Table {
                output::line("")?;
            }
            query(&mut client, sql, arguments.output).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// A client of the server at `url`.
///
/// # Errors
/// `Invalid` for a URL of another kind, `Unavailable` when nobody answers.
async fn connect(url: &str, token: Option<&str>) -> Result<FlightSqlServiceClient<Channel>> {
    let endpoint = Endpoint::from_shared(http_url(url)?)
        .map_err(|error| Error::invalid(format!("'{url}' is not a URL: {error}")))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true);
    let channel = endpoint.connect().await.map_err(|error| {
        let reason = root_cause(&error);
        Error::unavailable(format!("can't connect to {url}: {reason}"))
    })?;
    let inner = arrow_flight::flight_service_client::FlightServiceClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut client = FlightSqlServiceClient::new_from_inner(inner);
    if let Some(token) = token.filter(|token| !token.is_empty()) {
        client.set_token(token.to_owned());
    }
    Ok(client)
}

/// `grpc://host:port` as the HTTP client wants it.
fn http_url(url: &str) -> Result<String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("grpc", url));
    match scheme {
        "grpc" | "grpc+tcp" | "http" => {
            let authority = rest.trim_end_matches('/');
            let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            Ok(if has_port { format!("http://{authority}") } else { format!("http://{authority}:50055") })
        }
        "grpc+tls" | "grpcs" | "https" => Err(Error::unsupported(format!(
            "'{url}': TLS is not served by this version; reach the server through a tunnel and grpc://"
        ))),
        other => {
            Err(Error::invalid(format!("'{url}': scheme '{other}' is not known; write grpc://HOST:PORT")))
        }
    }
}

async fn query(client: &mut FlightSqlServiceClient<Channel>, sql: &str, form: OutputForm) -> Result<()> {
    let info = client.execute(sql.to_owned(), None).await.map_err(flight_error)?;
    let schema = info
        .clone()
        .try_decode_schema()
        .map_err(|error| Error::internal(format!("the server's result schema can't be read: {error}")))?;
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

fn flight_error(error: FlightError) -> Error {
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
        ErrorKind::Unauthenticated => " (give a token with --token or PINTAIL_TOKEN)",
        _ => "",
    };
    Error::new(kind, format!("{}{hint}", status.message()))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
