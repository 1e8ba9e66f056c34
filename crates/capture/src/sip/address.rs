//! The values of From, To and Contact, and the URIs in them.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memchr3};

use super::value::{parameter, quoted_end, split_text};

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

impl<'a> Address<'a> {
    pub(super) fn parse(value: Cow<'a, str>) -> Self {
        let [uri, user, host, port, tag] = split_text(&value, |value| {
            let (uri, parameters) = name_addr(value);
            let [user, host, port] = uri_parts(uri);
            [Some(uri), user, host, port, parameter(parameters, "tag")].map(present)
        });
        let port = port.and_then(|port| port.parse().ok());
        Self { value, uri, user, host, port, tag }
    }
}

/// The parameter `expires` of the first value of a Contact header.
pub(super) fn contact_expires(value: &str) -> Option<&str> {
    parameter(name_addr(value).1, "expires")
}

fn present(part: Option<&str>) -> Option<&str> {
    part.filter(|part| !part.is_empty())
}

/// Splits the first value of a header into URI and header parameters.
fn name_addr(value: &str) -> (&str, &str) {
    if let Some(open) = opening_bracket(value) {
        let inside = &value[open + 1..];
        return match memchr(b'>', inside.as_bytes()) {
            Some(close) => (inside[..close].trim_ascii(), &inside[close + 1..]),
            None => (inside.trim_ascii(), ""),
        };
    }
    // Without brackets, all parameters belong to the header.
    let end = memchr2(b';', b',', value.as_bytes()).unwrap_or(value.len());
    (value[..end].trim_ascii(), &value[end..])
}

/// Where the `<` around the URI is, past a display name that can contain anything when it is quoted.
fn opening_bracket(value: &str) -> Option<usize> {
    let bytes = value.as_bytes();
    let mut position = 0;
    let mut is_behind_uri = false;
    loop {
        let found = position + memchr3(b'<', b'"', b';', &bytes[position..])?;
        is_behind_uri |= memchr2(b':', b'@', &bytes[position..found]).is_some();
        match bytes[found] {
            b'<' => return Some(found),
            b'"' => match quoted_end(bytes, found) {
                Some(end) => position = end,
                // A quote that is never closed is a character like any other.
                None => return memchr(b'<', &bytes[found..]).map(|open| found + open),
            },
            // A semicolon behind a URI starts its parameters; in an unquoted name it means nothing.
            _ if is_behind_uri => return None,
            _ => position = found + 1,
        }
    }
}

/// User, host and port of a URI.
fn uri_parts(uri: &str) -> [Option<&str>; 3] {
    let Some(colon) = memchr(b':', uri.as_bytes()) else {
        return without_scheme(uri);
    };
    let (scheme, rest) = (&uri[..colon], &uri[colon + 1..]);
    if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") {
        sip_parts(rest)
    } else if scheme.eq_ignore_ascii_case("tel") {
        [Some(&rest[..memchr(b';', rest.as_bytes()).unwrap_or(rest.len())]), None, None]
    } else if scheme.contains('@') {
        // No scheme: the colon is that of the port.
        without_scheme(uri)
    } else {
        [Some(uri), None, None]
    }
}

/// `user@host` that some agents write without a scheme; anything else is a name.
fn without_scheme(uri: &str) -> [Option<&str>; 3] {
    if uri.contains('@') { sip_parts(uri) } else { [Some(uri), None, None] }
}

/// The parts behind `sip:`: `user:password@host:port;parameters?headers`.
fn sip_parts(rest: &str) -> [Option<&str>; 3] {
    let (user, behind) = match memchr(b'@', rest.as_bytes()) {
        Some(at) => {
            let userinfo = &rest[..at];
            let end = memchr(b':', userinfo.as_bytes()).unwrap_or(at);
            (Some(&userinfo[..end]), &rest[at + 1..])
        }
        None => (None, rest),
    };
    let end = memchr2(b';', b'?', behind.as_bytes()).unwrap_or(behind.len());
    // An '@' that should have been escaped belongs to the user.
    let host_and_port = behind[..end].rsplit('@').next().unwrap_or_default();
    let (host, port) = host_and_port_of(host_and_port.trim_ascii());
    [user, Some(host), port]
}

fn host_and_port_of(text: &str) -> (&str, Option<&str>) {
    if let Some(inside) = text.strip_prefix('[') {
        let Some((host, after)) = inside.split_once(']') else {
            return (inside, None);
        };
        return (host, after.strip_prefix(':'));
    }
    match text.split_once(':') {
        // More than one colon: an IPv6 address without the brackets it should have.
        Some((_, port)) if port.contains(':') => (text, None),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}
