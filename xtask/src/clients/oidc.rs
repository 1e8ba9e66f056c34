//! A real OIDC provider on loopback: `clients/oidc`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::install;
use crate::Result;

/// What the provider is told to know, and what the server and the clients are told of it.
pub(crate) const CLIENT_ID: &str = "pintail-clients";
pub(crate) const CLIENT_SECRET: &str = "clients-oidc-secret";
pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "clients-oidc-password";

/// A running provider; ended when it goes out of scope.
#[derive(Debug)]
pub(crate) struct Provider {
    child: Child,
    pub(crate) issuer: String,
    /// An access token of [`USER`].
    pub(crate) token: String,
}

impl Provider {
    /// Installs and starts it.
    pub(crate) fn start() -> Result<Self> {
        let script = install::oidc_provider()?;
        let mut child = Command::new("node")
            .arg(script)
            .env("OIDC_USERS", format!("{USER}:{PASSWORD}:writers"))
            .env("OIDC_CLIENT", format!("{CLIENT_ID}:{CLIENT_SECRET}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start node: {error}"))?;
        let mut lines = child.stdout.take().into_iter().flat_map(|output| BufReader::new(output).lines());
        // The package prints notices of its own between ours.
        let mut value = |name: &str| -> Result<String> {
            for line in lines.by_ref() {
                if let Some(value) = line?.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
                    return Ok(value.to_owned());
                }
            }
            Err(format!("the OIDC provider ended before it told its {name}").into())
        };
        let (issuer, token) = (value("issuer"), value("token"));
        match (issuer, token) {
            (Ok(issuer), Ok(token)) => Ok(Self { child, issuer, token }),
            (Err(error), _) | (_, Err(error)) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
