//! JWTs as bearers: every algorithm that is taken, and everything that is not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pintail_identity::{OidcProvider, Principal};
use pintail_types::{ErrorKind, ManualClock};
use serde_json::{Value, json};

use crate::keys::SigningKey;
use crate::provider::{NOW, Site};

fn claims(site: &Site) -> Value {
    json!({
        "iss": site.issuer, "aud": "pintail", "sub": "1234", "preferred_username": "ann",
        "groups": ["writers"], "iat": NOW, "nbf": NOW, "exp": NOW + 300,
    })
}

fn ann() -> Principal {
    Principal::new("ann", ["writers"])
}

#[tokio::test]
async fn every_algorithm_with_a_public_key_is_taken() {
    let site = Site::start().await;
    let gate = site.gate(site.options());
    for algorithm in [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ] {
        let key = SigningKey::new("the key", algorithm);
        site.change(|answers| answers.keys = vec![key.public()]);
        // A new gate has no keys yet.
        let fresh = site.gate(site.options());
        assert_eq!(fresh.bearer(&key.sign(&claims(&site))).await.unwrap(), ann(), "{algorithm:?}");
        // Tools that know only user and password give the token as password.
        assert_eq!(fresh.basic("anybody", &key.sign(&claims(&site))).await.unwrap(), ann(), "{algorithm:?}");
    }
    let key = SigningKey::new("the key", Algorithm::EdDSA);
    let in_time = key.sign_with(&claims(&site), |header| header.typ = Some("at+jwt".to_owned()));
    assert_eq!(gate.bearer(&in_time).await.unwrap(), ann());
}

/// A token with this header and no signature of a key.
fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[tokio::test]
async fn wrong_tokens_are_refused_with_the_reason() {
    let site = Site::start().await;
    let rsa = SigningKey::new("rsa", Algorithm::RS256);
    let elliptic = SigningKey::new("elliptic", Algorithm::ES256);
    let stranger = SigningKey::new("elliptic", Algorithm::ES256);
    let short = SigningKey::short("short");
    let mut for_encryption = SigningKey::new("encryption", Algorithm::ES256).public();
    for_encryption["use"] = json!("enc");
    let shared = json!({"kty": "oct", "kid": "shared", "k": URL_SAFE_NO_PAD.encode("secret")});
    let public =
        [rsa.public(), elliptic.public(), short.public(), for_encryption, shared, json!({"kty": "new"})];
    site.change(|answers| answers.keys = public.to_vec());
    let gate = site.gate(site.options());
    let good = claims(&site);
    let with = |key: &str, value: Value| {
        let mut changed = good.clone();
        changed[key] = value;
        rsa.sign(&changed)
    };
    let shared_key_token = |secret: &[u8], id: &str| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(id.to_owned());
        jsonwebtoken::encode(&header, &good, &EncodingKey::from_secret(secret)).unwrap()
    };
    let signed = rsa.sign(&good);
    assert_eq!(gate.bearer(&signed).await.unwrap(), ann());
    // The signature of one token under the claims of another.
    let more = with("groups", json!(["admin"]));
    let spliced = format!("{}.{}", more.rsplit_once('.').unwrap().0, signed.rsplit_once('.').unwrap().1);
    for (token, reason) in [
        (unsigned(&json!({"alg": "none"}), &good, ""), "algorithm 'none' is not taken"),
        (unsigned(&json!({"alg": "None", "kid": "rsa"}), &good, ""), "algorithm 'None' is not taken"),
        (shared_key_token(b"secret", "shared"), "algorithm 'HS256' is not taken"),
        // The public key taken for a shared secret.
        (
            shared_key_token(public[0]["n"].as_str().unwrap().as_bytes(), "rsa"),
            "algorithm 'HS256' is not taken",
        ),
        (
            unsigned(&json!({"alg": "ES512", "kid": "elliptic"}), &good, "AAAA"),
            "algorithm 'ES512' is not taken",
        ),
        (unsigned(&json!({"alg": "RS256", "kid": "rsa"}), &good, "AAAA"), "signature is wrong"),
        (unsigned(&json!({"alg": "RS256", "kid": "rsa"}), &good, ""), "signature is wrong"),
        (spliced, "signature is wrong"),
        (stranger.sign(&good), "signature is wrong"),
        (rsa.sign_with(&good, |header| header.kid = Some("elliptic".into())), "RS256 does not fit the key"),
        (elliptic.sign_with(&good, |header| header.kid = Some("rsa".into())), "ES256 does not fit the key"),
        (rsa.sign_with(&good, |header| header.alg = Algorithm::PS256), "PS256 does not fit the key"),
        (SigningKey::new("unknown", Algorithm::ES256).sign(&good), "a key that its issuer does not have"),
        (short.sign(&good), "a key that its issuer does not have"),
        (SigningKey::new("encryption", Algorithm::ES256).sign(&good), "a key that its issuer does not have"),
        (rsa.sign_with(&good, |header| header.typ = Some("logout+jwt".into())), "type 'logout+jwt'"),
        (rsa.sign_with(&good, |header| header.crit = Some(vec!["b64".into()])), "critical extensions"),
        (with("iss", json!("https://other.example")), "no issuer that is configured"),
        (with("iss", json!(null)), "no issuer that is configured"),
        (with("aud", json!("another")), "not for the audience 'pintail'"),
        (with("aud", json!(null)), "not for the audience 'pintail'"),
        (with("exp", json!(NOW - 61)), "has expired"),
        (with("exp", json!(null)), "has no expiry"),
        (with("nbf", json!(NOW + 61)), "not valid yet"),
    ] {
        let error = gate.bearer(&token).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{reason}: {error}");
        assert!(error.message().contains(reason), "{reason}: {error}");
    }
    for opaque in ["", "a.b.c", "opaque", &signed[..40], &format!("{signed}.more")] {
        assert_eq!(gate.bearer(opaque).await.unwrap_err().kind(), ErrorKind::Unauthenticated, "{opaque}");
    }
    for in_time in
        [with("exp", json!(NOW - 59)), with("nbf", json!(NOW + 59)), with("aud", json!(["x", "pintail"]))]
    {
        assert_eq!(gate.bearer(&in_time).await.unwrap(), ann());
    }
}

#[tokio::test]
async fn the_audience_of_the_configuration_counts() {
    let site = Site::start().await;
    let key = SigningKey::new("key", Algorithm::ES256);
    site.change(|answers| answers.keys = vec![key.public()]);
    let mut options = site.options();
    options.audience = "telemetry".to_owned();
    options.groups_claim = "realm_access.roles".to_owned();
    let gate = site.gate(options);
    assert!(gate.bearer(&key.sign(&claims(&site))).await.is_err());
    let mut other = claims(&site);
    other["aud"] = json!(["telemetry"]);
    other["realm_access"] = json!({"roles": ["admin"]});
    assert_eq!(gate.bearer(&key.sign(&other)).await.unwrap(), Principal::new("ann", ["admin"]));
}

#[tokio::test]
async fn keys_are_rotated_without_asking_for_every_unknown_one() {
    let site = Site::start().await;
    let (old, new) = (SigningKey::new("old", Algorithm::ES256), SigningKey::new("new", Algorithm::ES256));
    site.change(|answers| answers.keys = vec![old.public()]);
    let gate = site.gate(site.options());
    let mut lasting = claims(&site);
    lasting["exp"] = json!(NOW + 100_000);
    gate.bearer(&old.sign(&lasting)).await.unwrap();
    assert_eq!(site.asked("/keys"), 1);
    // The key is new and the provider was asked a moment ago: it is left alone for ten seconds.
    site.change(|answers| answers.keys = vec![old.public(), new.public()]);
    for _ in 0..3 {
        assert!(gate.bearer(&new.sign(&lasting)).await.is_err());
    }
    assert_eq!(site.asked("/keys"), 1);
    site.wait(10);
    gate.bearer(&new.sign(&lasting)).await.unwrap();
    gate.bearer(&old.sign(&lasting)).await.unwrap();
    assert_eq!(site.asked("/keys"), 2);
    // A key that was withdrawn is trusted for five minutes at most.
    site.change(|answers| answers.keys = vec![new.public()]);
    gate.bearer(&old.sign(&lasting)).await.unwrap();
    site.wait(300);
    assert!(gate.bearer(&old.sign(&lasting)).await.is_err());
    gate.bearer(&new.sign(&lasting)).await.unwrap();
}

#[tokio::test]
async fn known_keys_are_good_while_the_provider_is_away_for_a_day() {
    let site = Site::start().await;
    let key = SigningKey::new("key", Algorithm::ES256);
    site.change(|answers| answers.keys = vec![key.public()]);
    let gate = site.gate(site.options());
    let mut lasting = claims(&site);
    lasting["exp"] = json!(NOW + 1_000_000);
    let token = key.sign(&lasting);
    gate.bearer(&token).await.unwrap();
    site.change(|answers| answers.is_away = true);
    site.wait(23 * 3600);
    for _ in 0..3 {
        gate.bearer(&token).await.unwrap();
    }
    // Asked once, then left alone for a while.
    assert_eq!(site.asked("/keys") + site.asked("/.well-known/openid-configuration"), 4);
    site.wait(2 * 3600);
    let error = gate.bearer(&token).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let error = gate.bearer(&token).await.unwrap_err();
    assert!(error.message().contains("asked again in 10 s"), "{error}");
    site.change(|answers| answers.is_away = false);
    site.wait(10);
    gate.bearer(&token).await.unwrap();
}

#[tokio::test]
async fn a_provider_that_says_it_is_another_is_not_trusted() {
    let key = SigningKey::new("key", Algorithm::ES256);
    for (change, wanted) in [
        (json!({"issuer": "https://other.example"}), "names the issuer 'https://other.example'"),
        (json!({"jwks_uri": "http://id.example.com/keys"}), "must begin with https://"),
        (json!({"token_endpoint": "ftp://x"}), "must begin with https://"),
        (json!({"jwks_uri": 7}), "something unreadable"),
    ] {
        let site = Site::start().await;
        site.change(|answers| {
            answers.keys = vec![key.public()];
            answers.metadata = change.clone();
        });
        let error = site.gate(site.options()).bearer(&key.sign(&claims(&site))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{change}");
        assert!(error.message().contains(wanted), "{change}: {error}");
    }
}

#[tokio::test]
async fn wrong_tokens_are_no_guesses_and_block_nobody() {
    let site = Site::start().await;
    let key = SigningKey::new("key", Algorithm::ES256);
    site.change(|answers| answers.keys = vec![key.public()]);
    let gate = site.gate(site.options());
    let mut expired = claims(&site);
    expired["exp"] = json!(NOW - 100);
    for _ in 0..20 {
        let error = gate.bearer(&key.sign(&expired)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    }
    for _ in 0..10 {
        assert_eq!(gate.bearer("opaque").await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    }
    assert_eq!(gate.bearer("opaque").await.unwrap_err().kind(), ErrorKind::Exhausted);
    gate.bearer(&key.sign(&claims(&site))).await.unwrap();
}

#[tokio::test]
async fn issuers_are_https_and_secrets_are_not_printed() {
    let site = Site::start().await;
    let clock = || std::sync::Arc::new(ManualClock::at(0));
    for (issuer, client_id, wanted) in [
        ("http://id.example.com", "pintail", "issuer: 'http://id.example.com' must begin with https://"),
        ("", "pintail", "issuer: '' is not a URL"),
        ("https://id.example.com", "", "a client_id is needed"),
    ] {
        let mut options = site.options();
        options.issuer = issuer.to_owned();
        options.client_id = client_id.to_owned();
        let error = OidcProvider::new(options, clock()).unwrap_err();
        assert!(error.message().contains(wanted), "{error}");
    }
    let shown = format!("{:?} {:?}", site.options(), OidcProvider::new(site.options(), clock()).unwrap());
    assert!(shown.contains("pintail") && !shown.contains("client secret"), "{shown}");
}
