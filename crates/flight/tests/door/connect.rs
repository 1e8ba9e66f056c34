//! Credentials, sessions and actions.

use std::sync::Arc;

use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{
    Action, BasicAuth, Criteria, Empty, FlightData, FlightDescriptor, HandshakeRequest, Ticket,
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use pintail_identity::Authenticator;
use pintail_identity::sessions::SessionLimits;
use pintail_types::SystemClock;
use prost::Message as _;
use tonic::metadata::{AsciiMetadataKey, MetadataValue};
use tonic::{Code, Request, Status};

use crate::server::{ADMIN, Server, fetch, with_token};

#[tokio::test]
async fn a_handshake_gives_a_bearer_for_user_and_password() {
    let server = Server::start().await;
    for (user, password) in [("anyone", ADMIN), (ADMIN, ""), ("", ADMIN)] {
        let mut client = FlightSqlServiceClient::new(server.channel().await);
        let payload = client.handshake(user, password).await.unwrap();
        assert!(client.token().unwrap().starts_with("pintail-session."), "{user}");
        assert_eq!(payload, client.token().unwrap().as_bytes());
        let info = client.execute("SELECT 1 AS one".into(), None).await.unwrap();
        assert_eq!(fetch(&mut client, &info).await.unwrap()[0].num_rows(), 1);
    }
    let mut client = FlightSqlServiceClient::new(server.channel().await);
    let error = client.handshake("anyone", "wrong").await.unwrap_err();
    assert!(error.to_string().to_lowercase().contains("credentials"), "{error}");
}

#[tokio::test]
async fn a_handshake_takes_a_bearer_and_answers_in_headers_and_trailers() {
    let server = Server::start().await;
    let mut client = server.plain_client().await;
    let empty = futures::stream::iter([HandshakeRequest::default()]);
    let response = client.handshake(with_token(empty, ADMIN)).await.unwrap();
    let header = response.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
    let mut stream = response.into_inner();
    let answer = stream.message().await.unwrap().unwrap();
    assert!(stream.message().await.unwrap().is_none());
    let trailers = stream.trailers().await.unwrap().unwrap();
    assert_eq!(trailers.get("authorization").unwrap(), header.as_str());
    assert_eq!(header.strip_prefix("Bearer ").unwrap().as_bytes(), answer.payload);
}

/// As clients do that are older than Flight SQL.
#[tokio::test]
async fn a_handshake_takes_user_and_password_in_its_first_message() {
    let server = Server::start().await;
    let mut client = server.plain_client().await;
    for (password, expected) in [(ADMIN, Code::Ok), ("wrong", Code::Unauthenticated)] {
        let basic = BasicAuth { username: "anyone".into(), password: password.into() };
        let first = HandshakeRequest { protocol_version: 0, payload: basic.encode_to_vec().into() };
        let answer = client.handshake(Request::new(futures::stream::iter([first]))).await;
        assert_eq!(answer.as_ref().err().map_or(Code::Ok, Status::code), expected, "{password}");
        let Ok(response) = answer else { continue };
        let session = response.into_inner().message().await.unwrap().unwrap().payload;
        let session = String::from_utf8(session.to_vec()).unwrap();
        client.list_actions(with_token(Empty {}, &session)).await.unwrap();
    }
}

/// JDBC sends each parameter of a URL that it does not know as a header.
#[tokio::test]
async fn headers_are_taken_up_to_a_limit_and_the_connection_lives_on() {
    let server = Server::start().await;
    let mut client = server.plain_client().await;
    for (kibibytes, is_taken) in [(60, true), (70, false), (0, true)] {
        let mut request = with_token(Empty {}, ADMIN);
        for number in 0..kibibytes {
            let name = AsciiMetadataKey::from_bytes(format!("unknown-{number}").as_bytes()).unwrap();
            request.metadata_mut().insert(name, "x".repeat(1024).parse().unwrap());
        }
        let answer =
            async { client.list_actions(request).await?.into_inner().try_collect::<Vec<_>>().await }.await;
        assert_eq!(answer.is_ok(), is_taken, "{kibibytes} KiB: {answer:?}");
    }
}

#[tokio::test]
async fn a_closed_session_is_refused() {
    let server = Server::start().await;
    let mut client = FlightSqlServiceClient::new(server.channel().await);
    client.handshake("anyone", ADMIN).await.unwrap();
    let session = client.token().unwrap().clone();
    let mut plain = server.plain_client().await;
    let close = || with_token(Action { r#type: "CloseSession".into(), body: Bytes::new() }, &session);
    let results: Vec<_> = plain.do_action(close()).await.unwrap().into_inner().try_collect().await.unwrap();
    // CloseSessionResult { status: CLOSED }
    assert_eq!(results[0].body, &b"\x08\x01"[..]);
    assert_eq!(plain.do_action(close()).await.unwrap_err().code(), Code::Unauthenticated);
}

/// The code with which each method answers requests that `prepare` made.
async fn codes(server: &Server, token: Option<&str>) -> Vec<(&'static str, Code)> {
    fn request<T>(message: T, token: Option<&str>) -> Request<T> {
        match token {
            Some(token) => with_token(message, token),
            None => Request::new(message),
        }
    }
    fn code<T>(result: Result<T, Status>) -> Code {
        result.err().map_or(Code::Ok, |status| status.code())
    }
    let mut client = server.plain_client().await;
    let descriptor = FlightDescriptor::new_cmd("SELECT 1");
    let data = || futures::stream::iter([FlightData::default()]);
    let action = Action { r#type: "NoSuchAction".into(), body: Bytes::new() };
    vec![
        ("ListFlights", code(client.list_flights(request(Criteria::default(), token)).await)),
        ("GetFlightInfo", code(client.get_flight_info(request(descriptor.clone(), token)).await)),
        ("PollFlightInfo", code(client.poll_flight_info(request(descriptor.clone(), token)).await)),
        ("GetSchema", code(client.get_schema(request(descriptor, token)).await)),
        ("DoGet", code(client.do_get(request(Ticket::new("SELECT 1"), token)).await)),
        ("DoPut", code(client.do_put(request(data(), token)).await)),
        ("DoExchange", code(client.do_exchange(request(data(), token)).await)),
        ("DoAction", code(client.do_action(request(action, token)).await)),
        ("ListActions", code(client.list_actions(request(Empty {}, token)).await)),
    ]
}

#[tokio::test]
async fn every_method_asks_for_credentials_first() {
    let server = Server::start().await;
    for token in [None, Some("wrong"), Some("pintail-session.wrong")] {
        for (method, code) in codes(&server, token).await {
            assert_eq!(code, Code::Unauthenticated, "{method} with {token:?}");
        }
    }
    let expected = [
        ("ListFlights", Code::Ok),
        ("GetFlightInfo", Code::Ok),
        ("PollFlightInfo", Code::Ok),
        ("GetSchema", Code::Ok),
        ("DoGet", Code::Ok),
        ("DoPut", Code::InvalidArgument),
        ("DoExchange", Code::Unimplemented),
        ("DoAction", Code::Unimplemented),
        ("ListActions", Code::Ok),
    ];
    assert_eq!(codes(&server, Some(ADMIN)).await, expected);
}

#[tokio::test]
async fn a_token_may_come_in_a_binary_header() {
    let server = Server::start().await;
    let mut client = server.plain_client().await;
    for (token, expected) in [(ADMIN, Code::Ok), ("wrong", Code::Unauthenticated)] {
        let mut request = Request::new(Empty {});
        request.metadata_mut().insert_bin("auth-token-bin", MetadataValue::from_bytes(token.as_bytes()));
        let code = client.list_actions(request).await.err().map_or(Code::Ok, |status| status.code());
        assert_eq!(code, expected, "{token}");
    }
}

#[tokio::test]
async fn a_listener_without_credentials_takes_everybody_on_loopback() {
    let open = Authenticator::new("node_flightsql", None, Vec::new(), false, true);
    let server = Server::start_with(open, Arc::new(SystemClock), SessionLimits::default(), |_| {}).await;
    for (method, code) in codes(&server, None).await {
        assert_ne!(code, Code::Unauthenticated, "{method}");
    }
    let mut client = FlightSqlServiceClient::new(server.channel().await);
    client.handshake("anyone", "anything").await.unwrap();
}

#[tokio::test]
async fn actions_are_listed() {
    let server = Server::start().await;
    let mut client = server.plain_client().await;
    let actions = client.list_actions(with_token(Empty {}, ADMIN)).await.unwrap().into_inner();
    let names: Vec<String> = actions.map(|action| action.unwrap().r#type).collect().await;
    for name in ["CreatePreparedStatement", "CancelFlightInfo", "CancelQuery", "CloseSession"] {
        assert!(names.iter().any(|known| known == name), "{name} is not among {names:?}");
    }
}
