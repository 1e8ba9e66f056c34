//! The configuration: one file, JSON or TOML, Homer's keys where Homer has them.
//!
//! Precedence is defaults, then the file, then the environment. A key that does not exist is an
//! error that names the nearest one that does; a key that exists and that this version does not
//! serve is named in a warning, or refused where ignoring it would weaken security.

mod check;
mod environment;
mod identity;
mod ingest;
mod other;
mod resolve;
mod section;
mod storage;
mod tls;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use pintail_types::{Error, Result};
use serde_json::Value;

pub(crate) use ingest::{Ingest, JournalSync};
pub(crate) use other::{Identity, Log, Oidc, Prometheus, Token};
pub(crate) use resolve::{VolumePlace, address_of};
pub(crate) use storage::{Compaction, Node, Storage, StoragePolicy};

section::sections! {
    /// The whole configuration.
    Config {
        data_dir: String = "/var/lib/pintail",
        ingest: Ingest = Ingest::default(),
        storage: Storage = Storage::default(),
        node: Node = Node::default(),
        coordinator: other::Coordinator = other::Coordinator::default(),
        identity: Identity = Identity::default(),
        limits: other::Limits = other::Limits::default(),
        semantic: other::Semantic = other::Semantic::default(),
        postgres: other::Postgres = other::Postgres::default(),
        trino: other::Trino = other::Trino::default(),
        mcp: other::Mcp = other::Mcp::default(),
        log: Log = Log::default(),
        remote_logging: other::RemoteLogging = other::RemoteLogging::default(),
        prometheus: Prometheus = Prometheus::default(),
    }
}

/// A configuration that was read, and what is to be said about it.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The values.
    pub(crate) config: Config,
    /// The file, if one was read.
    pub(crate) file: Option<PathBuf>,
    /// What was recognised and has no effect, or surprises.
    pub(crate) warnings: Vec<String>,
    /// Why `serve` will not start with it, although it is a valid configuration.
    pub(crate) refusals: Vec<String>,
}

/// Where a configuration is looked for when none is named.
const SEARCH: [&str; 9] = [
    "pintail.json",
    "pintail.toml",
    "homer.json",
    "homer-core.json",
    "config/homer.json",
    "/etc/pintail/pintail.json",
    "/etc/pintail/pintail.toml",
    "/etc/homer/homer.json",
    "/etc/homer-core/homer-core.json",
];

/// Reads `file`, or the first file of the usual places, and the environment.
///
/// # Errors
/// `Invalid` with every wrong key and value found, each with its path.
pub(crate) fn load(file: Option<&Path>) -> Result<Loaded> {
    let file = match file {
        Some(named) => Some(named.to_path_buf()),
        None => SEARCH.iter().map(PathBuf::from).find(|path| path.is_file()),
    };
    let text = match &file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Error::invalid(format!("{}: {error}", path.display())).with_source(error))?,
        None => "{}".to_owned(),
    };
    let name = file.as_ref().map_or_else(|| "defaults".to_owned(), |path| path.display().to_string());
    let mut loaded = parse(&name, &text, std::env::vars())?;
    loaded.file = file;
    Ok(loaded)
}

/// The configuration in `text`, which came from `name`, with `environment` over it.
///
/// # Errors
/// As [`load`].
pub(crate) fn parse(
    name: &str,
    text: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded> {
    let mut tree = parse_text(name, text)?;
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    // The file is checked on its own first: the environment could hide a key of the wrong kind.
    read_tree(name, &tree, &mut problems);
    if problems.is_empty() {
        environment::apply(&mut tree, environment, &mut problems, &mut warnings);
    }
    let config = if problems.is_empty() { read_tree("environment", &tree, &mut problems) } else { None };
    let Some(config) = config else { return Err(Error::invalid(problems.join("\n"))) };

    let mut findings = check::Findings::default();
    check::check(&config, &mut findings);
    if !findings.errors.is_empty() {
        let lines: Vec<_> = findings.errors.iter().map(|error| format!("{name}: {error}")).collect();
        return Err(Error::invalid(lines.join("\n")));
    }
    warnings.append(&mut findings.warnings);
    Ok(Loaded { config, file: None, warnings, refusals: findings.refusals })
}

/// JSON or TOML, by the name's ending, else by the first character.
fn parse_text(name: &str, text: &str) -> Result<Value> {
    let is_json = match Path::new(name).extension().and_then(|extension| extension.to_str()) {
        Some("json") => true,
        Some("toml") => false,
        _ => text.trim_start().starts_with('{'),
    };
    let tree: Value = if is_json {
        serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("{name}: not valid JSON: {error}")))?
    } else {
        toml::from_str(text).map_err(|error| Error::invalid(format!("{name}: not valid TOML: {error}")))?
    };
    if !tree.is_object() {
        return Err(Error::invalid(format!("{name}: the top level must be an object")));
    }
    Ok(tree)
}

/// The typed configuration of `tree`, or one problem for each unknown key and the first wrong value.
fn read_tree(name: &str, tree: &Value, problems: &mut Vec<String>) -> Option<Config> {
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(tree, &mut track);
    let mut unknown = Vec::new();
    let read: Result<Config, _> = serde_ignored::deserialize(tracked, |path| unknown.push(path.to_string()));
    problems.extend(unknown.iter().map(|path| format!("{name}: {}", environment::unknown_key(path))));
    match read {
        Ok(config) if unknown.is_empty() => Some(config),
        Ok(_) => None,
        Err(error) => {
            problems.push(format!("{name}: {}: {error}", track.path()));
            None
        }
    }
}
