//! Who asks, and what they may see.
//!
//! Every listener has one [`Authenticator`], and every query one [`Principal`]. Secrets are compared
//! in constant time and never printed. A listener without any credential is open on loopback only
//! ([`check_binding`]). Users come from a file ([`Users`]) or from identity providers ([`OidcProvider`]). Failed logins are limited per address ([`LoginLimit`]). Handles that leave through a
//! door are sealed by a [`Signer`], and the bearers of [`sessions`] are good after a restart.

mod authenticator;
mod bottleneck;
mod credentials;
mod login;
mod login_limit;
mod oidc;
mod principal;
mod reload;
mod secret;
pub mod sessions;
mod short_cache;
mod signer;
pub mod tls;
mod tokens;
mod users;

pub use authenticator::{Authenticator, check_binding};
pub use credentials::Credentials;
pub use login::Login;
pub use login_limit::LoginLimit;
pub use oidc::{OidcOptions, OidcProvider};
pub use principal::Principal;
pub use reload::Reload;
pub use secret::Secret;
pub use signer::Signer;
pub use tokens::TokenEntry;
pub use users::{Users, hash_password};
