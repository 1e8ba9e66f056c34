//! What is read of a SIP message.

use std::borrow::Cow;
use std::fmt;

use super::address::Address;

/// The first line of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StartLine<'a> {
    /// `METHOD uri SIP/2.0`
    Request {
        /// The method as sent; methods are case-sensitive.
        method: Cow<'a, str>,
        /// The request URI as sent.
        uri: Cow<'a, str>,
    },
    /// `SIP/2.0 code reason`
    Response {
        /// Three digits.
        code: u16,
        /// The reason phrase, possibly empty.
        reason: Cow<'a, str>,
    },
    /// Neither of them.
    #[default]
    Unreadable,
}

/// One SIP message. A field is `None` where its header is absent; an empty header counts as absent.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SipMessage<'a> {
    /// Request or response.
    pub kind: StartLine<'a>,
    /// Call-ID, the whole value; case-sensitive.
    pub call_id: Option<Cow<'a, str>>,
    /// CSeq, the whole value.
    pub cseq: Option<Cow<'a, str>>,
    /// The number of CSeq.
    pub cseq_number: Option<u32>,
    /// The method of CSeq.
    pub cseq_method: Option<Cow<'a, str>>,
    /// From.
    pub from: Option<Address<'a>>,
    /// To.
    pub to: Option<Address<'a>>,
    /// The first Contact header; its parts are those of its first value.
    pub contact: Option<Address<'a>>,
    /// The parameter `expires` of the first Contact value, which is stronger than the header Expires.
    pub contact_expires: Option<Cow<'a, str>>,
    /// The topmost Via value.
    pub via: Option<Cow<'a, str>>,
    /// The parameter `branch` of the topmost Via value.
    pub branch: Option<Cow<'a, str>>,
    /// User-Agent.
    pub user_agent: Option<Cow<'a, str>>,
    /// Server.
    pub server: Option<Cow<'a, str>>,
    /// Authorization.
    pub authorization: Option<Cow<'a, str>>,
    /// Content-Type.
    pub content_type: Option<Cow<'a, str>>,
    /// Content-Length as sent, which need not be a number.
    pub content_length: Option<Cow<'a, str>>,
    /// Expires, in seconds.
    pub expires: Option<Cow<'a, str>>,
    /// Max-Forwards.
    pub max_forwards: Option<Cow<'a, str>>,
    /// X-Call-ID.
    pub x_call_id: Option<Cow<'a, str>>,
    /// The wanted headers that are present, each with its index in [`HeaderNames`](super::HeaderNames),
    /// in the order of the message.
    pub wanted: Vec<(usize, Cow<'a, str>)>,
    /// The bytes that belong to this message, exactly as received: the whole payload if it holds only one.
    pub bytes: &'a [u8],
    /// The body, bounded by Content-Length where that is a number.
    pub body: &'a [u8],
    /// How many bytes from the start of the input the message takes, body included.
    pub len: usize,
}

impl SipMessage<'_> {
    /// The value of the wanted header with this index in [`HeaderNames`](super::HeaderNames).
    pub fn wanted(&self, index: usize) -> Option<&str> {
        self.wanted.iter().find(|(found, _)| *found == index).map(|(_, value)| value.as_ref())
    }

    /// The method that the transaction is about: that of CSeq for responses, else the request's own.
    pub fn effective_method(&self) -> Option<&str> {
        match &self.kind {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } | StartLine::Unreadable => self.cseq_method.as_deref(),
        }
    }

    /// The status code of a response.
    pub const fn response_code(&self) -> Option<u16> {
        match &self.kind {
            StartLine::Response { code, .. } => Some(*code),
            StartLine::Request { .. } | StartLine::Unreadable => None,
        }
    }
}

/// Shows what tells messages apart, and neither credentials nor body, which must not get into logs.
impl fmt::Debug for SipMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SipMessage")
            .field("kind", &self.kind)
            .field("call_id", &self.call_id)
            .field("cseq", &self.cseq)
            .field("branch", &self.branch)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// What a message lacks to be stored as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SipProblem {
    /// The first line is neither a request's nor a response's.
    Unparsable,
    /// There is no Call-ID.
    NoCallId,
    /// There is no CSeq, or it is not a number and a method.
    NoCseq,
}

impl SipProblem {
    /// The stable name that such messages are counted and stored under.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unparsable => "sip_unparsable",
            Self::NoCallId => "no_call_id",
            Self::NoCseq => "no_cseq",
        }
    }
}

/// A message that lacks something, and what could be read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipError<'a> {
    /// What is wrong; of several problems the first in the order of [`SipProblem`].
    pub problem: SipProblem,
    /// What could be read.
    pub partial: Box<SipMessage<'a>>,
}

impl SipError<'_> {
    /// The stable name of the problem.
    pub const fn reason(&self) -> &'static str {
        self.problem.reason()
    }
}

impl fmt::Display for SipError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.problem {
            SipProblem::Unparsable => "the first line is not that of a SIP message",
            SipProblem::NoCallId => "the SIP message has no Call-ID",
            SipProblem::NoCseq => "the SIP message has no readable CSeq",
        })
    }
}

impl std::error::Error for SipError<'_> {}
