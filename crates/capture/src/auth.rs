//! Secrets that senders show, compared in constant time.

use std::fmt;
use std::net::IpAddr;

use subtle::{Choice, ConstantTimeEq as _};

use crate::accounting::Reason;

/// The longest secret that can be compared; longer ones never match.
pub const MAX_SECRET_BYTES: usize = 512;

/// One HEP authentication key, for senders everywhere or in one network.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthKey {
    /// The key, at most [`MAX_SECRET_BYTES`] long.
    pub key: Vec<u8>,
    /// The network, as address and prefix length, that a sender must be in to use it.
    pub network: Option<(IpAddr, u8)>,
}

impl AuthKey {
    /// A key for senders everywhere.
    pub fn everywhere(key: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), network: None }
    }

    fn admits(&self, peer: IpAddr) -> bool {
        self.network.is_none_or(|(network, prefix)| in_network(peer, network, prefix))
    }
}

/// Shows everything but the key.
impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthKey").field("key_bytes", &self.key.len()).field("network", &self.network).finish()
    }
}

/// Checks the key that a packet carries; with no keys at all every packet passes.
pub(crate) fn check(keys: &[AuthKey], shown: Option<&[u8]>, peer: IpAddr) -> Result<(), Reason> {
    if keys.is_empty() {
        return Ok(());
    }
    let shown = shown.ok_or(Reason::AuthMissing)?;
    // Every key is compared, so that the time does not tell which one came near.
    let mut matched = Choice::from(0);
    for key in keys {
        matched |= same_secret(&key.key, shown) & Choice::from(u8::from(key.admits(peer)));
    }
    if bool::from(matched) { Ok(()) } else { Err(Reason::AuthWrong) }
}

/// Compares in a time that depends on neither the bytes nor the length of `known`.
pub(crate) fn same_secret(known: &[u8], shown: &[u8]) -> Choice {
    let same_length = (known.len() as u64).ct_eq(&(shown.len() as u64));
    let fits = Choice::from(u8::from(known.len() <= MAX_SECRET_BYTES));
    padded(known).ct_eq(&padded(shown)) & same_length & fits
}

fn padded(secret: &[u8]) -> [u8; MAX_SECRET_BYTES] {
    let mut block = [0; MAX_SECRET_BYTES];
    let length = secret.len().min(MAX_SECRET_BYTES);
    block[..length].copy_from_slice(&secret[..length]);
    block
}

/// An IPv4 peer of an IPv6 socket counts as what it is.
fn in_network(peer: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32_u8),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let (peer_bits, peer_width) = bits(peer.to_canonical());
    let (network_bits, width) = bits(network.to_canonical());
    if peer_width != width {
        return false;
    }
    let kept = u32::from(prefix.min(width));
    // A shift by the whole width would overflow: prefix 0 holds everybody.
    kept == 0 || (peer_bits ^ network_bits) >> (128 - kept) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn key(text: &str, network: Option<(&str, u8)>) -> AuthKey {
        let network = network.map(|(address, prefix)| (address.parse().unwrap(), prefix));
        AuthKey { key: text.into(), network }
    }

    #[test]
    fn keys_decide() {
        let any = [key("one", None), key("two", None)];
        let here = [key("one", Some(("192.0.2.0", 24)))];
        let there = [key("one", Some(("198.51.100.0", 24)))];
        let check = |keys: &[AuthKey], shown: Option<&str>, expected| {
            assert_eq!(check(keys, shown.map(str::as_bytes), PEER), expected, "{keys:?} {shown:?}");
        };
        check(&[], None, Ok(()));
        check(&[], Some("x"), Ok(()));
        check(&any, None, Err(Reason::AuthMissing));
        check(&any, Some("two"), Ok(()));
        check(&any, Some("tw"), Err(Reason::AuthWrong));
        check(&any, Some("two\0"), Err(Reason::AuthWrong));
        check(&any, Some(""), Err(Reason::AuthWrong));
        check(&here, Some("one"), Ok(()));
        check(&there, Some("one"), Err(Reason::AuthWrong));
    }

    #[test]
    fn secrets_over_the_limit_never_match() {
        let long = vec![7; MAX_SECRET_BYTES + 1];
        assert!(!bool::from(same_secret(&long, &long)));
        assert!(bool::from(same_secret(&long[1..], &long[1..])));
    }

    #[test]
    fn networks_hold_their_addresses() {
        let cases = [
            ("192.0.2.7", "192.0.2.0", 24, true),
            ("192.0.3.7", "192.0.2.0", 24, false),
            ("192.0.3.7", "192.0.2.0", 0, true),
            ("192.0.2.7", "192.0.2.7", 32, true),
            ("::ffff:192.0.2.7", "192.0.2.0", 24, true),
            ("2001:db8::1", "2001:db8::", 32, true),
            ("2001:db9::1", "2001:db8::", 32, false),
            ("192.0.2.7", "::", 0, false),
        ];
        for (peer, network, prefix, expected) in cases {
            let held = in_network(peer.parse().unwrap(), network.parse().unwrap(), prefix);
            assert_eq!(held, expected, "{peer} in {network}/{prefix}");
        }
    }
}
