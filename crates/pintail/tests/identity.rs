//! Who gets in: users of a file, sessions, and those who guess.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use arrow_flight::sql::client::FlightSqlServiceClient;
use serde_json::{Value, json};
use support::{Server, http, merge, pintail};
use tonic::transport::{Channel, Endpoint};

/// What `pintail hash-password` prints for this password.
fn user_line(name: &str, groups: &str, password: &str) -> Output {
    let mut command = pintail();
    command.args(["hash-password", name, "--groups", groups]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// A server whose users are ann, a writer, and bob, with more changes to its configuration.
fn with_users(directory: &Path, changes: Value) -> Server {
    let users = directory.join("users");
    if !users.exists() {
        let lines = [user_line("ann", "writers", "a:b c\n"), user_line("bob", "", "bob's\n")];
        let text: Vec<u8> = lines.into_iter().flat_map(|output| output.stdout).collect();
        std::fs::write(&users, text).unwrap();
    }
    let mut config = json!({"identity": {"users_file": users}});
    merge(&mut config, changes);
    Server::start_with(directory, config)
}

#[test]
fn users_log_in_at_every_query_listener() {
    let directory = tempfile::tempdir().unwrap();
    let server = with_users(directory.path(), json!({}));
    let principal = "SELECT DISTINCT principal FROM system.queries";
    for (user, password, expected) in [
        ("ann", "a:b c", Some("ann")),
        ("bob", "bob's", Some("bob")),
        ("bob", "a:b c", None),
        ("carl", "", None),
    ] {
        let output =
            server.sql(&["--user", user, "--password", password, "--output", "csv", "-e", principal]);
        match expected {
            Some(name) => assert_eq!(String::from_utf8_lossy(&output.stdout), format!("principal\n{name}\n")),
            None => assert_eq!(output.status.code(), Some(1), "{output:?}"),
        }
    }
    let node = server.address("node_http");
    let query = json!({"sql": "SELECT 1 AS one"});
    // "bob:bob's" and "bob:wrong"
    for (basic, status) in [("Ym9iOmJvYidz", 200), ("Ym9iOndyb25n", 401)] {
        let authorization = format!("Basic {basic}");
        let answer = http::post_json(node, "/query", &[("Authorization", &authorization)], &query);
        assert_eq!(answer.0, status, "{answer:?}");
    }
}

#[test]
fn those_who_guess_have_to_wait_at_all_listeners() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_with(
        directory.path(),
        json!({"node": {"flight_server": {"auth_token": "right"}, "flightsql_server": {"auth_token": "right"}}}),
    );
    let node = server.address("node_http");
    let query = json!({"sql": "SELECT 1 AS one"});
    let ask = |token: &str| {
        http::post_json(node, "/query", &[("Authorization", &format!("Bearer {token}"))], &query)
    };
    assert_eq!(ask("right").0, 200);
    let guesses = (0..1000).map(|_| ask("wrong").0).take_while(|status| *status == 401).count();
    assert!((10..1000).contains(&guesses), "{guesses} guesses were free");
    let (status, body) = ask("right");
    assert_eq!(status, 429, "{body}");
    assert!(body["error"].as_str().unwrap().contains("too many failed logins from 127.0.0.1: try again in"));
    let refused = server.sql(&["--token", "right", "-e", "SELECT 1"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("too many failed logins"), "{refused:?}");
    assert_eq!(http::get(node, "/health").0, 200);
}

async fn client(server: &Server) -> FlightSqlServiceClient<Channel> {
    let url = format!("http://{}", server.address("node_flightsql"));
    FlightSqlServiceClient::new(Endpoint::from_shared(url).unwrap().connect().await.unwrap())
}

/// Whether a session's bearer is good.
async fn is_good(server: &Server, token: &str) -> bool {
    let mut client = client(server).await;
    client.set_token(token.to_owned());
    client.execute("SELECT 1".into(), None).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_survive_a_restart_but_not_a_changed_token() {
    let directory = tempfile::tempdir().unwrap();
    let server = with_users(directory.path(), json!({}));
    let mut handshake = client(&server).await;
    handshake.handshake("ann", "a:b c").await.unwrap();
    let token = handshake.token().unwrap().clone();
    assert!(is_good(&server, &token).await);
    drop(handshake);
    drop(server);
    let server = with_users(directory.path(), json!({}));
    assert!(is_good(&server, &token).await);
    assert!(!is_good(&server, &token[..token.len() - 2]).await);
    drop(server);
    let server = with_users(directory.path(), json!({"node": {"flightsql_server": {"auth_token": "new"}}}));
    assert!(!is_good(&server, &token).await);
}

#[test]
fn passwords_are_hashed_for_the_file_of_users() {
    for (name, groups, password, fine) in [
        ("ann", "a,b", "secret\n", true),
        ("ann", "", "without an end of line", true),
        ("an:n", "", "secret\n", false),
        ("#ann", "", "secret\n", false),
        ("ann", "a:b", "secret\n", false),
        ("ann", "", "\n", false),
        ("ann", "", &"x".repeat(1025), false),
    ] {
        let output = user_line(name, groups, password);
        assert_eq!(output.status.success(), fine, "{name} {groups} {output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed.starts_with(&format!("{name}:$argon2id$v=19$")), fine, "{printed}");
        assert_eq!(printed.ends_with(&format!(":{groups}\n")), fine, "{printed}");
    }
}
