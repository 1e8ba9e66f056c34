//! Sessions: by bearer, by cookie, by connection; how they end, and how many there are.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, HandshakeRequest};
use futures::TryStreamExt;
use pintail_identity::Authenticator;
use pintail_identity::sessions::SessionLimits;
use pintail_types::ManualClock;
use prost::{Message, Oneof};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::server::{ADMIN, Server, act, with_token};

/// `SessionOptionValue`
#[derive(Clone, PartialEq, Message)]
struct OptionValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(sfixed64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    List(Texts),
}

#[derive(Clone, PartialEq, Message)]
struct Texts {
    #[prost(string, repeated, tag = "1")]
    values: Vec<String>,
}

impl OptionValue {
    fn text(&self) -> Option<&str> {
        match &self.value {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// `SetSessionOptionsRequest`, and `GetSessionOptionsResult`, which looks the same.
#[derive(Clone, PartialEq, Message)]
struct Options {
    #[prost(map = "string, message", tag = "1")]
    options: HashMap<String, OptionValue>,
}

/// `SetSessionOptionsResult`
#[derive(Clone, PartialEq, Message)]
struct Errors {
    #[prost(map = "string, message", tag = "1")]
    errors: HashMap<String, ErrorValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ErrorValue {
    #[prost(int32, tag = "1")]
    value: i32,
}

type Client = FlightServiceClient<Channel>;

async fn set(client: &mut Client, token: &str, name: &str, value: &str) -> HashMap<String, i32> {
    set_value(client, token, name, Some(Value::Text(value.to_owned()))).await
}

async fn set_value(
    client: &mut Client,
    token: &str,
    name: &str,
    value: Option<Value>,
) -> HashMap<String, i32> {
    let options = HashMap::from([(name.to_owned(), OptionValue { value })]);
    let body = Options { options }.encode_to_vec();
    let results = act(client, token, "SetSessionOptions", body).await.unwrap();
    let errors = Errors::decode(results[0].clone()).unwrap().errors;
    errors.into_iter().map(|(name, error)| (name, error.value)).collect()
}

async fn option(client: &mut Client, token: &str, name: &str) -> Result<String, Status> {
    let results = act(client, token, "GetSessionOptions", Vec::new()).await?;
    let options = Options::decode(results[0].clone()).unwrap().options;
    Ok(options[name].text().unwrap().to_owned())
}

async fn schema_of(client: &mut Client, token: &str) -> Result<String, Status> {
    option(client, token, "schema").await
}

async fn close(client: &mut Client, token: &str) {
    let results = act(client, token, "CloseSession", Vec::new()).await.unwrap();
    // CloseSessionResult { status: CLOSED }
    assert_eq!(results[0], &b"\x08\x01"[..]);
}

/// The bearer and the cookie that a Handshake gives.
async fn handshake(client: &mut Client, token: &str) -> (String, String) {
    let request = with_token(futures::stream::iter([HandshakeRequest::default()]), token);
    let response = client.handshake(request).await.unwrap();
    let header = |name| response.metadata().get(name).unwrap().to_str().unwrap().to_owned();
    (header("authorization").strip_prefix("Bearer ").unwrap().to_owned(), header("set-cookie"))
}

#[tokio::test]
async fn options_belong_to_the_session_of_the_bearer() {
    let server = Server::start().await;
    let mut first = server.plain_client().await;
    let (one, _) = handshake(&mut first, ADMIN).await;
    let (other, _) = handshake(&mut first, ADMIN).await;
    assert!(set(&mut first, &one, "schema", "system").await.is_empty());
    // Over another connection, too.
    let mut second = server.plain_client().await;
    assert_eq!(schema_of(&mut second, &one).await.unwrap(), "system");
    assert_eq!(schema_of(&mut second, &other).await.unwrap(), "main");
    assert_eq!(schema_of(&mut second, ADMIN).await.unwrap(), "main");
}

#[tokio::test]
async fn without_a_handshake_the_connection_is_the_session() {
    let server = Server::start_for_readers(|_| {}).await;
    let (mut first, mut second) = (server.plain_client().await, server.plain_client().await);
    assert!(set(&mut first, "a", "schema", "system").await.is_empty());
    assert_eq!(schema_of(&mut first, "a").await.unwrap(), "system");
    assert_eq!(schema_of(&mut second, "a").await.unwrap(), "main");
    // Somebody else over the same connection is somebody else.
    assert_eq!(schema_of(&mut first, "b").await.unwrap(), "main");
    close(&mut first, "a").await;
    assert_eq!(schema_of(&mut first, "a").await.unwrap(), "main");
}

#[tokio::test]
async fn options_that_cannot_be_set_are_named() {
    let server = Server::start().await;
    let mut client = server.plain_client().await;
    // INVALID_NAME and INVALID_VALUE
    for (name, value, error) in [("no_such_option", "x", 1), ("schema", "no_such_schema", 2)] {
        let errors = set(&mut client, ADMIN, name, value).await;
        assert_eq!(errors, HashMap::from([(name.to_owned(), error)]));
    }
}

/// A value of another kind than the option has is a wrong one, and changes nothing.
#[tokio::test]
async fn options_take_values_of_every_kind() {
    let server = Server::start().await;
    let mut client = server.plain_client().await;
    let (bearer, _) = handshake(&mut client, ADMIN).await;
    let list = || Value::List(Texts { values: vec!["main".to_owned()] });
    let wrong = Some(2);
    for (name, value, error, now) in [
        ("pintail.query_timeout", Some(Value::Integer(30)), None, "30s"),
        ("pintail.query_timeout", Some(Value::Double(0.5)), None, "500ms"),
        ("pintail.query_timeout", Some(Value::Text("2 min".to_owned())), None, "120s"),
        ("pintail.query_timeout", Some(Value::Bool(true)), wrong, "120s"),
        ("pintail.query_timeout", Some(list()), wrong, "120s"),
        ("pintail.query_timeout", Some(Value::Integer(-1)), wrong, "120s"),
        ("pintail.query_timeout", None, None, "0s"),
        ("schema", Some(Value::Bool(true)), wrong, "main"),
        ("schema", Some(Value::Integer(1)), wrong, "main"),
        ("schema", Some(Value::Double(1.0)), wrong, "main"),
        ("schema", Some(list()), wrong, "main"),
        ("schema", Some(Value::Text("system".to_owned())), None, "system"),
        ("schema", None, None, "main"),
    ] {
        let errors = set_value(&mut client, &bearer, name, value.clone()).await;
        assert_eq!(errors.get(name).copied(), error, "{name} {value:?}");
        assert_eq!(option(&mut client, &bearer, name).await.unwrap(), now, "{name} {value:?}");
    }
}

#[tokio::test]
async fn a_cookie_names_a_session_of_its_owner() {
    let server = Server::start_for_readers(|_| {}).await;
    let mut client = server.plain_client().await;
    let (bearer, cookie) = handshake(&mut client, "a").await;
    set(&mut client, &bearer, "schema", "system").await;
    let with_cookie = |token: &str| -> Request<Action> {
        let action = Action { r#type: "GetSessionOptions".into(), body: bytes::Bytes::new() };
        let mut request = with_token(action, token);
        request.metadata_mut().insert("cookie", cookie.parse().unwrap());
        request
    };
    let mut other = server.plain_client().await;
    let response = other.do_action(with_cookie("a")).await.unwrap();
    assert_eq!(response.metadata().get("set-cookie").unwrap(), cookie.as_str());
    let results: Vec<_> = response.into_inner().try_collect().await.unwrap();
    let options = Options::decode(results[0].body.clone()).unwrap().options;
    assert_eq!(options["schema"].text(), Some("system"));
    assert_eq!(other.do_action(with_cookie("b")).await.unwrap_err().code(), Code::Unauthenticated);
    close(&mut client, &bearer).await;
    assert_eq!(other.do_action(with_cookie("a")).await.unwrap_err().code(), Code::Unauthenticated);
    // It does not keep its client from opening another.
    let mut again = with_token(futures::stream::iter([HandshakeRequest::default()]), "a");
    again.metadata_mut().insert("cookie", cookie.parse().unwrap());
    other.handshake(again).await.unwrap();
}

#[tokio::test]
async fn idle_and_closed_sessions_are_refused_and_not_made_again() {
    let gate = Authenticator::new("node_flightsql", Some(ADMIN.into()), Vec::new(), false, true);
    let clock = Arc::new(ManualClock::at(0));
    let limits = SessionLimits { idle: Duration::from_secs(60), ..SessionLimits::default() };
    let server = Server::start_with(gate, clock.clone(), limits, |_| {}).await;
    let mut client = server.plain_client().await;
    let (used, _) = handshake(&mut client, ADMIN).await;
    let (idle, _) = handshake(&mut client, ADMIN).await;
    let (closed, _) = handshake(&mut client, ADMIN).await;
    close(&mut client, &closed).await;
    for _ in 0..2 {
        clock.advance(59_000_000);
        schema_of(&mut client, &used).await.unwrap();
    }
    for token in [&idle, &closed, "pintail-session.AAAA"] {
        for _ in 0..2 {
            assert_eq!(schema_of(&mut client, token).await.unwrap_err().code(), Code::Unauthenticated);
        }
    }
}

#[tokio::test]
async fn sessions_are_limited_and_admins_come_in_all_the_same() {
    let server = Server::start_for_readers(|options| options.max_sessions = 1).await;
    let mut first = server.client("a").await;
    first.execute("SELECT 1".into(), None).await.unwrap();
    let mut second = server.plain_client().await;
    let schema = |token| with_token(arrow_flight::FlightDescriptor::new_cmd("SELECT 1"), token);
    let error = second.get_schema(schema("b")).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    let mut admin = server.plain_client().await;
    admin.get_schema(schema(ADMIN)).await.unwrap();
    // Looking at options opens no session.
    schema_of(&mut second, "b").await.unwrap();
    // What the other connections held is free when they have gone.
    drop((first, admin));
    let freed = async {
        while second.get_schema(schema("b")).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), freed)
        .await
        .expect("the session of a closed connection stays");
}
