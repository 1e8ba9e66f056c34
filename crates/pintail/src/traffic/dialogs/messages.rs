//! The messages of a dialog, as templates for every pair of agent styles.

use pintail_types::Result;

use super::template::Template;

/// How an agent writes its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// A telephone on a desk.
    Desk,
    /// A carrier's or a company's border controller: more headers, a second Via.
    Trunk,
    /// Software with compact header names.
    Soft,
}

impl Style {
    const ALL: [Self; 3] = [Self::Desk, Self::Trunk, Self::Soft];
}

/// One message of a dialog. "Caller" is who sends the first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Message {
    Invite,
    Trying,
    Ringing,
    Progress,
    Answer,
    Ack,
    Bye,
    ByeOk,
    CalleeBye,
    CalleeByeOk,
    Busy,
    NotFound,
    Unavailable,
    FailureAck,
    Cancel,
    CancelOk,
    Terminated,
    Register,
    Challenge,
    RegisterAgain,
    RegisterOk,
    Options,
    OptionsOk,
    CallerReport,
    CalleeReport,
    Log,
}

impl Message {
    pub(super) const ALL: [Self; 26] = [
        Self::Invite,
        Self::Trying,
        Self::Ringing,
        Self::Progress,
        Self::Answer,
        Self::Ack,
        Self::Bye,
        Self::ByeOk,
        Self::CalleeBye,
        Self::CalleeByeOk,
        Self::Busy,
        Self::NotFound,
        Self::Unavailable,
        Self::FailureAck,
        Self::Cancel,
        Self::CancelOk,
        Self::Terminated,
        Self::Register,
        Self::Challenge,
        Self::RegisterAgain,
        Self::RegisterOk,
        Self::Options,
        Self::OptionsOk,
        Self::CallerReport,
        Self::CalleeReport,
        Self::Log,
    ];

    /// Whether the caller's side sends it.
    pub(super) const fn sent_by_caller(self) -> bool {
        matches!(
            self,
            Self::Invite
                | Self::Ack
                | Self::Bye
                | Self::CalleeByeOk
                | Self::FailureAck
                | Self::Cancel
                | Self::Register
                | Self::RegisterAgain
                | Self::Options
                | Self::CallerReport
                | Self::Log
        )
    }

    /// The HEP protocol type (chunk 0x000b).
    pub(super) const fn protocol_type(self) -> u8 {
        match self {
            Self::CallerReport | Self::CalleeReport => 5,
            Self::Log => 100,
            _ => 1,
        }
    }
}

/// The parts of a message: all before the body, and the body.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) head: Template,
    pub(super) body: Option<Template>,
}

/// Templates of all messages for all pairs of styles.
#[derive(Debug)]
pub(super) struct Messages(Vec<Parts>);

impl Messages {
    /// Cuts all templates.
    pub(super) fn new() -> Result<Self> {
        let mut all = Vec::with_capacity(Message::ALL.len() * 9);
        for message in Message::ALL {
            for caller in Style::ALL {
                for callee in Style::ALL {
                    all.push(parts(message, caller, callee)?);
                }
            }
        }
        Ok(Self(all))
    }

    /// The templates of `message` between a caller and a callee of these styles.
    pub(super) fn get(&self, message: Message, caller: Style, callee: Style) -> &Parts {
        &self.0[message as usize * 9 + caller as usize * 3 + callee as usize]
    }
}

const CALLER_SDP: &str = "v=0\r\no=- %session% 1 %caller_media%\r\ns=-\r\nc=%caller_media%\r\nt=0 0\r\n\
    m=audio %caller_rtp_port% RTP/AVP %payload_types%\r\n%codec_lines%a=rtpmap:101 telephone-event/8000\r\n\
    a=fmtp:101 0-16\r\na=ptime:20\r\na=rtcp:%caller_rtp_port%\r\na=sendrecv\r\n";
const CALLEE_SDP: &str = "v=0\r\no=- %session% 2 %callee_media%\r\ns=-\r\nc=%callee_media%\r\nt=0 0\r\n\
    m=audio %callee_rtp_port% RTP/AVP %chosen_type%\r\n%chosen_lines%a=rtpmap:101 telephone-event/8000\r\n\
    a=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n";

/// As rtpengine writes a sender report; numbers of 0 to 2^32, and white space where it has it.
const REPORT: &str = "{ \"sender_information\":{\"ntp_timestamp_sec\":%ntp_seconds%,\"ntp_timestamp_usec\":%ntp_fraction%,\
    \"octets\":%octets%,\"rtp_timestamp\":%rtp_timestamp%, \"packets\":%packets%},\"ssrc\":%ssrc%,\"type\":200,\
    \"report_count\":1,\"report_blocks\":[{\"source_ssrc\":%peer_ssrc%,\"highest_seq_no\":%highest_sequence%,\
    \"fraction_lost\":%fraction_lost%,\"ia_jitter\":%jitter%,\"packets_lost\":%lost%,\"lsr\":%last_report%,\
    \"dlsr\":%delay_since_last_report%}],\"sdes_report_count\":1,\"sdes_information\": [ \
    {\"sdes_chunk_ssrc\":%ssrc%,\"type\":1,\"text\":\"%from_tag%@%caller_host%\"}] }";

const LOG: &str = "%log_level% [%process%] callid=%call_id% from=%caller% to=%callee% %log_message%";

fn parts(message: Message, caller: Style, callee: Style) -> Result<Parts> {
    let (head, body) = match message {
        Message::CallerReport | Message::CalleeReport => (String::new(), Some(REPORT)),
        Message::Log => (String::new(), Some(LOG)),
        _ => sip(message, caller, callee),
    };
    Ok(Parts { head: Template::parse(&head)?, body: body.map(Template::parse).transpose()? })
}

/// Who wrote the request of a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Caller,
    Callee,
}

fn sip(message: Message, caller: Style, callee: Style) -> (String, Option<&'static str>) {
    let writer = if message.sent_by_caller() { caller } else { callee };
    let mut head = String::new();
    let mut body = None;
    let to_callee = "sip:%callee%@%callee_host%:%callee_port%";
    let request = |head: &mut String, method: &str, uri: &str, branch: &str, tagged: bool, cseq: &str| {
        head.push_str(&format!("{method} {uri} SIP/2.0\r\n"));
        push_via(head, Side::Caller, caller, writer, branch);
        head.push_str("Max-Forwards: 70\r\n");
        push_identity(head, Side::Caller, tagged, writer, &format!("{cseq} {method}"));
    };
    let response = |head: &mut String, status: &str, branch: &str, tagged: bool, cseq: &str| {
        head.push_str(&format!("SIP/2.0 {status}\r\n"));
        push_via(head, Side::Caller, caller, writer, branch);
        push_identity(head, Side::Caller, tagged, writer, cseq);
    };
    match message {
        Message::Invite => {
            request(&mut head, "INVITE", "sip:%callee%@%domain%", "%branch%", false, "%cseq%");
            push_contact(&mut head, Side::Caller, writer);
            push_capabilities(&mut head, writer, true);
            body = Some(CALLER_SDP);
        }
        Message::Trying => response(&mut head, "100 Trying", "%branch%", false, "%cseq% INVITE"),
        Message::Ringing => {
            response(&mut head, "180 Ringing", "%branch%", true, "%cseq% INVITE");
            push_contact(&mut head, Side::Callee, writer);
            push_capabilities(&mut head, writer, false);
        }
        Message::Progress => {
            response(&mut head, "183 Session Progress", "%branch%", true, "%cseq% INVITE");
            push_contact(&mut head, Side::Callee, writer);
            push_capabilities(&mut head, writer, false);
            body = Some(CALLEE_SDP);
        }
        Message::Answer => {
            response(&mut head, "200 OK", "%branch%", true, "%cseq% INVITE");
            push_contact(&mut head, Side::Callee, writer);
            push_capabilities(&mut head, writer, true);
            body = Some(CALLEE_SDP);
        }
        Message::Ack => {
            request(&mut head, "ACK", to_callee, "%ack_branch%", true, "%cseq%");
            push_contact(&mut head, Side::Caller, writer);
        }
        Message::Bye => {
            request(&mut head, "BYE", to_callee, "%last_branch%", true, "%next_cseq%");
            head.push_str("Reason: Q.850;cause=16;text=\"Normal call clearing\"\r\n");
        }
        Message::ByeOk => response(&mut head, "200 OK", "%last_branch%", true, "%next_cseq% BYE"),
        Message::CalleeBye => {
            head.push_str("BYE sip:%caller%@%caller_host%:%caller_port% SIP/2.0\r\n");
            push_via(&mut head, Side::Callee, callee, writer, "%last_branch%");
            head.push_str("Max-Forwards: 70\r\n");
            push_identity(&mut head, Side::Callee, true, writer, "1 BYE");
        }
        Message::CalleeByeOk => {
            head.push_str("SIP/2.0 200 OK\r\n");
            push_via(&mut head, Side::Callee, callee, writer, "%last_branch%");
            push_identity(&mut head, Side::Callee, true, writer, "1 BYE");
        }
        Message::Busy => {
            response(&mut head, "486 Busy Here", "%branch%", true, "%cseq% INVITE");
            head.push_str("Reason: Q.850;cause=17;text=\"User busy\"\r\n");
        }
        Message::NotFound => {
            response(&mut head, "404 Not Found", "%branch%", true, "%cseq% INVITE");
            head.push_str("Reason: Q.850;cause=1;text=\"Unallocated number\"\r\n");
        }
        Message::Unavailable => {
            response(&mut head, "503 Service Unavailable", "%branch%", true, "%cseq% INVITE");
            head.push_str("Retry-After: 30\r\nReason: Q.850;cause=34;text=\"No circuit available\"\r\n");
        }
        Message::FailureAck => {
            request(&mut head, "ACK", "sip:%callee%@%domain%", "%branch%", true, "%cseq%");
        }
        Message::Cancel => {
            request(&mut head, "CANCEL", "sip:%callee%@%domain%", "%branch%", false, "%cseq%");
            head.push_str("Reason: SIP;cause=487;text=\"ORIGINATOR_CANCEL\"\r\n");
        }
        Message::CancelOk => response(&mut head, "200 OK", "%branch%", true, "%cseq% CANCEL"),
        Message::Terminated => {
            response(&mut head, "487 Request Terminated", "%branch%", true, "%cseq% INVITE");
        }
        Message::Register | Message::RegisterAgain => {
            let again = message == Message::RegisterAgain;
            let (branch, cseq) =
                if again { ("%last_branch%", "%next_cseq%") } else { ("%branch%", "%cseq%") };
            request(&mut head, "REGISTER", "sip:%domain%", branch, false, cseq);
            push_contact(&mut head, Side::Caller, writer);
            if again {
                head.push_str(
                    "Authorization: Digest username=\"%caller%\", realm=\"%domain%\", nonce=\"%nonce%\", \
                     uri=\"sip:%domain%\", response=\"%digest%\", algorithm=MD5, cnonce=\"%from_tag%\", qop=auth, \
                     nc=00000001\r\n",
                );
            }
            head.push_str("Expires: %expires%\r\n");
        }
        Message::Challenge => {
            response(&mut head, "401 Unauthorized", "%branch%", true, "%cseq% REGISTER");
            head.push_str(
                "WWW-Authenticate: Digest realm=\"%domain%\", nonce=\"%nonce%\", algorithm=MD5, qop=\"auth\"\r\n",
            );
        }
        Message::RegisterOk => {
            response(&mut head, "200 OK", "%last_branch%", true, "%next_cseq% REGISTER");
            head.push_str(
                "Contact: <sip:%caller%@%caller_host%:%caller_port%;transport=udp>;expires=%expires%\r\n",
            );
        }
        Message::Options => {
            request(&mut head, "OPTIONS", to_callee, "%branch%", false, "%cseq%");
            push_contact(&mut head, Side::Caller, writer);
            head.push_str("Accept: application/sdp\r\n");
        }
        Message::OptionsOk => {
            response(&mut head, "200 OK", "%branch%", true, "%cseq% OPTIONS");
            push_capabilities(&mut head, writer, true);
        }
        Message::CallerReport | Message::CalleeReport | Message::Log => {}
    }
    let is_response = head.starts_with("SIP/2.0");
    push_agent(&mut head, message.sent_by_caller(), is_response);
    push_trace(&mut head, writer);
    push_end(&mut head, writer, body.is_some());
    (head, body)
}

fn name(writer: Style, long: &'static str, compact: &'static str) -> &'static str {
    if writer == Style::Soft { compact } else { long }
}

/// The Via lines that `owner` put on its request; an answer carries them back.
fn push_via(head: &mut String, side: Side, owner: Style, writer: Style, branch: &str) {
    let via = name(writer, "Via", "v");
    let (host, port) = match side {
        Side::Caller => ("%caller_host%", "%caller_port%"),
        Side::Callee => ("%callee_host%", "%callee_port%"),
    };
    head.push_str(&format!("{via}: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{branch};rport\r\n"));
    if owner == Style::Trunk {
        head.push_str(&format!("{via}: SIP/2.0/UDP core.%domain%:5060;branch=z9hG4bK%nonce%{branch}\r\n"));
        head.push_str(&format!("Record-Route: <sip:{host}:{port};lr;ftag=%from_tag%>\r\n"));
    }
}

fn push_identity(head: &mut String, from: Side, tagged: bool, writer: Style, cseq: &str) {
    let caller = "\"%caller_name%\" <sip:%caller%@%domain%>;tag=%from_tag%";
    let callee = if tagged { "<sip:%callee%@%domain%>;tag=%to_tag%" } else { "<sip:%callee%@%domain%>" };
    let (from_value, to_value) = match from {
        Side::Caller => (caller, callee),
        Side::Callee => (callee, caller),
    };
    head.push_str(&format!("{}: {from_value}\r\n", name(writer, "From", "f")));
    head.push_str(&format!("{}: {to_value}\r\n", name(writer, "To", "t")));
    head.push_str(&format!("{}: %call_id%\r\nCSeq: {cseq}\r\n", name(writer, "Call-ID", "i")));
}

fn push_contact(head: &mut String, side: Side, writer: Style) {
    let contact = name(writer, "Contact", "m");
    head.push_str(&match side {
        Side::Caller => format!("{contact}: <sip:%caller%@%caller_host%:%caller_port%;transport=udp>\r\n"),
        Side::Callee => format!("{contact}: <sip:%callee%@%callee_host%:%callee_port%;transport=udp>\r\n"),
    });
}

fn push_capabilities(head: &mut String, writer: Style, full: bool) {
    match writer {
        Style::Desk => {
            head.push_str(
                "Allow: INVITE, ACK, OPTIONS, CANCEL, BYE, SUBSCRIBE, NOTIFY, INFO, REFER, UPDATE, PRACK\r\n",
            );
            head.push_str("Supported: replaces, timer, 100rel\r\n");
            if full {
                head.push_str("Accept: application/sdp, application/dtmf-relay\r\nAllow-Events: talk, hold, conference, refer\r\n");
            }
        }
        Style::Trunk => {
            head.push_str("Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO\r\n");
            head.push_str("P-Asserted-Identity: <sip:%caller%@%domain%;user=phone>\r\n");
            if full {
                head.push_str(
                    "Supported: timer, 100rel\r\nSession-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\n",
                );
                head.push_str("P-Charging-Vector: icid-value=%nonce%;orig-ioi=%domain%\r\nPrivacy: none\r\n");
            }
        }
        Style::Soft => {
            head.push_str("k: replaces, outbound, gruu, path\r\n");
            if full {
                head.push_str(
                    "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, REFER, UPDATE, INFO, NOTIFY\r\n",
                );
                head.push_str("Allow-Events: presence, kpml, talk\r\n");
            }
        }
    }
}

fn push_agent(head: &mut String, by_caller: bool, response: bool) {
    let agent = if by_caller { "%caller_agent%" } else { "%callee_agent%" };
    let header = if response { "Server" } else { "User-Agent" };
    head.push_str(&format!("{header}: {agent}\r\n"));
}

/// What helps operators to follow a call from one leg to the other.
fn push_trace(head: &mut String, writer: Style) {
    match writer {
        Style::Desk => head.push_str("X-Device-Session: %from_tag%\r\n"),
        Style::Trunk => head.push_str("X-Call-ID: %nonce%@core.%domain%\r\n"),
        Style::Soft => {}
    }
}

fn push_end(head: &mut String, writer: Style, has_body: bool) {
    if has_body {
        head.push_str(&format!("{}: application/sdp\r\n", name(writer, "Content-Type", "c")));
    }
    head.push_str(&format!("{}: %length%\r\n\r\n", name(writer, "Content-Length", "l")));
}
