//! Header names: the ones every row needs, and the ones an operator asks for.

use crate::scan::{lower_case, word_of};

/// Names of further headers to read, in lower case and in their long form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderNames {
    names: Vec<Box<str>>,
}

impl HeaderNames {
    /// The given names in any case; a compact form stands for its long one.
    pub fn new<Name: AsRef<str>>(names: impl IntoIterator<Item = Name>) -> Self {
        let normal = |name: Name| {
            let name = name.as_ref().trim();
            Box::from(long_form(name.as_bytes()).unwrap_or(name).to_ascii_lowercase())
        };
        Self { names: names.into_iter().map(normal).collect() }
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name with this index, in lower case.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.names.get(index).map(AsRef::as_ref)
    }

    /// Whether the name with this index is that of a header, which may be compact.
    pub(super) fn is(&self, index: usize, name: &[u8]) -> bool {
        let long = long_form(name).map_or(name, str::as_bytes);
        self.names.get(index).is_some_and(|wanted| wanted.as_bytes().eq_ignore_ascii_case(long))
    }
}

/// The long form of a compact header name (RFC 3261 7.3.3 and the RFCs of the single headers).
fn long_form(name: &[u8]) -> Option<&'static str> {
    let &[letter] = name else { return None };
    Some(match letter.to_ascii_lowercase() {
        b'i' => "call-id",
        b'f' => "from",
        b't' => "to",
        b'v' => "via",
        b'm' => "contact",
        b'c' => "content-type",
        b'l' => "content-length",
        b'e' => "content-encoding",
        b's' => "subject",
        b'k' => "supported",
        b'o' => "event",
        b'u' => "allow-events",
        b'r' => "refer-to",
        b'b' => "referred-by",
        b'x' => "session-expires",
        _ => return None,
    })
}

/// The headers that every row needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    CallId,
    Cseq,
    From,
    To,
    Contact,
    Via,
    UserAgent,
    Server,
    Authorization,
    ContentType,
    ContentLength,
    Expires,
    MaxForwards,
    XCallId,
}

impl Known {
    /// Which of them a name is, in any case and in long or compact form.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let is = |candidate: &str| fold(name) == fold(candidate.as_bytes());
        Some(match name.len() {
            1 => return Self::of_letter(name[0]),
            2 if is("to") => Self::To,
            3 if is("via") => Self::Via,
            4 if is("from") => Self::From,
            4 if is("cseq") => Self::Cseq,
            6 if is("server") => Self::Server,
            7 if is("call-id") => Self::CallId,
            7 if is("contact") => Self::Contact,
            7 if is("expires") => Self::Expires,
            9 if is("x-call-id") => Self::XCallId,
            10 if is("user-agent") => Self::UserAgent,
            12 if is("content-type") => Self::ContentType,
            12 if is("max-forwards") => Self::MaxForwards,
            13 if is("authorization") => Self::Authorization,
            14 if is("content-length") => Self::ContentLength,
            _ => return None,
        })
    }

    const fn of_letter(letter: u8) -> Option<Self> {
        Some(match letter.to_ascii_lowercase() {
            b'i' => Self::CallId,
            b'f' => Self::From,
            b't' => Self::To,
            b'v' => Self::Via,
            b'm' => Self::Contact,
            b'c' => Self::ContentType,
            b'l' => Self::ContentLength,
            _ => return None,
        })
    }
}

/// The first and the last eight bytes of a name in lower case: all of it, unless it is longer than both.
#[inline(always)]
fn fold(name: &[u8]) -> [u64; 2] {
    let last = name.last_chunk().map_or(0, |last| u64::from_le_bytes(*last));
    [lower_case(word_of(name)), lower_case(last)]
}
