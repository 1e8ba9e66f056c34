//! Users and passwords by the password grant, and opaque tokens by introspection.

use jsonwebtoken::Algorithm;
use pintail_identity::{OidcOptions, Principal};
use pintail_types::ErrorKind;
use serde_json::{Value, json};

use crate::keys::SigningKey;
use crate::provider::{Gate, NOW, Site};

fn asking(site: &Site, password_grant: bool, introspection: bool) -> Gate {
    site.gate(OidcOptions { password_grant, introspection, ..site.options() })
}

fn claims(site: &Site, audience: &str, groups: Option<&str>) -> Value {
    let mut claims = json!({"iss": site.issuer, "aud": audience, "sub": "ann", "exp": NOW + 3600});
    if let Some(groups) = groups {
        claims["groups"] = json!(groups);
    }
    claims
}

#[tokio::test]
async fn a_password_is_given_to_the_provider_once() {
    let site = Site::start().await;
    let key = SigningKey::new("key", Algorithm::PS256);
    let access = key.sign(&claims(&site, "pintail", Some("readers,writers")));
    site.change(|answers| {
        answers.keys = vec![key.public()];
        answers.granted = json!({"access_token": access, "token_type": "Bearer", "expires_in": 60});
    });
    let gate = asking(&site, true, false);
    for _ in 0..3 {
        assert_eq!(gate.basic("ann", "right").await.unwrap(), Principal::new("ann", ["readers", "writers"]));
    }
    assert_eq!(site.asked("/token"), 1);
    let (form, authorization) = site.last_request();
    assert_eq!(form["grant_type"], "password");
    assert_eq!(form["scope"], "openid groups");
    // "pintail:client+secret"
    assert_eq!(authorization, "Basic cGludGFpbDpjbGllbnQrc2VjcmV0");
    assert!(!form.contains_key("client_secret"));
    // Not longer than the token would be good.
    site.wait(60);
    gate.basic("ann", "right").await.unwrap();
    assert_eq!(site.asked("/token"), 2);
    for (user, password) in [("ann", "wrong"), ("bob", "right"), ("ann", ""), ("", "right")] {
        let error = gate.basic(user, password).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{user} {password}");
    }
    let error = gate.basic("ann", "client").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("refused us with unauthorized_client"), "{error}");
}

#[tokio::test]
async fn the_client_secret_is_sent_as_the_provider_wants_it() {
    for (methods, secret, in_form, in_header) in [
        (json!(["client_secret_post"]), "s", true, false),
        (json!(["client_secret_post", "client_secret_basic"]), "s", false, true),
        (json!(["none"]), "", false, false),
    ] {
        let site = Site::start().await;
        site.change(|answers| {
            answers.metadata = json!({"token_endpoint_auth_methods_supported": methods});
        });
        let options =
            OidcOptions { client_secret: secret.to_owned(), password_grant: true, ..site.options() };
        site.gate(options).basic("ann", "wrong").await.unwrap_err();
        let (form, authorization) = site.last_request();
        assert_eq!(form.contains_key("client_secret"), in_form, "{methods}");
        assert_eq!(!authorization.is_empty(), in_header, "{methods}");
        assert_eq!(form.contains_key("client_id"), !in_header, "{methods}");
    }
}

#[tokio::test]
async fn the_token_that_is_for_us_and_has_the_groups_counts() {
    let site = Site::start().await;
    let key = SigningKey::new("key", Algorithm::ES256);
    let signed = |audience, groups| key.sign(&claims(&site, audience, groups));
    site.change(|answers| {
        answers.keys = vec![key.public()];
        let opaque = json!({"active": true, "username": "ann", "groups": "asked"});
        answers.introspected.insert("opaque".to_owned(), opaque);
    });
    for (access, id, introspection, expected) in [
        (signed("pintail", Some("a")), Some(signed("pintail", Some("b"))), false, Some(vec!["a"])),
        (signed("pintail", None), Some(signed("pintail", Some("b"))), false, Some(vec!["b"])),
        (signed("pintail", None), None, false, Some(vec![])),
        (signed("account", Some("a")), Some(signed("pintail", None)), false, Some(vec![])),
        ("opaque".to_owned(), Some(signed("pintail", Some("b"))), false, Some(vec!["b"])),
        ("opaque".to_owned(), None, true, Some(vec!["asked"])),
        ("opaque".to_owned(), None, false, None),
        (signed("account", Some("a")), Some(signed("another", Some("b"))), false, None),
    ] {
        site.change(|answers| answers.granted = json!({"access_token": access, "id_token": id}));
        let found = asking(&site, true, introspection).basic("ann", "right").await;
        match expected {
            Some(groups) => assert_eq!(found.unwrap(), Principal::new("ann", groups)),
            None => assert_eq!(found.unwrap_err().kind(), ErrorKind::Unavailable),
        }
    }
}

#[tokio::test]
async fn opaque_tokens_are_asked_about_and_remembered_for_a_minute() {
    let site = Site::start().await;
    site.change(|answers| {
        for (token, said) in [
            ("good", json!({"active": true, "username": "ann", "groups": ["readers"], "exp": NOW + 1000})),
            ("short", json!({"active": true, "sub": "ann", "exp": NOW + 5})),
            ("foreign", json!({"active": true, "sub": "ann", "aud": "another"})),
            ("nameless", json!({"active": true})),
            ("bad", json!({"active": false})),
        ] {
            answers.introspected.insert(token.to_owned(), said);
        }
    });
    let gate = asking(&site, false, true);
    for _ in 0..3 {
        assert_eq!(gate.bearer("good").await.unwrap(), Principal::new("ann", ["readers"]));
        assert_eq!(gate.basic("anybody", "good").await.unwrap().name, "ann");
        gate.bearer("short").await.unwrap();
    }
    assert_eq!(site.asked("/introspect"), 2);
    for token in ["bad", "foreign", "nameless", "unknown", ""] {
        assert_eq!(gate.bearer(token).await.unwrap_err().kind(), ErrorKind::Unauthenticated, "{token}");
    }
    let before = site.asked("/introspect");
    site.wait(5);
    gate.bearer("good").await.unwrap();
    gate.bearer("short").await.unwrap();
    assert_eq!(site.asked("/introspect"), before + 1);
    site.change(|answers| drop(answers.introspected.remove("good")));
    gate.bearer("good").await.unwrap();
    site.wait(60);
    assert!(gate.bearer("good").await.is_err());
}

#[tokio::test]
async fn guesses_are_counted_and_a_provider_that_is_away_is_no_guess() {
    let site = Site::start().await;
    let gate = asking(&site, true, true);
    site.change(|answers| answers.is_away = true);
    for _ in 0..20 {
        assert_eq!(gate.basic("ann", "wrong").await.unwrap_err().kind(), ErrorKind::Unavailable);
        site.wait(1);
    }
    site.change(|answers| answers.is_away = false);
    site.wait(10);
    for _ in 0..10 {
        assert_eq!(gate.basic("ann", "wrong").await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    }
    let asked = site.asked("/token");
    assert_eq!(gate.basic("ann", "right").await.unwrap_err().kind(), ErrorKind::Exhausted);
    assert_eq!(site.asked("/token"), asked);
}
