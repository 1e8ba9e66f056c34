use pintail_types::ErrorKind;

use super::*;

fn grafana() -> TokenEntry {
    let sha256 = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"; // "secret"
    TokenEntry::from_hex("grafana", sha256, vec!["readers".to_owned()]).unwrap()
}

fn gate(allow_unauthenticated: bool, loopback: bool) -> Authenticator {
    let token = Some("listener-token".to_owned());
    Authenticator::new("node_flightsql", token, vec![grafana()], allow_unauthenticated, loopback)
}

async fn let_in(gate: &Authenticator, credentials: Credentials<'_>) -> Result<Principal> {
    gate.authenticate(Login::new(credentials, None)).await
}

fn basic(user: &str, password: &str) -> Credentials<'static> {
    Credentials::Basic { user: user.to_owned(), password: password.to_owned() }
}

#[tokio::test]
async fn a_token_is_taken_as_bearer_as_password_and_as_user() {
    let gate = gate(false, true);
    for (credentials, name) in [
        (Credentials::Bearer("secret"), "grafana"),
        (basic("anyone", "secret"), "grafana"),
        (basic("secret", ""), "grafana"),
        (Credentials::Bearer("listener-token"), "node_flightsql"),
        (basic("token", "listener-token"), "node_flightsql"),
    ] {
        assert_eq!(let_in(&gate, credentials.clone()).await.unwrap().name, name, "{credentials:?}");
    }
    assert!(let_in(&gate, Credentials::Bearer("listener-token")).await.unwrap().is_admin());
    assert!(!let_in(&gate, Credentials::Bearer("secret")).await.unwrap().may_write());
    assert!(gate.requires_credentials());
}

#[tokio::test]
async fn wrong_and_missing_credentials_are_refused() {
    let gate = gate(false, true);
    for credentials in [
        Credentials::None,
        Credentials::Bearer(""),
        Credentials::Bearer("Secret"),
        basic("grafana", "wrong"),
        basic("", ""),
        Credentials::Malformed("no colon"),
    ] {
        let error = let_in(&gate, credentials.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{credentials:?}");
    }
}

#[tokio::test]
async fn without_credentials_loopback_is_local_and_elsewhere_is_anonymous_only_when_allowed() {
    let open = |allow, loopback| Authenticator::new("flight", Some(String::new()), vec![], allow, loopback);
    assert_eq!(let_in(&open(false, true), Credentials::None).await.unwrap(), Principal::local());
    assert_eq!(let_in(&open(false, true), basic("u", "p")).await.unwrap(), Principal::local());
    assert_eq!(let_in(&open(true, false), Credentials::None).await.unwrap(), Principal::anonymous());
    assert!(let_in(&open(false, false), Credentials::None).await.is_err());
    assert!(let_in(&open(false, true), Credentials::Malformed("no colon")).await.is_err());
    assert!(!open(false, true).requires_credentials());
    assert!(open(false, false).requires_credentials());
}

#[tokio::test]
async fn allow_unauthenticated_lets_in_who_shows_nothing_but_not_who_shows_something_wrong() {
    let gate = gate(true, false);
    assert_eq!(let_in(&gate, Credentials::None).await.unwrap(), Principal::anonymous());
    assert_eq!(let_in(&gate, Credentials::Bearer("secret")).await.unwrap().name, "grafana");
    assert!(let_in(&gate, Credentials::Bearer("wrong")).await.is_err());
    assert!(!gate.requires_credentials());
}

#[test]
fn digests_are_64_hexadecimal_digits() {
    for wrong in
        ["", "ab", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65), &"a".repeat(66), &"é".repeat(32)]
    {
        assert!(TokenEntry::from_hex("x", wrong, vec![]).is_err(), "{wrong}");
    }
    assert!(TokenEntry::from_hex("x", &"aB".repeat(32), vec![]).is_ok());
}

#[test]
fn only_loopback_binds_without_credentials() {
    for (address, has_credentials, allow, fine) in [
        ("127.0.0.1", false, false, true),
        ("127.9.9.9", false, false, true),
        ("::1", false, false, true),
        ("::ffff:127.0.0.1", false, false, true),
        ("0.0.0.0", false, false, false),
        ("::", false, false, false),
        ("10.0.0.1", false, false, false),
        ("10.0.0.1", true, false, true),
        ("10.0.0.1", false, true, true),
    ] {
        let checked = check_binding("flight", address.parse().unwrap(), has_credentials, allow);
        assert_eq!(checked.is_ok(), fine, "{address} {has_credentials} {allow}");
    }
    let refused = check_binding("flight", "0.0.0.0".parse().unwrap(), false, false).unwrap_err();
    assert!(refused.message().contains("flight") && refused.message().contains("auth_token"), "{refused}");
}

#[test]
fn secrets_are_not_printed() {
    let shown = format!("{:?} {:?}", gate(false, false), grafana());
    assert!(!shown.contains("listener-token") && !shown.contains("sha256"), "{shown}");
}

#[tokio::test]
async fn an_address_waits_after_too_many_wrong_tokens_and_others_do_not() {
    let clock = Arc::new(pintail_types::ManualClock::at(0));
    let gate = gate(false, true).with_login_limit(Arc::new(LoginLimit::new(clock.clone())));
    let from = async |token, peer: &str| {
        let login = Login::new(Credentials::Bearer(token), Some(peer.parse().unwrap()));
        gate.authenticate(login).await.map_err(|error| error.kind())
    };
    for _ in 0..9 {
        assert_eq!(from("wrong", "10.0.0.1").await, Err(ErrorKind::Unauthenticated));
    }
    // A success forgets what failed before.
    from("secret", "10.0.0.1").await.unwrap();
    for _ in 0..10 {
        assert_eq!(from("wrong", "10.0.0.1").await, Err(ErrorKind::Unauthenticated));
    }
    assert_eq!(from("secret", "10.0.0.1").await, Err(ErrorKind::Exhausted));
    from("secret", "10.0.0.2").await.unwrap();
    clock.advance(6_000_000);
    from("secret", "10.0.0.1").await.unwrap();
    // Showing nothing is no guess.
    for _ in 0..20 {
        let login = Login::new(Credentials::None, Some("10.0.0.3".parse().unwrap()));
        assert_eq!(gate.authenticate(login).await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    }
}
