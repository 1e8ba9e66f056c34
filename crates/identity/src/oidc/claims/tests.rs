use serde_json::json;

use super::*;

fn claims(value: Value) -> Claims {
    let Value::Object(map) = value else { panic!("{value}") };
    Claims::new(map)
}

#[test]
fn issuer_audience_and_times_are_checked() {
    let good = json!({"iss": "I", "aud": "A", "exp": 1000, "sub": "s"});
    for (changes, problem) in [
        (json!({}), None),
        (json!({"aud": ["B", "A"]}), None),
        (json!({"exp": 941}), None),
        (json!({"exp": 1000.5}), None),
        (json!({"nbf": 1060}), None),
        (json!({"iss": "J"}), Some("another issuer")),
        (json!({"iss": ["I"]}), Some("another issuer")),
        (json!({"iss": null}), Some("another issuer")),
        (json!({"aud": "B"}), Some("audience 'A'")),
        (json!({"aud": []}), Some("audience 'A'")),
        (json!({"aud": null}), Some("audience 'A'")),
        (json!({"exp": 940}), Some("has expired")),
        (json!({"exp": null}), Some("has no expiry")),
        (json!({"exp": "1000"}), Some("has no expiry")),
        (json!({"nbf": 1061}), Some("not valid yet")),
        (json!({"nbf": "soon"}), Some("not valid yet")),
    ] {
        let mut tried = good.clone();
        for (key, value) in changes.as_object().unwrap() {
            tried[key] = value.clone();
        }
        let checked = claims(tried).check("I", "A", 1000);
        match problem {
            None => checked.unwrap(),
            Some(problem) => {
                let error = checked.unwrap_err();
                assert!(error.message().contains(problem), "{changes}: {error}");
            }
        }
    }
}

#[test]
fn an_introspection_may_leave_claims_out_but_not_have_wrong_ones() {
    for (said, fine) in [
        (json!({"active": true}), true),
        (json!({"active": true, "iss": "I", "aud": ["A"], "exp": 1000, "nbf": 1000}), true),
        (json!({"active": true, "iss": "J"}), false),
        (json!({"active": true, "aud": "B"}), false),
        (json!({"active": true, "exp": 900}), false),
        (json!({"active": true, "nbf": 2000}), false),
    ] {
        let said = claims(said);
        assert!(said.is_active());
        assert_eq!(said.check_introspected("I", "A", 1000).is_ok(), fine, "{said:?}");
    }
    for inactive in [json!({}), json!({"active": false}), json!({"active": "true"}), json!({"active": 1})] {
        assert!(!claims(inactive).is_active());
    }
}

#[test]
fn principals_have_the_groups_of_the_claim() {
    for (said, groups_claim, expected) in [
        (json!({"sub": "s", "groups": ["a", "b"]}), "groups", Some(("s", vec!["a", "b"]))),
        (json!({"sub": "s", "groups": "a b,c , d"}), "groups", Some(("s", vec!["a", "b", "c", "d"]))),
        (json!({"sub": "s", "groups": {"a": 1}}), "groups", Some(("s", vec![]))),
        (json!({"sub": "s", "groups": [1, null, "x"]}), "groups", Some(("s", vec!["x"]))),
        (json!({"sub": "s", "preferred_username": "ann"}), "groups", Some(("ann", vec![]))),
        (json!({"sub": "s", "username": "bob"}), "groups", Some(("bob", vec![]))),
        (json!({"sub": "s", "realm_access": {"roles": ["r"]}}), "realm_access.roles", Some(("s", vec!["r"]))),
        (json!({"sub": "s", "https://x.y/groups": ["r"]}), "https://x.y/groups", Some(("s", vec!["r"]))),
        (json!({"sub": "s", "groups": ["a\u{0}admin", "", "b"]}), "groups", Some(("s", vec!["b"]))),
        (json!({"sub": "s\u{0}admin"}), "groups", None),
        (json!({"sub": ""}), "groups", None),
        (json!({"sub": 7}), "groups", None),
        (json!({}), "groups", None),
        (json!({"sub": "s".repeat(257)}), "groups", None),
    ] {
        let found = claims(said.clone()).principal(groups_claim).ok();
        let expected = expected.map(|(name, groups)| Principal::new(name, groups));
        assert_eq!(found, expected, "{said}");
    }
    let many: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    assert_eq!(
        claims(json!({"sub": "s", "groups": many})).principal("groups").unwrap().groups.len(),
        MAX_GROUPS
    );
}
