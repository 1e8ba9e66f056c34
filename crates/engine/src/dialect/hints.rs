//! What to write instead of what the parser does not take.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use pintail_types::Error;

/// First words of statements of DuckDB, and what to write here.
const STATEMENTS: &[(&str, &str)] = &[
    (
        "pivot",
        "the statement PIVOT is not supported: write SELECT … FROM t PIVOT (aggregate FOR column IN (values))",
    ),
    (
        "unpivot",
        "the statement UNPIVOT is not supported: write SELECT … FROM t UNPIVOT (value FOR name IN (columns))",
    ),
];

/// Words that follow each other in statements of DuckDB, and what to write here; an empty one stands for any other token.
const PHRASES: &[(&[&str], &str)] = &[
    (&["asof"], ASOF_JOIN),
    (&["positional", "join"], "POSITIONAL JOIN is not supported: join on row_number() OVER ()"),
    (&["using", "sample"], "USING SAMPLE is not supported: write WHERE random() < 0.1"),
    (&["tablesample"], "TABLESAMPLE is not supported: write WHERE random() < 0.1"),
    (
        &["limit", "", "percent"],
        "LIMIT … PERCENT is not supported: write the number of rows, or QUALIFY percent_rank() OVER (ORDER BY …) <= 0.1",
    ),
    (&["at", "snapshot"], TIME_TRAVEL),
    (&["at", "version"], TIME_TRAVEL),
    (&["version", "as", "of"], TIME_TRAVEL),
    (&["timestamp", "as", "of"], TIME_TRAVEL),
    (&["glob"], "GLOB is not supported: write LIKE, SIMILAR TO or ~"),
];

const TIME_TRAVEL: &str = "time travel is written t AT SNAPSHOT 4, t AT TIMESTAMP '2026-01-02 03:04:05', \
     t AT (VERSION => 4), t AT (TIMESTAMP => …), t FOR VERSION AS OF 4 or t FOR TIMESTAMP AS OF …";

const COMPREHENSION: &str = "[x FOR x IN list] is not supported: write list_transform(list, x -> …), and list_filter(list, x -> …) for IF";

const ASOF_JOIN: &str = "ASOF JOIN is not supported: join on the keys and on b.time <= a.time, \
     and keep the newest by QUALIFY row_number() OVER (PARTITION BY a.key, a.time ORDER BY b.time DESC) = 1";

/// The error for an ASOF JOIN that the parser takes.
pub(super) fn no_asof_join() -> Error {
    Error::unsupported(ASOF_JOIN)
}

/// The error for text that does not parse: with what to write instead, if it has words of a statement that is not
/// supported.
pub(super) fn with_alternative(error: Error, tokens: &[TokenWithSpan]) -> Error {
    let words: Vec<String> = tokens
        .iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)))
        .map(|token| match &token.token {
            Token::Word(word) if word.quote_style.is_none() => word.value.to_lowercase(),
            Token::Mod => "percent".to_owned(),
            _ => String::new(),
        })
        .collect();
    let statement = STATEMENTS.iter().find(|(first, _)| words.first().is_some_and(|word| word == first));
    let phrase =
        PHRASES.iter().find(|(phrase, _)| words.windows(phrase.len()).any(|window| window == *phrase));
    let alternative = match (statement, phrase) {
        (Some((_, alternative)), _) | (None, Some((_, alternative))) => *alternative,
        (None, None) if error.message().contains("expected: ], found: FOR") => COMPREHENSION,
        (None, None) => return error,
    };
    let unsupported = Error::unsupported(alternative);
    match error.position() {
        Some(position) => unsupported.at(position),
        None => unsupported,
    }
}
