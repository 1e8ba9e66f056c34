//! Spellings that have to be put right before the text can be parsed, on its tokens.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Whitespace, Word};

/// The tokens in spellings that the parser knows: `FROM t WHERE …` with `SELECT *` before it, Grafana's
/// `AS "c"_binned` with one name, and `**` as `^`.
pub(super) fn spelled_out(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    join_stars(join_alias_suffixes(select_all_before_from(tokens)))
}

/// DuckDB's queries that start with FROM and have no SELECT get one.
fn select_all_before_from(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let bare = bare_froms(&tokens);
    if bare.is_empty() {
        return tokens;
    }
    let mut spelled = Vec::with_capacity(tokens.len() + 3 * bare.len());
    for (index, token) in tokens.into_iter().enumerate() {
        if bare.binary_search(&index).is_ok() {
            let space = Token::Whitespace(Whitespace::Space);
            for added in [Token::make_keyword("SELECT"), Token::Mul, space] {
                spelled.push(TokenWithSpan::new(added, Span::empty()));
            }
        }
        spelled.push(token);
    }
    spelled
}

/// What stands in one pair of brackets, or in none.
#[derive(Debug, Default)]
struct Level {
    /// The FROM that starts the query and has no SELECT yet.
    bare_from: Option<usize>,
    /// Common table expressions stand before the query.
    after_with: bool,
}

/// Where a query starts with FROM that has no SELECT, in order.
fn bare_froms(tokens: &[TokenWithSpan]) -> Vec<usize> {
    let mut bare = Vec::new();
    let mut levels = vec![Level::default()];
    let mut starts_query = true;
    for (index, token) in tokens.iter().enumerate() {
        let Some(level) = levels.last_mut() else { break };
        match &token.token {
            Token::Whitespace(_) => continue,
            Token::LParen => {
                levels.push(Level::default());
                starts_query = true;
                continue;
            }
            Token::RParen => {
                bare.extend(level.bare_from);
                levels.pop();
                // Of brackets only those of a common table expression stand before a query.
                starts_query = levels.last().is_some_and(|outer| outer.after_with);
                continue;
            }
            Token::Word(word) if word.quote_style.is_none() => {
                match word.keyword {
                    Keyword::WITH if starts_query => level.after_with = true,
                    Keyword::FROM if starts_query => level.bare_from = Some(index),
                    Keyword::SELECT => *level = Level::default(),
                    Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => {
                        bare.extend(level.bare_from.take())
                    }
                    _ => {}
                }
                starts_query = opens_query(word);
            }
            Token::SemiColon => {
                bare.extend(level.bare_from.take());
                starts_query = true;
            }
            _ => starts_query = false,
        }
    }
    bare.extend(levels.into_iter().filter_map(|level| level.bare_from));
    bare.sort_unstable();
    bare
}

/// Whether a query may follow the word.
fn opens_query(word: &Word) -> bool {
    matches!(
        word.keyword,
        Keyword::UNION
            | Keyword::EXCEPT
            | Keyword::INTERSECT
            | Keyword::ALL
            | Keyword::EXPLAIN
            | Keyword::ANALYZE
            | Keyword::DESCRIBE
            | Keyword::AS
    ) || word.value.eq_ignore_ascii_case("summarize")
}

/// `AS "c"_binned` is what Grafana makes of `$__dateBinAlias("c")`: one name, in two tokens without a space.
fn join_alias_suffixes(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut joined: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut after_as = false;
    let mut last_is_alias = false;
    for token in tokens {
        if matches!(token.token, Token::Whitespace(_)) {
            last_is_alias = false;
            joined.push(token);
            continue;
        }
        if last_is_alias
            && let Token::Word(suffix) = &token.token
            && suffix.quote_style.is_none()
            && suffix.value.starts_with('_')
            && let Some(TokenWithSpan { token: Token::Word(alias), .. }) = joined.last_mut()
        {
            alias.value.push_str(&suffix.value);
            last_is_alias = false;
            continue;
        }
        let (is_as, is_quoted) = match &token.token {
            Token::Word(word) => (word.keyword == Keyword::AS, word.quote_style.is_some()),
            _ => (false, false),
        };
        last_is_alias = after_as && is_quoted;
        after_as = is_as;
        joined.push(token);
    }
    joined
}

/// `2 ** 3` is a power, as `2 ^ 3` is.
fn join_stars(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut joined: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens {
        match joined.last_mut() {
            Some(last) if last.token == Token::Mul && token.token == Token::Mul => last.token = Token::Caret,
            _ => joined.push(token),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;
    use crate::grammar::Grammar;

    #[test]
    fn only_queries_that_start_with_from_get_a_select() {
        for (sql, expected) in [
            ("FROM t WHERE a", "SELECT* FROM t WHERE a"),
            ("FROM t SELECT a", "FROM t SELECT a"),
            ("SELECT count(*) FROM t", "SELECT count(*) FROM t"),
            (
                "SELECT (FROM t), (FROM t SELECT a) FROM u",
                "SELECT (SELECT* FROM t), (FROM t SELECT a) FROM u",
            ),
            ("FROM t UNION ALL FROM u", "SELECT* FROM t UNION ALL SELECT* FROM u"),
            ("WITH a AS (FROM t) FROM a LIMIT 1", "WITH a AS (SELECT* FROM t) SELECT* FROM a LIMIT 1"),
            (
                "SELECT extract(day FROM a), trim('x' FROM b) FROM t",
                "SELECT extract(day FROM a), trim('x' FROM b) FROM t",
            ),
            ("SELECT * EXCEPT (a) FROM t", "SELECT * EXCEPT (a) FROM t"),
            ("SHOW TABLES FROM main", "SHOW TABLES FROM main"),
            ("DELETE FROM t", "DELETE FROM t"),
            ("DESCRIBE FROM t;", "DESCRIBE SELECT* FROM t;"),
            ("SELECT a FROM (FROM t) WHERE ')' = '('", "SELECT a FROM (SELECT* FROM t) WHERE ')' = '('"),
            ("))FROM t", "))FROM t"),
            ("SELECT 1 AS \"a\"_binned, \"a\"_b", "SELECT 1 AS \"a_binned\", \"a\"_b"),
            ("SELECT 2**3, 2 * 3, count(*)", "SELECT 2^3, 2 * 3, count(*)"),
            ("SELECT 1 AS \"a\" _binned", "SELECT 1 AS \"a\" _binned"),
        ] {
            let tokens = Tokenizer::new(&Grammar, sql).tokenize_with_location().unwrap();
            let spelled: String = spelled_out(tokens).iter().map(|token| token.token.to_string()).collect();
            assert_eq!(spelled, expected);
        }
    }
}
