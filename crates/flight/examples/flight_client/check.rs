//! One printed line per feature, and the servers to try it on.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow_flight::FlightInfo;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;
pub(crate) type Client = FlightSqlServiceClient<Channel>;

/// How long to wait for what must happen soon, such as a cancelled query to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The servers, from a file of `key=value` lines.
pub(crate) struct Target(HashMap<String, String>);

impl Target {
    pub(crate) fn read(path: &str) -> Outcome<Self> {
        let text = std::fs::read_to_string(path)?;
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Ok(Self(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()))
    }

    pub(crate) fn get(&self, key: &str) -> Outcome<&str> {
        let value = self.0.get(key);
        Ok(value.ok_or_else(|| format!("the target file has no key {key}"))?)
    }

    /// A query with its marker replaced.
    pub(crate) fn query(&self, key: &str, marker: &str) -> Outcome<String> {
        Ok(self.get(key)?.replace("MARKER", marker))
    }

    /// A connection to the listener of this name, without credentials.
    pub(crate) async fn open(&self, listener: &str) -> Outcome<Client> {
        let address = self.get(listener)?;
        let endpoint = match listener {
            "tls" => Endpoint::from_shared(format!("https://{address}"))?.tls_config(self.trust()?)?,
            _ => Endpoint::from_shared(format!("http://{address}"))?,
        };
        Ok(Client::new(endpoint.connect().await?))
    }

    /// The listener that wants certificates, with one or without.
    pub(crate) async fn open_mutual(&self, with_certificate: bool) -> Outcome<Client> {
        let mut tls = self.trust()?;
        if with_certificate {
            let read = |key| -> Outcome<Vec<u8>> { Ok(std::fs::read(self.get(key)?)?) };
            tls = tls.identity(Identity::from_pem(read("client_certificate")?, read("client_key")?));
        }
        let address = format!("https://{}", self.get("mutual_tls")?);
        Ok(Client::new(Endpoint::from_shared(address)?.tls_config(tls)?.connect().await?))
    }

    fn trust(&self) -> Outcome<ClientTlsConfig> {
        Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(std::fs::read(self.get("ca")?)?)))
    }

    /// A connection that shows the token under `key`.
    pub(crate) async fn with_token(&self, listener: &str, key: &str) -> Outcome<Client> {
        let mut client = self.open(listener).await?;
        client.set_token(self.get(key)?.to_owned());
        Ok(client)
    }

    /// A connection after a Handshake.
    pub(crate) async fn with_password(&self, listener: &str, user: &str, password: &str) -> Outcome<Client> {
        let mut client = self.open(listener).await?;
        client.handshake(self.get(user)?, self.get(password)?).await?;
        Ok(client)
    }
}

/// Runs one feature and prints its line.
pub(crate) async fn feature(name: &str, run: impl Future<Output = Outcome<String>>) {
    match run.await {
        Ok(detail) => line(name, "pass", &detail),
        Err(error) => line(name, "fail", &error.to_string()),
    }
}

/// `client<TAB>feature<TAB>pass|fail<TAB>detail`
pub(crate) fn line(feature: &str, outcome: &str, detail: &str) {
    let detail: String = detail.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(400).collect();
    println!("arrow-rs\t{feature}\t{outcome}\t{detail}");
}

/// Asks whoever started us to restart the server with TLS, and waits until it is there again.
pub(crate) fn restart_server() -> Outcome {
    println!("restart");
    std::io::stdout().flush()?;
    std::io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}

/// An error unless `actual` is `expected`.
pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(actual: T, expected: T, what: &str) -> Outcome {
    if actual == expected {
        return Ok(());
    }
    Err(format!("{what} is {actual:?} and should be {expected:?}").into())
}

/// The message of what must have failed; it must hold every part, in any case of letters.
pub(crate) fn fails<T>(result: Outcome<T>, parts: &[&str]) -> Outcome<String> {
    let Err(error) = result else { return Err("it should have failed".into()) };
    let message = error.to_string();
    match parts.iter().find(|part| !message.to_lowercase().contains(&part.to_lowercase())) {
        Some(part) => Err(format!("the error should say {part}: {message}").into()),
        None => Ok(message),
    }
}

/// The rows of the one endpoint of `info`.
pub(crate) async fn fetch(client: &mut Client, info: &FlightInfo) -> Outcome<Vec<RecordBatch>> {
    let [endpoint] = info.endpoint.as_slice() else {
        return Err(format!("{} endpoints", info.endpoint.len()).into());
    };
    let ticket = endpoint.ticket.clone().ok_or("an endpoint without a ticket")?;
    let mut stream = client.do_get(ticket).await?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.try_next().await? {
        batches.push(batch);
    }
    // What was announced is what came, also without rows.
    let announced = info.clone().try_decode_schema()?;
    let streamed = stream.schema().ok_or("a stream without a schema")?;
    equal(streamed.fields(), announced.fields(), "the stream's schema")?;
    Ok(batches)
}

/// The rows of a query.
pub(crate) async fn query(client: &mut Client, sql: &str) -> Outcome<Vec<RecordBatch>> {
    let info = client.execute(sql.to_owned(), None).await?;
    fetch(client, &info).await
}

/// Rows of all batches.
pub(crate) fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// The one whole number that `batches` hold.
pub(crate) fn one_number(batches: &[RecordBatch]) -> Outcome<i64> {
    let batch = batches.iter().find(|batch| batch.num_rows() > 0).ok_or("no row")?;
    let column = batch.column(0).as_primitive_opt::<Int64Type>();
    Ok(column.ok_or_else(|| format!("the column is {}", batch.column(0).data_type()))?.value(0))
}

/// The texts of a column.
pub(crate) fn texts(batches: &[RecordBatch], column: &str) -> Outcome<Vec<String>> {
    let mut all = Vec::new();
    for batch in batches {
        let found = batch.column_by_name(column).ok_or_else(|| format!("no column {column}"))?;
        let texts = found.as_string_opt::<i32>().ok_or_else(|| format!("{column} is no text"))?;
        all.extend(texts.iter().flatten().map(str::to_owned));
    }
    Ok(all)
}

/// An error unless every wanted name is among `names`.
pub(crate) fn holds(names: &[String], wanted: &[&str]) -> Outcome<String> {
    match wanted.iter().find(|name| !names.iter().any(|found| found == *name)) {
        Some(missing) => Err(format!("no {missing} among {names:?}").into()),
        None => Ok(format!("{} rows", names.len())),
    }
}

/// Waits until the queries that hold `marker` have ended.
pub(crate) async fn wait_until_idle(client: &mut Client, live: &str) -> Outcome {
    let limit = Instant::now() + PATIENCE;
    while one_number(&query(client, live).await?)? > 0 {
        if Instant::now() > limit {
            return Err(format!("the cancelled query still runs after {PATIENCE:?}").into());
        }
    }
    Ok(())
}
