//! SIP messages, read as far as rows need them: start line and headers, never the body.
//!
//! [`parse`] reads one message and borrows from its bytes; [`messages`] reads each of the messages that
//! one payload can hold. Both are total: a message that breaks the rules still gives what could be read
//! of it. Values are copied only where a header is folded over several lines or stands behind a byte that is
//! not UTF-8 (such bytes are shown as U+FFFD).
//!
//! Where a header must not be repeated and is, the first one counts. For Via that is the rule: the
//! first value of the first line is the hop that sent the message.

mod address;
mod fields;
mod headers;
mod message;
mod parser;
mod value;

pub use address::Address;
pub use headers::HeaderNames;
pub use message::{SipError, SipMessage, SipProblem, StartLine};
pub use parser::{MAX_MESSAGES, Messages, messages, parse};

#[cfg(test)]
mod tests;
