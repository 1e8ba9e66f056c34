use std::time::Duration;

use pintail_engine::QueryInfo;
use pintail_identity::Principal;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{Server, TOKEN, ask, get, post, request};

/// Longer than anything here takes; only a defect waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// More rows than all buffers on the way hold.
const MANY: &str = "SELECT a.session_id, b.session_id AS other, repeat('x', 200) AS text \
                    FROM hep_proto_1_call a CROSS JOIN hep_proto_1_call b";

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|index| format!("{prefix}{index}")).collect()
}

#[tokio::test]
async fn both_forms_give_rows_as_objects() {
    let server = Server::start().await;
    server.append(&names("call-", 2), r#"{"cseq":"1 INVITE"}"#);
    let sql = "SELECT session_id, timestamp, src_port, data_extra ->> 'cseq' AS cseq \
               FROM hep_proto_1_call ORDER BY 1";
    let row = |call: &str| {
        json!({
            "session_id": call, "timestamp": "2026-11-20T10:10:52.430000", "src_port": null,
            "cseq": "1 INVITE",
        })
    };
    let data = json!([row("call-0"), row("call-1")]);
    let answer = server.query("/query", sql).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    assert_eq!(answer.json(), json!({"success": true, "data": data, "count": 2}));
    assert!(answer.headers.contains_key("pintail-query-id"));
    let answer = server.query("/api/v4/node/query", sql).await;
    let columns = json!(["session_id", "timestamp", "src_port", "cseq"]);
    assert_eq!(answer.json(), json!({"columns": columns, "data": data, "count": 2}));
}

#[tokio::test]
async fn no_rows_are_an_empty_array() {
    let server = Server::start().await;
    let sql = "SELECT session_id FROM hep_proto_1_call";
    assert_eq!(server.query("/query", sql).await.json(), json!({"success": true, "data": [], "count": 0}));
    let expected = json!({"columns": ["session_id"], "data": [], "count": 0});
    assert_eq!(server.query("/api/v4/node/query", sql).await.json(), expected);
}

#[tokio::test]
async fn a_large_result_is_complete() {
    let server = Server::start().await;
    server.append(&names("call-", 300), "{}");
    let answer = server.query("/query", MANY).await.json();
    assert_eq!((answer["count"].as_u64(), answer["data"].as_array().unwrap().len()), (Some(90_000), 90_000));
}

#[tokio::test]
async fn errors_before_the_first_row_have_an_error_status() {
    let server = Server::start().await;
    server.append(&names("call-", 1), "{}");
    for (sql, status) in [
        ("SELEC 1", 400),
        ("", 400),
        ("SELECT nothing FROM hep_proto_1_call", 400),
        ("SELECT 1 FROM no_such_table", 400),
        ("SELECT 1; SELECT 2", 400),
        ("SET schema = 'system'", 501),
        ("SELECT CAST(session_id AS BIGINT) FROM hep_proto_1_call", 400),
    ] {
        let answer = server.query("/query", sql).await;
        let body = answer.json();
        assert_eq!((answer.status.as_u16(), &body["success"]), (status, &json!(false)), "{sql}: {body}");
        assert!(!body["error"].as_str().unwrap().is_empty(), "{sql}");
    }
}

#[tokio::test]
async fn updates_tell_how_many_rows_they_changed() {
    let server = Server::start().await;
    for (sql, affected) in [
        ("CREATE TABLE notes (a INT)", 0),
        ("INSERT INTO notes VALUES (1), (2)", 2),
        ("DELETE FROM notes WHERE a = 1", 1),
    ] {
        let answer = server.query("/query", sql).await;
        let body = answer.json();
        assert_eq!(answer.status.as_u16(), 200, "{sql}: {body}");
        assert_eq!(
            (&body["success"], &body["count"], &body["affected_rows"]),
            (&json!(true), &json!(0), &json!(affected)),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn an_error_after_rows_were_sent_cannot_be_taken_for_the_end() {
    let server = Server::start().await;
    for _ in 0..4 {
        server.append(&vec!["1".to_owned(); 8192], "{}");
    }
    server.append(&["not a number".to_owned()], "{}");
    let answer = server.query("/query", "SELECT CAST(session_id AS BIGINT) AS n FROM hep_proto_1_call").await;
    if answer.status.is_success() {
        assert!(!answer.complete, "the body ended as if it were complete");
        assert!(serde_json::from_str::<serde_json::Value>(&answer.text).is_err());
        assert!(
            answer.text.contains("\"success\":false,\"error\":"),
            "{}",
            &answer.text[answer.text.len() - 300..]
        );
    }
    let sql = "SELECT error FROM system.queries WHERE state = 'failed'";
    let failed = server.query("/query", sql).await.json();
    assert_eq!(failed["count"], 1, "{failed}");
    assert!(answer.status.is_success(), "the error came before the first rows: {answer:?}");
}

#[tokio::test]
async fn requests_are_refused_with_json() {
    let server = Server::start().await;
    let body = json!({"sql": "SELECT 1"}).to_string();
    let bearer = format!("Bearer {TOKEN}");
    let long = json!({"sql": "x".repeat(3 << 20)}).to_string();
    for (asked, status) in [
        (post("/query", body.as_str()), 401),
        (post("/query", body.as_str()).header("authorization", "Bearer wrong"), 401),
        (get("/api/v4/node/stats"), 401),
        (post("/api/v1/metadata/check", r#"{"min_ts": 0, "max_ts": 1}"#), 401),
        (get("/api/v1/metadata/stats"), 401),
        (get("/metadata/stats"), 401),
        (post("/api/v1/metadata/check", "{}").header("authorization", &bearer), 400),
        (
            post("/api/v1/metadata/check", r#"{"min_ts": 2, "max_ts": 1}"#).header("authorization", &bearer),
            400,
        ),
        (get("/api/v1/metadata/check").header("authorization", &bearer), 405),
        (
            post("/query", body.as_str())
                .header("authorization", &bearer)
                .header("origin", "http://evil.example"),
            403,
        ),
        (post("/query", "SELECT 1").header("authorization", &bearer), 400),
        (post("/query", "{}").header("authorization", &bearer), 400),
        (post("/query", r#"{"sql": "SELECT 1", "limt": 1}"#).header("authorization", &bearer), 400),
        (post("/query", long).header("authorization", &bearer), 413),
        (get("/query").header("authorization", &bearer), 405),
        (request("DELETE", "/health"), 405),
        (get("/nothing"), 404),
    ] {
        let answer = ask(server.address, asked).await;
        let body = answer.json();
        assert_eq!(answer.status.as_u16(), status, "{body}");
        assert_eq!(body["success"], false, "{body}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401);
        assert_eq!(answer.headers.contains_key("allow"), status == 405, "{answer:?}");
    }
    let own_site = format!("http://{}", server.address);
    let asked = post("/query", body).header("authorization", &bearer).header("origin", own_site);
    assert_eq!(ask(server.address, asked).await.status.as_u16(), 200);
}

#[tokio::test]
async fn stats_tell_the_flight_address_and_the_volumes() {
    let server = Server::start().await;
    let asked = get("/api/v4/node/stats").header("authorization", format!("Bearer {TOKEN}"));
    let expected =
        json!({"running": true, "address": "0.0.0.0:50051", "volumes_count": 2, "volumes": ["hot", "cold"]});
    assert_eq!(ask(server.address, asked).await.json(), expected);
    // Tools that know only user and password, and Homer's header for a bare token.
    // "anybody:admin-token"
    let basic = "Basic YW55Ym9keTphZG1pbi10b2tlbg==";
    for (header, value) in [("authorization", basic), ("auth-token", TOKEN)] {
        let asked = get("/api/v4/node/stats").header(header, value);
        assert_eq!(ask(server.address, asked).await.json(), expected, "{header}");
    }
}

#[tokio::test]
async fn metadata_has_the_form_that_homer_documents() {
    let server = Server::start().await;
    server.append(&names("call-", 3), "{}");
    let bearer = format!("Bearer {TOKEN}");
    let check =
        post("/api/v1/metadata/check", r#"{"min_ts": 1737590400000000000, "max_ts": 1795999999999999999}"#);
    let answer = ask(server.address, check.header("authorization", &bearer)).await.json();
    let (time, date) = (1_795_169_452_430_000_000_i64, "2026-11-20T10:10:52Z");
    let expected = json!({
        "has_data": true, "node_min_ts": time, "node_max_ts": time,
        "oldest_data": date, "newest_data": date, "data_span_hours": 0,
    });
    assert_eq!(answer, expected);
    let stats = ask(server.address, get("/api/v1/metadata/stats").header("authorization", &bearer)).await;
    let expected = json!({
        "row_count": 3, "min_timestamp": time, "max_timestamp": time,
        "oldest_data": date, "newest_data": date, "catalog_type": "sqlite",
        "data_path": server.lake.volume_states().unwrap()[0].data_path,
    });
    assert_eq!(stats.json(), expected);
    let bounds = ask(server.address, get("/metadata/stats").header("authorization", &bearer)).await;
    assert_eq!(bounds.json(), json!({"min_ts": time, "max_ts": time}));
}

/// Sends a query for many rows and reads only the start of the answer.
async fn start_reading(server: &Server) -> TcpStream {
    let body = json!({ "sql": MANY }).to_string();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /query HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n\r\n{body}",
        server.address,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 1024];
    stream.read_exact(&mut start).await.unwrap();
    assert!(start.starts_with(b"HTTP/1.1 200 OK\r\n"));
    stream
}

/// The query named `MANY`.
fn reading(server: &Server) -> QueryInfo {
    let queries = server.engine.queries().list(&Principal::local());
    queries.into_iter().find(|query| &*query.sql == MANY).unwrap()
}

/// Waits until the query named `MANY` has ended.
async fn ended(server: &Server) -> QueryInfo {
    let id = reading(server).id;
    tokio::time::timeout(PATIENCE, server.engine.queries().ended(id)).await.unwrap();
    reading(server)
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_plan_and_loses_its_query() {
    let server = Server::start_with_stall_timeout(Duration::from_millis(50)).await;
    server.append(&names("call-", 3000), "{}");
    let stream = start_reading(&server).await;
    // A plan that went on would come to its end.
    let query = ended(&server).await;
    assert_eq!(query.state.name(), "failed");
    assert!(query.error.unwrap().contains("the reader took no rows"));
    assert!(query.rows < 1_000_000, "{} of 9000000 rows for a client that does not read", query.rows);
    drop(stream);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody_and_one_that_leaves_ends_its_query() {
    let server = Server::start().await;
    server.append(&names("call-", 3000), "{}");
    let stream = start_reading(&server).await;
    assert_eq!(server.query("/query", "SELECT 1 AS one").await.json()["data"], json!([{"one": 1}]));
    assert_eq!(reading(&server).state.name(), "running");
    drop(stream);
    assert_eq!(ended(&server).await.state.name(), "cancelled");
}

#[tokio::test]
async fn vacuum_tells_each_step_in_both_forms() {
    let server = Server::start().await;
    let bearer = format!("Bearer {TOKEN}");
    let steps = |body: &serde_json::Value| -> Vec<String> {
        let steps = body["results"][0]["results"].as_array().unwrap().iter();
        steps.map(|step| format!("{} {}", step["step"].as_str().unwrap(), step["status"])).collect()
    };
    for ask_for in [
        post("/vacuum?expire_older_than=1%20hour", ""),
        post("/api/v4/node/vacuum", r#"{"expire_older_than": "1 hour"}"#),
    ] {
        let answer = ask(server.address, ask_for.header("authorization", &bearer)).await;
        let body = answer.json();
        assert_eq!((answer.status.as_u16(), &body["success"]), (200, &json!(true)), "{body}");
        assert_eq!((&body["volumes_count"], &body["expire_older_than"]), (&json!(1), &json!("1 hour")));
        assert_eq!(body["results"][0]["volume"], "default");
        assert_eq!(body["results"][0]["lake"], "homer_lake_default");
        assert!(body["duration_ms"].is_u64(), "{body}");
        let steps = steps(&body);
        assert_eq!(steps.first().unwrap(), "flush \"ok\"");
        assert_eq!(steps.last().unwrap(), "cleanup \"ok\"");
        assert!(steps.contains(&"compact \"ok\"".to_owned()) && steps.len() > 5, "{steps:?}");
    }
    let plain = ask(server.address, post("/vacuum", "").header("authorization", &bearer)).await.json();
    assert_eq!((&plain["success"], &plain["expire_older_than"]), (&json!(true), &json!(null)));
    for (path, body, status) in [
        ("/vacuum?expire_older_than=soon", "", 400),
        ("/vacuum?expire=1%20hour", "", 400),
        ("/api/v4/node/vacuum", "{", 400),
    ] {
        let answer = ask(server.address, post(path, body).header("authorization", &bearer)).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        assert_eq!(answer.json()["success"], json!(false));
    }
    assert_eq!(ask(server.address, post("/vacuum", "")).await.status.as_u16(), 401);
    let got = ask(server.address, get("/vacuum").header("authorization", &bearer)).await;
    assert_eq!(got.status.as_u16(), 405);
}
