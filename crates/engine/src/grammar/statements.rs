//! What the parser does not know: statements and expressions of DuckDB, as trees that stand for them.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, LambdaFunction, LambdaFunctionParameter, LambdaSyntax,
    ObjectName, OneOrManyWithParens, Query, SetExpr, ShowStatementOptions, Statement, TableFactor,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// The table function that stands for `SUMMARIZE`; its argument is the query.
pub(crate) const SUMMARIZE: &str = "summarize";

/// `SUMMARIZE t`, `SUMMARIZE SELECT …`, `TABLE t`, `SHOW ALL TABLES`.
pub(super) fn statement(parser: &mut Parser<'_>) -> Option<Result<Statement, ParserError>> {
    let Token::Word(first) = &parser.peek_token_ref().token else { return None };
    if first.quote_style.is_some() {
        return None;
    }
    match first.value.to_ascii_lowercase().as_str() {
        SUMMARIZE => {
            parser.advance_token();
            Some(summarize(parser))
        }
        "table" => {
            parser.advance_token();
            Some(
                parser
                    .parse_table_factor()
                    .and_then(select_all_from)
                    .map(|query| Statement::Query(Box::new(query))),
            )
        }
        "show" if parser.parse_keywords(&[Keyword::SHOW, Keyword::ALL, Keyword::TABLES]) => {
            Some(show_all_tables())
        }
        _ => None,
    }
}

/// `SHOW ALL TABLES` is `SHOW TABLES`, which tells catalogs and schemas too.
fn show_all_tables() -> Result<Statement, ParserError> {
    Ok(Statement::ShowTables {
        terse: false,
        history: false,
        extended: false,
        full: false,
        external: false,
        show_options: ShowStatementOptions {
            show_in: None,
            starts_with: None,
            limit: None,
            limit_from: None,
            filter_position: None,
        },
    })
}

fn summarize(parser: &mut Parser<'_>) -> Result<Statement, ParserError> {
    let starts_query = match &parser.peek_token_ref().token {
        Token::LParen => true,
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::SELECT | Keyword::FROM | Keyword::WITH | Keyword::VALUES | Keyword::TABLE
        ),
        _ => false,
    };
    let query = match starts_query {
        true => parser.parse_query()?,
        false => Box::new(select_all_from(parser.parse_table_factor()?)?),
    };
    let argument = FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(query)));
    let name = ObjectName::from(vec![Ident::new(SUMMARIZE)]);
    let relation = TableFactor::Function {
        lateral: false,
        name,
        args: vec![argument],
        with_ordinality: false,
        alias: None,
    };
    Ok(Statement::Query(Box::new(select_all_from(relation)?)))
}

/// `SELECT * FROM relation`
fn select_all_from(relation: TableFactor) -> Result<Query, ParserError> {
    let mut query = Parser::new(&GenericDialect).try_with_sql("SELECT * FROM t")?.parse_query()?;
    if let SetExpr::Select(select) = query.body.as_mut()
        && let Some(from) = select.from.first_mut()
    {
        from.relation = relation;
    }
    Ok(*query)
}

/// `lambda x, y: expression`. The arrow form is read as the JSON operator, and made a lambda by a later pass.
pub(super) fn lambda(parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
    let [first, second, third] = parser.peek_tokens_ref();
    let is_lambda = matches!(&first.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("lambda"))
        && matches!(second.token, Token::Word(_))
        && matches!(third.token, Token::Colon | Token::Comma);
    is_lambda.then(|| {
        parser.advance_token();
        let names = parser.parse_comma_separated(Parser::parse_identifier)?;
        parser.expect_token(&Token::Colon)?;
        let body = Box::new(parser.parse_expr()?);
        Ok(lambda_of(names, body))
    })
}

/// The lambda of `names` and `body`.
pub(crate) fn lambda_of(names: Vec<Ident>, body: Box<Expr>) -> Expr {
    let parameter = |name| LambdaFunctionParameter { name, data_type: None };
    let params = OneOrManyWithParens::Many(names.into_iter().map(parameter).collect());
    Expr::Lambda(LambdaFunction { params, body, syntax: LambdaSyntax::Arrow })
}
