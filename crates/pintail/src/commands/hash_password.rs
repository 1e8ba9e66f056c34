//! `pintail hash-password`: a line of `identity.users_file`.

use std::io::{self, BufRead, IsTerminal, Read};
use std::process::ExitCode;

use pintail_identity::hash_password;
use pintail_types::{Error, Result};

use crate::cli::HashPassword;
use crate::output;

/// Longest password that is read.
const MAX_PASSWORD_BYTES: u64 = 1024;

/// Reads one line of standard input and prints the user's line with its hash.
pub(crate) fn run(arguments: &HashPassword) -> Result<ExitCode> {
    let HashPassword { name, groups } = arguments;
    let is_unusable = |text: &str| text.contains([':', '\n', '\r']) || text.trim() != text;
    if name.is_empty() || name.starts_with('#') || is_unusable(name) || is_unusable(groups) {
        return Err(Error::invalid(
            "names and groups have neither colons nor spaces around them, and begin with no #",
        ));
    }
    if io::stdin().is_terminal() {
        eprintln!("password of {name} (it is shown as you type; better pipe it in):");
    }
    let mut line = String::new();
    io::stdin()
        .lock()
        .take(MAX_PASSWORD_BYTES + 2)
        .read_line(&mut line)
        .map_err(|error| Error::invalid(format!("standard input: {error}")).with_source(error))?;
    let password = line.trim_end_matches(['\n', '\r']);
    if password.len() as u64 > MAX_PASSWORD_BYTES {
        return Err(Error::invalid(format!("a password has at most {MAX_PASSWORD_BYTES} bytes")));
    }
    output::line(format!("{name}:{}:{groups}", hash_password(password)?))?;
    Ok(ExitCode::SUCCESS)
}
