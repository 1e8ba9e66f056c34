//! The grammar that header values share: text, folding, lists and parameters.

use std::borrow::Cow;

use memchr::{memchr2, memchr3};

/// The bytes of a payload, and the same as text if they are UTF-8: checking them once is cheaper than
/// checking each value.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    bytes: &'a [u8],
    text: Option<&'a str>,
}

impl<'a> Source<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, text: std::str::from_utf8(bytes).ok() }
    }

    /// A part of the bytes as text; what is not UTF-8 is replaced.
    pub(super) fn text(self, part: &'a [u8]) -> Cow<'a, str> {
        let borrowed = self.text.and_then(|text| {
            let start = part.as_ptr().addr().checked_sub(self.bytes.as_ptr().addr())?;
            text.get(start..start + part.len())
        });
        borrowed.map_or_else(|| String::from_utf8_lossy(part), Cow::Borrowed)
    }
}

/// The value of one header, without white space around it.
#[derive(Clone, Copy)]
pub(super) struct HeaderValue<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) is_folded: bool,
    pub(super) source: Source<'a>,
}

impl<'a> HeaderValue<'a> {
    /// The value as text; the lines of a folded one are joined by single spaces.
    pub(super) fn text(self) -> Cow<'a, str> {
        let text = self.source.text(self.bytes);
        if !self.is_folded {
            return text;
        }
        let lines = text.split('\n').map(str::trim_ascii).filter(|line| !line.is_empty());
        Cow::Owned(lines.collect::<Vec<_>>().join(" "))
    }
}

/// Takes parts out of a value: borrowed where the value is, copied where it had to be built.
pub(super) fn split_text<'a, const PARTS: usize>(
    value: &Cow<'a, str>,
    split: impl for<'s> Fn(&'s str) -> [Option<&'s str>; PARTS],
) -> [Option<Cow<'a, str>>; PARTS] {
    match value {
        Cow::Borrowed(value) => split(value).map(|part| part.map(Cow::Borrowed)),
        Cow::Owned(value) => split(value).map(|part| part.map(|part| Cow::Owned(part.to_owned()))),
    }
}

/// Where the quoted string ends whose opening quote is at `open`: the index behind its closing quote.
pub(super) fn quoted_end(bytes: &[u8], open: usize) -> Option<usize> {
    let mut position = open + 1;
    loop {
        let found = position + memchr2(b'"', b'\\', bytes.get(position..)?)?;
        if bytes[found] == b'"' {
            return Some(found + 1);
        }
        position = found + 2;
    }
}

/// The first of the values that commas separate.
pub(super) fn first_of_list(value: &str) -> &str {
    let bytes = value.as_bytes();
    let mut position = 0;
    while let Some(found) = memchr2(b',', b'"', &bytes[position..]) {
        let found = position + found;
        if bytes[found] == b',' {
            return value[..found].trim_ascii();
        }
        position = quoted_end(bytes, found).unwrap_or(bytes.len());
    }
    value.trim_ascii()
}

/// The value of the first parameter of this name in `;name=value;…`, without quotes.
///
/// What stands before the first semicolon is no parameter, and a comma ends them.
pub(super) fn parameter<'s>(parameters: &'s str, name: &str) -> Option<&'s str> {
    let bytes = parameters.as_bytes();
    let mut start = None;
    let mut position = 0;
    loop {
        let found = memchr3(b';', b'"', b',', &bytes[position..]).map(|found| position + found);
        let end = found.unwrap_or(bytes.len());
        if bytes.get(end) == Some(&b'"') {
            position = quoted_end(bytes, end).unwrap_or(bytes.len());
            continue;
        }
        if let Some(start) = start
            && let Some(value) = named(&parameters[start..end], name)
        {
            return Some(value);
        }
        if bytes.get(end) != Some(&b';') {
            return None;
        }
        position = end + 1;
        start = Some(position);
    }
}

/// The value of one `name=value`, if it has this name and a value.
fn named<'s>(parameter: &'s str, name: &str) -> Option<&'s str> {
    let (found, value) = parameter.split_once('=')?;
    if !found.trim_ascii().eq_ignore_ascii_case(name) {
        return None;
    }
    let value = value.trim_ascii().trim_matches('"');
    (!value.is_empty()).then_some(value)
}
