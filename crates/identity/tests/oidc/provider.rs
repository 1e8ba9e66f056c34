//! An identity provider on a free port, and a gate that trusts it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use pintail_identity::{Authenticator, Credentials, Login, LoginLimit, OidcOptions, OidcProvider, Principal};
use pintail_types::{Clock, Error, ManualClock, Micros};
use serde_json::{Value, json};

/// The moment at which tests begin, in seconds since 1970.
pub(crate) const NOW: i64 = 1_800_000_000;

/// What the provider answers; tests change it.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) is_away: bool,
    pub(crate) issuer: Option<String>,
    pub(crate) keys: Vec<Value>,
    /// What the metadata say besides.
    pub(crate) metadata: Value,
    /// The token endpoint's answer for the right password.
    pub(crate) granted: Value,
    /// What is said of each opaque token.
    pub(crate) introspected: HashMap<String, Value>,
    /// Requests by path.
    pub(crate) asked: HashMap<&'static str, usize>,
    /// The last form and the authorization it came with.
    pub(crate) last_form: HashMap<String, String>,
    pub(crate) last_authorization: String,
}

type Shared = Arc<Mutex<Answers>>;

pub(crate) struct Site {
    pub(crate) issuer: String,
    pub(crate) clock: Arc<ManualClock>,
    answers: Shared,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let answers = Shared::default();
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/introspect", post(introspect))
            .with_state((Arc::clone(&answers), issuer.clone()));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { issuer, clock: Arc::new(ManualClock::at(NOW * 1_000_000)), answers }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Answers)) {
        change(&mut self.answers.lock().unwrap());
    }

    pub(crate) fn asked(&self, path: &'static str) -> usize {
        self.answers.lock().unwrap().asked.get(path).copied().unwrap_or_default()
    }

    pub(crate) fn last_request(&self) -> (HashMap<String, String>, String) {
        let answers = self.answers.lock().unwrap();
        (answers.last_form.clone(), answers.last_authorization.clone())
    }

    pub(crate) fn wait(&self, seconds: Micros) {
        self.clock.advance(seconds * 1_000_000);
    }

    pub(crate) fn options(&self) -> OidcOptions {
        OidcOptions {
            issuer: self.issuer.clone(),
            client_id: "pintail".to_owned(),
            client_secret: "client secret".to_owned(),
            audience: String::new(),
            groups_claim: "groups".to_owned(),
            password_grant: false,
            introspection: false,
        }
    }

    /// A gate that trusts the provider, and nobody else.
    pub(crate) fn gate(&self, options: OidcOptions) -> Gate {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let provider = OidcProvider::new(options, Arc::clone(&clock)).unwrap();
        let authenticator = Authenticator::new("flight", None, Vec::new(), false, true)
            .with_providers([Arc::new(provider)])
            .with_login_limit(Arc::new(LoginLimit::new(clock)));
        Gate(authenticator)
    }
}

pub(crate) struct Gate(Authenticator);

impl Gate {
    pub(crate) async fn bearer(&self, token: &str) -> Result<Principal, Error> {
        self.login(Credentials::Bearer(token)).await
    }

    pub(crate) async fn basic(&self, user: &str, password: &str) -> Result<Principal, Error> {
        self.login(Credentials::Basic { user: user.to_owned(), password: password.to_owned() }).await
    }

    async fn login(&self, credentials: Credentials<'_>) -> Result<Principal, Error> {
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        self.0.authenticate(Login::new(credentials, Some(peer))).await
    }
}

fn ask(answers: &Shared, path: &'static str, answer: impl FnOnce(&mut Answers) -> Response) -> Response {
    let mut answers = answers.lock().unwrap();
    *answers.asked.entry(path).or_default() += 1;
    if answers.is_away { StatusCode::SERVICE_UNAVAILABLE.into_response() } else { answer(&mut answers) }
}

type Context = State<(Shared, String)>;

async fn metadata(State((answers, issuer)): Context) -> Response {
    ask(&answers, "/.well-known/openid-configuration", |answers| {
        let mut metadata = json!({
            "issuer": answers.issuer.as_ref().unwrap_or(&issuer),
            "jwks_uri": format!("{issuer}/keys"),
            "token_endpoint": format!("{issuer}/token"),
            "introspection_endpoint": format!("{issuer}/introspect"),
            "scopes_supported": ["openid", "groups", "email"],
        });
        for (key, value) in answers.metadata.as_object().into_iter().flatten() {
            metadata[key] = value.clone();
        }
        Json(metadata).into_response()
    })
}

async fn keys(State((answers, _)): Context) -> Response {
    ask(&answers, "/keys", |answers| Json(json!({"keys": answers.keys})).into_response())
}

fn remember(answers: &mut Answers, headers: &HeaderMap, form: &HashMap<String, String>) {
    answers.last_form.clone_from(form);
    let authorization = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap());
    answers.last_authorization = authorization.unwrap_or_default().to_owned();
}

/// The fields of a form.
fn fields(body: &str) -> HashMap<String, String> {
    let url = reqwest::Url::parse(&format!("form:?{body}")).unwrap();
    url.query_pairs().into_owned().collect()
}

async fn token(State((answers, _)): Context, headers: HeaderMap, body: String) -> Response {
    let form = fields(&body);
    ask(&answers, "/token", |answers| {
        remember(answers, &headers, &form);
        let refusal = match (form["username"].as_str(), form["password"].as_str()) {
            ("ann", "right") => return Json(answers.granted.clone()).into_response(),
            ("ann", "client") => "unauthorized_client",
            _ => "invalid_grant",
        };
        (StatusCode::BAD_REQUEST, Json(json!({"error": refusal}))).into_response()
    })
}

async fn introspect(State((answers, _)): Context, headers: HeaderMap, body: String) -> Response {
    let form = fields(&body);
    ask(&answers, "/introspect", |answers| {
        remember(answers, &headers, &form);
        let said = answers.introspected.get(&form["token"]).cloned();
        Json(said.unwrap_or_else(|| json!({"active": false}))).into_response()
    })
}
