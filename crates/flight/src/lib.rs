//! The Flight SQL door, and plain Flight beside it.
//!
//! A request goes through four rooms: [`listener`] lets in who shows valid credentials and answers DoGet with a
//! body of its own; [`service`] is the gRPC methods; [`command`] reads what is asked for; [`door`] does it with
//! the engine, in [`flights`] (queries), [`prepared`], [`put`] (updates, ingest) and [`actions`]. Results leave
//! through [`fetch`] (one task per result, at most two messages ahead of the reader) and [`encode`] (Arrow
//! buffers to frames without copying columns).
//!
//! What must hold:
//! - Every method asks for credentials first, also methods that are not served; only [`health`] does not.
//! - FlightInfo, GetSchema, a prepared statement and the stream give the same schema: the engine's wire schema,
//!   and [`columns`] adds the same metadata to it everywhere. No rows are still a schema.
//! - No message is longer than 4 MiB, and none is compressed unless its client compresses, too.
//! - Queries run at DoGet, and nothing runs on after its reader is gone. A statement that changes something runs
//!   once: where it is sent, by DoPut or by GetFlightInfo.
//! - Data that did not come whole is never taken for whole.
//! - Handles are sealed, belong to one principal, expire, and what stands behind them is bounded in number and
//!   in bytes.

mod access;
mod actions;
mod answer;
mod columns;
mod command;
mod connection;
mod deadline;
mod door;
mod encode;
mod fetch;
mod flights;
#[doc(hidden)]
pub mod foreign;
mod gate;
mod gzip;
mod handle;
mod health;
mod incoming;
mod listener;
mod metadata;
mod pieces;
mod planned;
mod prepared;
mod profile;
mod put;
mod server;
mod service;
mod session_messages;
mod session_options;
mod sessions;
mod status;
mod store;
mod transactions;
mod unary;

pub use profile::profile_named;
pub use server::{DoorOptions, FlightDoor};
