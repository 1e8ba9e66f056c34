//! Refuses statements whose tree would be so deep that walking or dropping it exhausts the stack.
//!
//! The parser limits what stands in brackets. It does not limit chains, such as `1 + 1 + …`, joins, unions and queries
//! that read each other: it reads them in a loop, and each link makes the tree or the plan deeper by one. So links are
//! counted before anything is parsed.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use pintail_types::{Error, Result, reason};

/// Operators between two commas.
const MAX_OPERATORS: usize = 2000;
/// FROM clauses, tables in them, joins and set operations of one text.
const MAX_RELATIONS: usize = 500;

/// What was seen within one pair of brackets.
#[derive(Debug, Default)]
struct Level {
    /// Operators since the last comma that ended an expression.
    operators: usize,
    /// The last clause is FROM, where commas join.
    is_from: bool,
    /// `<` may have opened a list of types, whose commas end no expression.
    has_angle: bool,
}

impl Level {
    fn comma(&mut self) {
        if !self.has_angle {
            self.operators = 0;
        }
    }
}

/// Whether the text has no chain that is too long. What is no SQL passes: the parser tells where it is wrong.
///
/// # Errors
/// `Invalid` if it has one.
pub(crate) fn check(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut relations = 0_usize;
    let mut level = Level::default();
    let mut outer = Vec::new();
    for TokenWithSpan { token, .. } in tokens {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                level.operators += usize::from(*token != Token::LParen);
                outer.push(std::mem::take(&mut level));
            }
            Token::RParen | Token::RBracket | Token::RBrace => level = outer.pop().unwrap_or_default(),
            Token::Comma if level.is_from => relations += 1,
            Token::Comma => level.comma(),
            Token::Word(word) => match word.keyword {
                Keyword::FROM => {
                    relations += 1;
                    level.is_from = true;
                }
                Keyword::SELECT
                | Keyword::WHERE
                | Keyword::GROUP
                | Keyword::HAVING
                | Keyword::WINDOW
                | Keyword::QUALIFY
                | Keyword::ORDER
                | Keyword::LIMIT => level.is_from = false,
                keyword => {
                    relations += usize::from(links_relations(keyword));
                    level.operators += usize::from(is_operator(keyword));
                }
            },
            Token::VerticalBarRightAngleBracket => relations += 1,
            Token::Whitespace(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Period
            | Token::Placeholder(_)
            | Token::SemiColon
            | Token::EOF => {}
            operator => {
                level.has_angle |= *operator == Token::Lt;
                level.operators += 1;
            }
        }
        if level.operators > MAX_OPERATORS {
            return Err(too_long("operators in a row", MAX_OPERATORS));
        }
        if relations > MAX_RELATIONS {
            return Err(too_long("tables, joins and set operations", MAX_RELATIONS));
        }
    }
    Ok(())
}

const fn links_relations(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::JOIN
            | Keyword::STRAIGHT_JOIN
            | Keyword::APPLY
            | Keyword::UNION
            | Keyword::EXCEPT
            | Keyword::INTERSECT
            | Keyword::MINUS
            | Keyword::TABLE
            | Keyword::PIVOT
            | Keyword::UNPIVOT
    )
}

/// Operators that are words. NOT is none: it stands before its operand, where the parser limits nesting.
const fn is_operator(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::AND
            | Keyword::OR
            | Keyword::XOR
            | Keyword::IS
            | Keyword::IN
            | Keyword::BETWEEN
            | Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::SIMILAR
            | Keyword::RLIKE
            | Keyword::REGEXP
            | Keyword::COLLATE
            | Keyword::AT
            | Keyword::DIV
            | Keyword::OVERLAPS
            | Keyword::NOTNULL
            | Keyword::MEMBER
            | Keyword::OPERATOR
    )
}

fn too_long(what: &str, most: usize) -> Error {
    Error::invalid(format!(
        "the statement is nested too deeply: it has more than {most} {what}; IN or a list of VALUES takes many values"
    ))
    .with_reason(reason::STATEMENT_TOO_COMPLEX)
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;
    use pintail_types::ErrorKind;

    use super::*;
    use crate::grammar::Grammar;

    fn check(sql: &str) -> Result<()> {
        super::check(&Tokenizer::new(&Grammar, sql).tokenize_with_location().unwrap())
    }

    #[test]
    fn chains_have_an_end() {
        let links = MAX_OPERATORS + 1;
        for (start, link) in [
            ("SELECT 1", "+1"),
            ("SELECT 1", " OR 1"),
            ("SELECT f(1, 2)", " + f(1, 2)"),
            ("SELECT a", "[1, 2]"),
            ("SELECT 1", "::MAP<INT, INT>"),
            ("SELECT 1", " IS NULL"),
            ("SELECT 1", " UNION ALL SELECT 1"),
            ("SELECT 1, 2", " UNION ALL SELECT 1, 2"),
            ("SELECT * FROM t", ", t"),
            ("SELECT * FROM t", " JOIN t ON f(1, 2), t"),
            ("FROM t", " |> WHERE true"),
            ("WITH a AS (SELECT 1)", ", a AS (SELECT * FROM a)"),
            ("WITH a AS (SELECT 1)", ", a AS (TABLE a)"),
        ] {
            let error = check(&format!("{start}{}", link.repeat(links))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{link}");
            check(&format!("{start}{}", link.repeat(100))).unwrap();
        }
    }

    #[test]
    fn long_lists_are_no_chains() {
        let many = 10 * MAX_OPERATORS;
        for (start, item) in [
            ("SELECT 1", ", -1"),
            ("SELECT 1", ", a = b"),
            ("SELECT a IN (1", ", -1"),
            ("VALUES (1)", ", (-1)"),
            ("SELECT [1", ", -1"),
            ("SELECT 1 FROM t ORDER BY 1", ", a"),
        ] {
            check(&format!("{start}{}", item.repeat(many))).unwrap();
        }
    }
}
