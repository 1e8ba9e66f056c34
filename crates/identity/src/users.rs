//! Users with passwords: a file of lines `name:argon2-hash:group,group`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use argon2::password_hash::{PasswordHash, PasswordHashString, SaltString};
use argon2::{Argon2, Params, PasswordHasher as _, PasswordVerifier as _};
use pintail_types::{Clock, Error, Micros, Result};

use crate::Principal;
use crate::bottleneck::Bottleneck;
use crate::login_limit::Attempt;
use crate::reload::{Reload, WatchedFiles, read_file};
use crate::secret::fill_random;
use crate::short_cache::ShortCache;

/// Longest file of users.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// What a hash may ask for, so that a login costs bounded memory and time.
const MAX_MEMORY_KIB: u32 = 256 << 10;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;
/// Logins that wait for their turn to be checked.
const MAX_WAITING: usize = 4096;
/// Passwords that were right are not checked again for so long.
const VERIFIED_LIFETIME: Micros = 5 * 60 * 1_000_000;
/// Right passwords that are remembered.
const MAX_VERIFIED: usize = 4096;
/// Bytes of a new hash's salt (RFC 9106 section 3.1).
const SALT_BYTES: usize = 16;

/// The users of a file.
#[derive(Debug)]
pub struct Users {
    path: PathBuf,
    files: WatchedFiles,
    table: ArcSwap<Table>,
    verified: ShortCache<()>,
    bottleneck: Bottleneck,
}

/// What became of a password.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// It is right.
    Right(Principal),
    /// It is wrong.
    Wrong,
    /// There is no such user.
    Unknown,
}

impl Users {
    /// Reads the file at `path`. Blocks.
    ///
    /// # Errors
    /// `Invalid` with the line that can't be used.
    pub fn open(path: PathBuf, clock: Arc<dyn Clock>) -> Result<Self> {
        let files = WatchedFiles::new(vec![path.clone()]);
        let table = Table::read(&path)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            path,
            files,
            table: ArcSwap::from_pointee(table),
            verified: ShortCache::new(clock, MAX_VERIFIED, VERIFIED_LIFETIME)?,
            bottleneck: Bottleneck::new(cores, MAX_WAITING),
        })
    }

    /// Checks a password.
    ///
    /// # Errors
    /// `Exhausted` if too many are being checked, or if the attempt may not go on after waiting.
    pub(crate) async fn check(&self, name: &str, password: &str, attempt: &Attempt<'_>) -> Result<Checked> {
        let Some(user) = self.table.load().users.get(name).cloned() else {
            return Ok(Checked::Unknown);
        };
        // The hash is part of the key, so a changed password is checked anew.
        let key = [name, user.hash.as_str(), password];
        if self.verified.get(&key).is_none() {
            let _turn = self.bottleneck.turn().await?;
            // While this one waited, another may have found the same password right, or too many wrong.
            if self.verified.get(&key).is_none() {
                attempt.check()?;
                if !is_right(user.hash.clone(), password.to_owned()).await? {
                    return Ok(Checked::Wrong);
                }
                self.verified.put(&key, (), Micros::MAX);
            }
        }
        Ok(Checked::Right(Principal::new(name, user.groups.iter().cloned())))
    }

    /// Takes as long as the check of a wrong password, so that time does not tell which users exist.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(crate) async fn pretend(&self, password: &str, attempt: &Attempt<'_>) -> Result<()> {
        let Some(hash) = self.table.load().users.values().next().map(|user| user.hash.clone()) else {
            return Ok(());
        };
        let _turn = self.bottleneck.turn().await?;
        attempt.check()?;
        is_right(hash, password.to_owned()).await.map(drop)
    }
}

impl Reload for Users {
    fn describe(&self) -> String {
        format!("users file {}", self.path.display())
    }

    fn has_changed(&self) -> bool {
        self.files.have_changed()
    }

    fn reload(&self) -> Result<()> {
        self.table.store(Arc::new(Table::read(&self.path)?));
        Ok(())
    }
}

/// The line's second field for a password: Argon2id with a new salt and the parameters of OWASP's first choice
/// (19 MiB, 2 passes). Blocks for tens of milliseconds.
///
/// # Errors
/// `Invalid` for an empty password.
pub fn hash_password(password: &str) -> Result<String> {
    if password.is_empty() {
        return Err(Error::invalid("the password is empty"));
    }
    let mut salt = [0; SALT_BYTES];
    fill_random(&mut salt)?;
    let failed = |error: argon2::password_hash::Error| Error::internal(format!("argon2: {error}"));
    let salt = SaltString::encode_b64(&salt).map_err(failed)?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(failed)?;
    Ok(hash.to_string())
}

async fn is_right(hash: PasswordHashString, password: String) -> Result<bool> {
    let verify =
        move || Argon2::default().verify_password(password.as_bytes(), &hash.password_hash()).is_ok();
    tokio::task::spawn_blocking(verify)
        .await
        .map_err(|error| Error::internal("checking a password failed").with_source(error))
}

#[derive(Debug, Clone)]
struct User {
    hash: PasswordHashString,
    groups: Arc<[String]>,
}

#[derive(Debug, Default)]
struct Table {
    users: HashMap<String, User>,
}

impl Table {
    fn read(path: &Path) -> Result<Self> {
        let bytes = read_file("users file", path, MAX_FILE_BYTES)?;
        let place = |number: usize| format!("users file {}, line {number}", path.display());
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::invalid(format!("users file {}: not UTF-8", path.display())))?;
        let mut table = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, user) = parse_line(line).map_err(|error| error.context(place(index + 1)))?;
            if table.users.insert(name.clone(), user).is_some() {
                return Err(Error::invalid(format!("{}: user '{name}' is there twice", place(index + 1))));
            }
        }
        Ok(table)
    }
}

fn parse_line(line: &str) -> Result<(String, User)> {
    let mut fields = line.splitn(3, ':').map(str::trim);
    let name = fields.next().unwrap_or_default();
    if name.is_empty() || name.contains(char::is_control) {
        return Err(Error::invalid("a name is wanted before the first colon"));
    }
    let Some(hash) = fields.next() else {
        return Err(Error::invalid("name:argon2-hash:group,group is wanted; pintail hash-password makes it"));
    };
    let hash = parse_hash(hash)?;
    let groups = fields.next().unwrap_or_default().split(',').map(str::trim);
    let groups = groups.filter(|group| !group.is_empty()).map(str::to_owned).collect();
    Ok((name.to_owned(), User { hash, groups }))
}

fn parse_hash(text: &str) -> Result<PasswordHashString> {
    let unreadable = |reason: &dyn std::fmt::Display| {
        Error::invalid(format!(
            "the second field is no argon2 hash ($argon2id$v=19$…): {reason}; pintail hash-password makes one"
        ))
    };
    let hash = PasswordHash::new(text).map_err(|error| unreadable(&error))?;
    if !hash.algorithm.as_str().starts_with("argon2") {
        return Err(unreadable(&format!("its algorithm is {}", hash.algorithm)));
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(unreadable(&"salt or hash is missing"));
    }
    let cost = Params::try_from(&hash).map_err(|error| unreadable(&error))?;
    if cost.m_cost() > MAX_MEMORY_KIB || cost.t_cost() > MAX_PASSES || cost.p_cost() > MAX_LANES {
        return Err(Error::invalid(format!(
            "the hash costs more than is allowed here (m={MAX_MEMORY_KIB}, t={MAX_PASSES}, p={MAX_LANES})"
        )));
    }
    Ok(hash.serialize())
}

#[cfg(test)]
mod tests;
