//! Header names: the ones every row needs, and the ones an operator asks for.

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

    /// The indexes of a name, which may have been asked for more than once.
    pub(super) fn indexes_of<'n>(&'n self, name: &'n [u8]) -> impl Iterator<Item = usize> + 'n {
        let long = long_form(name).map_or(name, str::as_bytes);
        let is_it = move |wanted: &str| wanted.as_bytes().eq_ignore_ascii_case(long);
        self.names.iter().enumerate().filter(move |(_, wanted)| is_it(wanted)).map(|(index, _)| index)
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
        // The length leaves few candidates, so most names are compared at most once.
        let candidates: &[(&str, Self)] = match name.len() {
            1 => return Self::of_letter(name[0]),
            2 => &[("to", Self::To)],
            3 => &[("via", Self::Via)],
            4 => &[("from", Self::From), ("cseq", Self::Cseq)],
            6 => &[("server", Self::Server)],
            7 => &[("call-id", Self::CallId), ("contact", Self::Contact), ("expires", Self::Expires)],
            9 => &[("x-call-id", Self::XCallId)],
            10 => &[("user-agent", Self::UserAgent)],
            12 => &[("content-type", Self::ContentType), ("max-forwards", Self::MaxForwards)],
            13 => &[("authorization", Self::Authorization)],
            14 => &[("content-length", Self::ContentLength)],
            _ => return None,
        };
        candidates
            .iter()
            .find(|(candidate, _)| name.eq_ignore_ascii_case(candidate.as_bytes()))
            .map(|(_, known)| *known)
    }

    fn of_letter(letter: u8) -> Option<Self> {
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
