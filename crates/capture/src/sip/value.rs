//! The grammar that header values share: text, folding, lists and parameters.

use std::borrow::Cow;

use crate::scan::find;

/// The bytes of a payload, and how far they are text: checking them once is cheaper than checking each value.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    bytes: &'a [u8],
    /// The bytes before the first that is not UTF-8.
    text: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let text = std::str::from_utf8(bytes)
            .or_else(|error| std::str::from_utf8(&bytes[..error.valid_up_to()]))
            .unwrap_or_default();
        Self { bytes, text }
    }

    /// A part of the bytes, if all of it lies in the text.
    #[inline]
    pub(super) fn borrowed(self, part: &'a [u8]) -> Option<&'a str> {
        let start = part.as_ptr().addr().checked_sub(self.bytes.as_ptr().addr())?;
        self.text.get(start..start + part.len())
    }

    /// A part of the bytes as text; what is not UTF-8 is replaced.
    pub(super) fn text(self, part: &'a [u8]) -> Cow<'a, str> {
        self.borrowed(part).map_or_else(|| String::from_utf8_lossy(part), Cow::Borrowed)
    }
}

/// The value of a folded header as one line: its lines are joined by single spaces.
pub(super) fn unfolded(value: &str) -> String {
    let lines = value.split('\n').map(str::trim_ascii).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// How a part of a value gets into a message: borrowed, or copied where the value had to be built.
pub(super) trait Keep<'s, 'a>: Copy + Fn(&'s str) -> Cow<'a, str> {}

impl<'s, 'a, F: Copy + Fn(&'s str) -> Cow<'a, str>> Keep<'s, 'a> for F {}

/// Where the quoted string ends whose opening quote is at `open`: the index behind its closing quote.
pub(super) fn quoted_end(bytes: &[u8], open: usize) -> Option<usize> {
    let mut position = open + 1;
    loop {
        let found = position + find(bytes.get(position..)?, [b'"', b'\\']);
        if *bytes.get(found)? == b'"' {
            return Some(found + 1);
        }
        position = found + 2;
    }
}

/// The first of the values that commas separate.
pub(super) fn first_of_list(value: &str) -> &str {
    let bytes = value.as_bytes();
    let mut position = 0;
    loop {
        let end = position + find(&bytes[position..], [b',', b'"']);
        if bytes.get(end) != Some(&b'"') {
            return value[..end].trim_ascii();
        }
        position = quoted_end(bytes, end).unwrap_or(bytes.len());
    }
}

/// The value of the first parameter of this name in `;name=value;…`, without quotes.
///
/// What stands before the first semicolon is no parameter, and a comma ends them.
pub(super) fn parameter<'s>(parameters: &'s str, name: &str) -> Option<&'s str> {
    let mut end = parameter_end(parameters, 0);
    while parameters.as_bytes().get(end) == Some(&b';') {
        let start = end + 1;
        end = parameter_end(parameters, start);
        if let Some(value) = named(&parameters[start..end], name) {
            return Some(value);
        }
    }
    None
}

/// Where the parameter ends that starts at `start`: at a semicolon or comma outside quotes, or with the text.
fn parameter_end(parameters: &str, start: usize) -> usize {
    let bytes = parameters.as_bytes();
    let mut position = start;
    loop {
        let end = position + find(&bytes[position..], [b';', b'"', b',']);
        if bytes.get(end) != Some(&b'"') {
            return end;
        }
        position = quoted_end(bytes, end).unwrap_or(bytes.len());
    }
}

/// The value of one `name=value`, if it has this name and a value.
fn named<'s>(parameter: &'s str, name: &str) -> Option<&'s str> {
    let (found, value) = parameter.split_at(find(parameter.as_bytes(), [b'=']));
    if !found.trim_ascii().eq_ignore_ascii_case(name) {
        return None;
    }
    let value = unquoted(value.get(1..)?.trim_ascii());
    (!value.is_empty()).then_some(value)
}

/// The text without the quotes at its ends.
fn unquoted(text: &str) -> &str {
    // Few values are quoted, and this asks faster than trimming does.
    if text.starts_with('"') || text.ends_with('"') { text.trim_matches('"') } else { text }
}
