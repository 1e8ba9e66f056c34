//! The client of arrow-rs, tried on a running server: `flight_client TARGET`.
//!
//! TARGET is a file of `key=value` lines that says where the servers are; `cargo xtask clients` writes it and reads
//! the lines that are printed here.

#![allow(clippy::print_stdout, reason = "the lines are what it is for")]

mod browse;
mod check;
mod connect;
mod read;
mod write;

use check::{Outcome, Target, line};

#[tokio::main]
async fn main() -> Outcome {
    let path = std::env::args().nth(1).ok_or("usage: flight_client TARGET")?;
    let target = Target::read(&path)?;
    line("version", &format!("arrow-flight {}", arrow::ARROW_VERSION), "");
    connect::run(&target).await;
    let mut client = target.with_password("plain", "user", "password").await?;
    browse::run(&target, &mut client).await;
    read::run(&target, &mut client).await;
    write::run(&target, &mut client).await;
    Ok(())
}
