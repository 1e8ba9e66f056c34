//! Properties that hold for all bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;

use crate::sip::{Address, HeaderNames, SipMessage, StartLine, messages, parse};

const INVITE: &[u8] = include_bytes!("../../../../../fixtures/sip/invite_738.txt");

/// Nasty ends and middles, from which lines are put together.
const PIECES: [&str; 32] = [
    "INVITE sip:a@b SIP/2.0\r\n",
    "SIP/2.0 200 OK\r\n",
    "Via: SIP/2.0/UDP h;branch=z9",
    "v:",
    "From: ",
    "t: ",
    "m: ",
    "CSeq: 1 INVITE",
    "i: id",
    "l: 4",
    "X-CID: x",
    "\r\n",
    "\n",
    "\r\n\r\n",
    "\r\n ",
    "\n\t",
    "\"",
    "\\",
    "<",
    ">",
    "sip:u:p@h:5060",
    "tel:1;x",
    "[2001:db8::1]",
    ";tag=1",
    ";expires=2",
    ",",
    ";",
    "=",
    ":",
    "@",
    "?",
    "ü\u{0}",
];

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: 4_000,
        rng_seed: RngSeed::Fixed(0x5060),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Parses every message and checks what holds for any input.
fn exercise(bytes: &[u8]) {
    let wanted = HeaderNames::new(["X-CID", "from", "s"]);
    let first = match parse(bytes, &wanted) {
        Ok(message) => message,
        Err(error) => {
            assert!(!error.reason().is_empty() && !error.to_string().is_empty());
            *error.partial
        }
    };
    check(&first);
    let mut taken = 0;
    for result in messages(bytes, &wanted) {
        let message = result.unwrap_or_else(|error| *error.partial);
        check(&message);
        taken += message.bytes.len();
    }
    assert!(taken <= bytes.len());
    let line_ends = bytes.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
    assert!(taken + line_ends >= bytes.len(), "bytes that are no keep-alive were lost");
}

fn check(message: &SipMessage<'_>) {
    assert!(message.body.len() <= message.len && message.len <= message.bytes.len());
    assert!(message.wanted.len() <= 3);
    assert!(message.cseq.as_deref().is_none_or(|value| !value.is_empty()));
    assert!(message.effective_method().is_none_or(|method| !method.is_empty()));
    assert!(message.response_code().is_none_or(|code| (100..1000).contains(&code)));
    if message.kind == StartLine::Unreadable {
        assert_eq!(message.len, message.bytes.len());
    }
    for address in [&message.from, &message.to, &message.contact].into_iter().flatten() {
        check_address(address);
    }
    if let (Some(via), Some(branch)) = (&message.via, &message.branch) {
        assert!(via.contains(branch.as_ref()));
    }
}

/// Every part is a piece of the whole, and never an empty one.
fn check_address(address: &Address<'_>) {
    assert!(!address.value.is_empty() && !address.value.contains('\n'));
    for part in [&address.uri, &address.user, &address.host, &address.tag].into_iter().flatten() {
        assert!(!part.is_empty() && address.value.contains(part.as_ref()));
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..400)) {
        exercise(&bytes);
    }

    #[test]
    fn random_lines_do_no_harm(pieces in vec(select(PIECES.to_vec()), 0..60)) {
        exercise(pieces.concat().as_bytes());
    }

    #[test]
    fn damaged_messages_do_no_harm(
        changes in vec((any::<Index>(), select(b"\r\n \t:;,\"<>@[]=\\\0\xffx0".to_vec())), 0..12),
        cut in any::<Index>(),
        times in 1..3_usize,
    ) {
        let mut bytes = INVITE.repeat(times);
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        exercise(&bytes);
        exercise(&bytes[..cut.index(bytes.len())]);
    }

    /// Where a message is folded, or with what line ends it comes, changes nothing.
    #[test]
    fn line_ends_and_folds_mean_nothing(folded in vec(any::<bool>(), 12)) {
        let names = HeaderNames::default();
        let expected = parse(INVITE, &names).unwrap();
        let text = std::str::from_utf8(INVITE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let lines: Vec<String> = head
            .split("\r\n")
            .zip(&folded)
            .enumerate()
            .map(|(index, (line, is_folded))| match line.split_once(' ') {
                Some((start, rest)) if *is_folded && index > 0 => format!("{start}\n \t{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let other = format!("{}\n{body}", lines.concat());
        let found = parse(other.as_bytes(), &names).unwrap();
        let placeless = SipMessage { bytes: expected.bytes, len: expected.len, ..found };
        prop_assert_eq!(placeless, expected);
    }
}
