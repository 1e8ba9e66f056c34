//! Several volumes as one lake: which rows lie where, and how they get from one volume to another.
//!
//! A move takes one day of one table. It copies the rows into files of the other volume, verifies them, and commits them
//! there; that commit records which files it took over, and from then on the union leaves these out. Then the first
//! volume ends them, and later its expiry and cleanup free the space. So at every moment, now and in the past, each row is
//! shown once. Every step is noted in the catalogs by the transaction that does it ([`pintail_ducklake::Move`]): what a
//! crash interrupts is rolled back or finished by [`settle`] when the lake is opened next.

mod copy;
mod heads;
mod partition;
mod policy;
mod row_sum;
mod settle;
mod state;
mod transfer;
mod watch;

pub(crate) use self::heads::{Generations, Heads, hidden_at};
pub(crate) use self::partition::Partition;
pub(crate) use self::policy::{Planned, plan};
pub(crate) use self::settle::{forget_ended_moves, settle};
pub use self::state::VolumeState;
pub(crate) use self::transfer::Transfer;
pub use self::watch::MoveWatch;
