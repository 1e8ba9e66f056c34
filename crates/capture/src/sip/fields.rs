//! Which field of a message a header sets.

use std::borrow::Cow;

use super::address::{Address, NameAddr};
use super::headers::{HeaderNames, Known};
use super::message::SipMessage;
use super::value::{Keep, Source, first_of_list, parameter, unfolded};

/// A header, without white space around its parts.
#[derive(Clone, Copy)]
pub(super) struct Header<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    /// Whether it goes over several lines.
    pub(super) is_folded: bool,
}

impl<'a> Header<'a> {
    /// The value as it lies in the payload, if it is text and in one piece.
    fn borrowed(self, source: Source<'a>) -> Option<&'a str> {
        if self.is_folded { None } else { source.borrowed(self.value) }
    }

    /// The value as text, borrowed where it can be.
    fn text(self, source: Source<'a>) -> Cow<'a, str> {
        match source.text(self.value) {
            folded if self.is_folded => Cow::Owned(unfolded(&folded)),
            text => text,
        }
    }
}

/// Sets what a header says, if no earlier one did.
#[inline]
pub(super) fn set_header<'a>(
    message: &mut SipMessage<'a>,
    wanted: &HeaderNames,
    header: Header<'a>,
    source: Source<'a>,
) {
    if header.value.is_empty() {
        return;
    }
    for index in 0..wanted.len() {
        if wanted.is(index, header.name) && message.wanted(index).is_none() {
            message.wanted.push((index, header.text(source)));
        }
    }
    let Some(known) = Known::of(header.name) else { return };
    match header.borrowed(source) {
        Some(value) => set_known(message, known, value, Cow::Borrowed),
        None => set_copied(message, known, &header.text(source)),
    }
}

/// As [`set_known`], with copies of the parts of a value that does not lie in the payload.
#[cold]
fn set_copied(message: &mut SipMessage<'_>, known: Known, value: &str) {
    set_known(message, known, value, |part| Cow::Owned(part.to_owned()));
}

#[inline]
fn set_known<'s, 'a>(message: &mut SipMessage<'a>, known: Known, value: &'s str, keep: impl Keep<'s, 'a>) {
    let slot = match known {
        Known::From => return set_address(&mut message.from, value, keep),
        Known::To => return set_address(&mut message.to, value, keep),
        Known::Contact => return set_contact(message, value, keep),
        Known::Via => return set_via(message, value, keep),
        Known::Cseq => return set_cseq(message, value, keep),
        Known::CallId => &mut message.call_id,
        Known::UserAgent => &mut message.user_agent,
        Known::Server => &mut message.server,
        Known::Authorization => &mut message.authorization,
        Known::ContentType => &mut message.content_type,
        Known::ContentLength => &mut message.content_length,
        Known::Expires => &mut message.expires,
        Known::MaxForwards => &mut message.max_forwards,
        Known::XCallId => &mut message.x_call_id,
    };
    if slot.is_none() {
        *slot = Some(keep(value));
    }
}

fn set_address<'s, 'a>(slot: &mut Option<Address<'a>>, value: &'s str, keep: impl Keep<'s, 'a>) {
    if slot.is_none() {
        *slot = Some(NameAddr::split(value).address(keep));
    }
}

fn set_contact<'s, 'a>(message: &mut SipMessage<'a>, value: &'s str, keep: impl Keep<'s, 'a>) {
    if message.contact.is_none() {
        let parts = NameAddr::split(value);
        message.contact = Some(parts.address(keep));
        message.contact_expires = parts.parameter("expires").map(keep);
    }
}

fn set_via<'s, 'a>(message: &mut SipMessage<'a>, value: &'s str, keep: impl Keep<'s, 'a>) {
    if message.via.is_none() {
        let top = first_of_list(value);
        message.via = Some(top).filter(|top| !top.is_empty()).map(keep);
        message.branch = parameter(top, "branch").map(keep);
    }
}

fn set_cseq<'s, 'a>(message: &mut SipMessage<'a>, value: &'s str, keep: impl Keep<'s, 'a>) {
    if message.cseq.is_some() {
        return;
    }
    let mut words = value.split_ascii_whitespace();
    let number = words.next().filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    message.cseq_number = number.and_then(|number| number.parse().ok());
    message.cseq_method = number.and(words.next()).map(keep);
    message.cseq = Some(keep(value));
}
