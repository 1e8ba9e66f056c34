//! The page docs/benchmarks.md: an introduction, then one section for each benchmark.
//!
//! A run replaces the sections of the benchmarks that it measured and leaves the others as they are.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::Result;
use crate::bench::{BENCHMARKS, Benchmark, Figure};

const INTRODUCTION: &str = "\
# Benchmarks

Written by `cargo xtask bench`. Every figure stands with the day, the commit and the machine that it
was measured on. Where a peer is named, both were measured in the same run, in turns, and the ratio is
what counts: absolute times say little about another machine.
";

/// One section of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    name: String,
    body: String,
}

impl Section {
    /// The section of a benchmark that has just been measured.
    pub(crate) fn measured(bench: &Benchmark, machine: &str, figures: &[Figure]) -> Self {
        let mut body =
            format!("{}\n\n{machine}\n\n| figure | value | goal | |\n|---|---:|---|---|\n", bench.about);
        for Figure { figure, value, unit, goal, met } in figures {
            let verdict = met.map_or("", |met| if met { "met" } else { "**not met**" });
            let line = format!("| {figure} | {} {unit} | {goal} | {verdict} |", number(*value));
            body.push_str(&line.replace("  ", " "));
            body.push('\n');
        }
        Self { name: bench.name.to_owned(), body }
    }

    fn not_measured(bench: &Benchmark) -> Self {
        Self { name: bench.name.to_owned(), body: format!("{}\n\nNot measured yet.\n", bench.about) }
    }

    /// The section as it stands on the page.
    pub(crate) fn text(&self) -> String {
        format!("## {}\n\n{}\n", self.name, self.body.trim_end())
    }
}

/// The whole page.
#[derive(Debug)]
pub(crate) struct Page {
    sections: Vec<Section>,
}

impl Page {
    /// The page in `file`; with every section empty when there is no such file.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("cannot read {}: {error}", file.display()).into()),
        };
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let found: Vec<Section> = text
            .split("\n## ")
            .skip(1)
            .map(|section| {
                let (name, body) = section.split_once('\n').unwrap_or((section, ""));
                Section { name: name.trim().to_owned(), body: body.trim().to_owned() + "\n" }
            })
            .collect();
        let section_of = |bench: &Benchmark| {
            let kept = found.iter().find(|section| section.name == bench.name).cloned();
            kept.unwrap_or_else(|| Section::not_measured(bench))
        };
        Self { sections: BENCHMARKS.iter().map(section_of).collect() }
    }

    /// Puts `section` in the place of the one with the same name.
    pub(crate) fn put(&mut self, section: Section) {
        if let Some(old) = self.sections.iter_mut().find(|old| old.name == section.name) {
            *old = section;
        }
    }

    /// Writes the page to `file`.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, self.text()).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = INTRODUCTION.to_owned();
        for section in &self.sections {
            text.push('\n');
            text.push_str(&section.text());
        }
        text
    }
}

/// A number as people read it: thousands apart when it is large, three digits that matter when it is small.
pub(crate) fn number(value: f64) -> String {
    let magnitude = value.abs();
    let decimals = match magnitude {
        m if m >= 100.0 || m == m.trunc() => 0,
        m if m >= 10.0 => 1,
        m if m >= 1.0 => 2,
        _ => 3,
    };
    let plain = format!("{magnitude:.decimals$}");
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        // Writing into a String cannot fail.
        let _ = write!(text, ".{fraction}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, met: Option<bool>) -> Figure {
        Figure { figure: "CPU time".into(), value, unit: "µs".into(), goal: "at most 5 µs".into(), met }
    }

    #[test]
    fn a_new_measurement_replaces_its_own_section_only() {
        let mut page = Page::parse("");
        assert!(page.text().contains("## memory\n"));
        page.put(Section::measured(&BENCHMARKS[0], "a machine", &[figure(4.25, Some(true))]));
        let mut again = Page::parse(&page.text());
        assert_eq!(again.text(), page.text(), "what was written is read back");
        assert!(again.text().contains("| CPU time | 4.25 µs | at most 5 µs | met |"));
        again.put(Section::measured(&BENCHMARKS[2], "a machine", &[figure(7.0, Some(false))]));
        assert!(again.text().contains("| CPU time | 4.25 µs | at most 5 µs | met |"));
        assert!(again.text().contains("| CPU time | 7 µs | at most 5 µs | **not met** |"));
    }

    #[test]
    fn the_page_in_the_tree_is_as_it_is_written() {
        let file = crate::process::workspace_root().join("docs/benchmarks.md");
        assert_eq!(Page::read(&file).unwrap().text(), fs::read_to_string(file).unwrap());
    }

    #[test]
    fn numbers_are_short_and_grouped() {
        let check = |value: f64, expect: &str| assert_eq!(number(value), expect);
        check(1_234_567.8, "1,234,568");
        check(123.0, "123");
        check(10.26, "10.3");
        check(4.257, "4.26");
        check(0.0123, "0.012");
        check(0.0, "0");
        check(-1234.0, "-1,234");
    }
}
