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

fn basic(user: &str, password: &str) -> Credentials<'static> {
    Credentials::Basic { user: user.to_owned(), password: password.to_owned() }
}

#[test]
fn a_token_is_taken_as_bearer_as_password_and_as_user() {
    let gate = gate(false, true);
    for (credentials, name) in [
        (Credentials::Bearer("secret"), "grafana"),
        (basic("anyone", "secret"), "grafana"),
        (basic("secret", ""), "grafana"),
        (Credentials::Bearer("listener-token"), "node_flightsql"),
        (basic("token", "listener-token"), "node_flightsql"),
    ] {
        assert_eq!(gate.authenticate(credentials.clone()).unwrap().name, name, "{credentials:?}");
    }
    assert!(gate.authenticate(Credentials::Bearer("listener-token")).unwrap().is_admin());
    assert!(!gate.authenticate(Credentials::Bearer("secret")).unwrap().may_write());
    assert!(gate.requires_credentials());
}

#[test]
fn wrong_and_missing_credentials_are_refused() {
    let gate = gate(false, true);
    for credentials in [
        Credentials::None,
        Credentials::Bearer(""),
        Credentials::Bearer("Secret"),
        basic("grafana", "wrong"),
        basic("", ""),
        Credentials::Malformed("no colon"),
    ] {
        let error = gate.authenticate(credentials.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{credentials:?}");
    }
}

#[test]
fn without_credentials_loopback_is_local_and_elsewhere_is_anonymous_only_when_allowed() {
    let open = |allow, loopback| Authenticator::new("flight", Some(String::new()), vec![], allow, loopback);
    assert_eq!(open(false, true).authenticate(Credentials::None).unwrap(), Principal::local());
    assert_eq!(open(false, true).authenticate(basic("u", "p")).unwrap(), Principal::local());
    assert_eq!(open(true, false).authenticate(Credentials::None).unwrap(), Principal::anonymous());
    assert!(open(false, false).authenticate(Credentials::None).is_err());
    assert!(open(false, true).authenticate(Credentials::Malformed("no colon")).is_err());
    assert!(!open(false, true).requires_credentials());
    assert!(open(false, false).requires_credentials());
}

#[test]
fn allow_unauthenticated_lets_in_who_shows_nothing_but_not_who_shows_something_wrong() {
    let gate = gate(true, false);
    assert_eq!(gate.authenticate(Credentials::None).unwrap(), Principal::anonymous());
    assert_eq!(gate.authenticate(Credentials::Bearer("secret")).unwrap().name, "grafana");
    assert!(gate.authenticate(Credentials::Bearer("wrong")).is_err());
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
