//! The texts hold: files can be read in one sitting, commands that the documents print exist, links lead somewhere.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A source file is read in one sitting; tests are tables and may be longer.
const LONGEST_FILE: usize = 700;

/// Files that may be longer, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// The checkout: cargo runs tests in the folder of their crate.
fn root() -> PathBuf {
    std::env::current_dir().unwrap().parent().unwrap().to_path_buf()
}

/// Every file of the checkout with one of these endings, relative to its root.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            if name.starts_with('.') || name == "target" || name == "__pycache__" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path.strip_prefix(root()).unwrap().to_path_buf());
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

#[test]
fn source_files_can_be_read_in_one_sitting() {
    let is_test =
        |path: &Path| path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
    let allowed = |path: &Path| LONG_FILES.iter().any(|(name, _)| path == Path::new(name));
    let long: Vec<String> = files(&[".rs", ".py"])
        .into_iter()
        .filter(|path| !is_test(path) && !allowed(path))
        .map(|path| (read(&path).lines().count(), path))
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .map(|(lines, path)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST_FILE} lines: {long:#?}");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for document in files(&[".md"]) {
        let text = read(&document);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            let folder = root().join(document.parent().unwrap());
            if !folder.join(path).exists() {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn commands_in_the_documents_exist() {
    let documents: Vec<PathBuf> =
        files(&[".md"]).into_iter().filter(|path| !path.starts_with("crates")).collect();
    let mut helps = Helps::default();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for document in documents {
        for line in shell_lines(&read(&document)) {
            let Some((program, words)) = Program::of(&line) else { continue };
            checked += 1;
            if let Err(problem) = helps.check(program, &words) {
                wrong.push(format!("{}: {line}: {problem}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(checked >= 2, "the README prints two commands");
}

/// The command lines of the fenced `sh` blocks, continued lines joined.
fn shell_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = false;
    let mut joined = String::new();
    for line in text.lines() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            inside = !inside && matches!(fence.trim(), "sh" | "bash" | "console");
            continue;
        }
        if !inside {
            continue;
        }
        if let Some(start) = line.strip_suffix('\\') {
            joined.push_str(start);
            continue;
        }
        joined.push_str(line);
        lines.push(std::mem::take(&mut joined).trim().trim_start_matches("$ ").to_owned());
    }
    lines
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Program {
    Pintail,
    Xtask,
}

impl Program {
    /// The program of ours that `line` calls, and its arguments.
    fn of(line: &str) -> Option<(Self, Vec<String>)> {
        let words = words_of(line);
        let starts: [(&[&str], Self); 4] = [
            (&["cargo", "run", "--release", "--"], Self::Pintail),
            (&["cargo", "xtask"], Self::Xtask),
            (&["pintail"], Self::Pintail),
            (&["target/release/pintail"], Self::Pintail),
        ];
        starts.into_iter().find_map(|(start, program)| {
            let rest = words.get(start.len()..)?;
            words.iter().zip(start).all(|(word, expect)| word == expect).then(|| (program, rest.to_vec()))
        })
    }

    fn binary(self) -> PathBuf {
        let xtask = PathBuf::from(env!("CARGO_BIN_EXE_xtask"));
        match self {
            Self::Xtask => xtask,
            Self::Pintail => {
                // Built with the whole workspace, beside this crate's own binary.
                let pintail = xtask.with_file_name("pintail");
                assert!(pintail.exists(), "{} is not built: run cargo test --workspace", pintail.display());
                pintail
            }
        }
    }
}

/// The words of a command line up to a comment, a pipe or a redirection; quotes hold words together.
fn words_of(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut started = false;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => word.push(letter),
            (None, '"' | '\'') => {
                quote = Some(letter);
                started = true;
            }
            (None, ' ') => {
                if started {
                    words.push(std::mem::take(&mut word));
                    started = false;
                }
            }
            (None, _) => {
                word.push(letter);
                started = true;
            }
        }
    }
    if started {
        words.push(word);
    }
    let end = words.iter().position(|word| matches!(word.as_str(), "#" | "|" | "&" | "&&" | ">" | ";"));
    words.truncate(end.unwrap_or(words.len()));
    words
}

/// The help of every command that was asked for, kept because many lines ask for the same.
#[derive(Default)]
struct Helps(BTreeMap<(Program, Vec<String>), Option<String>>);

impl Helps {
    fn help(&mut self, program: Program, path: &[String]) -> Option<String> {
        let ask = || {
            let output = Command::new(program.binary()).args(path).arg("--help").output().unwrap();
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        self.0.entry((program, path.to_vec())).or_insert_with(ask).clone()
    }

    /// Follows the subcommands in `words` as far as there are any, then looks for the long options.
    fn check(&mut self, program: Program, words: &[String]) -> Result<(), String> {
        let mut path: Vec<String> = Vec::new();
        let mut help = self.help(program, &path).ok_or("it prints no help")?;
        let mut rest = words.iter();
        while has_commands(&help) {
            let Some(word) = rest.next() else { return Err("it needs a subcommand".to_owned()) };
            if word.starts_with('-') {
                break;
            }
            path.push(word.clone());
            help = self.help(program, &path).ok_or_else(|| format!("no subcommand '{word}'"))?;
        }
        for option in words.iter().filter(|word| word.starts_with("--")) {
            let name = option.split('=').next().unwrap_or(option);
            let listed = help.split(|c: char| !(c.is_alphanumeric() || c == '-')).any(|word| word == name);
            if !listed && name != "--help" && name != "--version" {
                return Err(format!("no option '{name}'"));
            }
        }
        Ok(())
    }
}

fn has_commands(help: &str) -> bool {
    help.lines().any(|line| line == "Commands:")
}

#[test]
fn command_lines_are_found_and_cut_into_words() {
    let text = "text\n```sh\n# a comment\n$ cargo run --release -- demo \\\n  --seconds 5 # there\npintail sql -e \"SELECT 1\" | head\n```\npintail nothing\n";
    let lines = shell_lines(text);
    assert_eq!(lines.len(), 3);
    let check = |line: &str, expect: Option<(Program, &[&str])>| {
        let expect =
            expect.map(|(program, words)| (program, words.iter().map(ToString::to_string).collect()));
        assert_eq!(Program::of(line), expect, "{line}");
    };
    check(&lines[0], None);
    check(&lines[1], Some((Program::Pintail, &["demo", "--seconds", "5"])));
    check(&lines[2], Some((Program::Pintail, &["sql", "-e", "SELECT 1"])));
    check("cargo xtask test --keep-going", Some((Program::Xtask, &["test", "--keep-going"])));
    check("cargo build", None);
}
