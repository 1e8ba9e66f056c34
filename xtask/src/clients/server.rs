//! A server of ours in a process of its own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use serde::Deserialize;
use serde_json::Value;

use crate::{Result, process};

/// What `--ready-file` says.
#[derive(Debug, Deserialize)]
struct Ready {
    listeners: BTreeMap<String, SocketAddr>,
}

/// A running server; ended when it goes out of scope.
#[derive(Debug)]
pub(crate) struct Server {
    binary: PathBuf,
    folder: PathBuf,
    child: Child,
    listeners: BTreeMap<String, SocketAddr>,
}

impl Server {
    /// Starts it with its data and its log in `folder`. Returns when everything listens.
    pub(crate) fn start(binary: &Path, folder: &Path, config: &Value) -> Result<Self> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("pintail.json"), config.to_string())?;
        let (child, listeners) = spawn(binary, folder)?;
        Ok(Self { binary: binary.to_owned(), folder: folder.to_owned(), child, listeners })
    }

    /// Where a listener listens.
    pub(crate) fn address(&self, listener: &str) -> Result<SocketAddr> {
        let found = self.listeners.get(listener).copied();
        found.ok_or_else(|| format!("the server has no listener {listener}: {:?}", self.listeners).into())
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it as an operator does, and starts it again with `config`, which names the ports that it had.
    pub(crate) fn restart(&mut self, config: &Value) -> Result<()> {
        process::run(Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]))?;
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("the server ended with {status} when it was stopped").into());
        }
        fs::write(self.folder.join("pintail.json"), config.to_string())?;
        (self.child, self.listeners) = spawn(&self.binary, &self.folder)?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(binary: &Path, folder: &Path) -> Result<(Child, BTreeMap<String, SocketAddr>)> {
    let ready_file = folder.join("ready.json");
    let mut command = Command::new(binary);
    // Settings of whoever runs this are none of the server's.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PINTAIL_") || name.to_string_lossy().starts_with("HOMER_") {
            command.env_remove(name);
        }
    }
    let mut child = command
        .args(["serve", "--config", "pintail.json", "--ready-file"])
        .arg(&ready_file)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::options().create(true).append(true).open(folder.join("errors.log"))?)
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", binary.display()))?;
    let Some(output) = child.stdout.take() else { return Err("the server has no output".into()) };
    let mut lines = BufReader::new(output);
    let mut log = String::new();
    // The server says so after it has written the ready file: reading it waits without asking again and again.
    loop {
        let begin = log.len();
        if lines.read_line(&mut log)? == 0 {
            let errors = fs::read_to_string(folder.join("errors.log")).unwrap_or_default();
            let status = child.wait()?;
            return Err(format!("the server ended with {status} before it was ready:\n{log}{errors}").into());
        }
        if log[begin..].starts_with("ready ") {
            break;
        }
    }
    // Nobody reads on; a full pipe would stop the server.
    thread::spawn(move || lines.read_to_end(&mut Vec::new()));
    let ready: Ready = serde_json::from_slice(&fs::read(&ready_file)?)?;
    Ok((child, ready.listeners))
}
