//! PostgreSQL's templates of times, `YYYY-MM-DD HH24:MI:SS`.
//!
//! Source: <https://www.postgresql.org/docs/17/functions-formatting.html>, table 9.27.

use datafusion::common::{Result, plan_err};

/// Patterns and what they are in `strftime`, the longest first. Those with letters of one case only count in any case,
/// as in PostgreSQL.
const PATTERNS: &[(&str, &str)] = &[
    ("FMMonth", "%B"),
    ("FMDay", "%A"),
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("YYYY", "%Y"),
    ("IYYY", "%G"),
    ("DDD", "%j"),
    ("Mon", "%b"),
    ("YY", "%y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("HH", "%I"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("MS", "%3f"),
    ("US", "%6f"),
    ("IW", "%V"),
    ("ID", "%u"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("Dy", "%a"),
];

/// The format of `strftime` that says the same as a template of PostgreSQL's.
///
/// # Errors
/// For letters that are no pattern here: what they would mean must not be lost without a word.
pub(super) fn strftime_format(template: &str) -> Result<String> {
    let mut format = String::new();
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let (quoted, tail) = rest[1..].split_once('"').unwrap_or((&rest[1..], ""));
            format.push_str(quoted);
            rest = tail;
        } else if let Some((pattern, meaning)) =
            PATTERNS.iter().find(|(pattern, _)| begins_with(rest, pattern))
        {
            format.push_str(meaning);
            rest = &rest[pattern.len()..];
        } else if first.is_alphabetic() && first != 'T' {
            return plan_err!(
                "to_char: '{rest}' begins with no pattern that is known here: write a format of strftime, such as %Y-%m-%d"
            );
        } else {
            format.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(format)
}

fn begins_with(text: &str, pattern: &str) -> bool {
    let Some(start) = text.get(..pattern.len()) else { return false };
    let has_one_case = !pattern.contains(|c: char| c.is_ascii_lowercase());
    start == pattern || has_one_case && start.eq_ignore_ascii_case(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_formats() {
        for (template, format) in [
            ("YYYY-MM-DD", "%Y-%m-%d"),
            ("yyyy-mm-dd hh24:mi:ss.us", "%Y-%m-%d %H:%M:%S.%6f"),
            ("YYYY-MM-DDTHH24:MI:SS.MS", "%Y-%m-%dT%H:%M:%S.%3f"),
            ("HH12:MI AM", "%I:%M %p"),
            ("DD Mon YY, Dy", "%d %b %y, %a"),
            ("FMMonth DDD \"of the year\"", "%B %j of the year"),
            ("", ""),
        ] {
            assert_eq!(strftime_format(template).unwrap(), format, "{template}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for template in ["Month", "Q", "YYYY-MM-DD TZ", "ddth", "ö"] {
            assert!(strftime_format(template).is_err(), "{template}");
        }
    }
}
