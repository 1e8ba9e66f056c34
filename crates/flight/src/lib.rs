//! The Flight SQL door, and plain Flight beside it.
//!
//! A request goes through four rooms: [`listener`] lets in who shows valid credentials and answers DoGet with a
//! body of its own; [`service`] is the gRPC methods; [`command`] reads what is asked for; [`door`] does it with
//! the engine. Results leave through [`fetch`] (one task per result, at most two messages ahead of the reader)
//! and [`encode`] (Arrow buffers to frames without copying columns).
//!
//! What must hold:
//! - Every method asks for credentials first, also methods that are not served.
//! - FlightInfo, GetSchema, a prepared statement and the stream give the same schema: the engine's wire schema,
//!   and [`columns`] adds the same metadata to it everywhere. No rows are still a schema.
//! - No message is longer than 4 MiB, and none is compressed.
//! - Nothing runs before DoGet, and nothing runs on after its reader is gone.
//! - Handles are sealed, belong to one principal, expire, and the statements behind them are bounded in number.

mod access;
mod actions;
mod columns;
mod command;
mod connection;
mod door;
mod encode;
mod fetch;
mod handle;
mod listener;
mod metadata;
mod server;
mod service;
mod session_messages;
mod status;
mod store;

pub use server::{DoorOptions, FlightDoor};
