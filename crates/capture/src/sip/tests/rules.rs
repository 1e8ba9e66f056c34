//! One table for each rule.

use std::fmt::Write;

use crate::sip::{HeaderNames, MAX_MESSAGES, SipMessage, SipProblem, StartLine, messages, parse};

/// Head of a request that has all that a message needs.
const COMPLETE: &str = "INVITE sip:bob@example.org SIP/2.0\r\nCall-ID: a@b\r\nCSeq: 1 INVITE\r\n";

/// A complete request with these lines added to its head.
fn with(lines: &str) -> String {
    format!("{COMPLETE}{lines}\r\n\r\n")
}

fn wanted(names: &[&str]) -> HeaderNames {
    HeaderNames::new(names)
}

/// Parses a complete message and hands it to `look`.
#[track_caller]
fn read<T>(text: &str, look: impl FnOnce(&SipMessage<'_>) -> T) -> T {
    look(&parse(text.as_bytes(), &HeaderNames::default()).unwrap())
}

#[test]
fn start_lines() {
    let cases = [
        ("INVITE sip:bob@example.org SIP/2.0\r\n", "INVITE|sip:bob@example.org"),
        ("INVITE sip:bob@example.org sip/2.0\r\n", "INVITE|sip:bob@example.org"),
        ("invite sip:bob@example.org SIP/2.0\n", "invite|sip:bob@example.org"),
        ("X-.!%*_+`'~1 urn:service:sos SIP/2.0\r\n", "X-.!%*_+`'~1|urn:service:sos"),
        ("OPTIONS sip:a b SIP/2.0 \t\r\n", "OPTIONS|sip:a b"),
        ("BYE tel:+1555;phone-context=x SIP/2.0", "BYE|tel:+1555;phone-context=x"),
        ("SIP/2.0 200 OK\r\n", "200|OK"),
        ("sip/2.0 180 Ringing\n", "180|Ringing"),
        (
            "SIP/2.0 100 trying -- your call is important to us\r\n",
            "100|trying -- your call is important to us",
        ),
        ("SIP/2.0 486\r\n", "486|"),
        ("SIP/2.0 486 \r\n", "486|"),
        ("\r\n\r\nSIP/2.0 200 OK\r\n", "200|OK"),
        ("SIP/2.0 2000 OK\r\n", ""),
        ("SIP/2.0 20 OK\r\n", ""),
        ("SIP/2.0 099 OK\r\n", ""),
        ("SIP/2.0 OK\r\n", ""),
        ("SIP/2.0\r\n", ""),
        ("INVITE sip:bob@example.org SIP/3.0\r\n", ""),
        ("INVITE sip:bob@example.org\r\n", ""),
        ("INVITE SIP/2.0\r\n", ""),
        ("INVITE  SIP/2.0\r\n", ""),
        ("INV(ITE sip:bob@example.org SIP/2.0\r\n", ""),
        (" sip:bob@example.org SIP/2.0\r\n", ""),
        ("INVITE\r\n", ""),
        ("{\"a\": 1}", ""),
        ("\r\n", ""),
        ("", ""),
    ];
    for (line, expected) in cases {
        let message = *parse(line.as_bytes(), &HeaderNames::default()).unwrap_err().partial;
        let found = match message.kind {
            StartLine::Request { method, uri } => format!("{method}|{uri}"),
            StartLine::Response { code, reason } => format!("{code}|{reason}"),
            StartLine::Unreadable => String::new(),
        };
        assert_eq!(found, expected, "{line:?}");
    }
}

#[test]
fn methods_and_codes() {
    let response = "SIP/2.0 183 Progress\r\nCall-ID: a\r\nCSeq: 7 INVITE\r\n\r\n";
    assert_eq!(
        read(response, |message| (message.effective_method().map(str::to_owned), message.response_code())),
        (Some("INVITE".to_owned()), Some(183))
    );
    let request = "ACK sip:a@b SIP/2.0\r\nCall-ID: a\r\nCSeq: 7 INVITE\r\n\r\n";
    assert_eq!(
        read(request, |message| (message.effective_method().map(str::to_owned), message.response_code())),
        (Some("ACK".to_owned()), None)
    );
}

#[test]
fn addresses() {
    // value => user, host, port, tag; a dash where there is none
    let cases = [
        ("<sip:alice@example.org>;tag=1", "alice example.org - 1"),
        ("\"Alice\" <sip:alice@example.org:5070;transport=tcp?subject=x>;tag=1", "alice example.org 5070 1"),
        ("Alice Smith <sip:alice@example.org>;x=y;TAG = 1 ;z", "alice example.org - 1"),
        ("sip:alice@example.org;tag=1", "alice example.org - 1"),
        ("sip:alice@example.org:5070", "alice example.org 5070 -"),
        ("sip:alice:secret@example.org;tag=1", "alice example.org - 1"),
        ("<sip:alice;day=tuesday@example.org>", "alice;day=tuesday example.org - -"),
        ("<SIPS:alice@example.org:5061>", "alice example.org 5061 -"),
        ("<sip:example.org>;tag=1", "- example.org - 1"),
        ("<sip:example.org:5060;lr>", "- example.org 5060 -"),
        ("<sip:@example.org>", "- example.org - -"),
        ("<sip:alice%40home@example.org>", "alice%40home example.org - -"),
        ("<sip:alice@home@example.org>", "alice example.org - -"),
        ("<sip:alice@[2001:db8::1]:5060>", "alice 2001:db8::1 5060 -"),
        ("<sip:alice@[2001:db8::1];transport=udp>", "alice 2001:db8::1 - -"),
        ("<sip:[2001:db8::1]>", "- 2001:db8::1 - -"),
        ("<sip:alice@[2001:db8::1>", "alice 2001:db8::1 - -"),
        ("<sip:alice@2001:db8::1>", "alice 2001:db8::1 - -"),
        ("<sip:alice@example.org:port>", "alice example.org - -"),
        ("<sip:alice@example.org:65536>", "alice example.org - -"),
        ("<tel:+15551234;phone-context=x>;tag=1", "+15551234 - - 1"),
        ("tel:+15551234;tag=1", "+15551234 - - 1"),
        ("<TEL:911>", "911 - - -"),
        ("<urn:service:sos>;tag=1", "urn:service:sos - - 1"),
        ("<http://example.org/a>", "http://example.org/a - - -"),
        ("<alice@example.org:5060>;tag=1", "alice example.org 5060 1"),
        ("alice@example.org;tag=1", "alice example.org - 1"),
        ("anonymous;tag=1", "anonymous - - 1"),
        ("\"a <b;c>, \\\"d\\\\\" <sip:alice@example.org>;tag=1", "alice example.org - 1"),
        ("\"tag=9;x\"<sip:alice@example.org>;tag=1", "alice example.org - 1"),
        ("\"sip:eve@evil\" <sip:alice@example.org>;tag=1", "alice example.org - 1"),
        ("\"never closed <sip:alice@example.org>;tag=1", "alice example.org - 1"),
        ("Smith; Alice <sip:alice@example.org>;tag=1", "alice example.org - 1"),
        ("Zoë ☎ <sip:alice@example.org>;tag=1", "alice example.org - 1"),
        ("<sip:alice@example.org;tag=1", "alice example.org - -"),
        ("<sip:alice@example.org>;x=\";tag=9\";tag=1", "alice example.org - 1"),
        ("sip:alice@example.org;x=\"<sip:eve@evil>\";tag=1", "alice example.org - 1"),
        ("<sip:alice@example.org>;tag", "alice example.org - -"),
        ("<sip:alice@example.org>;tag=", "alice example.org - -"),
        ("<>", "- - - -"),
        ("\"", "\" - - -"),
        (";tag=1", "- - - 1"),
        ("<sip:>", "- - - -"),
    ];
    for (value, expected) in cases {
        for header in ["From: ", "t:", "contact \t:  "] {
            let found = read(&with(&format!("{header}{value}")), |message| {
                let address = [&message.from, &message.to, &message.contact].into_iter().flatten().next();
                let address = address.unwrap();
                assert_eq!(address.value, value);
                let mut found = String::new();
                let port = address.port.map(|port| port.to_string());
                for part in [
                    address.user.as_deref(),
                    address.host.as_deref(),
                    port.as_deref(),
                    address.tag.as_deref(),
                ] {
                    write!(found, " {}", part.unwrap_or("-")).unwrap();
                }
                found
            });
            assert_eq!(found.trim_start(), expected, "{header}{value}");
        }
    }
}

#[test]
fn contacts() {
    let cases = [
        ("<sip:a@b>;expires=60;q=0.5", "sip:a@b", Some("60")),
        ("<sip:a@b;expires=9>", "sip:a@b;expires=9", None),
        ("sip:a@b;expires=\"60\"", "sip:a@b", Some("60")),
        ("<sip:a@b>;q=1, <sip:c@d>;expires=7", "sip:a@b", None),
        ("sip:a@b, sip:c@d;expires=7", "sip:a@b", None),
        ("*", "*", None),
    ];
    for (value, uri, expires) in cases {
        let text = with(&format!("Contact: {value}\r\nContact: <sip:later@host>;expires=1"));
        let (found_value, found_uri, found_expires) = read(&text, |message| {
            let contact = message.contact.clone().unwrap();
            let expires = message.contact_expires.as_deref().map(str::to_owned);
            (contact.value.into_owned(), contact.uri.unwrap().into_owned(), expires)
        });
        assert_eq!(
            (found_value.as_str(), found_uri.as_str(), found_expires.as_deref()),
            (value, uri, expires)
        );
    }
}

#[test]
fn the_topmost_via_counts() {
    let cases = [
        ("Via: SIP/2.0/UDP a:5060;branch=z1;rport", "SIP/2.0/UDP a:5060;branch=z1;rport", Some("z1")),
        (
            "Via: SIP/2.0/UDP a;branch=z1\r\nVia: SIP/2.0/UDP b;branch=z2",
            "SIP/2.0/UDP a;branch=z1",
            Some("z1"),
        ),
        ("Via: SIP/2.0/UDP a;branch=z1, SIP/2.0/UDP b;branch=z2", "SIP/2.0/UDP a;branch=z1", Some("z1")),
        ("v: SIP/2.0/UDP a ,SIP/2.0/UDP b;branch=z2", "SIP/2.0/UDP a", None),
        (
            "v:SIP/2.0/TCP [2001:db8::1]:5060 ; branch = z1 ; i=2",
            "SIP/2.0/TCP [2001:db8::1]:5060 ; branch = z1 ; i=2",
            Some("z1"),
        ),
        (
            "Via: SIP/2.0/UDP a;x=\"b,c\";branch=z1,SIP/2.0/UDP d",
            "SIP/2.0/UDP a;x=\"b,c\";branch=z1",
            Some("z1"),
        ),
        ("Via: SIP/2.0/UDP a;x=\"b,c", "SIP/2.0/UDP a;x=\"b,c", None),
        ("Via:\r\nVia: SIP/2.0/UDP b;branch=z2", "SIP/2.0/UDP b;branch=z2", Some("z2")),
        ("Via: SIP/2.0/UDP a;branch=z1,\r\n SIP/2.0/UDP b;branch=z2", "SIP/2.0/UDP a;branch=z1", Some("z1")),
    ];
    for (lines, via, branch) in cases {
        let found = read(&with(lines), |message| {
            (message.via.as_deref().map(str::to_owned), message.branch.as_deref().map(str::to_owned))
        });
        assert_eq!((found.0.as_deref(), found.1.as_deref()), (Some(via), branch), "{lines}");
    }
}

/// Long form, compact form (or the long one again), and how the value is read back.
type Field = (&'static str, &'static str, fn(&SipMessage<'_>) -> Option<String>);

const FIELDS: [Field; 14] = [
    ("Call-ID", "i", |message| message.call_id.as_deref().map(str::to_owned)),
    ("CSeq", "CSEQ", |message| message.cseq.as_deref().map(str::to_owned)),
    ("From", "f", |message| message.from.as_ref().map(|address| address.value.to_string())),
    ("To", "t", |message| message.to.as_ref().map(|address| address.value.to_string())),
    ("Contact", "m", |message| message.contact.as_ref().map(|address| address.value.to_string())),
    ("Via", "v", |message| message.via.as_deref().map(str::to_owned)),
    ("User-Agent", "user-agent", |message| message.user_agent.as_deref().map(str::to_owned)),
    ("Server", "SERVER", |message| message.server.as_deref().map(str::to_owned)),
    ("Authorization", "authorization", |message| message.authorization.as_deref().map(str::to_owned)),
    ("Content-Type", "c", |message| message.content_type.as_deref().map(str::to_owned)),
    ("Content-Length", "l", |message| message.content_length.as_deref().map(str::to_owned)),
    ("Expires", "eXPIRES", |message| message.expires.as_deref().map(str::to_owned)),
    ("Max-Forwards", "max-forwards", |message| message.max_forwards.as_deref().map(str::to_owned)),
    ("X-Call-ID", "x-call-id", |message| message.x_call_id.as_deref().map(str::to_owned)),
];

/// Reads one field of a message that may lack others.
fn field(text: &str, look: fn(&SipMessage<'_>) -> Option<String>) -> Option<String> {
    match parse(text.as_bytes(), &HeaderNames::default()) {
        Ok(message) => look(&message),
        Err(error) => look(&error.partial),
    }
}

#[test]
fn every_field_in_every_form() {
    let forms: [(&str, Option<&str>); 12] = [
        (": value one\r\n", Some("value one")),
        (":value one\r\n", Some("value one")),
        (" \t: \t value one \t\r\n", Some("value one")),
        (": value one\n", Some("value one")),
        (": value one", Some("value one")),
        (": value\r\n one\r\n", Some("value one")),
        (":\r\n\t  value \r\n \r\n\tone\r\n", Some("value one")),
        (":\n value\n one\n", Some("value one")),
        (": value one\r\n$: value two\r\n", Some("value one")),
        (":\r\n$: value two\r\n", Some("value two")),
        (" value one\r\n", None),
        (":   \r\n", None),
    ];
    for (long, short, look) in FIELDS {
        for name in [long, short] {
            for (form, expected) in forms {
                let text =
                    format!("OPTIONS sip:a@b SIP/2.0\r\nSubject: x\r\n{name}{}", form.replace('$', name));
                assert_eq!(field(&text, look).as_deref(), expected, "{text:?}");
            }
        }
    }
}

#[test]
fn no_other_short_name_is_an_alias() {
    for name in "abcdefghijklmnopqrstuvwxyz"
        .chars()
        .map(String::from)
        .chain(["ci", "fr", "cs", "vi", "ua"].map(String::from))
    {
        let text = format!("OPTIONS sip:a@b SIP/2.0\r\n{name}: value\r\n\r\n");
        let known = ["i", "f", "t", "v", "m", "c", "l"].contains(&name.as_str());
        let found = FIELDS.iter().any(|(_, _, look)| field(&text, *look).is_some());
        assert_eq!(found, known, "{name}");
    }
}

#[test]
fn cseq_is_a_number_and_a_method() {
    let cases = [
        ("1 INVITE", Some(1), Some("INVITE")),
        ("4294967295  \t BYE", Some(u32::MAX), Some("BYE")),
        ("4294967296 BYE", None, Some("BYE")),
        ("0 ACK extra", Some(0), Some("ACK")),
        ("1INVITE", None, None),
        ("INVITE", None, None),
        ("INVITE 1", None, None),
        ("1", Some(1), None),
        ("-1 INVITE", None, None),
    ];
    for (value, number, method) in cases {
        let text = format!("SIP/2.0 200 OK\r\nCall-ID: a\r\nCSeq: {value}\r\n\r\n");
        let result = parse(text.as_bytes(), &HeaderNames::default());
        assert_eq!(result.is_ok(), method.is_some(), "{value}");
        let message = result.unwrap_or_else(|error| *error.partial);
        assert_eq!(message.cseq.as_deref(), Some(value));
        assert_eq!((message.cseq_number, message.cseq_method.as_deref()), (number, method), "{value}");
    }
}

#[test]
fn what_is_missing_is_named_and_the_rest_is_kept() {
    let cases = [
        (
            "garbage\r\nCall-ID: a\r\nCSeq: 1 BYE\r\nUser-Agent: u\r\n\r\n",
            SipProblem::Unparsable,
            "sip_unparsable",
        ),
        ("BYE sip:a@b SIP/2.0\r\nCSeq: 1 BYE\r\nUser-Agent: u\r\n\r\n", SipProblem::NoCallId, "no_call_id"),
        ("BYE sip:a@b SIP/2.0\r\nUser-Agent: u\r\n", SipProblem::NoCallId, "no_call_id"),
        ("BYE sip:a@b SIP/2.0\r\nCall-ID: a\r\nUser-Agent: u", SipProblem::NoCseq, "no_cseq"),
        (
            "BYE sip:a@b SIP/2.0\r\nCall-ID: a\r\nCSeq: one BYE\r\nUser-Agent: u",
            SipProblem::NoCseq,
            "no_cseq",
        ),
    ];
    for (text, problem, reason) in cases {
        let error = parse(text.as_bytes(), &HeaderNames::default()).unwrap_err();
        assert_eq!((error.problem, error.reason()), (problem, reason), "{text}");
        assert_eq!(error.partial.user_agent.as_deref(), Some("u"));
        assert_eq!(error.partial.bytes, text.as_bytes());
        assert_eq!(error.partial.len, text.len());
    }
}

#[test]
fn garbage_lines_between_headers_are_skipped() {
    let text = with("no colon here\r\n: no name\r\n folded onto nothing\r\n\x00\x01\r\nUser-Agent: u");
    assert_eq!(read(&text, |message| message.user_agent.as_deref().map(str::to_owned)).as_deref(), Some("u"));
    let bytes = [COMPLETE.as_bytes(), b"User-Agent: caf\xe9 \xff\r\nServer: ok\r\n\r\n\xff\xfe"].concat();
    let message = parse(&bytes, &HeaderNames::default()).unwrap();
    assert_eq!(message.user_agent.as_deref(), Some("caf\u{fffd} \u{fffd}"));
    assert_eq!(message.server.as_deref(), Some("ok"));
    assert_eq!(message.body, b"\xff\xfe");
}

#[test]
fn content_length_bounds_the_body() {
    let cases = [
        ("Content-Length: 4\r\n\r\nbody", "body", 0),
        ("l: 4\r\n\r\nbodymore", "body", 4),
        ("Content-Length: 0\r\n\r\nmore", "", 4),
        ("Content-Length: 10\r\n\r\nbody", "body", 0),
        ("Content-Length: 99999999999999999999999\r\n\r\nbody", "body", 0),
        ("Content-Length: -1\r\n\r\nbody", "body", 0),
        ("Content-Length: four\r\n\r\nbody", "body", 0),
        ("Content-Length: 2\r\nContent-Length: 4\r\n\r\nbody", "bo", 2),
        ("\r\nbody", "body", 0),
        ("\nbody", "body", 0),
        ("", "", 0),
    ];
    for (tail, body, left) in cases {
        let text = format!("{COMPLETE}{tail}");
        let (found, len, bytes) =
            read(&text, |message| (message.body.to_vec(), message.len, message.bytes.len()));
        assert_eq!(found, body.as_bytes(), "{tail:?}");
        assert_eq!((len, bytes), (text.len() - left, text.len() - left), "{tail:?}");
    }
}

#[test]
fn several_messages_of_one_payload() {
    let ringing = "SIP/2.0 180 Ringing\r\ni: a\r\nCSeq: 1 INVITE\r\nl: 0\r\n\r\n";
    let answer = "SIP/2.0 200 OK\r\ni: a\r\nCSeq: 1 INVITE\r\nContent-Length: 5\r\n\r\nv=0\r\n";
    let unbounded = "BYE sip:a@b SIP/2.0\r\ni: a\r\nCSeq: 2 BYE\r\n\r\n";
    let cases: [(Vec<&str>, Vec<String>); 9] = [
        (vec![ringing, answer], vec![ringing.into(), answer.into()]),
        (vec![answer, ringing, unbounded], vec![answer.into(), ringing.into(), unbounded.into()]),
        (vec![ringing, "\r\n\r\n", answer, "\r\n\r\n"], vec![ringing.into(), format!("{answer}\r\n\r\n")]),
        (vec!["\r\n\r\n", ringing], vec![format!("\r\n\r\n{ringing}")]),
        (vec![ringing, "trailing bytes"], vec![format!("{ringing}trailing bytes")]),
        (vec![unbounded, ringing], vec![format!("{unbounded}{ringing}")]),
        (
            vec![ringing, "BYE sip:a@b SIP/2.0\r\nCall"],
            vec![ringing.into(), "BYE sip:a@b SIP/2.0\r\nCall".into()],
        ),
        (vec!["garbage\r\n", ringing], vec![format!("garbage\r\n{ringing}")]),
        (vec![], vec![String::new()]),
    ];
    for (parts, expected) in cases {
        let payload = parts.concat();
        let found: Vec<String> = messages(payload.as_bytes(), &HeaderNames::default())
            .map(|result| result.map_or_else(|error| error.partial.bytes, |message| message.bytes))
            .map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
            .collect();
        assert_eq!(found, expected, "{parts:?}");
    }
}

#[test]
fn one_payload_is_split_into_a_limited_number_of_messages() {
    let one = "A b SIP/2.0\nl:0\n\n";
    let payload = one.repeat(MAX_MESSAGES + 10);
    let names = HeaderNames::default();
    let found: Vec<_> =
        messages(payload.as_bytes(), &names).map(|result| result.unwrap_err().partial).collect();
    assert_eq!(found.len(), MAX_MESSAGES);
    assert_eq!(found.iter().map(|message| message.bytes.len()).sum::<usize>(), payload.len());
    assert_eq!(found[MAX_MESSAGES - 1].bytes.len(), 11 * one.len());
}

#[test]
fn wanted_headers_are_found_in_any_form() {
    let names = wanted(&["X-CID", " subject ", "s", "User-Agent", "P-Charging-Vector"]);
    assert_eq!((names.len(), names.get(0), names.get(2)), (5, Some("x-cid"), Some("subject")));
    let text = with("x-cid: one\r\nX-CID: two\r\nS: hello\r\n there\r\nuser-agent: u\r\nX-CI: no");
    let message = parse(text.as_bytes(), &names).unwrap();
    let found: Vec<_> = (0..names.len()).map(|index| message.wanted(index)).collect();
    assert_eq!(found, [Some("one"), Some("hello there"), Some("hello there"), Some("u"), None]);
    assert_eq!(message.user_agent.as_deref(), Some("u"));
}

#[test]
fn an_ordinary_message_is_only_borrowed() {
    let bytes = include_bytes!("../../../../../fixtures/sip/invite_738.txt");
    assert_eq!(bytes.len(), 738);
    let message = parse(bytes, &wanted(&["x-cid"])).unwrap();
    assert_eq!(message.call_id.as_deref(), Some("4b7e9d10-52c3-11f1-9a3d@198.51.100.17"));
    assert_eq!(message.from.as_ref().and_then(|from| from.user.as_deref()), Some("+4989636480"));
    assert_eq!(message.to.as_ref().and_then(|to| to.user.as_deref()), Some("+4930901820"));
    assert_eq!(message.body.len(), 211);
    assert_eq!(message.len, 738);
    let is_borrowed = |value: &std::borrow::Cow<'_, str>| matches!(value, std::borrow::Cow::Borrowed(_));
    assert!(
        [&message.call_id, &message.cseq, &message.via, &message.branch, &message.user_agent]
            .into_iter()
            .all(|value| value.as_ref().is_some_and(is_borrowed))
    );
}

#[test]
fn headers_before_a_binary_body_are_only_borrowed() {
    let mut bytes = with("User-Agent: u").into_bytes();
    bytes.extend_from_slice(b"\xff\x00\xc3");
    let message = parse(&bytes, &wanted(&["call-id"])).unwrap();
    let values = [message.call_id, message.cseq_method, message.user_agent];
    assert!(values.iter().all(|value| matches!(value, Some(std::borrow::Cow::Borrowed(_)))), "{values:?}");
    assert!(matches!(message.wanted[..], [(0, std::borrow::Cow::Borrowed("a@b"))]));
    assert_eq!(message.body, b"\xff\x00\xc3");
}

#[test]
fn a_payload_is_text_up_to_the_first_byte_that_is_not() {
    let bytes = b"caf\xc3\xa9 \xff behind";
    let names = HeaderNames::default();
    let payload = messages(bytes, &names);
    let parts = [&bytes[..6], &bytes[..4], &bytes[..7], &bytes[7..], b"elsewhere"];
    let texts = parts.map(|part| payload.text_of(part));
    assert_eq!(texts, [Some("caf\u{e9} "), None, None, None, None]);
}

#[test]
fn a_message_shows_neither_credentials_nor_body() {
    let text = with("Authorization: Digest secret\r\n\r\nprivate");
    let names = HeaderNames::default();
    let shown = format!("{:?} {:?}", parse(text.as_bytes(), &names), messages(text.as_bytes(), &names));
    let as_bytes = |word: &str| format!("{:?}", word.as_bytes()).replace(['[', ']'], "");
    for word in ["secret", "private"] {
        assert!(!shown.contains(word) && !shown.contains(&as_bytes(word)), "{shown}");
    }
}
