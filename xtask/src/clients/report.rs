//! What the clients printed, as a table of client by feature.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::Outcome;
use super::catalogue::{Client, FEATURES, NOT_YET, PROGRAMS, Program, client, is_not_yet};
use crate::Result;

/// Where the table begins and ends in docs/clients.md.
const BEGIN: &str = "<!-- the table: cargo xtask clients --write -->\n";
const END: &str = "<!-- end of the table -->";

/// What came of one feature of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cell {
    Passed,
    Failed(String),
    /// It fails, as it is known to.
    NotYet,
    Skipped,
}

/// All cells, and why some are not there.
#[derive(Debug, Default)]
pub(crate) struct Report {
    cells: BTreeMap<(String, String), Cell>,
    versions: BTreeMap<String, String>,
    /// Clients that were meant to run.
    examined: BTreeSet<&'static str>,
    skipped_features: BTreeSet<&'static str>,
    skips: Vec<String>,
    unknown: Vec<String>,
}

impl Report {
    /// Takes a line that a client printed: `client<TAB>feature<TAB>pass|fail<TAB>detail`.
    pub(crate) fn take(&mut self, line: &str) {
        let mut parts = line.splitn(4, '\t');
        let (Some(name), Some(feature), Some(word)) = (parts.next(), parts.next(), parts.next()) else {
            return;
        };
        let detail = parts.next().unwrap_or_default();
        if feature == "version" {
            self.versions.insert(name.to_owned(), word.to_owned());
            return;
        }
        let known = client(name).is_some_and(|client| client.has(feature));
        if !known {
            self.unknown.push(format!("{name} printed {feature}, which the catalogue does not know of it"));
        }
        let cell = match word {
            _ if self.skipped_features.contains(feature) => Cell::Skipped,
            "pass" if is_not_yet(name, feature) => {
                Cell::Failed("it passes now: take it off the list of what is not yet done".to_owned())
            }
            "pass" => Cell::Passed,
            _ if is_not_yet(name, feature) => Cell::NotYet,
            _ => Cell::Failed(detail.to_owned()),
        };
        self.cells.insert((name.to_owned(), feature.to_owned()), cell);
    }

    /// Notes that the program has ended: what it should have printed and did not has failed.
    pub(crate) fn complete(&mut self, program: &'static Program) {
        for client in program.clients {
            self.examined.insert(client.name);
            for name in client.features.split_whitespace() {
                let key = (client.name.to_owned(), name.to_owned());
                let missing = || match is_not_yet(client.name, name) {
                    true => Cell::NotYet,
                    false => Cell::Failed("it did not come to this feature".to_owned()),
                };
                self.cells.entry(key).or_insert_with(missing);
            }
        }
    }

    /// Notes that a program cannot run here.
    pub(crate) fn skip_program(&mut self, program: &'static Program, reason: &str) {
        self.skips.push(format!("{}: {reason}", program.name));
        for client in program.clients {
            for name in client.features.split_whitespace() {
                self.cells.insert((client.name.to_owned(), name.to_owned()), Cell::Skipped);
            }
        }
    }

    /// Notes that some features cannot be tried here.
    pub(crate) fn skip_features(&mut self, what: &str, features: &[&'static str], reason: &str) {
        self.skips.push(format!("{what}: {reason}"));
        self.skipped_features.extend(features);
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let count =
            |wanted: fn(&Cell) -> bool| self.cells.values().filter(|cell| wanted(cell)).count() as u64;
        Outcome {
            passed: count(|cell| *cell == Cell::Passed),
            failed: count(|cell| matches!(cell, Cell::Failed(_))) + self.unknown.len() as u64,
        }
    }

    /// What failed, with the reason, and what was skipped.
    pub(crate) fn print_problems(&self) {
        for ((client, feature), cell) in &self.cells {
            if let Cell::Failed(detail) = cell {
                println!("FAILED {client} {feature}: {detail}");
            }
        }
        for problem in &self.unknown {
            println!("FAILED {problem}");
        }
        for (client, feature, missing) in NOT_YET {
            println!("not yet: {client} {feature}: {missing}");
        }
        for skip in &self.skips {
            println!("skipped {skip}");
        }
        let Outcome { passed, failed } = self.outcome();
        println!("clients: {passed} features passed, {failed} failed, {} skipped", self.skips.len());
    }

    /// The table in Markdown: features by client, then the versions. Clients that did not run are left out.
    pub(crate) fn table(&self) -> String {
        let clients: Vec<&Client> = PROGRAMS
            .iter()
            .flat_map(|program| program.clients)
            .filter(|client| self.cells.keys().any(|(name, _)| name == client.name))
            .collect();
        let mut text = String::from("| |");
        for client in &clients {
            let _ = write!(text, " {} |", client.title);
        }
        text.push_str("\n|---|");
        text.push_str(&":-:|".repeat(clients.len()));
        text.push('\n');
        for feature in FEATURES {
            let cell = |client: &&Client| self.cells.get(&(client.name.to_owned(), feature.name.to_owned()));
            if clients.iter().all(|client| cell(client).is_none()) {
                continue;
            }
            let _ = write!(text, "| {} |", feature.title);
            for client in &clients {
                let word = match cell(client) {
                    None => "",
                    Some(Cell::Passed) => "yes",
                    Some(Cell::Failed(_)) => "**no**",
                    Some(Cell::NotYet) => "not yet",
                    Some(Cell::Skipped) => "not run",
                };
                let _ = write!(text, " {word} |");
            }
            text.push('\n');
        }
        text.push('\n');
        for client in clients {
            let version = self.versions.get(client.name).map_or("not run", String::as_str);
            let _ = writeln!(text, "- {}: {version}", client.title);
        }
        text
    }

    /// Puts the table into the document.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let cannot = |error: std::io::Error| format!("{}: {error}", file.display());
        let text = fs::read_to_string(file).map_err(cannot)?;
        let placed = place(&text, &self.table())
            .ok_or_else(|| format!("{} has no line {BEGIN} before {END}", file.display()))?;
        fs::write(file, placed).map_err(cannot)?;
        Ok(())
    }
}

/// `text` with `table` between the two marks.
fn place(text: &str, table: &str) -> Option<String> {
    let (head, rest) = text.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}{table}{END}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_did_not_print_has_failed() {
        let program = PROGRAMS.iter().find(|program| program.name == "frames").unwrap();
        let mut report = Report::default();
        report.take("pandas\tversion\tpandas 3\t");
        report.take("pandas\tquery\tpass\t");
        report.take("pandas\tbig\tfail\tout of memory");
        report.take("not a line of the protocol");
        report.complete(program);
        let features = |name: &str| client(name).unwrap().features.split_whitespace().count() as u64;
        let expected = Outcome { passed: 1, failed: features("pandas") + features("polars") - 1 };
        assert_eq!(report.outcome(), expected);
        let table = report.table();
        assert!(table.contains("| query | yes | **no** |"), "{table}");
        assert!(table.contains("- pandas: pandas 3\n"), "{table}");
    }

    #[test]
    fn what_cannot_be_tried_is_neither_passed_nor_failed() {
        let program = PROGRAMS.iter().find(|program| program.name == "jdbc").unwrap();
        let mut report = Report::default();
        report.skip_program(program, "no Java");
        report.skip_features("no OIDC provider", &["oidc"], "no node");
        report.take("adbc-go\toidc\tfail\tno provider");
        assert_eq!(report.outcome(), Outcome { passed: 0, failed: 0 });
        report.take("adbc-go\tkeys\tpass\t");
        assert_eq!(report.outcome(), Outcome { passed: 1, failed: 1 }, "an unknown feature is a mistake");
    }

    #[test]
    fn the_table_stands_between_its_marks() {
        let text = format!("before\n{BEGIN}old\n{END}\nafter\n");
        assert_eq!(place(&text, "new\n").unwrap(), format!("before\n{BEGIN}new\n{END}\nafter\n"));
        assert_eq!(place("no marks", "new"), None);
    }
}
