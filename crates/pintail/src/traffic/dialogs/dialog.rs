//! One dialog: who talks to whom, and how far it has come.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;
use pintail_types::Micros;

use super::catalogue::{AGENTS, Agent, CODECS, CallIdForm, Codecs, DOMAINS, LOG_LINES, NAMES, NUMBERS};
use super::messages::Message;
use super::scenario::{Scenario, Step};
use super::template::{Field, Piece, Template};
use super::text::{Text, decimal, hex};

/// Seconds between 1900, where NTP counts from, and 1970.
const NTP_OFFSET_SECONDS: u64 = 2_208_988_800;
/// Time between two RTCP packets of one side (RFC 3550, 6.2: at least 5 s).
pub(super) const REPORT_INTERVAL: Micros = 5_000_000;

/// One end of a dialog.
#[derive(Debug, Clone)]
struct Party {
    agent: &'static Agent,
    address: IpAddr,
    /// The address as it stands in a URI: IPv6 in brackets.
    host: Text<41>,
    port: u16,
    rtp_port: u16,
    user: Text<16>,
    tag: Text<16>,
    ssrc: u32,
}

/// One dialog, small and without allocations.
#[derive(Debug, Clone)]
pub(super) struct Dialog {
    pub(super) scenario: Scenario,
    next_step: usize,
    caller: Party,
    callee: Party,
    name: &'static str,
    domain: &'static str,
    codecs: &'static Codecs,
    call_id: Text<64>,
    branch: u64,
    nonce: [u64; 2],
    cseq: u32,
    /// When the call was answered, or 0.
    answered: Micros,
    /// When the next step is due.
    pub(super) step_due: Micros,
    /// When the next RTCP report is due, or never.
    pub(super) report_due: Micros,
    /// When the next log line is due, or never.
    pub(super) log_due: Micros,
    report_by_callee: bool,
    log_line: usize,
    lost: u32,
}

/// A time that does not come.
pub(super) const NEVER: Micros = Micros::MAX;

impl Dialog {
    /// A new dialog whose first message is due at `start`.
    pub(super) fn new(scenario: Scenario, start: Micros, random: &mut Rng) -> Self {
        let ipv6 = random.u8(0..100) < 15;
        let caller = Party::new(ipv6, false, random);
        let callee = Party::new(ipv6, true, random);
        let mut call_id = Text::default();
        make_call_id(&mut call_id, &caller, random);
        Self {
            scenario,
            next_step: 0,
            caller,
            callee,
            name: NAMES[random.usize(0..NAMES.len())],
            domain: DOMAINS[random.usize(0..DOMAINS.len())],
            codecs: &CODECS[random.usize(0..CODECS.len())],
            call_id,
            branch: random.u64(..),
            nonce: [random.u64(..), random.u64(..)],
            cseq: random.u32(1..=102),
            answered: 0,
            step_due: start,
            report_due: NEVER,
            log_due: NEVER,
            report_by_callee: false,
            log_line: random.usize(0..LOG_LINES.len()),
            lost: 0,
        }
    }

    /// When the next message of any kind is due.
    pub(super) fn due(&self) -> Micros {
        self.step_due.min(self.report_due).min(self.log_due)
    }

    /// The step that is next, if the dialog goes on.
    pub(super) fn step(&self) -> Option<Step> {
        self.scenario.steps().get(self.next_step).copied()
    }

    /// The message that is due next. Reports and log lines come between the steps.
    pub(super) fn next_message(&mut self) -> Option<Message> {
        let due = self.due();
        if self.log_due == due {
            return Some(Message::Log);
        }
        if self.report_due == due {
            self.report_by_callee = !self.report_by_callee;
            let report = if self.report_by_callee { Message::CalleeReport } else { Message::CallerReport };
            return Some(report);
        }
        let step = self.step()?;
        self.next_step += 1;
        Some(step.message)
    }

    /// Notes that the call was answered, with or without RTCP reports from then on.
    pub(super) fn answer(&mut self, now: Micros, reports: bool) {
        self.answered = now;
        if reports {
            self.report_due = now + REPORT_INTERVAL;
        }
    }

    /// Notes that a report went out; both sides take turns.
    pub(super) fn reported(&mut self, now: Micros, random: &mut Rng) {
        self.report_due = now + REPORT_INTERVAL / 2;
        self.lost += u32::from(random.u8(0..100) < 4);
    }

    /// The styles' templates are chosen by these.
    pub(super) fn agents(&self) -> (&'static Agent, &'static Agent) {
        (self.caller.agent, self.callee.agent)
    }

    pub(super) fn call_id(&self) -> &[u8] {
        self.call_id.as_bytes()
    }

    /// Where a message comes from and goes to.
    pub(super) fn endpoints(&self, message: Message) -> ((IpAddr, u16), (IpAddr, u16)) {
        let media = message.protocol_type() == 5;
        // RTCP stands on the port after RTP (RFC 3550, 11).
        let port = |party: &Party| if media { party.rtp_port + 1 } else { party.port };
        let caller = (self.caller.address, port(&self.caller));
        let callee = (self.callee.address, port(&self.callee));
        if message.sent_by_caller() { (caller, callee) } else { (callee, caller) }
    }

    /// Appends a filled-in template.
    pub(super) fn render(&self, template: &Template, message: Message, gap: &Gap, out: &mut Vec<u8>) {
        for piece in template.pieces() {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Field(field) => self.push(*field, message, gap, out),
            }
        }
    }

    fn push(&self, field: Field, message: Message, gap: &Gap, out: &mut Vec<u8>) {
        let number = match field {
            Field::CallId => return out.extend_from_slice(self.call_id.as_bytes()),
            Field::Caller => return out.extend_from_slice(self.caller.user.as_bytes()),
            Field::CallerName => return out.extend_from_slice(self.name.as_bytes()),
            Field::Callee => return out.extend_from_slice(self.callee.user.as_bytes()),
            Field::Domain => return out.extend_from_slice(self.domain.as_bytes()),
            Field::CallerHost => return out.extend_from_slice(self.caller.host.as_bytes()),
            Field::CalleeHost => return out.extend_from_slice(self.callee.host.as_bytes()),
            Field::CallerAgent => return out.extend_from_slice(self.caller.agent.name.as_bytes()),
            Field::CalleeAgent => return out.extend_from_slice(self.callee.agent.name.as_bytes()),
            Field::FromTag => return out.extend_from_slice(self.caller.tag.as_bytes()),
            Field::ToTag => return out.extend_from_slice(self.callee.tag.as_bytes()),
            Field::Branch => return out.extend_from_slice(&hex(self.branch)),
            Field::AckBranch => return out.extend_from_slice(&hex(self.branch.rotate_left(21))),
            Field::LastBranch => return out.extend_from_slice(&hex(self.branch.rotate_left(43))),
            Field::CallerMedia => return self.caller.push_media(out),
            Field::CalleeMedia => return self.callee.push_media(out),
            Field::PayloadTypes => return out.extend_from_slice(self.codecs.offered.as_bytes()),
            Field::CodecLines => return out.extend_from_slice(self.codecs.offered_lines.as_bytes()),
            Field::ChosenType => return out.extend_from_slice(self.codecs.chosen.as_bytes()),
            Field::ChosenLines => return out.extend_from_slice(self.codecs.chosen_lines.as_bytes()),
            Field::Nonce => return push_hex_pair(self.nonce[0], self.nonce[1], out),
            Field::Digest => return push_hex_pair(!self.nonce[1], self.branch ^ self.nonce[0], out),
            Field::LogLevel => return out.extend_from_slice(LOG_LINES[self.log_line].0.as_bytes()),
            Field::LogMessage => return out.extend_from_slice(LOG_LINES[self.log_line].1.as_bytes()),
            Field::CallerPort => u64::from(self.caller.port),
            Field::CalleePort => u64::from(self.callee.port),
            Field::CallerRtpPort => u64::from(self.caller.rtp_port),
            Field::CalleeRtpPort => u64::from(self.callee.rtp_port),
            Field::Cseq => u64::from(self.cseq),
            Field::NextCseq => u64::from(self.cseq) + 1,
            Field::Length => gap.body_length as u64,
            Field::Session => self.nonce[0] >> 33,
            Field::Expires => 60 * (1 + self.nonce[1] % 60),
            Field::Process => 1000 + self.branch % 64,
            _ => self.report_number(field, message, gap.now),
        };
        out.extend_from_slice(decimal(number, &mut [0; 20]));
    }

    /// The numbers of an RTCP sender report: of a stream of one packet in 20 ms since the answer.
    fn report_number(&self, field: Field, message: Message, now: Micros) -> u64 {
        let (own, peer) = if message == Message::CalleeReport {
            (&self.callee, &self.caller)
        } else {
            (&self.caller, &self.callee)
        };
        let talked = u64::try_from(now.saturating_sub(self.answered)).unwrap_or(0);
        let packets = talked / 20_000;
        let seconds = u64::try_from(now / 1_000_000).unwrap_or(0) + NTP_OFFSET_SECONDS;
        let fraction = (u64::try_from(now.rem_euclid(1_000_000)).unwrap_or(0) << 32) / 1_000_000;
        match field {
            Field::NtpSeconds => seconds,
            Field::NtpFraction => fraction,
            Field::Packets => packets,
            Field::Octets => packets * u64::from(self.codecs.bytes),
            Field::RtpTimestamp => {
                (u64::from(own.ssrc) + talked * u64::from(self.codecs.clock) / 1_000_000) & 0xffff_ffff
            }
            Field::Ssrc => u64::from(own.ssrc),
            Field::PeerSsrc => u64::from(peer.ssrc),
            Field::HighestSequence => (u64::from(peer.ssrc >> 16) + packets) & 0xffff_ffff,
            Field::FractionLost => u64::from(self.lost % 16),
            Field::Lost => u64::from(self.lost),
            Field::Jitter => 4 + (self.nonce[1] ^ talked) % 90,
            // The middle 32 bits of the time of the peer's last report (RFC 3550, 6.4.1).
            Field::LastReport => ((seconds - 2) << 16 | fraction >> 16) & 0xffff_ffff,
            Field::DelaySinceLastReport => 2 << 16,
            _ => 0,
        }
    }
}

/// What a message needs beside the dialog.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    pub(super) now: Micros,
    pub(super) body_length: usize,
}

impl Party {
    fn new(ipv6: bool, server: bool, random: &mut Rng) -> Self {
        let agent = &AGENTS[random.usize(0..AGENTS.len())];
        let address = address(ipv6, server, random);
        let mut host = Text::default();
        push_host(&mut host, address);
        let mut user = Text::default();
        let (prefix, digits) = NUMBERS[random.usize(0..NUMBERS.len())];
        user.push(prefix.as_bytes());
        for _ in 0..digits {
            user.push(&[random.u8(b'0'..=b'9')]);
        }
        let mut tag = Text::default();
        tag.push(&hex(random.u64(..))[..random.usize(8..=16)]);
        let port = if server || random.bool() { 5060 } else { random.u16(1024..=65_000) };
        let rtp_port = random.u16(5_000..=32_000) * 2;
        Self { agent, address, host, port, rtp_port, user, tag, ssrc: random.u32(..) }
    }

    /// Network type, address type and address, as SDP writes them (RFC 4566, 5.7).
    fn push_media(&self, out: &mut Vec<u8>) {
        let host = self.host.as_bytes();
        match self.address {
            IpAddr::V4(_) => {
                out.extend_from_slice(b"IN IP4 ");
                out.extend_from_slice(host);
            }
            IpAddr::V6(_) => {
                out.extend_from_slice(b"IN IP6 ");
                out.extend_from_slice(&host[1..host.len() - 1]);
            }
        }
    }
}

/// An address of the ranges that are set aside for documentation and private use. Servers are few.
fn address(ipv6: bool, server: bool, random: &mut Rng) -> IpAddr {
    match (ipv6, server) {
        (false, false) => IpAddr::V4(Ipv4Addr::new(10, random.u8(0..16), random.u8(..), random.u8(1..=254))),
        (false, true) => IpAddr::V4(Ipv4Addr::new(203, 0, 113, random.u8(1..=12))),
        (true, false) => {
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, random.u16(0..64), 0, 0, 0, 0, random.u16(1..)))
        }
        (true, true) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, random.u16(1..=12))),
    }
}

/// The address as a URI has it. IPv6 is written as RFC 5952 says for the addresses made above.
fn push_host(host: &mut Text<41>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    host.push(b".");
                }
                host.push_decimal(u64::from(octet));
            }
        }
        IpAddr::V6(address) => {
            let segments = address.segments();
            host.push(b"[2001:db8:");
            if segments[2] != 0 {
                push_segment(host, segments[2]);
                host.push(b":");
            }
            host.push(b":");
            push_segment(host, segments[7]);
            host.push(b"]");
        }
    }
}

fn push_segment(host: &mut Text<41>, segment: u16) {
    let digits = hex(u64::from(segment));
    let first = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len() - 1);
    host.push(&digits[first..]);
}

fn push_hex_pair(high: u64, low: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&hex(high));
    out.extend_from_slice(&hex(low));
}

fn make_call_id(call_id: &mut Text<64>, caller: &Party, random: &mut Rng) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~";
    match caller.agent.call_id {
        CallIdForm::HexAtHost => {
            call_id.push_hex(random.u64(..));
            call_id.push(b"@");
            call_id.push(caller.host.as_bytes());
        }
        CallIdForm::Uuid => {
            let (high, low) = (hex(random.u64(..)), hex(random.u64(..)));
            for (index, part) in
                [&high[..8], &high[8..12], &high[12..], &low[..4], &low[4..]].iter().enumerate()
            {
                if index > 0 {
                    call_id.push(b"-");
                }
                call_id.push(part);
            }
        }
        CallIdForm::NumbersAtHost => {
            call_id.push_decimal(u64::from(random.u32(..)));
            call_id.push(b"-");
            call_id.push_decimal(u64::from(random.u32(..)));
            call_id.push(b"@");
            call_id.push(caller.host.as_bytes());
        }
        CallIdForm::Underscore => {
            call_id.push(b"0_");
            call_id.push_decimal(random.u64(..));
            call_id.push(b"@");
            call_id.push(caller.host.as_bytes());
        }
        CallIdForm::Short => {
            for _ in 0..22 {
                call_id.push(&[LETTERS[random.usize(0..LETTERS.len())]]);
            }
        }
    }
}
