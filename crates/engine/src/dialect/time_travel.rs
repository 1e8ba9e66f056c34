//! Time travel: `FROM t AT SNAPSHOT 4` and its other spellings, which the parser does not know.
//!
//! One pass over the tokens takes the clauses out before anything is parsed, and says of which table each is; texts,
//! comments and names of the same letters stay as they are. When the rest is parsed, the tables of the tree get what was
//! taken out. A clause whose table the tree does not have was none of a table: that is an error.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, ObjectNamePart, TableFactor, TableVersion, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use pintail_types::{Error, Position, Result};

use super::RECURSION_LIMIT;
use crate::error::{from_datafusion, syntax_error};
use crate::grammar::Grammar;

/// Tokens of a moment, spaces included; what is longer is cut off there and does not parse.
const MAX_MOMENT_TOKENS: usize = 200;

/// The tables that are read as they were, by the place where their names start.
#[derive(Debug, Default)]
pub(super) struct Clauses(HashMap<Location, Clause>);

#[derive(Debug)]
struct Clause {
    place: Location,
    version: TableVersion,
}

/// What a moment is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Version,
    Timestamp,
}

/// Takes the clauses out of the tokens.
///
/// # Errors
/// `Invalid` for a clause that does not stand behind the name of a table, or does not parse.
pub(super) fn lift(tokens: Vec<TokenWithSpan>) -> Result<(Vec<TokenWithSpan>, Clauses)> {
    let mut clauses = Clauses::default();
    let significant: Vec<usize> = (0..tokens.len()).filter(|index| is_significant(&tokens[*index])).collect();
    let mut taken_out = Vec::new();
    let mut next = 0;
    while let Some(start) = significant.get(next) {
        let words = Words { tokens: &tokens, places: &significant };
        let Some(head) = words.head(next) else {
            next += 1;
            continue;
        };
        let place = tokens[*start].span.start;
        let table = words.table_before(next).ok_or_else(|| no_table(place))?;
        let (moment, end) = words.moment(&head, place)?;
        let version = match head.unit {
            Unit::Version => TableVersion::VersionAsOf(moment),
            Unit::Timestamp => TableVersion::TimestampAsOf(moment),
        };
        clauses.0.insert(table, Clause { place, version });
        taken_out.push(*start..end);
        next = significant.partition_point(|index| *index < end);
    }
    let mut tokens = tokens;
    for range in taken_out.into_iter().rev() {
        tokens.drain(range);
    }
    Ok((tokens, clauses))
}

/// Gives the tables of a tree what was taken out of its tokens.
///
/// # Errors
/// `Invalid` for a clause that is of no table.
pub(super) fn attach(statement: &mut Parsed, clauses: Clauses) -> Result<()> {
    if clauses.0.is_empty() {
        return Ok(());
    }
    let mut tables = Tables(clauses);
    visit(statement, &mut tables);
    match tables.0.0.into_values().map(|clause| clause.place).min() {
        Some(place) => Err(no_table(place)),
        None => Ok(()),
    }
}

fn visit(statement: &mut Parsed, tables: &mut Tables) {
    match statement {
        Parsed::Statement(sql) => {
            let _: ControlFlow<()> = sql.visit(tables);
        }
        Parsed::Explain(explain) => visit(&mut explain.statement, tables),
        Parsed::CopyTo(_) | Parsed::CreateExternalTable(_) | Parsed::Reset(_) => {}
    }
}

struct Tables(Clauses);

impl VisitorMut for Tables {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, version, args: None, .. } = factor
            && let Some(ObjectNamePart::Identifier(first)) = name.0.first()
            && let Some(clause) = self.0.0.remove(&first.span.start)
        {
            *version = Some(clause.version);
        }
        ControlFlow::Continue(())
    }
}

/// Spells what is read in the past as official DuckDB does, for texts that it reads too.
pub(crate) struct AsDuckDb;

impl VisitorMut for AsDuckDb {
    type Break = ();

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { version: Some(version), .. } = factor {
            let (unit, moment) = match version {
                TableVersion::VersionAsOf(moment) => ("VERSION", moment),
                TableVersion::TimestampAsOf(moment) => ("TIMESTAMP", moment),
                _ => return ControlFlow::Continue(()),
            };
            let moment = super::trees::take(moment);
            *version = TableVersion::Function(at(unit, moment));
        }
        ControlFlow::Continue(())
    }
}

/// `AT(unit => moment)`
fn at(unit: &str, moment: Expr) -> Expr {
    let argument = FunctionArg::Named {
        name: Ident::new(unit),
        arg: FunctionArgExpr::Expr(moment),
        operator: FunctionArgOperator::RightArrow,
    };
    let arguments =
        FunctionArgumentList { duplicate_treatment: None, args: vec![argument], clauses: Vec::new() };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("AT")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(arguments),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn no_table(place: Location) -> Error {
    let message =
        "time travel follows the name of a table in FROM or JOIN, or its alias: nothing else has a past";
    invalid(message, place)
}

fn invalid(message: &str, place: Location) -> Error {
    syntax_error(message).at(position(place))
}

const fn position(place: Location) -> Position {
    Position { line: place.line, column: place.column }
}

fn is_significant(token: &TokenWithSpan) -> bool {
    !matches!(token.token, Token::Whitespace(_))
}

/// How a clause starts.
struct Head {
    unit: Unit,
    /// The first token of its moment.
    moment: usize,
    /// The moment stands in brackets.
    in_brackets: bool,
}

/// The tokens without spaces and comments.
struct Words<'a> {
    tokens: &'a [TokenWithSpan],
    /// Where each is among all.
    places: &'a [usize],
}

impl Words<'_> {
    fn token(&self, index: usize) -> Option<&Token> {
        self.places.get(index).map(|place| &self.tokens[*place].token)
    }

    fn is(&self, index: usize, word: &str) -> bool {
        matches!(self.token(index), Some(Token::Word(found))
            if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
    }

    /// Whether a clause starts here.
    ///
    /// Names of these letters may stand anywhere, also one behind another: `SELECT at snapshot FROM t` gives a column a
    /// name. So it takes what follows, too.
    fn head(&self, at: usize) -> Option<Head> {
        let head = |unit, first, in_brackets| {
            self.places.get(first).map(|moment| Head { unit, moment: *moment, in_brackets })
        };
        if self.is(at, "for") && self.is(at + 2, "as") && self.is(at + 3, "of") {
            let is_system_time = self.is(at + 1, "system_time");
            return head(self.unit(at + 1).or(is_system_time.then_some(Unit::Timestamp))?, at + 4, false);
        }
        if !self.is(at, "at") {
            return None;
        }
        if self.token(at + 1) == Some(&Token::LParen) && self.token(at + 3) == Some(&Token::RArrow) {
            return head(self.unit(at + 2)?, at + 4, true);
        }
        let (is_snapshot, is_time) = (self.is(at + 1, "snapshot"), self.is(at + 1, "timestamp"));
        match self.token(at + 2)? {
            Token::Number(..) | Token::Minus | Token::SingleQuotedString(_) | Token::Placeholder(_)
                if is_snapshot =>
            {
                head(Unit::Version, at + 2, false)
            }
            Token::SingleQuotedString(_) | Token::Placeholder(_) if is_time => {
                head(Unit::Timestamp, at + 2, false)
            }
            _ => None,
        }
    }

    fn unit(&self, at: usize) -> Option<Unit> {
        if self.is(at, "version") {
            return Some(Unit::Version);
        }
        self.is(at, "timestamp").then_some(Unit::Timestamp)
    }

    /// The moment of a clause, and the first token behind the clause.
    fn moment(&self, head: &Head, place: Location) -> Result<(Expr, usize)> {
        let rest = &self.tokens[head.moment..];
        let rest = rest[..rest.len().min(MAX_MOMENT_TOKENS)].to_vec();
        let mut parser =
            Parser::new(&Grammar).with_recursion_limit(RECURSION_LIMIT).with_tokens_with_locations(rest);
        let moment = parser.parse_expr().map_err(|error| {
            let error = from_datafusion(&DataFusionError::from(error));
            if error.position().is_none() { error.at(position(place)) } else { error }
        })?;
        if head.in_brackets && !parser.consume_token(&Token::RParen) {
            let found = parser.peek_token_ref();
            return Err(invalid(&format!("AT (…) holds one moment: expected ), found {found}"), place));
        }
        Ok((moment, head.moment + parser.index()))
    }

    /// Where the name starts of the table that a clause at `end` is of: right before it, or before its alias.
    fn table_before(&self, end: usize) -> Option<Location> {
        let last = self.name_before(end)?;
        let before = last.checked_sub(1);
        let is_alias = last + 1 == end
            && before.is_some_and(|before| match self.token(before) {
                Some(Token::Word(word)) => {
                    word.quote_style.is_some() || !introduces_table(&word.value, word.keyword)
                }
                _ => false,
            });
        let start = match before {
            Some(before) if is_alias && self.is(before, "as") => self.name_before(before)?,
            Some(before) if is_alias => self.name_before(before + 1)?,
            _ => last,
        };
        self.places.get(start).map(|place| self.tokens[*place].span.start)
    }

    /// Where the name starts that ends before `end`.
    fn name_before(&self, end: usize) -> Option<usize> {
        let is_name = |index: usize| matches!(self.token(index), Some(Token::Word(_)));
        let mut start = end.checked_sub(1).filter(|last| is_name(*last))?;
        while start >= 2 && self.token(start - 1) == Some(&Token::Period) && is_name(start - 2) {
            start -= 2;
        }
        Some(start)
    }
}

/// Whether the word stands before the name of a table, so that what follows it is no alias.
fn introduces_table(word: &str, keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::FROM
            | Keyword::JOIN
            | Keyword::STRAIGHT_JOIN
            | Keyword::APPLY
            | Keyword::TABLE
            | Keyword::LATERAL
            | Keyword::USING
            | Keyword::INTO
            | Keyword::UPDATE
            | Keyword::ONLY
            | Keyword::DESCRIBE
            | Keyword::DESC
    ) || word.eq_ignore_ascii_case("summarize")
}

#[cfg(test)]
mod tests;
