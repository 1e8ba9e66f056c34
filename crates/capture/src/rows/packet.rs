//! Which rows a packet becomes.

use std::borrow::Cow;

use pintail_hep::Packet;
use pintail_types::{JournalId, JournalPosition, Result, TelemetryTable, row_uuid};

use super::builder::Row;
use super::extra::{self, Remarks};
use super::json::Decimal;
use crate::accounting::{Note, Tally};
use crate::options::{HepOptions, SipOptions};
use crate::shards::Shard;
use crate::sip::{self, HeaderNames, SipMessage, SipProblem, StartLine};
use crate::time::{self, RowTime};

/// The protocol number of SIP.
const SIP: u8 = 1;

/// What decides how rows look.
#[derive(Debug)]
pub(crate) struct RowRules {
    journal: JournalId,
    /// First the headers that may name the other leg, then the custom ones.
    header_names: HeaderNames,
    aleg_names: usize,
    force_aleg_id: bool,
    censored_methods: Vec<String>,
    discard_methods: Vec<String>,
    pub(super) keep_vendor_chunks: bool,
}

impl RowRules {
    pub(crate) fn new(journal: JournalId, hep: &HepOptions, sip: &SipOptions) -> Self {
        Self {
            journal,
            header_names: HeaderNames::new(sip.aleg_ids.iter().chain(&sip.custom_headers)),
            aleg_names: sip.aleg_ids.len(),
            force_aleg_id: sip.force_aleg_id,
            censored_methods: sip.censored_methods.clone(),
            discard_methods: sip.discard_methods.clone(),
            keep_vendor_chunks: hep.keep_vendor_chunks,
        }
    }

    /// The index and name of each custom header.
    pub(super) fn custom_headers(&self) -> impl Iterator<Item = (usize, &str)> {
        (self.aleg_names..self.header_names.len())
            .filter_map(|index| Some((index, self.header_names.get(index)?)))
    }

    fn aleg_id<'m>(&self, message: &'m SipMessage<'_>) -> Option<&'m str> {
        (0..self.aleg_names).find_map(|index| message.wanted(index))
    }

    fn is_unwanted(&self, message: &SipMessage<'_>) -> bool {
        is_listed(&self.discard_methods, message)
    }

    /// Whether every message of the packet is one that is not to be stored.
    pub(crate) fn discards(&self, packet: &Packet<'_>, payload: &Payload<'_>) -> bool {
        if self.discard_methods.is_empty() || packet.protocol_type != Some(SIP) {
            return false;
        }
        let Some(bytes) = payload.bytes() else { return false };
        sip::messages(bytes, &self.header_names)
            .all(|message| message.is_ok_and(|message| self.is_unwanted(&message)))
    }
}

fn is_listed(methods: &[String], message: &SipMessage<'_>) -> bool {
    let method = message.cseq_method.as_deref();
    !methods.is_empty() && method.is_some_and(|method| methods.iter().any(|listed| listed == method))
}

/// A packet's payload as it was captured.
#[derive(Debug)]
pub(crate) enum Payload<'a> {
    /// As it came.
    Plain(&'a [u8]),
    /// It came compressed.
    Opened(Vec<u8>),
    /// It came compressed and can't be opened.
    Broken,
}

impl<'a> Payload<'a> {
    /// Opens what is compressed, up to `limit` bytes.
    pub(crate) fn of(packet: &Packet<'a>, limit: usize) -> Self {
        let Some(compressed) = packet.compressed else { return Self::Plain(packet.payload) };
        let mut opened = Vec::new();
        match pintail_hep::decompress(compressed, limit, &mut opened) {
            Ok(()) => Self::Opened(opened),
            Err(_) => Self::Broken,
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(bytes) => Some(bytes),
            Self::Opened(bytes) => Some(bytes),
            Self::Broken => None,
        }
    }
}

/// A packet on its way into rows.
#[derive(Debug)]
pub(crate) struct Arrived<'a> {
    pub(crate) packet: &'a Packet<'a>,
    pub(crate) payload: &'a Payload<'a>,
    pub(crate) time: RowTime,
    /// The first member of `data_extra`, with the receive time.
    pub(crate) receive_time: &'a str,
}

/// Where rows go, and what is counted on the way.
#[derive(Debug)]
pub(crate) struct Target<'t> {
    pub(crate) rules: &'t RowRules,
    pub(crate) shard: &'t mut Shard,
    /// The journal record that the packet is in.
    pub(crate) position: JournalPosition,
    pub(crate) tally: &'t mut Tally,
}

impl Arrived<'_> {
    /// Adds the packet's rows to the shard.
    ///
    /// # Errors
    /// `Internal` when a table can't be built.
    pub(crate) fn add_rows(&self, mut target: Target<'_>) -> Result<()> {
        self.note(target.tally);
        let Some(payload) = self.payload.bytes() else { return self.add_unopened(&mut target) };
        if self.packet.protocol_type != Some(SIP) {
            return self.add_other(&mut target, payload);
        }
        let rules = target.rules;
        // A replay under other settings must not lose what was stored: of a packet that made it into the
        // journal, messages are left out only as long as something of it remains.
        let leaves_some_out = !rules.discard_methods.is_empty() && !rules.discards(self.packet, self.payload);
        let mut messages = sip::messages(payload, &rules.header_names);
        let mut index = Index::default();
        while let Some(parsed) = messages.next() {
            // Looked at where it lies: a message is large.
            let (message, problem) = match &parsed {
                Ok(message) => (message, None),
                Err(error) => (&*error.partial, Some(error.problem)),
            };
            index.is_one_of_several |= message.bytes.len() < payload.len();
            if problem.is_some() || !(leaves_some_out && rules.is_unwanted(message)) {
                let text = messages.text_of(message.bytes);
                self.add_sip(&mut target, index, message, text, problem)?;
            }
            index.number += 1;
        }
        Ok(())
    }

    fn note(&self, tally: &mut Tally) {
        if let Some(note) = self.time.replaced {
            tally.note(note);
        }
        if self.packet.repeated_chunks > 0 {
            tally.note_times(Note::RepeatedChunk, u64::from(self.packet.repeated_chunks));
        }
        if !self.packet.vendor_chunks.is_empty() {
            tally.note_times(Note::VendorChunk, self.packet.vendor_chunks.len() as u64);
        }
        if self.packet.keep_alive.is_some() {
            tally.note(Note::KeepAlive);
        }
    }

    /// The values that every row of the packet shares.
    fn row(&self, target: &Target<'_>, index: u16) -> Row<'_> {
        Row {
            uuid: row_uuid(target.rules.journal, target.position, index),
            date: time::day(self.time.micros),
            timestamp: self.time.micros,
            source: self.packet.source,
            destination: self.packet.destination,
            source_port: self.packet.source_port,
            destination_port: self.packet.destination_port,
            protocol: self.packet.ip_protocol,
            node: self.packet.agent_number(),
            ..Row::default()
        }
    }

    fn correlation_id(&self) -> Option<Cow<'_, str>> {
        self.packet.correlation_id.filter(|id| !id.is_empty()).map(String::from_utf8_lossy)
    }

    fn add_sip(
        &self,
        target: &mut Target<'_>,
        index: Index,
        message: &SipMessage<'_>,
        text: Option<&str>,
        problem: Option<SipProblem>,
    ) -> Result<()> {
        let rules = target.rules;
        let table = if problem.is_some() { TelemetryTable::SipDefault } else { table_of(message) };
        if let Some(problem) = problem {
            target.tally.note(note_of(problem));
        }
        if index.is_one_of_several && index.number == 0 {
            target.tally.note(Note::SeveralMessages);
        }
        let censored = censored(rules, message, target.tally);
        let text = match (&censored, text) {
            (Some(bytes), _) => Text::of(bytes, target.tally),
            (None, Some(text)) => Text { text: Cow::Borrowed(text), exact: None },
            (None, None) => Text::of(message.bytes, target.tally),
        };
        let code = message.response_code().map(|code| Decimal::of(u64::from(code)));
        let code = code.as_ref().map(Decimal::as_str);
        let method = match &message.kind {
            StartLine::Request { method, .. } => Some(method.as_ref()),
            StartLine::Response { .. } | StartLine::Unreadable => code,
        };
        let correlation_id = self.correlation_id();
        let aleg_id = rules.aleg_id(message);
        let call_id = message.call_id.as_deref();
        let cid = match correlation_id.as_deref() {
            Some(from_agent) if !rules.force_aleg_id => Some(from_agent),
            from_agent => aleg_id.or(from_agent).or(call_id),
        };
        let row = Row {
            session_id: call_id,
            caller: message.from.as_ref().and_then(|from| from.user.as_deref()),
            callee: message.to.as_ref().and_then(|to| to.user.as_deref()),
            aor: message.to.as_ref().map(user_and_host),
            contact: message.contact.as_ref().map(|contact| contact.value.as_ref()),
            expires: message.contact_expires.as_deref().or(message.expires.as_deref()),
            user_agent: message.user_agent.as_deref(),
            method,
            response_code: code,
            cseq_method: message.cseq_method.as_deref(),
            cid,
            payload: text.shown(),
            ..self.row(target, index.number)
        };
        let remarks = Remarks {
            message_index: index.is_one_of_several.then_some(index.number),
            parse_error: problem.map(SipProblem::reason),
            original_time: self.time.original,
            binary_payload: text.exact,
            compressed_payload: None,
        };
        target.shard.builder(table)?.append(&row, target.position, self.receive_time, |members| {
            extra::write_packet(members, rules, table, self.packet, &remarks);
            extra::write_sip(members, rules, message);
        });
        Ok(())
    }

    /// A packet that is not SIP: one row, the payload as it is.
    fn add_other(&self, target: &mut Target<'_>, payload: &[u8]) -> Result<()> {
        let text = Text::of(payload, target.tally);
        let remarks =
            Remarks { original_time: self.time.original, binary_payload: text.exact, ..Remarks::default() };
        self.add_without_sip(target, text.shown(), &remarks)
    }

    /// A packet whose payload can't be decompressed: kept as it came.
    fn add_unopened(&self, target: &mut Target<'_>) -> Result<()> {
        target.tally.note(Note::DecompressFailed);
        let remarks = Remarks {
            parse_error: Some("decompress_failed"),
            original_time: self.time.original,
            compressed_payload: self.packet.compressed,
            ..Remarks::default()
        };
        self.add_without_sip(target, None, &remarks)
    }

    fn add_without_sip(
        &self,
        target: &mut Target<'_>,
        payload: Option<&str>,
        remarks: &Remarks<'_>,
    ) -> Result<()> {
        let rules = target.rules;
        let table = TelemetryTable::of_protocol(self.packet.protocol_type.unwrap_or_default());
        let correlation_id = self.correlation_id();
        let cid = correlation_id.as_deref();
        let session_id = cid.filter(|_| table != TelemetryTable::SipDefault);
        let row = Row { session_id, cid, payload, ..self.row(target, 0) };
        target.shard.builder(table)?.append(&row, target.position, self.receive_time, |members| {
            extra::write_packet(members, rules, table, self.packet, remarks);
        });
        Ok(())
    }
}

fn user_and_host<'m>(address: &'m sip::Address<'_>) -> (&'m str, &'m str) {
    (address.user.as_deref().unwrap_or_default(), address.host.as_deref().unwrap_or_default())
}

/// Which message of a packet.
#[derive(Debug, Clone, Copy, Default)]
struct Index {
    number: u16,
    is_one_of_several: bool,
}

/// The table of a SIP message, by the method its transaction is about.
fn table_of(message: &SipMessage<'_>) -> TelemetryTable {
    match message.effective_method() {
        Some("INVITE" | "ACK" | "PRACK" | "UPDATE" | "BYE" | "CANCEL" | "INFO") => TelemetryTable::Call,
        Some("REGISTER") => TelemetryTable::Registration,
        _ => TelemetryTable::SipDefault,
    }
}

const fn note_of(problem: SipProblem) -> Note {
    match problem {
        SipProblem::Unparsable => Note::SipUnparsable,
        SipProblem::NoCallId => Note::NoCallId,
        SipProblem::NoCseq => Note::NoCseq,
    }
}

/// The bytes of a message with the body replaced by `x`, where its method asks for that. Everything behind
/// the headers counts as body, whatever Content-Length says.
fn censored(rules: &RowRules, message: &SipMessage<'_>, tally: &mut Tally) -> Option<Vec<u8>> {
    if !is_listed(&rules.censored_methods, message) {
        return None;
    }
    tally.note(Note::Censored);
    let mut bytes = message.bytes.to_vec();
    let head = message.len.saturating_sub(message.body.len()).min(bytes.len());
    bytes[head..].fill(b'x');
    Some(bytes)
}

/// A payload as text, and its bytes if they are not text.
struct Text<'a> {
    text: Cow<'a, str>,
    exact: Option<&'a [u8]>,
}

impl<'a> Text<'a> {
    fn of(bytes: &'a [u8], tally: &mut Tally) -> Self {
        // Text almost always: the plain check is several times as fast as the replacing one.
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(bytes),
        };
        let exact = matches!(text, Cow::Owned(_)).then_some(bytes);
        if exact.is_some() {
            tally.note(Note::PayloadBinary);
        }
        Self { text, exact }
    }

    /// The value of the column; a packet without a payload has none.
    fn shown(&self) -> Option<&str> {
        Some(self.text.as_ref()).filter(|text| !text.is_empty())
    }
}
