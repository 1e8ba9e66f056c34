//! Tools of the machine that the gate needs: found, installed where that is allowed, or named.

use std::process::Command;

use crate::{Result, process};

/// Makes sure that cargo has its component `subcommand` (`fmt` or `clippy`).
pub(crate) fn need_cargo_component(subcommand: &str, component: &str) -> Result<()> {
    if process::quietly_succeeds(&mut process::cargo(&[subcommand, "--version"])) {
        return Ok(());
    }
    let mut add = Command::new("rustup");
    add.args(["component", "add", component]);
    if process::quietly_succeeds(Command::new("rustup").arg("--version")) {
        return process::run(&mut add);
    }
    Err(format!("cargo {subcommand} is missing; install the Rust component {component}").into())
}

/// The machine's Python, able to make virtual environments: 3.11 or newer.
///
/// Where its `venv` module is missing, root on a Debian-like system gets it from apt-get; everybody
/// else is told what to install.
pub(crate) fn need_python() -> Result<&'static str> {
    const PYTHON: &str = "python3";
    if has_venv(PYTHON) {
        return Ok(PYTHON);
    }
    install(&["python3", "python3-venv"])?;
    if has_venv(PYTHON) {
        return Ok(PYTHON);
    }
    Err("python3 of version 3.11 or newer with its venv module is missing; \
         install it (Debian: apt-get install python3 python3-venv)"
        .into())
}

/// Makes sure that `program` runs with `arguments`; where it does not, root on a Debian-like system gets `packages`.
pub(crate) fn need(program: &str, arguments: &[&str], packages: &[&str]) -> Result<()> {
    let runs = || process::quietly_succeeds(Command::new(program).args(arguments));
    if runs() {
        return Ok(());
    }
    install(packages)?;
    if runs() {
        return Ok(());
    }
    Err(format!("{program} is missing; install it (Debian: apt-get install {})", packages.join(" ")).into())
}

/// Installs Debian packages where that is possible, and does nothing elsewhere.
fn install(packages: &[&str]) -> Result<()> {
    if !is_root() || !process::quietly_succeeds(Command::new("apt-get").arg("--version")) {
        return Ok(());
    }
    process::run(Command::new("apt-get").arg("update"))?;
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["install", "-y", "--no-install-recommends"]);
    process::run(command.args(packages))
}

/// `ensurepip` is what Debian leaves out of a Python without python3-venv.
fn has_venv(python: &str) -> bool {
    let check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    process::quietly_succeeds(Command::new(python).args(["-c", check]))
}

fn is_root() -> bool {
    process::output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
}
