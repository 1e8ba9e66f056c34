//! Runs one client program: hears its lines, restarts a server when it asks, and ends it when it hangs.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::report::Report;
use super::servers::Servers;
use crate::Result;

/// The longest that a program may stay silent, or run at all: it hangs then.
const PATIENCE: Duration = Duration::from_secs(180);

/// What a program prints to have the server with TLS restarted; it goes on when it reads a line.
const RESTART: &str = "restart";

/// Runs the program to its end. That it fails or hangs is no error here: what it did not print has failed.
/// Its standard error, where drivers complain at length, goes to the file `log`.
pub(crate) fn run(
    command: &mut Command,
    log: &Path,
    servers: &mut Servers,
    report: &mut Report,
) -> Result<()> {
    let begin = Instant::now();
    let errors = File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors).spawn()?;
    let outcome = talk(&mut child, servers, report);
    if let Err(error) = &outcome {
        println!("   {error}");
    }
    // It has closed its output, or it is to be ended; either way this does not wait long.
    let status = if outcome.is_ok() { child.wait()? } else { end(&mut child)? };
    println!(
        "   {status} after {:.1} s, what it complained of: {}",
        begin.elapsed().as_secs_f64(),
        log.display()
    );
    Ok(())
}

fn end(child: &mut Child) -> Result<std::process::ExitStatus> {
    child.kill()?;
    Ok(child.wait()?)
}

fn talk(child: &mut Child, servers: &mut Servers, report: &mut Report) -> Result<()> {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the program has no pipes".into());
    };
    let (sender, lines) = mpsc::sync_channel(1024);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let limit = Instant::now() + PATIENCE;
    loop {
        match lines.recv_timeout(limit.saturating_duration_since(Instant::now())) {
            Ok(line) if line == RESTART => {
                servers.restart_tls()?;
                writeln!(input)?;
            }
            Ok(line) => {
                println!("   {}", line.replace('\t', "  "));
                report.take(&line);
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("it did not end within {PATIENCE:?}").into());
            }
        }
    }
}
