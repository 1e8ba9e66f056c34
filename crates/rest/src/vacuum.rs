//! `POST /vacuum` and `POST /api/v4/node/vacuum`: `CALL system.vacuum` in the form of Homer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{AsArray, RecordBatch};
use axum::Json;
use axum::extract::{Query, Request, State};
use futures::TryStreamExt;
use pintail_engine::{SessionOptions, Statement};
use pintail_identity::Principal;
use pintail_types::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::node_api::{DOOR, Node};
use crate::query::read_body;
use crate::reply::Failure;

/// What is asked for, in the query of the URL or in the body.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct VacuumRequest {
    expire_older_than: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Vacuumed {
    /// Whether every step succeeded.
    success: bool,
    volumes_count: usize,
    expire_older_than: Option<String>,
    duration_ms: u64,
    results: Vec<Volume>,
}

/// The steps of one volume.
#[derive(Debug, Serialize)]
struct Volume {
    volume: String,
    lake: String,
    results: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Step {
    step: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// What was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Does it, and answers when it is done. A client that goes away ends it.
pub(crate) async fn vacuum(
    State(node): State<Arc<Node>>,
    mut request: Request,
) -> Result<Json<Vacuumed>, Failure> {
    let started = Instant::now();
    let principal = request
        .extensions_mut()
        .remove::<Principal>()
        .ok_or_else(|| Error::internal("a request came past the authentication"))?;
    let expire_older_than = age_of(request).await?;
    let session = node.engine.session(principal, DOOR, SessionOptions::default());
    let statement = session.vacuum(expire_older_than.as_deref()).await?;
    let results = by_volume(&session.current_catalog(), steps(&statement).await?);
    let failed = |volume: &Volume| volume.results.iter().any(|step| step.error.is_some());
    Ok(Json(Vacuumed {
        success: !results.iter().any(failed),
        volumes_count: results.len(),
        expire_older_than,
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        results,
    }))
}

/// How old the snapshots are that are to go: in the body or, if that is empty, in the query of the URL.
async fn age_of(request: Request) -> Result<Option<String>, Failure> {
    let in_url = Query::<VacuumRequest>::try_from_uri(request.uri()).map_err(|error| {
        Error::invalid(format!("the URL takes expire_older_than=7%20days and nothing else: {error}"))
    })?;
    let body = read_body(request).await?;
    if body.is_empty() {
        return Ok(in_url.0.expire_older_than);
    }
    let in_body: VacuumRequest = serde_json::from_slice(&body).map_err(|error| {
        Error::invalid(format!(
            "the body must be empty or JSON such as {{\"expire_older_than\": \"7 days\"}}: {error}"
        ))
    })?;
    Ok(in_body.expire_older_than.or(in_url.0.expire_older_than))
}

/// The steps with their catalogs.
async fn steps(statement: &Statement) -> Result<Vec<(String, Step)>> {
    let batches: Vec<RecordBatch> = statement.execute().await?.try_collect().await?;
    let mut steps = Vec::new();
    for batch in &batches {
        let [task, catalog, table, state, message] =
            ["task", "catalog", "table_name", "state", "message"].map(|column| texts(batch, column));
        let rows = task?.into_iter().zip(catalog?).zip(table?).zip(state?).zip(message?);
        for ((((step, catalog), table), state), message) in rows {
            let succeeded = state.as_deref() == Some("finished");
            let step = step.unwrap_or_default();
            let step = match succeeded {
                true => Step { step, table, status: Some("ok"), message, error: None },
                false => Step { step, table, status: None, message: None, error: message.or(state) },
            };
            steps.push((catalog.unwrap_or_default(), step));
        }
    }
    Ok(steps)
}

fn texts(batch: &RecordBatch, column: &str) -> Result<Vec<Option<String>>> {
    let values = batch.column_by_name(column).and_then(|values| values.as_string_opt::<i32>());
    let values = values.ok_or_else(|| Error::internal(format!("steps of maintenance have no {column}")))?;
    Ok(values.iter().map(|value| value.map(str::to_owned)).collect())
}

/// The steps of each volume, whose catalog is named after the lake and the volume.
fn by_volume(lake: &str, steps: Vec<(String, Step)>) -> Vec<Volume> {
    let mut volumes: BTreeMap<String, Vec<Step>> = BTreeMap::new();
    for (catalog, step) in steps {
        volumes.entry(catalog).or_default().push(step);
    }
    let volume = |(catalog, results): (String, Vec<Step>)| {
        let name = catalog.strip_prefix(lake).and_then(|rest| rest.strip_prefix('_'));
        Volume { volume: name.unwrap_or(&catalog).to_owned(), lake: catalog.clone(), results }
    };
    volumes.into_iter().map(volume).collect()
}
