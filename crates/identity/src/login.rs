//! One attempt to be let in.

use std::net::IpAddr;

use crate::Credentials;

/// One attempt to be let in: what is shown, and from where.
#[derive(Debug, Clone)]
pub struct Login<'a> {
    /// What the caller shows.
    pub credentials: Credentials<'a>,
    /// The other end of the connection. Failed logins are counted by it; without it they are not.
    pub peer: Option<IpAddr>,
}

impl<'a> Login<'a> {
    /// An attempt with `credentials` from `peer`.
    pub const fn new(credentials: Credentials<'a>, peer: Option<IpAddr>) -> Self {
        Self { credentials, peer }
    }
}
