//! A seeded generator of realistic dialogs: calls that ring, are answered, talk, end, fail or are given up,
//! registrations, OPTIONS, RTCP reports and log lines.
//!
//! Time is virtual: the same options give the same packets. Dialogs overlap as they do on a network; a heap
//! holds the running ones by the time of their next message. A message is filled into a template that was cut
//! into pieces at the start, so a packet costs a few dozen short copies and no allocation.

mod catalogue;
mod dialog;
mod messages;
mod scenario;
mod template;
#[cfg(test)]
mod tests;
mod text;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastrand::Rng;
use pintail_hep::{CaptureTime, Packet, Version};
use pintail_types::{Error, Micros, Result};

use self::dialog::{Dialog, Gap, NEVER};
use self::messages::{Message, Messages};
use self::scenario::{Scenario, exponential, messages_per_call, micros};
use crate::traffic::FrameSource;

/// About how long a call takes beside talking, and what talking is not shortened below.
const RINGING_SECONDS: f64 = 8.0;
const SHORTEST_TALK_SECONDS: f64 = 2.0;

/// What beside calls is generated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mix {
    /// Registrations for each call.
    pub(crate) registrations: f64,
    /// OPTIONS exchanges for each call.
    pub(crate) options: f64,
    /// Which part of the answered calls sends RTCP reports, 0 to 1.
    pub(crate) reports: f64,
    /// Which part of the SIP messages is followed by a log line, 0 to 1.
    pub(crate) logs: f64,
}

impl Mix {
    /// Calls alone.
    pub(crate) const CALLS: Self = Self { registrations: 0.0, options: 0.0, reports: 0.0, logs: 0.0 };
    /// Some of everything.
    pub(crate) const REALISTIC: Self = Self { registrations: 0.4, options: 0.3, reports: 0.3, logs: 0.1 };
}

/// What to generate.
#[derive(Debug, Clone)]
pub(crate) struct GeneratorOptions {
    /// The same seed gives the same packets.
    pub(crate) seed: u64,
    /// The time of the first packet.
    pub(crate) start: Micros,
    /// New calls in a second of virtual time.
    pub(crate) calls_per_second: f64,
    /// Mean time from answer to BYE, in seconds.
    pub(crate) talk_seconds: f64,
    /// How many calls to start; `None` goes on for ever.
    pub(crate) calls: Option<u64>,
    /// How many dialogs may run at once. Past it no new one starts until one has ended: memory is bounded.
    pub(crate) max_running: usize,
    /// What comes beside calls.
    pub(crate) mix: Mix,
    /// Capture agent ids (chunk 0x000c), given to dialogs in turn; empty means 2001.
    pub(crate) capture_ids: Vec<u32>,
    /// HEP authentication key (chunk 0x000e).
    pub(crate) auth_key: Option<String>,
}

impl Default for GeneratorOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            start: 0,
            calls_per_second: 100.0,
            talk_seconds: 60.0,
            calls: None,
            max_running: 50_000,
            mix: Mix::CALLS,
            capture_ids: vec![2001],
            auth_key: None,
        }
    }
}

impl GeneratorOptions {
    /// The same options with so many calls that about `packets` packets belong to a second of virtual time.
    ///
    /// People talk shorter where more calls would run at once than there is room for; so virtual time keeps up
    /// with the packets, and memory stays near the processor.
    #[must_use]
    pub(crate) fn for_packet_rate(mut self, packets: f64) -> Self {
        let sip = messages_per_call() + 4.0 * self.mix.registrations + 2.0 * self.mix.options;
        // About three of four calls are answered, and both sides report every five seconds.
        let per_call = |talk: f64| sip * (1.0 + self.mix.logs) + 0.74 * self.mix.reports * talk / 2.5;
        let calls_per_second = packets / per_call(self.talk_seconds);
        #[expect(clippy::cast_precision_loss, reason = "dialogs are few")]
        let longest = 0.8 * self.max_running as f64 / calls_per_second - RINGING_SECONDS;
        self.talk_seconds = self.talk_seconds.min(longest.max(SHORTEST_TALK_SECONDS));
        self.calls_per_second = packets / per_call(self.talk_seconds);
        self
    }
}

/// The generator. It never ends unless `calls` is given; then every dialog that began is finished.
#[derive(Debug)]
pub(crate) struct Generator {
    options: GeneratorOptions,
    random: Rng,
    messages: Messages,
    dialogs: Vec<Dialog>,
    free: Vec<u32>,
    /// Running dialogs by the time of their next message; the second number keeps ties in order.
    running: BinaryHeap<Reverse<(Micros, u64, u32)>>,
    pushed: u64,
    next_arrival: Micros,
    started_calls: u64,
    payload: Vec<u8>,
    body: Vec<u8>,
}

impl Generator {
    /// A generator at its first packet.
    pub(crate) fn new(mut options: GeneratorOptions) -> Result<Self> {
        let positive = options.calls_per_second > 0.0 && options.calls_per_second.is_finite();
        if !positive || options.max_running == 0 {
            return Err(Error::invalid("a generator needs a call rate and room for one dialog at least"));
        }
        if options.capture_ids.is_empty() {
            options.capture_ids.push(2001);
        }
        let next_arrival = if options.calls == Some(0) { NEVER } else { options.start };
        Ok(Self {
            random: Rng::with_seed(options.seed),
            messages: Messages::new()?,
            dialogs: Vec::new(),
            free: Vec::new(),
            running: BinaryHeap::new(),
            pushed: 0,
            next_arrival,
            started_calls: 0,
            payload: Vec::with_capacity(2048),
            body: Vec::with_capacity(1024),
            options,
        })
    }

    fn start_dialog(&mut self) {
        let now = self.next_arrival;
        let Mix { registrations, options, .. } = self.options.mix;
        let drawn = self.random.f64() * (1.0 + registrations + options);
        let scenario = if drawn < 1.0 {
            self.started_calls += 1;
            Scenario::call(&mut self.random)
        } else if drawn < 1.0 + registrations {
            Scenario::Registration
        } else {
            Scenario::Options
        };
        let dialog = Dialog::new(scenario, now, &mut self.random);
        let slot = if let Some(slot) = self.free.pop() {
            self.dialogs[slot as usize] = dialog;
            slot
        } else {
            self.dialogs.push(dialog);
            u32::try_from(self.dialogs.len() - 1).unwrap_or(u32::MAX)
        };
        self.enqueue(now, slot);
        let mean = 1.0 / (self.options.calls_per_second * (1.0 + registrations + options));
        self.next_arrival = if self.options.calls.is_some_and(|calls| self.started_calls >= calls) {
            NEVER
        } else {
            now + micros(exponential(&mut self.random, mean))
        };
    }

    fn enqueue(&mut self, due: Micros, slot: u32) {
        self.pushed += 1;
        self.running.push(Reverse((due, self.pushed, slot)));
    }

    /// Starts every dialog that begins before the next message of a running one.
    fn admit(&mut self) {
        while self.next_arrival != NEVER {
            let next = self.running.peek().map_or(NEVER, |Reverse((due, ..))| *due);
            if self.next_arrival > next {
                return;
            }
            if self.running.len() >= self.options.max_running {
                // No room: the caller has to wait until somebody hangs up.
                self.next_arrival = next.saturating_add(1);
                return;
            }
            self.start_dialog();
        }
    }

    /// Says what the dialog does next after `message`; `false` when it is over.
    fn advance(&mut self, slot: u32, message: Message, now: Micros) -> bool {
        let Self { options, random, dialogs, .. } = self;
        let dialog = &mut dialogs[slot as usize];
        match message {
            Message::Log => {
                dialog.log_due = NEVER;
                return dialog.due() != NEVER;
            }
            Message::CallerReport | Message::CalleeReport => {
                dialog.reported(now, random);
                return true;
            }
            Message::Answer => dialog.answer(now, random.f64() < options.mix.reports),
            Message::Bye | Message::CalleeBye => dialog.report_due = NEVER,
            _ => {}
        }
        if random.f64() < options.mix.logs {
            dialog.log_due = now + Micros::from(random.u16(50..2000));
        }
        dialog.step_due = match dialog.step() {
            Some(step) => now + step.delay.draw(random, options.talk_seconds),
            None => NEVER,
        };
        dialog.due() != NEVER
    }

    /// Appends one packet of `dialog`.
    fn write(&mut self, slot: u32, message: Message, now: Micros, out: &mut Vec<u8>) -> Result<()> {
        let Self { options, messages, dialogs, payload, body, .. } = self;
        let dialog = &dialogs[slot as usize];
        let (caller, callee) = dialog.agents();
        let parts = messages.get(message, caller.style, callee.style);
        body.clear();
        let mut gap = Gap { now, body_length: 0 };
        if let Some(template) = &parts.body {
            dialog.render(template, message, &gap, body);
        }
        gap.body_length = body.len();
        payload.clear();
        dialog.render(&parts.head, message, &gap, payload);
        payload.extend_from_slice(body);

        let protocol_type = message.protocol_type();
        let ((source, source_port), (destination, destination_port)) = dialog.endpoints(message);
        let packet = Packet {
            version: Version::V3,
            family: Some(if source.is_ipv4() { 2 } else { 10 }),
            ip_protocol: Some(17),
            source: Some(source),
            destination: Some(destination),
            source_port: Some(source_port),
            destination_port: Some(destination_port),
            time: Some(capture_time(now)),
            protocol_type: Some(protocol_type),
            capture_id: Some(options.capture_ids[slot as usize % options.capture_ids.len()]),
            auth_key: options.auth_key.as_deref().map(str::as_bytes),
            correlation_id: (protocol_type != 1).then(|| dialog.call_id()),
            payload,
            ..Packet::default()
        };
        pintail_hep::encode(&packet, out)
            .map_err(|error| Error::internal("a generated packet cannot be encoded").with_source(error))
    }
}

/// Microseconds since 1970 as HEP carries them.
pub(crate) fn capture_time(now: Micros) -> CaptureTime {
    let seconds = u32::try_from(now.div_euclid(1_000_000)).unwrap_or(0);
    let micros = u32::try_from(now.rem_euclid(1_000_000)).unwrap_or(0);
    CaptureTime { seconds, micros }
}

impl FrameSource for Generator {
    fn next_time(&mut self) -> Result<Option<Micros>> {
        self.admit();
        Ok(self.running.peek().map(|Reverse((due, ..))| *due))
    }

    fn next_frame(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        self.admit();
        let Some(Reverse((now, _, slot))) = self.running.pop() else { return Ok(false) };
        let Some(message) = self.dialogs[slot as usize].next_message() else {
            return Err(Error::internal("a dialog without a next message was queued"));
        };
        self.write(slot, message, now, out)?;
        if self.advance(slot, message, now) {
            let due = self.dialogs[slot as usize].due();
            self.enqueue(due, slot);
        } else {
            self.free.push(slot);
        }
        Ok(true)
    }
}
