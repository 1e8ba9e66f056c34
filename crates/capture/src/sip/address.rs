//! The values of From, To and Contact, and the URIs in them.

use std::borrow::Cow;

use crate::scan::find;

use super::value::{Keep, parameter, quoted_end};

/// `"Name" <uri>;parameters` or `uri;parameters`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address<'a> {
    /// The whole header value.
    pub value: Cow<'a, str>,
    /// The URI, without angle brackets.
    pub uri: Option<Cow<'a, str>>,
    /// The user of a sip or sips URI, the number of a tel URI, the whole text of any other.
    pub user: Option<Cow<'a, str>>,
    /// The host of a sip or sips URI; an IPv6 address without its brackets.
    pub host: Option<Cow<'a, str>>,
    /// The port of a sip or sips URI.
    pub port: Option<u16>,
    /// The header's parameter `tag`.
    pub tag: Option<Cow<'a, str>>,
}

/// A header value split at its URI.
pub(super) struct NameAddr<'s> {
    value: &'s str,
    uri: &'s str,
    parameters: &'s str,
}

impl<'s> NameAddr<'s> {
    /// Splits the first value of a header into URI and header parameters.
    pub(super) fn split(value: &'s str) -> Self {
        if let Some(open) = opening_bracket(value) {
            let inside = &value[open + 1..];
            let (uri, behind) = inside.split_at(find(inside.as_bytes(), [b'>']));
            return Self { value, uri: uri.trim_ascii(), parameters: behind };
        }
        // Without brackets, all parameters belong to the header.
        let (uri, parameters) = value.split_at(find(value.as_bytes(), [b';', b',']));
        Self { value, uri: uri.trim_ascii(), parameters }
    }

    /// The value of a header parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&'s str> {
        parameter(self.parameters, name)
    }

    /// All parts.
    #[inline(always)]
    pub(super) fn address<'a>(&self, keep: impl Keep<'s, 'a>) -> Address<'a> {
        let [user, host, port] = uri_parts(self.uri);
        Address {
            value: keep(self.value),
            uri: present(self.uri).map(keep),
            user: present(user).map(keep),
            host: present(host).map(keep),
            port: port.parse().ok(),
            tag: self.parameter("tag").map(keep),
        }
    }
}

fn present(part: &str) -> Option<&str> {
    (!part.is_empty()).then_some(part)
}

/// Where the `<` around the URI is, past a display name that can contain anything when it is quoted.
fn opening_bracket(value: &str) -> Option<usize> {
    let bytes = value.as_bytes();
    let mut position = 0;
    let mut is_behind_uri = false;
    loop {
        let found = position + find(&bytes[position..], [b'<', b'"', b';', b':', b'@']);
        position = found + 1;
        match bytes.get(found)? {
            b'<' => return Some(found),
            b'"' => match quoted_end(bytes, found) {
                Some(end) => position = end,
                // A quote that is never closed is a character like any other.
                None => return value[found..].find('<').map(|open| found + open),
            },
            // A semicolon behind a URI starts its parameters; in an unquoted name it means nothing.
            b';' if is_behind_uri => return None,
            b';' => {}
            _ => is_behind_uri = true,
        }
    }
}

/// User, host and port of a URI; what is absent is empty.
fn uri_parts(uri: &str) -> [&str; 3] {
    match uri.as_bytes() {
        [b's' | b'S', b'i' | b'I', b'p' | b'P', b':', ..] => sip_parts(&uri[4..]),
        [b's' | b'S', b'i' | b'I', b'p' | b'P', b's' | b'S', b':', ..] => sip_parts(&uri[5..]),
        [b't' | b'T', b'e' | b'E', b'l' | b'L', b':', number @ ..] => {
            [&uri[4..][..find(number, [b';'])], "", ""]
        }
        bytes => match bytes.get(find(bytes, [b':', b'@'])) {
            // `user@host` that some agents write without a scheme; a colon is then that of the port.
            Some(b'@') => sip_parts(uri),
            _ => [uri, "", ""],
        },
    }
}

/// The parts behind `sip:`: `user:password@host:port;parameters?headers`.
fn sip_parts(rest: &str) -> [&str; 3] {
    let (user, behind) = userinfo(rest);
    let (host, port) = host_and_port(hostport(behind).trim_ascii());
    [user, host, port]
}

/// The user, and what follows the userinfo. An '@' ends it even behind a semicolon.
fn userinfo(rest: &str) -> (&str, &str) {
    let (user, after) = rest.split_at(find(rest.as_bytes(), [b':', b'@']));
    match after.get(find(after.as_bytes(), [b'@']) + 1..) {
        Some(behind) => (user, behind),
        None => ("", rest),
    }
}

/// What stands before parameters and headers. An '@' that should have been escaped belongs to the user.
fn hostport(behind: &str) -> &str {
    let mut rest = behind;
    loop {
        let end = find(rest.as_bytes(), [b';', b'?', b'@']);
        if rest.as_bytes().get(end) != Some(&b'@') {
            return &rest[..end];
        }
        rest = &rest[end + 1..];
    }
}

fn host_and_port(text: &str) -> (&str, &str) {
    if let Some(inside) = text.strip_prefix('[') {
        let (host, after) = inside.split_once(']').unwrap_or((inside, ""));
        return (host, after.strip_prefix(':').unwrap_or_default());
    }
    let (host, after) = text.split_at(find(text.as_bytes(), [b':']));
    match after.strip_prefix(':') {
        // More than one colon: an IPv6 address without the brackets it should have.
        Some(port) if port.contains(':') => (text, ""),
        Some(port) => (host, port),
        None => (text, ""),
    }
}
