//! One module for each command.

pub(crate) mod check_config;
pub(crate) mod demo;
mod fsck;
pub(crate) mod hash_password;
pub(crate) mod hep;
pub(crate) mod lake;
mod maintain;
pub(crate) mod serve;
pub(crate) mod sql;
