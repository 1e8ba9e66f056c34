//! What HTTP clients are told.

use std::time::Duration;

use pintail_capture::{CaptureOptions, HttpOptions};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::site::{Site, encode, fixture, options, packet, read_to_end, request, streams};

fn with_http(change: impl FnOnce(&mut HttpOptions)) -> CaptureOptions {
    let mut options = options();
    change(options.http.as_mut().unwrap());
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_answered_by_what_is_in_them() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::open(directory.path(), options()).await;
    let good = encode(&packet(request("INVITE", "one").as_bytes()));
    let bad = {
        let mut bytes = good.clone();
        bytes[10..12].copy_from_slice(&[0, 5]);
        bytes
    };
    let cases: [(&str, Vec<u8>, u16, u64, u64); 8] = [
        ("one packet", good.clone(), 200, 1, 0),
        ("version 1", fixture("kamailio_hepv1_0.bin"), 200, 1, 0),
        ("several", streams().concat(), 200, 16, 0),
        ("a bad one among them", [good.clone(), bad.clone(), good.clone()].concat(), 200, 2, 1),
        ("something behind", [good.clone(), b"\r\n".to_vec()].concat(), 200, 1, 1),
        ("nothing", Vec::new(), 400, 0, 1),
        ("no packet", b"hello".to_vec(), 400, 0, 1),
        ("only a bad one", bad, 400, 0, 1),
    ];
    let mut received = 0;
    for (name, body, status, stored, rejected) in cases {
        let answer = site.post("/api/hep", &body).await;
        received += stored + rejected;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        if status == 200 {
            assert_eq!(answer.body, json!({"stored": stored, "rejected": rejected}), "{name}");
        } else {
            assert!(answer.body["error"].is_string(), "{name}: {answer:?}");
        }
        assert_eq!(site.count("http", "received", ""), received, "{name}");
        site.check_sums();
    }
    assert_eq!(site.count("http", "rejected", "framing"), 1);
    assert_eq!(site.count("http", "rejected", "not_hep"), 2);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_means_that_the_disk_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::open(directory.path(), options()).await;
    let answer = site.post("/api/hep", &fixture("hepjs_0.bin")).await;
    assert_eq!(answer.status, 200);
    let on_disk = std::fs::read_dir(directory.path().join("journal")).unwrap().any(|entry| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(7).any(|window| window == b"hepjs-1")
    });
    assert!(on_disk);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_and_methods_are_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::open(directory.path(), options()).await;
    for (method, path, status) in [
        ("GET", "/api/hep", 405),
        ("PUT", "/api/hep/binary", 405),
        ("POST", "/health", 405),
        ("POST", "/api/hop", 404),
        ("GET", "/", 404),
    ] {
        let answer = site.request(method, path, &[], b"").await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.body["error"].is_string(), "{method} {path}: {answer:?}");
    }
    let health = site.request("GET", "/health", &[], b"").await;
    assert_eq!((health.status, health.body), (200, json!({"status": "ok", "module": "writer"})));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let options = with_http(|http| http.auth_token = Some("secret".to_owned()));
    let site = Site::open(directory.path(), options).await;
    let body = fixture("hepjs_0.bin");
    for (header, status) in [
        ("X-None: 1", 401),
        ("Authorization: Bearer secre", 401),
        ("Authorization: Basic secret", 401),
        ("Authorization: secret", 401),
        ("Authorization: Bearer secret", 200),
        ("authorization: bearer secret", 200),
    ] {
        let answer = site.request("POST", "/api/hep", &[header], &body).await;
        assert_eq!(answer.status, status, "{header}");
        assert_eq!(answer.head.contains("www-authenticate: bearer"), status == 401, "{header}");
    }
    assert_eq!(site.note("http_unauthorized", "http"), 4);
    assert_eq!(site.count("http", "received", ""), 2);
    assert_eq!(site.request("GET", "/health", &[], b"").await.status, 200);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_bodies_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let body = fixture("kamailio_0.bin");
    let options = with_http(|http| http.max_body_bytes = body.len());
    let site = Site::open(directory.path(), options).await;
    assert_eq!(site.post("/api/hep", &body).await.status, 200);
    let longer = [body.clone(), vec![0]].concat();
    assert_eq!(site.post("/api/hep", &longer).await.status, 413);
    let chunked =
        [format!("{:x}\r\n", longer.len()).into_bytes(), longer, b"\r\n0\r\n\r\n".to_vec()].concat();
    let answer = site.request("POST", "/api/hep", &["Transfer-Encoding: chunked"], &chunked).await;
    assert_eq!(answer.status, 413);
    assert_eq!(site.count("http", "rejected", "too_large"), 2);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_tells_no_length_is_limited_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::open(directory.path(), with_http(|_| {})).await;
    let mut body = vec![1, 16, 2, 17];
    body.resize(17 << 20, b'x');
    assert_eq!(site.post("/api/hep", &body).await.status, 200);
    assert_eq!(site.count("http", "rejected", "too_large"), 1);
    site.check_sums();
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_only_announced_takes_no_room_from_others() {
    let directory = tempfile::tempdir().unwrap();
    let body = fixture("kamailio_0.bin");
    let options = with_http(|http| (http.max_body_bytes, http.max_buffered_bytes) = (1 << 20, 1 << 20));
    let site = Site::open(directory.path(), options).await;
    let mut slow = TcpStream::connect(site.address("hep_http")).await.unwrap();
    let head = "POST /api/hep HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1048576\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    // This line comes when the server has begun to wait for the body.
    let mut answer = [0; 21];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue");
    assert_eq!(site.post("/api/hep", &body).await.status, 200);
    drop(slow);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_end_ends_the_connection() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::open(directory.path(), with_http(|http| http.read_timeout = Duration::ZERO)).await;
    let mut slow = TcpStream::connect(site.address("hep_http")).await.unwrap();
    slow.write_all(b"POST /api/hep HTTP/1.1\r\nX-Slow: ").await.unwrap();
    read_to_end(&mut slow).await;
    site.stop().await;
}
