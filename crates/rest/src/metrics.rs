//! `GET /metrics`: Prometheus text, made anew for each request.

use std::fmt;
use std::sync::Arc;

use ::metrics::{Key, KeyName, Label, Level, Metadata, Recorder, SharedString};
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use pintail_engine::Engine;
use pintail_identity::tls::Listener;
use tokio_util::sync::CancellationToken;

use crate::reply::{method_not_allowed, no_such_path};
use crate::{LIMITS, health};

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

type Collector = Box<dyn Fn(&Samples<'_>) + Send + Sync>;

/// Where metrics come from: functions that are asked for each request.
///
/// Nothing is counted here; a sample is what its room counts itself, at that moment. So metrics and system
/// tables agree, and a value may also fall.
#[derive(Default)]
pub struct MetricsSource {
    collectors: Vec<Collector>,
}

impl MetricsSource {
    /// A source without metrics.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function that gives samples. It is called on an async thread and must not block.
    pub fn register(&mut self, collector: impl Fn(&Samples<'_>) + Send + Sync + 'static) {
        self.collectors.push(Box::new(collector));
    }

    /// All samples as Prometheus text (exposition format 0.0.4).
    pub fn render(&self) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        let samples = Samples { recorder: &recorder };
        for collector in &self.collectors {
            collector(&samples);
        }
        recorder.handle().render()
    }
}

impl fmt::Debug for MetricsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsSource").field("collectors", &self.collectors.len()).finish()
    }
}

/// Takes the samples of one request.
pub struct Samples<'a> {
    recorder: &'a PrometheusRecorder,
}

impl Samples<'_> {
    /// A counter's value. Counters count since the start of the process; their names end in `_total`.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        value: u64,
    ) {
        let key_name = KeyName::from_const_str(name);
        self.recorder.describe_counter(key_name, None, SharedString::const_str(help));
        self.recorder.register_counter(&key(name, labels), &METADATA).absolute(value);
    }

    /// A gauge's value.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&'static str, &str)], value: f64) {
        let key_name = KeyName::from_const_str(name);
        self.recorder.describe_gauge(key_name, None, SharedString::const_str(help));
        self.recorder.register_gauge(&key(name, labels), &METADATA).set(value);
    }
}

impl fmt::Debug for Samples<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Samples").finish_non_exhaustive()
    }
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<Label> =
        labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(name, labels)
}

/// Serves `GET /metrics` and `GET /health` until `shutdown` is cancelled. Both need no credentials: the
/// listener belongs on loopback or a network for monitoring.
pub async fn serve_metrics(
    source: MetricsSource,
    engine: Arc<Engine>,
    listener: Listener,
    shutdown: CancellationToken,
) {
    pintail_http::serve(listener, router(Arc::new(source), engine), LIMITS, shutdown).await;
}

fn router(source: Arc<MetricsSource>, engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/metrics", get(metrics).with_state(source))
        .route("/health", get(|State(engine): State<Arc<Engine>>| async move { health::answer(&engine) }))
        .fallback(no_such_path)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(engine)
}

async fn metrics(State(source): State<Arc<MetricsSource>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], source.render())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn samples_are_those_of_the_moment_and_may_fall() {
        let packets = Arc::new(AtomicU64::new(7));
        let mut source = MetricsSource::new();
        let counted = Arc::clone(&packets);
        source.register(move |samples| {
            let labels = [("transport", "udp"), ("outcome", "in_flight"), ("reason", "")];
            let value = counted.load(Ordering::Relaxed);
            samples.counter("pintail_ingest_packets_total", "Packets by outcome.", &labels, value);
            samples.gauge("pintail_journal_bytes", "Bytes in the journal.", &[], 1.5);
        });
        let line = "pintail_ingest_packets_total{transport=\"udp\",outcome=\"in_flight\",reason=\"\"}";
        let text = source.render();
        assert!(text.contains("# TYPE pintail_ingest_packets_total counter\n"), "{text}");
        assert!(text.contains("# HELP pintail_ingest_packets_total Packets by outcome.\n"), "{text}");
        assert!(text.contains(&format!("{line} 7\n")), "{text}");
        assert!(text.contains("pintail_journal_bytes 1.5\n"), "{text}");
        packets.store(3, Ordering::Relaxed);
        assert!(source.render().contains(&format!("{line} 3\n")));
    }
}
