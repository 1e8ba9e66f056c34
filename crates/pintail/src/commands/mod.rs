//! One module for each command.

pub(crate) mod check_config;
pub(crate) mod sql;
