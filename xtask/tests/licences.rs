//! Every crate that is built has a licence on the list of deny.toml.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use cargo_metadata::{CargoOpt, MetadataCommand};

/// The checkout: cargo runs tests in the folder of their crate.
fn root() -> PathBuf {
    std::env::current_dir().unwrap().parent().unwrap().to_path_buf()
}

fn allowed_licences() -> BTreeSet<String> {
    let deny: toml::Table = fs::read_to_string(root().join("deny.toml")).unwrap().parse().unwrap();
    let allowed = deny["licenses"]["allow"].as_array().unwrap();
    allowed.iter().map(|licence| licence.as_str().unwrap().to_owned()).collect()
}

/// Whether an SPDX expression can be met with the allowed licences. Crates use few of SPDX's forms:
/// names, `AND`, `OR` (or its old form `/`), `WITH` an exception, and brackets. `AND` binds closer.
fn can_be_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let met = any_of(&mut words, allowed);
    assert!(words.next().is_none(), "'{expression}' is no licence expression");
    met
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut met = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut met = licence(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= licence(words, allowed);
    }
    met
}

fn licence(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let first = words.next().expect("a licence expression does not end here");
    if first == "(" {
        let met = any_of(words, allowed);
        assert_eq!(words.next(), Some(")"));
        return met;
    }
    let mut name = first.to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        name = format!("{name} WITH {}", words.next().expect("an exception follows WITH"));
    }
    allowed.contains(&name)
}

#[test]
fn expressions_are_met_as_spdx_means_them() {
    let allowed: BTreeSet<String> = ["MIT", "Unicode-3.0"].map(str::to_owned).into();
    let check =
        |expression: &str, expect: bool| assert_eq!(can_be_met(expression, &allowed), expect, "{expression}");
    check("MIT", true);
    check("MIT OR GPL-3.0", true);
    check("GPL-3.0/MIT", true);
    check("MIT AND GPL-3.0", false);
    check("(GPL-3.0 OR MIT) AND Unicode-3.0", true);
    check("GPL-3.0 OR MIT AND Unicode-3.0", true);
    check("MIT WITH LLVM-exception", false);
}

#[test]
fn every_crate_has_an_allowed_licence() {
    let host = Command::new("rustc").args(["--print", "host-tuple"]).output().unwrap();
    let host = String::from_utf8(host.stdout).unwrap();
    // Only what this machine builds: those crates are here already, so nothing is downloaded.
    let metadata = MetadataCommand::new()
        .current_dir(root())
        .features(CargoOpt::SomeFeatures(Vec::new()))
        .other_options(
            ["--locked", "--offline", "--filter-platform", host.trim()].map(str::to_owned).to_vec(),
        )
        .exec()
        .unwrap();
    let used: BTreeSet<_> = metadata.resolve.unwrap().nodes.into_iter().map(|node| node.id).collect();
    let allowed = allowed_licences();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for package in metadata.packages.iter().filter(|package| used.contains(&package.id)) {
        let expression = package.license.as_deref().unwrap_or("none named");
        seen.insert(expression.to_owned());
        if package.license.is_none() || !can_be_met(expression, &allowed) {
            wrong.push(format!("{} {}: {expression}", package.name, package.version));
        }
    }
    assert!(wrong.is_empty(), "licences outside deny.toml: {wrong:#?}");
    let unused: Vec<_> =
        allowed.iter().filter(|name| !seen.iter().any(|text| text.contains(name.as_str()))).collect();
    assert!(unused.is_empty(), "deny.toml allows licences that nothing has: {unused:?}");
}
