//! The layout of the workspace: which crate may use which, and what never comes in twice.
//!
//! The order is the way of the data. A crate uses only crates before it, so each can be understood
//! with what stands above it, and none can reach around another.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// A crate and what it knows nothing of.
struct Room {
    name: &'static str,
    /// Crates, ours and others, that neither it nor its build may name. Its tests may.
    knows_nothing_of: &'static [&'static [&'static str]],
}

/// Every crate of the workspace, in order: a crate may use only those before it.
const ROOMS: &[Room] = &[
    Room {
        name: "pintail-types",
        knows_nothing_of: &[ARROW_AND_MORE, ENGINES, RUNTIMES, SOCKETS, DOORS, FILES],
    },
    Room {
        name: "pintail-hep",
        knows_nothing_of: &[ARROW_AND_MORE, ENGINES, RUNTIMES, SOCKETS, DOORS, FILES],
    },
    Room { name: "pintail-ducklake", knows_nothing_of: &[&["pintail-hep"], SOCKETS, DOORS, USER_SQL] },
    Room {
        name: "pintail-identity",
        knows_nothing_of: &[&["pintail-hep", "pintail-ducklake"], ENGINES, DOORS],
    },
    Room {
        name: "pintail-http",
        knows_nothing_of: &[&["pintail-hep", "pintail-ducklake"], ENGINES, QUERY_DOORS],
    },
    Room {
        name: "pintail-lake",
        knows_nothing_of: &[&["pintail-hep", "pintail-identity", "pintail-http"], SOCKETS, DOORS, USER_SQL],
    },
    Room { name: "pintail-capture", knows_nothing_of: &[ENGINES, USER_SQL, QUERY_DOORS] },
    Room {
        name: "pintail-engine",
        knows_nothing_of: &[&["pintail-hep", "pintail-http", "pintail-capture"], SOCKETS, DOORS],
    },
    Room {
        name: "pintail-flight",
        knows_nothing_of: &[
            &["pintail-hep", "pintail-ducklake", "pintail-http", "pintail-lake", "pintail-capture"],
            USER_SQL,
        ],
    },
    Room {
        name: "pintail-rest",
        knows_nothing_of: &[
            &["pintail-hep", "pintail-ducklake", "pintail-lake", "pintail-capture", "pintail-flight"],
            ENGINES,
            USER_SQL,
            QUERY_DOORS,
        ],
    },
    Room { name: "pintail", knows_nothing_of: &[] },
    Room { name: "xtask", knows_nothing_of: &[OURS] },
];

const ARROW_AND_MORE: &[&str] = &["arrow", "parquet", "object_store"];
const ENGINES: &[&str] = &["datafusion", "datafusion-ducklake", "datafusion-functions-json", "rusqlite"];
const RUNTIMES: &[&str] = &["tokio", "tokio-util", "tokio-stream", "async-trait", "futures"];
const SOCKETS: &[&str] = &["socket2", "nix", "etherparse", "pcap-file"];
const DOORS: &[&str] = &["axum", "hyper", "http-body", "tonic", "arrow-flight", "prost"];
const QUERY_DOORS: &[&str] = &["tonic", "arrow-flight", "prost"];
const FILES: &[&str] = &["tempfile", "toml", "serde_json"];
const USER_SQL: &[&str] = &["sqlparser"];
const OURS: &[&str] = &[
    "pintail-types",
    "pintail-hep",
    "pintail-ducklake",
    "pintail-identity",
    "pintail-http",
    "pintail-lake",
    "pintail-capture",
    "pintail-engine",
    "pintail-flight",
    "pintail-rest",
    "pintail",
];

/// Libraries whose types cross our crates: two versions of one would be two worlds.
const ONE_VERSION: &[&str] = &[
    "arrow",
    "arrow-array",
    "arrow-flight",
    "arrow-schema",
    "datafusion",
    "datafusion-common",
    "object_store",
    "parquet",
    "sqlparser",
    "tonic",
];

/// Crates that stand in third_party in the place of the registry's; the README beside each says why.
const REPLACED: &[&str] = &["substrait"];

/// The checkout: cargo runs tests in the folder of their crate.
fn root() -> PathBuf {
    std::env::current_dir().unwrap().parent().unwrap().to_path_buf()
}

fn workspace() -> Metadata {
    MetadataCommand::new().current_dir(root()).no_deps().exec().unwrap()
}

fn position(name: &str) -> Option<usize> {
    ROOMS.iter().position(|room| room.name == name)
}

#[test]
fn every_crate_has_its_place_and_uses_only_those_before_it() {
    let mut wrong = Vec::new();
    for package in &workspace().packages {
        let Some(place) = position(&package.name) else {
            wrong.push(format!("{} has no place in the table of this test", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            if position(&dependency.name).is_some_and(|other| other >= place) {
                wrong.push(format!(
                    "{} uses {}, which does not come before it",
                    package.name, dependency.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_crate_names_what_it_knows_nothing_of() {
    let mut wrong = Vec::new();
    for package in &workspace().packages {
        let Some(place) = position(&package.name) else { continue };
        let forbidden: BTreeSet<&str> = ROOMS[place].knows_nothing_of.concat().into_iter().collect();
        for dependency in package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development) {
            if forbidden.contains(dependency.name.as_str()) {
                wrong.push(format!("{} names {}", package.name, dependency.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_names_only_crates_that_exist() {
    let packages = workspace().packages;
    let names: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    for room in ROOMS {
        assert!(names.contains(room.name), "{} is in the table and not in the workspace", room.name);
    }
}

#[test]
fn folders_are_named_as_their_crates() {
    for Package { name, manifest_path, .. } in &workspace().packages {
        let folder = manifest_path.parent().and_then(|folder| folder.file_name()).unwrap();
        assert_eq!(folder, name.strip_prefix("pintail-").unwrap_or(name), "{manifest_path}");
    }
}

/// Only crates of this workspace come from a path, but for those of third_party; and nothing comes from a repository:
/// what a newcomer builds is what the lock file names.
#[test]
fn path_dependencies_are_our_own_crates() {
    let mut wrong = Vec::new();
    for package in &workspace().packages {
        for dependency in &package.dependencies {
            let ours = position(&dependency.name).is_some();
            if dependency.path.is_some() != ours {
                wrong.push(format!("{} takes {} from a wrong place", package.name, dependency.name));
            }
        }
    }
    for locked in lock_file() {
        let ours = position(&locked.name).is_some() || REPLACED.contains(&locked.name.as_str());
        let from_registry = locked.source.as_deref().is_some_and(|source| source.starts_with("registry+"));
        if from_registry == ours {
            wrong.push(format!("the lock file has {} from {:?}", locked.name, locked.source));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn libraries_whose_types_cross_crates_have_one_version() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for locked in lock_file() {
        versions.entry(locked.name).or_default().insert(locked.version);
    }
    for name in ONE_VERSION {
        let found = versions.get(*name);
        assert_eq!(found.map(BTreeSet::len), Some(1), "{name} in the lock file: {found:?}");
    }
    assert!(!versions.contains_key("openssl-sys"), "TLS is rustls only");
}

/// A package of Cargo.lock.
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
}

fn lock_file() -> Vec<Locked> {
    let text = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let text_of =
        |package: &toml::Value, key: &str| package.get(key).and_then(|v| v.as_str()).map(str::to_owned);
    table["package"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| Locked {
            name: text_of(package, "name").unwrap(),
            version: text_of(package, "version").unwrap(),
            source: text_of(package, "source"),
        })
        .collect()
}
