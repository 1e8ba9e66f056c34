//! Python environments outside the checkout, made again only when what they hold has changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, process, stamp, tools};

/// A virtual environment with the packages of one requirements file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Environment {
    /// The folder's name under [`cache_folder`].
    name: &'static str,
    /// The requirements file under `clients/python`.
    requirements: &'static str,
    /// The variable that names another interpreter to use instead, and that tests read.
    variable: &'static str,
}

/// Official DuckDB with its DuckLake extension: the judge of our lake.
pub(crate) const DUCKDB: Environment = Environment {
    name: "duckdb-venv",
    requirements: "requirements-duckdb.txt",
    variable: "PINTAIL_DUCKDB_PYTHON",
};

/// A server that speaks S3, and official DuckDB with what it reads S3 by.
pub(crate) const S3: Environment =
    Environment { name: "s3-venv", requirements: "requirements-s3.txt", variable: "PINTAIL_S3_PYTHON" };

/// The clients that people connect with: ADBC, flightsql-dbapi, pyarrow.
pub(crate) const CLIENTS: Environment =
    Environment { name: "client-venv", requirements: "requirements.txt", variable: "PINTAIL_CLIENT_PYTHON" };

/// The servers and engines that benchmarks compare with, and the clients that measure them.
pub(crate) const PEERS: Environment =
    Environment { name: "peer-venv", requirements: "requirements-peers.txt", variable: "XTASK_PEER_PYTHON" };

impl Environment {
    /// The variable that tests and scripts read the interpreter's path from.
    pub(crate) const fn variable(&self) -> &'static str {
        self.variable
    }

    /// The interpreter to use: the one that the variable names, else the environment's own, which is
    /// made when it is absent or its requirements or Python have changed.
    pub(crate) fn prepare(&self) -> Result<PathBuf> {
        if let Some(given) = std::env::var_os(self.variable).filter(|value| !value.is_empty()) {
            let python = PathBuf::from(given);
            if !process::quietly_succeeds(Command::new(&python).arg("--version")) {
                return Err(format!("{}={} is no Python interpreter", self.variable, python.display()).into());
            }
            println!("{}: {} (given by {})", self.name, python.display(), self.variable);
            return Ok(python);
        }
        self.make(&cache_folder()?.join(self.name))
    }

    fn make(&self, folder: &Path) -> Result<PathBuf> {
        let system_python = tools::need_python()?;
        let requirements = process::workspace_root().join("clients/python").join(self.requirements);
        let wanted = fs::read_to_string(&requirements)
            .map_err(|error| format!("cannot read {}: {error}", requirements.display()))?;
        let version = process::output(Command::new(system_python).arg("--version"))?;
        let python = folder.join("bin").join("python");
        let made = stamp::make_if_stale(folder, &format!("{version}\n{wanted}"), |folder| {
            println!("{}: installing into {}", self.name, folder.display());
            process::run(Command::new(system_python).args(["-m", "venv", "--clear"]).arg(folder))?;
            process::run(
                Command::new(&python)
                    .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
                    .arg(&requirements),
            )
        })?;
        if !made {
            println!("{}: ready in {}", self.name, folder.display());
        }
        Ok(python)
    }
}

/// Where everything is kept that can be made again: `$HOME/.cache/pintail`.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    let home =
        std::env::var_os("HOME").filter(|home| !home.is_empty()).ok_or("the variable HOME is not set")?;
    Ok(PathBuf::from(home).join(".cache").join("pintail"))
}

/// The packages of `python` that its requirements name, each as `name version`.
pub(crate) fn installed(python: &Path) -> Result<String> {
    let list = process::output(Command::new(python).args([
        "-m",
        "pip",
        "list",
        "--format=freeze",
        "--disable-pip-version-check",
    ]))?;
    Ok(list.lines().map(|line| line.replace("==", " ")).collect::<Vec<_>>().join(", "))
}
