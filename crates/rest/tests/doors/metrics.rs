use pintail_engine::Health;
use pintail_rest::MetricsSource;

use crate::server::{Server, ask, get, request};

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let mut source = MetricsSource::new();
    source.register(|samples| {
        let labels = [("transport", "tcp"), ("outcome", "stored"), ("reason", "")];
        samples.counter("pintail_ingest_packets_total", "Packets.", &labels, 12_345_678_901_234_567);
    });
    let server = Server::start_with(source, None).await;
    let answer = ask(server.metrics, get("/metrics")).await;
    assert_eq!((answer.status.as_u16(), answer.complete), (200, true));
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let line =
        "pintail_ingest_packets_total{transport=\"tcp\",outcome=\"stored\",reason=\"\"} 12345678901234567\n";
    assert!(answer.text.contains(line), "{}", answer.text);
    assert_eq!(ask(server.metrics, request("POST", "/metrics")).await.status.as_u16(), 405);
    assert_eq!(ask(server.metrics, get("/query")).await.status.as_u16(), 404);
}

#[tokio::test]
async fn health_is_open_and_says_whether_data_is_safe() {
    let server = Server::start().await;
    *server.facts.0.lock() = Health {
        ok: true,
        oldest_unflushed_age_ms: Some(1500),
        last_commit: Some(1_795_169_452_430_000),
        last_snapshot: Some(7),
        journal_bytes: 4096,
        ..Health::default()
    };
    for address in [server.address, server.metrics] {
        let answer = ask(address, get("/health")).await;
        assert_eq!(answer.status.as_u16(), 200);
        let expected = serde_json::json!({
            "status": "ok", "module": "node", "problems": [], "warnings": [], "oldest_unflushed_age_ms": 1500,
            "last_commit": "2026-11-20T10:10:52.430000Z", "last_snapshot": 7, "journal_bytes": 4096,
            "hot_rows": 0, "hot_bytes": 0,
        });
        assert_eq!(answer.json(), expected);
    }
    *server.facts.0.lock() = Health { problems: vec!["the journal is full".to_owned()], ..Health::default() };
    for address in [server.address, server.metrics] {
        let answer = ask(address, get("/health")).await;
        assert_eq!(answer.status.as_u16(), 503);
        let body = answer.json();
        assert_eq!(
            (&body["status"], &body["problems"][0]),
            (&"failing".into(), &"the journal is full".into())
        );
    }
}
