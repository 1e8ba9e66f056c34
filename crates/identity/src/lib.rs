//! Who asks, and what they may see.
//!
//! Every listener has one [`Authenticator`], and every query one [`Principal`]. Secrets are compared
//! in constant time and never printed. A listener without any credential is open on loopback only
//! ([`check_binding`]). Handles that leave through a door are sealed by a [`Signer`].

mod authenticator;
mod credentials;
mod principal;
mod signer;

pub use authenticator::{Authenticator, TokenEntry, check_binding};
pub use credentials::Credentials;
pub use principal::Principal;
pub use signer::Signer;
