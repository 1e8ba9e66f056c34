//! From sockets to rows: HEP packets come in over UDP, TCP and HTTP, go to the journal, and become rows of
//! the telemetry tables.
//!
//! What always holds:
//! - Every packet that was received has exactly one outcome, counted with its reason ([`Accounting`]).
//! - A stored packet is in the journal; HTTP says so only when it is on the disk.
//! - The same record makes the same rows, identifiers included, so a replay repeats nothing.
//! - Every buffer has a limit. At the limit TCP and HTTP senders wait; datagrams are dropped and counted.
//! - Neither payloads nor authentication keys reach a log or, in the case of keys, the journal.
//!
//! Nothing here knows queries.

mod accounting;
mod auth;
mod capture;
mod dedup;
mod intake;
mod listeners;
mod log_limit;
#[doc(hidden)]
pub mod measure;
mod options;
mod record;
mod rows;
mod scan;
mod shards;
pub mod sip;
mod time;

pub use accounting::{AccountRow, Accounting, Transport};
pub use auth::{AuthKey, MAX_SECRET_BYTES};
pub use capture::Capture;
pub use options::{
    CaptureOptions, HepOptions, HttpOptions, MAX_DECOMPRESSED_BYTES, SipOptions, TcpOptions, UdpOptions,
};
pub use pintail_lake::ReplayReport;
pub use time::TimeRules;

pub(crate) use capture::cores;
