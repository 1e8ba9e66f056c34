use std::collections::BTreeMap;

use pintail_hep::{Packet, TimeWindow};

use super::messages::Style;
use super::*;
use crate::traffic::FrameBatch;

/// A moment in November 2026.
const START: Micros = 1_795_100_000_000_000;

fn generator(options: GeneratorOptions) -> Generator {
    Generator::new(GeneratorOptions { start: START, ..options }).unwrap()
}

fn frames(generator: &mut Generator, limit: usize) -> FrameBatch {
    let mut batch = FrameBatch::default();
    while batch.len() < limit && batch.pull(generator).unwrap() {}
    batch
}

fn decode(frame: &[u8]) -> Packet<'_> {
    pintail_hep::decode(frame, TimeWindow::ANY).unwrap()
}

fn time(packet: &Packet<'_>) -> Micros {
    let time = packet.time.unwrap();
    Micros::from(time.seconds) * 1_000_000 + Micros::from(time.micros)
}

/// Start line and headers of a SIP message, with long names; panics where the message is not well formed.
struct Sip {
    start: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Sip {
    fn parse(payload: &[u8]) -> Self {
        let text = std::str::from_utf8(payload).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap().to_owned();
        let headers: Vec<_> = lines
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("header '{line}'"));
                let name = match name {
                    "i" => "Call-ID",
                    "f" => "From",
                    "t" => "To",
                    "v" => "Via",
                    "m" => "Contact",
                    "c" => "Content-Type",
                    "l" => "Content-Length",
                    "k" => "Supported",
                    long => long,
                };
                assert!(!value.is_empty(), "header '{line}'");
                (name.to_owned(), value.to_owned())
            })
            .collect();
        let sip = Self { start, headers, body: body.to_owned() };
        assert_eq!(sip.header("Content-Length"), sip.body.len().to_string(), "{text}");
        assert_eq!(sip.body.is_empty(), !sip.headers.iter().any(|(name, _)| name == "Content-Type"));
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            sip.header(name);
        }
        sip
    }

    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(own, _)| own == name);
        &found.unwrap_or_else(|| panic!("no {name} in {}", self.start)).1
    }

    fn code(&self) -> Option<&str> {
        self.start.strip_prefix("SIP/2.0 ").map(|rest| &rest[..3])
    }

    /// Method of a request, code and CSeq method of a response.
    fn label(&self) -> String {
        let method = self.header("CSeq").split(' ').nth(1).unwrap();
        match self.code() {
            Some(code) => format!("{code} {method}"),
            None => {
                assert_eq!(self.start.split(' ').next().unwrap(), method);
                assert!(self.start.ends_with(" SIP/2.0"));
                method.to_owned()
            }
        }
    }
}

fn tag(value: &str) -> Option<&str> {
    value.split_once(";tag=").map(|(_, tag)| tag)
}

#[test]
fn a_seed_gives_the_same_packets_and_another_seed_others() {
    let options = GeneratorOptions { mix: Mix::REALISTIC, ..GeneratorOptions::default() };
    let first = frames(&mut generator(options.clone()), 5_000);
    let again = frames(&mut generator(options.clone()), 5_000);
    assert_eq!(first.bytes(), again.bytes());
    let other = frames(&mut generator(GeneratorOptions { seed: 2, ..options }), 5_000);
    assert_ne!(first.bytes(), other.bytes());
}

#[test]
fn every_packet_decodes_and_times_never_go_back() {
    let options = GeneratorOptions {
        mix: Mix::REALISTIC,
        capture_ids: vec![11, 12, 13],
        auth_key: Some("secret".to_owned()),
        ..GeneratorOptions::default()
    };
    let batch = frames(&mut generator(options), 20_000);
    let mut last = START;
    let mut types = BTreeMap::<u8, u32>::new();
    let mut ipv6 = 0;
    for frame in batch.frames() {
        let packet = decode(frame);
        assert!(time(&packet) >= last);
        last = time(&packet);
        assert_eq!(packet.auth_key, Some(b"secret".as_slice()));
        assert!((11..=13).contains(&packet.capture_id.unwrap()));
        assert_eq!(packet.family, Some(if packet.source.unwrap().is_ipv4() { 2 } else { 10 }));
        ipv6 += u32::from(packet.family == Some(10));
        let protocol_type = packet.protocol_type.unwrap();
        *types.entry(protocol_type).or_default() += 1;
        match protocol_type {
            1 => drop(Sip::parse(packet.payload)),
            5 => {
                let report: serde_json::Value = serde_json::from_slice(packet.payload).unwrap();
                assert_eq!(report["type"], 200);
                let ntp = report["sender_information"]["ntp_timestamp_sec"].as_i64().unwrap();
                assert_eq!(ntp - 2_208_988_800, time(&packet) / 1_000_000);
                assert_eq!(report["report_blocks"].as_array().unwrap().len(), 1);
                assert!(packet.correlation_id.is_some());
            }
            100 => {
                let line = std::str::from_utf8(packet.payload).unwrap();
                let call_id = std::str::from_utf8(packet.correlation_id.unwrap()).unwrap();
                assert!(line.contains(call_id), "{line}");
            }
            other => panic!("protocol type {other}"),
        }
    }
    assert!(types[&1] > 10_000 && types[&5] > 500 && types[&100] > 500, "{types:?}");
    assert!((1_000..6_000).contains(&ipv6), "{ipv6} of 20000 with IPv6");
}

#[test]
fn dialogs_are_complete_and_in_order() {
    let options = GeneratorOptions { calls: Some(2_000), mix: Mix::REALISTIC, ..GeneratorOptions::default() };
    let batch = frames(&mut generator(options), usize::MAX);
    let mut dialogs = BTreeMap::<String, Vec<Sip>>::new();
    for frame in batch.frames() {
        let packet = decode(frame);
        if packet.protocol_type == Some(1) {
            let sip = Sip::parse(packet.payload);
            dialogs.entry(sip.header("Call-ID").to_owned()).or_default().push(sip);
        }
    }
    let mut seen = BTreeMap::<String, u32>::new();
    for (call_id, messages) in &dialogs {
        let labels: Vec<_> = messages.iter().map(Sip::label).collect();
        *seen.entry(labels.join(", ")).or_default() += 1;
        check_dialog(call_id, messages);
    }
    let expected = [
        "INVITE, 100 INVITE, 180 INVITE, 200 INVITE, ACK, BYE, 200 BYE",
        "INVITE, 100 INVITE, 180 INVITE, CANCEL, 200 CANCEL, 487 INVITE, ACK",
        "INVITE, 100 INVITE, 183 INVITE, 200 INVITE, ACK, BYE, 200 BYE",
        "INVITE, 100 INVITE, 404 INVITE, ACK",
        "INVITE, 100 INVITE, 486 INVITE, ACK",
        "INVITE, 100 INVITE, 503 INVITE, ACK",
        "OPTIONS, 200 OPTIONS",
        "REGISTER, 401 REGISTER, REGISTER, 200 REGISTER",
    ];
    assert_eq!(seen.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    let calls: u32 =
        seen.iter().filter(|(labels, _)| labels.starts_with("INVITE")).map(|(_, count)| count).sum();
    assert_eq!(calls, 2_000);
}

fn check_dialog(call_id: &str, messages: &[Sip]) {
    let first = &messages[0];
    let from_tag = tag(first.header("From")).unwrap();
    assert_eq!(tag(first.header("To")), None, "{call_id}");
    for message in messages {
        let by_caller = tag(message.header("From")) == Some(from_tag);
        let other = if by_caller { message.header("To") } else { message.header("From") };
        let (code, label) = (message.code(), message.label());
        let may_lack_tag =
            code == Some("100") || ["INVITE", "CANCEL", "REGISTER", "OPTIONS"].contains(&&*label);
        assert!(tag(other).is_some() || may_lack_tag, "{call_id}: {label} without a tag");
        assert_eq!(message.headers.iter().any(|(name, _)| name == "Max-Forwards"), code.is_none(), "{label}");
        if code.is_some() {
            assert_eq!(
                message.header("Via"),
                request_of(message, messages).header("Via"),
                "{call_id}: {label}"
            );
        }
    }
}

/// The request that a response answers: the one with its CSeq.
fn request_of<'a>(response: &Sip, messages: &'a [Sip]) -> &'a Sip {
    let cseq = response.header("CSeq");
    messages.iter().find(|sip| sip.code().is_none() && sip.header("CSeq") == cseq).unwrap()
}

#[test]
fn packets_of_calls_have_738_bytes_on_average() {
    // Whole calls: the first seconds of a load have more INVITEs than BYEs.
    let options = GeneratorOptions { calls: Some(5_000), ..GeneratorOptions::default() };
    let batch = frames(&mut generator(options), usize::MAX);
    let mean = batch.bytes().len() / batch.len();
    assert!((731..=745).contains(&mean), "{mean} bytes on average");
}

#[test]
fn a_packet_rate_is_kept_in_virtual_time() {
    let options = GeneratorOptions { talk_seconds: 20.0, mix: Mix::REALISTIC, ..GeneratorOptions::default() };
    let mut generator = generator(options.for_packet_rate(1000.0));
    let batch = frames(&mut generator, 200_000);
    // Without the first minute, in which only few calls end.
    let times: Vec<_> = batch.frames().map(|frame| time(&decode(frame)) - START).collect();
    let warm = times.partition_point(|time| *time < 60_000_000);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let rate = (times.len() - warm) as f64 / ((times[times.len() - 1] - times[warm]) as f64 / 1e6);
    assert!((900.0..1100.0).contains(&rate), "{rate} packets a second");
}

#[test]
fn running_dialogs_are_bounded() {
    let options = GeneratorOptions { calls_per_second: 1e6, max_running: 100, ..GeneratorOptions::default() };
    let mut generator = generator(options);
    let batch = frames(&mut generator, 20_000);
    assert_eq!(batch.len(), 20_000);
    assert!(generator.dialogs.len() <= 100);
}

#[test]
fn agents_of_every_style_speak() {
    let mut styles = catalogue::AGENTS.iter().map(|agent| agent.style);
    assert!(styles.any(|style| style == Style::Soft));
    let batch = frames(&mut generator(GeneratorOptions::default()), 10_000);
    let agents: std::collections::BTreeSet<_> = batch
        .frames()
        .filter_map(|frame| {
            let sip = Sip::parse(decode(frame).payload);
            sip.headers.into_iter().find(|(name, _)| name == "User-Agent").map(|(_, agent)| agent)
        })
        .collect();
    assert_eq!(agents.len(), catalogue::AGENTS.len());
}

#[test]
fn a_generator_without_a_rate_is_refused() {
    for calls_per_second in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(
            Generator::new(GeneratorOptions { calls_per_second, ..GeneratorOptions::default() }).is_err()
        );
    }
}
