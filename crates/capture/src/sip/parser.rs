//! The walk over a message's lines.

use std::fmt;

use memchr::memchr;

use crate::scan::find;

use super::fields::{Header, set_header};
use super::headers::HeaderNames;
use super::message::{SipError, SipMessage, SipProblem, StartLine};
use super::value::Source;

/// The most messages that one payload is split into; what follows stays with the last of them.
pub const MAX_MESSAGES: usize = 1024;

const SIP_VERSION: &[u8] = b"SIP/2.0";

/// Parses the message at the start of `bytes`, past any empty lines before it.
///
/// Content-Length bounds the body; where it is absent, no number or larger than what is there, the body
/// goes to the end.
///
/// # Errors
/// When the start line, Call-ID or CSeq cannot be read; the error holds what could be.
pub fn parse<'a>(bytes: &'a [u8], wanted: &HeaderNames) -> Result<SipMessage<'a>, SipError<'a>> {
    let mut message = SipMessage::default();
    match read(&mut message, bytes, Source::new(bytes), wanted) {
        None => Ok(message),
        Some(problem) => Err(SipError { problem, partial: Box::new(message) }),
    }
}

/// Reads the message at the start of `bytes`, which lie in `source`, into an empty one: a message is large,
/// and moving it from hand to hand costs as much as some of its headers.
fn read<'a>(
    message: &mut SipMessage<'a>,
    bytes: &'a [u8],
    source: Source<'a>,
    wanted: &HeaderNames,
) -> Option<SipProblem> {
    let (first_line, head) = split_line(&bytes[empty_lines(bytes)..]);
    message.kind = start_line(first_line, source);
    let mut headers = Headers { rest: head };
    while let Some(header) = headers.next() {
        set_header(message, wanted, header, source);
    }
    let is_readable = !matches!(message.kind, StartLine::Unreadable);
    let body_limit = message.content_length.as_deref().and_then(|length| length.parse::<usize>().ok());
    let body_length = body_limit.filter(|_| is_readable).unwrap_or(usize::MAX).min(headers.rest.len());
    message.body = &headers.rest[..body_length];
    message.len = bytes.len() - headers.rest.len() + body_length;
    message.bytes = &bytes[..message.len];
    if !is_readable {
        Some(SipProblem::Unparsable)
    } else if message.call_id.is_none() {
        Some(SipProblem::NoCallId)
    } else if message.cseq_method.is_none() {
        Some(SipProblem::NoCseq)
    } else {
        None
    }
}

/// Parses every message of a payload; traced TCP segments can hold several.
///
/// There is always at least one item. Empty lines between messages are skipped; bytes behind the last
/// message that start no other are part of its `bytes`.
pub fn messages<'a, 'n>(bytes: &'a [u8], wanted: &'n HeaderNames) -> Messages<'a, 'n> {
    Messages { rest: Some(bytes), source: Source::new(bytes), left: MAX_MESSAGES, wanted }
}

/// The messages of one payload; see [`messages`].
#[derive(Clone)]
pub struct Messages<'a, 'n> {
    rest: Option<&'a [u8]>,
    source: Source<'a>,
    left: usize,
    wanted: &'n HeaderNames,
}

impl<'a> Messages<'a, '_> {
    /// A part of the payload as text, without checking it again; `None` from the first byte on that is not UTF-8.
    pub fn text_of(&self, part: &'a [u8]) -> Option<&'a str> {
        self.source.borrowed(part)
    }
}

impl fmt::Debug for Messages<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").field("bytes_left", &self.rest.map(<[u8]>::len)).finish_non_exhaustive()
    }
}

impl<'a> Iterator for Messages<'a, '_> {
    type Item = Result<SipMessage<'a>, SipError<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.rest.take()?;
        self.left -= 1;
        let mut message = SipMessage::default();
        let problem = read(&mut message, bytes, self.source, self.wanted);
        let behind = &bytes[message.len..];
        let following = &behind[empty_lines(behind)..];
        if self.left > 0 && starts_message(following, self.source) {
            self.rest = Some(following);
        } else {
            message.bytes = bytes;
        }
        if let Some(problem) = problem {
            return Some(Err(SipError { problem, partial: Box::new(message) }));
        }
        Some(Ok(message))
    }
}

fn starts_message<'a>(bytes: &'a [u8], source: Source<'a>) -> bool {
    !bytes.is_empty() && !matches!(start_line(split_line(bytes).0, source), StartLine::Unreadable)
}

/// How many bytes of line ends `bytes` starts with: keep-alives, or noise before a message.
fn empty_lines(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

/// The first line without its end, and what follows it. A bare LF ends a line too.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match memchr(b'\n', bytes) {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[][..]),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

fn start_line<'a>(line: &'a [u8], source: Source<'a>) -> StartLine<'a> {
    let line = line.trim_ascii_end();
    let Some(first_space) = memchr(b' ', line) else {
        return StartLine::Unreadable;
    };
    let (first, rest) = (&line[..first_space], &line[first_space + 1..]);
    if first.eq_ignore_ascii_case(SIP_VERSION) {
        return response_line(rest, source);
    }
    let Some(last_space) = memchr::memrchr(b' ', rest) else {
        return StartLine::Unreadable;
    };
    let (uri, version) = (rest[..last_space].trim_ascii(), &rest[last_space + 1..]);
    let is_request = is_token(first) && !uri.is_empty() && version.eq_ignore_ascii_case(SIP_VERSION);
    if is_request {
        StartLine::Request { method: source.text(first), uri: source.text(uri) }
    } else {
        StartLine::Unreadable
    }
}

/// What follows `SIP/2.0 ` in a response.
fn response_line<'a>(rest: &'a [u8], source: Source<'a>) -> StartLine<'a> {
    let &[hundreds @ b'1'..=b'9', tens @ b'0'..=b'9', units @ b'0'..=b'9', ref reason @ ..] =
        rest.trim_ascii_start()
    else {
        return StartLine::Unreadable;
    };
    if !matches!(reason, [] | [b' ' | b'\t', ..]) {
        return StartLine::Unreadable;
    }
    let [hundreds, tens, units] = [hundreds, tens, units].map(|digit| u16::from(digit - b'0'));
    StartLine::Response { code: hundreds * 100 + tens * 10 + units, reason: source.text(reason.trim_ascii()) }
}

/// A token of RFC 3261 25.1, which a method must be.
fn is_token(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(byte))
}

/// The headers of a message; `rest` is the body when they have ended.
struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    /// The next header. A line that is no header is skipped.
    fn next(&mut self) -> Option<Header<'a>> {
        loop {
            let (first_line, mut after) = split_line(self.rest);
            if first_line.is_empty() {
                self.rest = after;
                return None;
            }
            let mut header = first_line;
            while let [b' ' | b'\t', ..] = after {
                let (_, behind) = split_line(after);
                header = &self.rest[..self.rest.len() - behind.len()];
                after = behind;
            }
            self.rest = after;
            let (name, value) = header.split_at(find(header, [b':']));
            if let [_, value @ ..] = value {
                let is_folded = header.len() > first_line.len();
                return Some(Header { name: name.trim_ascii_end(), value: value.trim_ascii(), is_folded });
            }
        }
    }
}
