//! Opaque handles: what a client is given to hold, sealed so that only ours are taken back.
//!
//! A handle says what it is, when it expires, whose it is and which entry of a store it means. SQL text
//! never stands in it.

use pintail_identity::{Principal, Signer};
use pintail_types::{Error, Micros, Result};
use uuid::Uuid;

/// What a handle is for; a handle of one kind is not taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum HandleKind {
    /// A ticket for the rows of one statement.
    Ticket = 1,
    /// A prepared statement.
    Prepared = 2,
}

/// The content of a handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(crate) kind: HandleKind,
    pub(crate) id: Uuid,
    /// From then on it is refused; microseconds since 1970 UTC.
    pub(crate) expires: Micros,
    /// The one it was given to.
    pub(crate) owner: Principal,
}

/// Kind, expiry and id stand before the owner.
const FIXED_BYTES: usize = 1 + 8 + 16;

/// Between the owner's name and its groups. Neither can hold it in a configuration file.
const SEPARATOR: char = '\0';

impl Handle {
    /// The handle as bytes that nobody else can make.
    pub(crate) fn seal(&self, signer: &Signer) -> Vec<u8> {
        let mut payload = Vec::with_capacity(FIXED_BYTES + 32);
        payload.push(self.kind as u8);
        payload.extend_from_slice(&self.expires.to_be_bytes());
        payload.extend_from_slice(self.id.as_bytes());
        payload.extend_from_slice(self.owner.name.as_bytes());
        for group in &self.owner.groups {
            payload.push(SEPARATOR as u8);
            payload.extend_from_slice(group.as_bytes());
        }
        signer.seal(&payload)
    }

    /// Reads a handle of `kind` back.
    ///
    /// # Errors
    /// `NotFound` if it was not sealed here, is of another kind, or has expired.
    pub(crate) fn open(kind: HandleKind, sealed: &[u8], signer: &Signer, now: Micros) -> Result<Self> {
        let unknown = || Error::not_found("the handle is not known here");
        let payload = signer.open(sealed)?;
        let (fixed, owner) = payload.split_at_checked(FIXED_BYTES).ok_or_else(unknown)?;
        if fixed[0] != kind as u8 {
            return Err(unknown());
        }
        let expires = fixed[1..9].try_into().map(Micros::from_be_bytes).map_err(|_| unknown())?;
        let id = Uuid::from_slice(&fixed[9..]).map_err(|_| unknown())?;
        if expires <= now {
            return Err(Error::not_found("the handle has expired: run the statement again"));
        }
        let owner = std::str::from_utf8(owner).map_err(|_| unknown())?;
        let mut parts = owner.split(SEPARATOR);
        let name = parts.next().unwrap_or_default();
        Ok(Self { kind, id, expires, owner: Principal::new(name, parts) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_come_back_until_they_expire_and_only_as_their_kind() {
        let signer = Signer::new([1; 32]);
        for owner in [Principal::local(), Principal::anonymous(), Principal::new("ä b", ["x", "y"])] {
            let handle = Handle { kind: HandleKind::Ticket, id: Uuid::new_v4(), expires: 100, owner };
            let sealed = handle.seal(&signer);
            assert_eq!(Handle::open(HandleKind::Ticket, &sealed, &signer, 99).unwrap(), handle);
            for (kind, now, signer) in [
                (HandleKind::Ticket, 100, &signer),
                (HandleKind::Prepared, 99, &signer),
                (HandleKind::Ticket, 99, &Signer::new([2; 32])),
            ] {
                assert!(Handle::open(kind, &sealed, signer, now).is_err());
            }
        }
    }
}
