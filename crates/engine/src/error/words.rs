//! The words of messages: ours where the planner's say too little, and none that show a value the way Rust does.

use pintail_types::{Error, ErrorKind, reason};

/// The longest message: gRPC sends it in a header, and clients limit those.
const MAX_MESSAGE_BYTES: usize = 2048;

/// What errors begin with that were put into others.
const WRAPPINGS: &[&str] = &[
    "Error during planning: ",
    "Execution error: ",
    "Internal error: ",
    "External error: ",
    "Arrow error: ",
    "Compute error: ",
    "failed to call 'regex_match_dyn_scalar' ",
];

const ONLY_CONDITIONS: &str = "EXISTS, IN (SELECT …), ANY (SELECT …) and ALL (SELECT …) are supported only as conditions, \
     in WHERE, HAVING and ON";

/// What a message of the planner begins with, and what is said instead.
const OURS: &[(&str, ErrorKind, &str, &str)] = &[
    (
        "Physical plan does not support logical expression Exists(",
        ErrorKind::Unsupported,
        reason::FEATURE_NOT_SUPPORTED,
        "EXISTS is supported only as a condition, in WHERE, HAVING and ON: elsewhere write (SELECT count(*) FROM …) > 0",
    ),
    (
        "Physical plan does not support logical expression InSubquery(",
        ErrorKind::Unsupported,
        reason::FEATURE_NOT_SUPPORTED,
        "x IN (SELECT …) is supported only as a condition, in WHERE, HAVING and ON: \
         elsewhere write (SELECT count(*) FROM t WHERE t.y = x) > 0",
    ),
    (
        "Physical plan does not support logical expression ScalarSubquery(",
        ErrorKind::Unsupported,
        reason::FEATURE_NOT_SUPPORTED,
        "a subquery in a list of columns can compare the columns of the query around it only with =: write a JOIN",
    ),
    (
        "Physical plan does not support logical expression OuterReferenceColumn(",
        ErrorKind::Unsupported,
        reason::FEATURE_NOT_SUPPORTED,
        "a subquery can use columns of the query around it, or of tables before LATERAL, only in WHERE and with =: \
         write a JOIN, or the expression in the list of columns",
    ),
    (
        "Physical plan does not support logical expression Wildcard",
        ErrorKind::Invalid,
        reason::UNDEFINED_FUNCTION,
        "only count takes *: name a column",
    ),
    (
        "In/Exist/SetComparison subquery can only be used in",
        ErrorKind::Unsupported,
        reason::FEATURE_NOT_SUPPORTED,
        ONLY_CONDITIONS,
    ),
    (
        "Substring without for/from is not valid",
        ErrorKind::Invalid,
        reason::UNDEFINED_FUNCTION,
        "substr takes a text, a start, and a length if need be: substr(x, 1, 3)",
    ),
    (
        "Unsupported ast node in sqltorel: Collate",
        ErrorKind::Unsupported,
        reason::FEATURE_NOT_SUPPORTED,
        "COLLATE is not supported: text has the order of its bytes, and lower(x) that without case",
    ),
    (
        "ANY in LIKE expression",
        ErrorKind::Unsupported,
        reason::FEATURE_NOT_SUPPORTED,
        "LIKE ANY is not supported: write x LIKE 'a%' OR x LIKE 'b%', or x ~ '^(a|b)'",
    ),
    (
        "Unsupported Interval Expression with",
        ErrorKind::Unsupported,
        reason::FEATURE_NOT_SUPPORTED,
        "an interval has one unit behind it: write INTERVAL '1 year 2 months'",
    ),
    (
        "COUNT DISTINCT with multiple arguments",
        ErrorKind::Unsupported,
        reason::FEATURE_NOT_SUPPORTED,
        "count(DISTINCT x, y) is not supported: write count(DISTINCT {'x': x, 'y': y})",
    ),
    (
        "array_resize: failed to convert size to usize",
        ErrorKind::Invalid,
        reason::INVALID_PARAMETER_VALUE,
        "array_resize: the size must not be negative",
    ),
    (
        "Format error",
        ErrorKind::Invalid,
        reason::INVALID_DATETIME_FORMAT,
        "the format has a pattern that is not known: write those of strftime, such as %Y-%m-%d %H:%M:%S.%f",
    ),
];

/// What a message of the planner means, if we have words of our own for it.
pub(super) fn in_our_words(message: &str) -> Option<Error> {
    let message = unwrapped(message);
    if let Some(says) = wrong_pattern(message) {
        return Some(Error::invalid(says).with_reason(reason::INVALID_REGULAR_EXPRESSION));
    }
    if let Some(says) = wrong_arguments(message) {
        return Some(Error::invalid(says).with_reason(reason::UNDEFINED_FUNCTION));
    }
    if is_misplaced_comparison(message) {
        return Some(Error::unsupported(ONLY_CONDITIONS));
    }
    let (_, kind, reason, says) = OURS.iter().find(|(begins, ..)| message.starts_with(begins))?;
    Some(Error::new(*kind, *says).with_reason(reason))
}

/// So says the optimizer where it put something else in the place of `x > ANY (SELECT …)`, which then has another name.
fn is_misplaced_comparison(message: &str) -> bool {
    message.starts_with("Assertion failed: compatible")
        && (message.contains(" ANY\"") || message.contains(" ALL\""))
}

/// A message without the kinds of the errors around it.
fn unwrapped(mut message: &str) -> &str {
    loop {
        let inner = WRAPPINGS.iter().find_map(|wrapping| message.strip_prefix(wrapping));
        match inner.or_else(|| coercion_of_function(message)) {
            Some(inner) => message = inner,
            None => return message,
        }
    }
}

/// What a function says of its arguments: `Function 'f' user-defined coercion failed with: …`.
fn coercion_of_function(message: &str) -> Option<&str> {
    let (function, inner) = message.split_once(" user-defined coercion failed with: ")?;
    let name = function.strip_prefix("Function '")?.strip_suffix('\'')?;
    (!name.contains('\'')).then_some(inner)
}

/// What is wrong with a regular expression: the reason stands in the last line, below the pattern.
fn wrong_pattern(message: &str) -> Option<String> {
    let (parsing, compiling) = ("regex parse error:", "Regular expression did not compile: ");
    let too_large = message.contains("CompiledTooBig(") || message.contains("exceeds size limit");
    let is_of_pattern = message.starts_with(parsing)
        || message.starts_with(compiling)
        || message.starts_with("Compiled regex") && too_large;
    if !is_of_pattern {
        return None;
    }
    let problem = message.lines().rev().find_map(|line| line.strip_prefix("error: "));
    Some(match problem {
        Some(problem) => format!("the regular expression is wrong: {problem}"),
        None if too_large => "the regular expression is too large: repeat less of it".to_owned(),
        None => {
            let pattern = short(message.strip_prefix(compiling).unwrap_or_default());
            format!("the regular expression is wrong: {pattern}")
        }
    })
}

/// What is wrong with the arguments of a function, without its signatures.
fn wrong_arguments(message: &str) -> Option<String> {
    if let Some(rest) = message.strip_prefix("Failed to coerce arguments to satisfy a call to '") {
        let (name, rest) = rest.split_once("' function: coercion from ")?;
        let (types, _) = rest.split_once(" to the signature ")?;
        return Some(match types {
            "" => format!("function {name} needs arguments"),
            types => format!("function {name} takes no arguments of the types {types}"),
        });
    }
    let rest = message.strip_prefix("Function '")?;
    let (name, errors) = rest.split_once("' failed to match any signature, errors: ")?;
    let mut takes: Vec<&str> = Vec::new();
    let mut given = None;
    for error in errors.split(" requires ").skip(1) {
        let (wanted, rest) = error.split_once(", but received ")?;
        given = given.or_else(|| rest.split_once(" (").map(|(given, _)| given));
        if !takes.contains(&wanted) {
            takes.push(wanted);
        }
    }
    Some(match given {
        Some(given) => {
            format!("function {name} takes {}, not {given}: cast the argument", takes.join(" or "))
        }
        None => format!("function {name} does not take these arguments"),
    })
}

/// The first line, in our form: no capital at the start, no full stop, not too long.
pub(super) fn short(message: &str) -> String {
    let line = unwrapped(message).lines().next().unwrap_or_default();
    let (line, _) = line.split_once(". No function matches the given name").unwrap_or((line, ""));
    let line = without_debug_text(line.trim()).trim_end_matches('.');
    let line = &line[..line.floor_char_boundary(MAX_MESSAGE_BYTES)];
    let mut characters = line.chars();
    let Some(first) = characters.next() else { return "unknown error".to_owned() };
    // A word that goes on in capitals is a keyword or an abbreviation.
    if characters.clone().next().is_some_and(char::is_uppercase) {
        return line.to_owned();
    }
    first.to_lowercase().chain(characters).collect()
}

/// The text up to where it shows a value the way Rust does, as in `Exists(Exists { subquery: …` and `Some(1)`.
fn without_debug_text(line: &str) -> &str {
    let structure = line.match_indices(" { ").map(|(at, _)| at).find(|at| is_structure(line, *at));
    let Some(end) = structure.into_iter().chain(line.find("Some(")).min() else { return line };
    let told = &line[..end];
    let word = told.rfind(' ').map_or(0, |space| space + 1);
    let end = told[word..].find('(').map_or(told.len(), |bracket| word + bracket);
    told[..end].trim_end_matches([' ', ':', ','])
}

/// Whether the name of a type stands before the brace, and that of a field behind it.
fn is_structure(line: &str, brace: usize) -> bool {
    let is_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let name = line[..brace].rsplit(|c| !is_of_name(c)).next().unwrap_or_default();
    let field = line[brace..].trim_start_matches([' ', '{']).split(": ").next().unwrap_or_default();
    name.starts_with(|c: char| c.is_ascii_uppercase()) && !field.is_empty() && field.chars().all(is_of_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line_without_debug_text() {
        for (message, expected) in [
            ("Bad plan.", "bad plan"),
            ("oops\nbacktrace", "oops"),
            ("LIMIT must be >= 0", "LIMIT must be >= 0"),
            ("", "unknown error"),
            (
                "Execution error: Function 'f' user-defined coercion failed with: Error during planning: f takes 1",
                "f takes 1",
            ),
            ("Bad. No function matches the given name and argument types 'f()'", "bad"),
            ("Unsupported ast node: Case { operand: None, span: Span(1) }", "unsupported ast node: Case"),
            ("no such expression Exists(Exists { subquery: <subquery> })", "no such expression Exists"),
            ("must be a number, got Column(Column { relation: Some(Bare) })", "must be a number, got Column"),
            ("with last_field Some(Month)", "with last_field"),
            // What people write with braces stays.
            ("no field named \"A { b\"", "no field named \"A { b\""),
            ("'{} { }' is no format", "'{} { }' is no format"),
        ] {
            assert_eq!(short(message), expected, "{message}");
        }
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        assert_eq!(short(&"ü".repeat(5000)).len(), MAX_MESSAGE_BYTES);
    }

    #[test]
    fn patterns_and_arguments() {
        let signatures = "Function 'sum' failed to match any signature, errors: \
            Error during planning: Function 'sum' requires Decimal, but received String (DataType: Utf8).,\
            Error during planning: Function 'sum' requires Int64, but received String (DataType: Utf8).";
        for (message, reason, expected) in [
            (
                "regex parse error:\n    (\n    ^\nerror: unclosed group",
                "2201B",
                "the regular expression is wrong: unclosed group",
            ),
            (
                "Compute error: Regular expression did not compile: (",
                "2201B",
                "the regular expression is wrong: (",
            ),
            (
                "Regular expression did not compile: CompiledTooBig(1)",
                "2201B",
                "the regular expression is too large: repeat less of it",
            ),
            (signatures, "42883", "function sum takes Decimal or Int64, not String: cast the argument"),
            (
                "Failed to coerce arguments to satisfy a call to 'f' function: coercion from Utf8, Int64 to the signature Any(1) failed",
                "42883",
                "function f takes no arguments of the types Utf8, Int64",
            ),
        ] {
            let error = in_our_words(message).expect(message);
            assert_eq!(
                (error.kind(), error.reason(), error.message()),
                (ErrorKind::Invalid, reason, expected)
            );
        }
        // A value that is shown in a message is none.
        assert!(in_our_words("Cannot cast string 'regex parse error:' to value of Int32 type").is_none());
    }
}
