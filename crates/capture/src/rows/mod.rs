//! From packets to rows of the telemetry tables.

mod builder;
mod extra;
pub(crate) mod json;
mod packet;

pub(crate) use builder::{BuiltRows, RowBuilder};
pub(crate) use packet::{Arrived, Payload, RowRules, Target};
