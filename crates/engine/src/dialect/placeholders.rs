//! Parameters in the text: `?` in the order in which they stand, or `$1`, `$2` by number.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{Value, ValueWithSpan, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::Location;
use pintail_types::{Error, Result};

/// The highest number of a parameter.
const MAX_PARAMETERS: usize = 4096;

/// Gives every `?` its number and gives the number of parameters.
///
/// # Errors
/// `Invalid` for named parameters, for both kinds in one statement, for numbers that are not from 1 on without a
/// gap, and for too many.
pub(crate) fn number_placeholders(statement: &mut Parsed) -> Result<usize> {
    let sql = match statement {
        Parsed::Statement(sql) => sql.as_mut(),
        Parsed::Explain(explain) => return number_placeholders(&mut explain.statement),
        Parsed::CopyTo(_) | Parsed::CreateExternalTable(_) | Parsed::Reset(_) => return Ok(0),
    };
    // The tree is not visited in the order of the text, so the places come first.
    let mut found = Found::default();
    if let ControlFlow::Break(error) = sql.visit(&mut found) {
        return Err(error);
    }
    if !found.places.is_empty() && !found.numbers.is_empty() {
        return Err(Error::invalid("the statement mixes parameters '?' and '$n': use one kind"));
    }
    if found.places.is_empty() {
        return highest_placeholder(found.numbers);
    }
    let mut places = found.places;
    places.sort_unstable();
    let count = places.len();
    check_count(count)?;
    let _: ControlFlow<()> = sql.visit(&mut Numbered { places });
    Ok(count)
}

fn check_count(count: usize) -> Result<()> {
    if count > MAX_PARAMETERS {
        return Err(Error::invalid(format!("a statement has at most {MAX_PARAMETERS} parameters")));
    }
    Ok(())
}

/// The number of parameters `$1` to `$n`, each of which is there.
///
/// # Errors
/// `Invalid` for a gap in their numbers, and for too many.
pub(crate) fn highest_placeholder(mut numbers: Vec<usize>) -> Result<usize> {
    numbers.sort_unstable();
    numbers.dedup();
    check_count(numbers.last().copied().unwrap_or(0))?;
    match numbers.iter().zip(1..).find(|(number, expected)| **number != *expected) {
        None => Ok(numbers.len()),
        Some((_, missing)) => Err(Error::invalid(format!(
            "parameter ${missing} is not in the statement, but a higher one is: number them from $1 on"
        ))),
    }
}

#[derive(Default)]
struct Found {
    /// Where a `?` stands.
    places: Vec<Location>,
    /// The numbers of `$n`.
    numbers: Vec<usize>,
}

impl VisitorMut for Found {
    type Break = Error;

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<Error> {
        let Value::Placeholder(text) = &value.value else { return ControlFlow::Continue(()) };
        if text == "?" {
            self.places.push(value.span.start);
            return ControlFlow::Continue(());
        }
        match text[1..].parse() {
            Ok(number) if number > 0 => {
                self.numbers.push(number);
                value.value = Value::Placeholder(format!("${number}"));
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Break(Error::invalid(format!(
                "the parameter {text} at line {}, column {} has no number: write ? or $1, $2",
                value.span.start.line, value.span.start.column
            ))),
        }
    }
}

struct Numbered {
    places: Vec<Location>,
}

impl VisitorMut for Numbered {
    type Break = ();

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
        if let Value::Placeholder(text) = &mut value.value
            && let Ok(index) = self.places.binary_search(&value.span.start)
        {
            *text = format!("${}", index + 1);
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::read;

    fn numbered(sql: &str) -> Result<(String, usize)> {
        let mut parsed = read(sql)?;
        let count = number_placeholders(&mut parsed)?;
        Ok((parsed.to_string(), count))
    }

    #[test]
    fn numbers_follow_the_text() {
        for (sql, expected, count) in [
            ("SELECT 1", "SELECT 1", 0),
            ("SELECT ? FROM t WHERE a = ?", "SELECT $1 FROM t WHERE a = $2", 2),
            (
                "WITH x AS (SELECT ?) SELECT * FROM x WHERE b IN (?, ?) ORDER BY c LIMIT ?",
                "WITH x AS (SELECT $1) SELECT * FROM x WHERE b IN ($2, $3) ORDER BY c LIMIT $4",
                4,
            ),
            ("SELECT $2, $1, $2", "SELECT $2, $1, $2", 2),
            ("SELECT '?', \"?\" FROM t WHERE a = ?", "SELECT '?', \"?\" FROM t WHERE a = $1", 1),
            ("EXPLAIN SELECT ?", "EXPLAIN SELECT $1", 1),
        ] {
            assert_eq!(numbered(sql).unwrap(), (expected.to_owned(), count), "{sql}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_place() {
        for (sql, message) in [
            ("SELECT ?, $1", "the statement mixes parameters '?' and '$n': use one kind"),
            ("SELECT $name", "the parameter $name at line 1, column 8 has no number: write ? or $1, $2"),
            ("SELECT $0", "the parameter $0 at line 1, column 8 has no number: write ? or $1, $2"),
            (
                "SELECT $1, $3",
                "parameter $2 is not in the statement, but a higher one is: number them from $1 on",
            ),
            ("SELECT $5000", "a statement has at most 4096 parameters"),
        ] {
            assert_eq!(numbered(sql).unwrap_err().message(), message, "{sql}");
        }
    }
}
