//! The SQL that is understood: the parser's generic dialect, with operators where PostgreSQL has them, and with
//! statements of DuckDB.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{Expr, Statement};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

pub(crate) mod statements;

/// How tightly `->`, its like and `||` bind: tighter than comparison and LIKE, looser than `+` and `-`,
/// and alike, as in PostgreSQL. The generic dialect reads `extra->>'a' = 'b'` as `extra->>('a' = 'b')`.
const JSON_OPERATOR: u8 = 26;

/// How tightly `^` binds, which raises to a power: tighter than `*`.
const POWER_OPERATOR: u8 = 45;

/// The generic dialect takes PostgreSQL's operators (`::`, `->>`, `ILIKE`, `~`, `DISTINCT ON`) and
/// DuckDB's shorthands (`FROM` first, `EXCLUDE`, `GROUP BY ALL`) alike.
#[derive(Debug)]
pub(crate) struct Grammar;

/// What the dialect allows is what the generic one allows.
macro_rules! as_generic {
    ($($name:ident)*) => {
        $(fn $name(&self) -> bool {
            GenericDialect.$name()
        })*
    };
}

impl Dialect for Grammar {
    fn dialect(&self) -> TypeId {
        GenericDialect.dialect()
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        match parser.peek_token_ref().token {
            Token::Arrow
            | Token::LongArrow
            | Token::HashArrow
            | Token::HashLongArrow
            | Token::AtArrow
            | Token::ArrowAt
            | Token::StringConcat => Some(Ok(JSON_OPERATOR)),
            Token::Caret => Some(Ok(POWER_OPERATOR)),
            _ => None,
        }
    }

    fn is_delimited_identifier_start(&self, character: char) -> bool {
        GenericDialect.is_delimited_identifier_start(character)
    }

    fn is_identifier_start(&self, character: char) -> bool {
        GenericDialect.is_identifier_start(character)
    }

    fn is_identifier_part(&self, character: char) -> bool {
        GenericDialect.is_identifier_part(character)
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        statements::lambda(parser)
    }

    fn parse_statement(&self, parser: &mut Parser<'_>) -> Option<Result<Statement, ParserError>> {
        statements::statement(parser)
    }

    fn supports_order_by_all(&self) -> bool {
        true
    }

    /// Else `1_000` is read as `1 AS _000`.
    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }

    as_generic! {
        allow_extract_custom
        allow_extract_single_quotes
        support_map_literal_syntax
        supports_array_join_syntax
        supports_array_typedef_with_brackets
        supports_bitwise_shift_operators
        supports_comma_separated_trim
        supports_cte_without_as
        supports_detach
        supports_dictionary_syntax
        supports_empty_projections
        supports_explain_with_utility_options
        supports_extract_comma_syntax
        supports_filter_during_aggregation
        supports_from_first_select
        supports_group_by_expr
        supports_group_by_with_modifier
        supports_install
        supports_left_associative_joins_without_parens
        supports_limit_by
        supports_limit_comma
        supports_load_extension
        supports_match_recognize
        supports_named_fn_args_with_assignment_operator
        supports_nested_comments
        supports_parens_around_table_factor
        supports_partition_by_after_order_by
        supports_pipe_operator
        supports_projection_trailing_commas
        supports_quote_delimited_string
        supports_select_item_multi_column_alias
        supports_select_wildcard_except
        supports_select_wildcard_exclude
        supports_select_wildcard_ilike
        supports_select_wildcard_rename
        supports_select_wildcard_replace
        supports_start_transaction_modifier
        supports_string_escape_constant
        supports_struct_literal
        supports_try_convert
        supports_unicode_string_literal
        supports_values_as_table_factor
        supports_window_clause_named_window_reference
        supports_window_function_null_treatment_arg
    }
}
