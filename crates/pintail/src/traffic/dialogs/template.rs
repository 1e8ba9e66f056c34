//! Messages with gaps, cut into pieces once, so that filling one in is a row of copies.

use pintail_types::{Error, Result};

/// What stands in a gap. In a template's text it is written `%name%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// The part of `call_id` that names this dialog.
    CallId,
    /// User part of the calling side.
    Caller,
    /// Display name of the calling side.
    CallerName,
    /// User part of the called side.
    Callee,
    /// The domain of both.
    Domain,
    /// Address of the calling side as it stands in a URI.
    CallerHost,
    CallerPort,
    /// Address of the called side as it stands in a URI.
    CalleeHost,
    CalleePort,
    /// `User-Agent` of the calling side.
    CallerAgent,
    /// `User-Agent` or `Server` of the called side.
    CalleeAgent,
    FromTag,
    ToTag,
    /// Branch of the first transaction; its CANCEL and the ACK of a failure share it.
    Branch,
    /// Branch of the ACK to 200.
    AckBranch,
    /// Branch of the transaction that ends the dialog, and of a second REGISTER.
    LastBranch,
    Cseq,
    NextCseq,
    /// Length of the body.
    Length,
    /// Session id of the SDP.
    Session,
    /// `IN IP4 addr` of the caller's media.
    CallerMedia,
    CallerRtpPort,
    /// `IN IP4 addr` of the callee's media.
    CalleeMedia,
    CalleeRtpPort,
    /// The list of payload types, and the lines that explain them.
    PayloadTypes,
    CodecLines,
    /// The chosen codec, and its line.
    ChosenType,
    ChosenLines,
    /// 32 random hexadecimal digits that stay the same within the dialog.
    Nonce,
    Digest,
    Expires,
    /// Numbers of an RTCP report.
    NtpSeconds,
    NtpFraction,
    Octets,
    RtpTimestamp,
    Packets,
    Ssrc,
    PeerSsrc,
    HighestSequence,
    FractionLost,
    Jitter,
    Lost,
    LastReport,
    DelaySinceLastReport,
    /// Words of a log line.
    LogLevel,
    LogMessage,
    Process,
}

impl Field {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "call_id" => Self::CallId,
            "caller" => Self::Caller,
            "caller_name" => Self::CallerName,
            "callee" => Self::Callee,
            "domain" => Self::Domain,
            "caller_host" => Self::CallerHost,
            "caller_port" => Self::CallerPort,
            "callee_host" => Self::CalleeHost,
            "callee_port" => Self::CalleePort,
            "caller_agent" => Self::CallerAgent,
            "callee_agent" => Self::CalleeAgent,
            "from_tag" => Self::FromTag,
            "to_tag" => Self::ToTag,
            "branch" => Self::Branch,
            "ack_branch" => Self::AckBranch,
            "last_branch" => Self::LastBranch,
            "cseq" => Self::Cseq,
            "next_cseq" => Self::NextCseq,
            "length" => Self::Length,
            "session" => Self::Session,
            "caller_media" => Self::CallerMedia,
            "caller_rtp_port" => Self::CallerRtpPort,
            "callee_media" => Self::CalleeMedia,
            "callee_rtp_port" => Self::CalleeRtpPort,
            "payload_types" => Self::PayloadTypes,
            "codec_lines" => Self::CodecLines,
            "chosen_type" => Self::ChosenType,
            "chosen_lines" => Self::ChosenLines,
            "nonce" => Self::Nonce,
            "digest" => Self::Digest,
            "expires" => Self::Expires,
            "ntp_seconds" => Self::NtpSeconds,
            "ntp_fraction" => Self::NtpFraction,
            "octets" => Self::Octets,
            "rtp_timestamp" => Self::RtpTimestamp,
            "packets" => Self::Packets,
            "ssrc" => Self::Ssrc,
            "peer_ssrc" => Self::PeerSsrc,
            "highest_sequence" => Self::HighestSequence,
            "fraction_lost" => Self::FractionLost,
            "jitter" => Self::Jitter,
            "lost" => Self::Lost,
            "last_report" => Self::LastReport,
            "delay_since_last_report" => Self::DelaySinceLastReport,
            "log_level" => Self::LogLevel,
            "log_message" => Self::LogMessage,
            "process" => Self::Process,
            _ => return None,
        })
    }
}

/// One stretch of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(Box<[u8]>),
    Field(Field),
}

/// A message, cut into pieces.
#[derive(Debug)]
pub(super) struct Template(Vec<Piece>);

impl Template {
    /// Cuts `text` at its `%name%` gaps.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut pieces = Vec::new();
        for (index, part) in text.split('%').enumerate() {
            if index % 2 == 1 {
                let field = Field::named(part)
                    .ok_or_else(|| Error::internal(format!("a message template names '{part}'")))?;
                pieces.push(Piece::Field(field));
            } else if !part.is_empty() {
                pieces.push(Piece::Text(part.as_bytes().into()));
            }
        }
        Ok(Self(pieces))
    }

    /// The stretches in order.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_cut_at_its_gaps() {
        let template = Template::parse("a %call_id%%cseq% b").unwrap();
        let expected = [
            Piece::Text(b"a ".as_slice().into()),
            Piece::Field(Field::CallId),
            Piece::Field(Field::Cseq),
            Piece::Text(b" b".as_slice().into()),
        ];
        assert_eq!(template.pieces(), expected);
        assert!(Template::parse("%nothing%").is_err());
    }
}
