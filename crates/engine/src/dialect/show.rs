//! Statements that the planner does not know, as the queries they stand for.

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{ShowStatementOptions, Statement as Sql};
use pintail_types::{Error, Result};

use super::{query, read};

const SHOW_CATALOGS: &str =
    "SELECT DISTINCT catalog_name FROM information_schema.schemata ORDER BY catalog_name";
const SHOW_SCHEMAS: &str = "SELECT catalog_name, schema_name FROM information_schema.schemata \
                            ORDER BY catalog_name, schema_name";

/// Statements that the planner does not know, as the queries they stand for.
pub(super) fn spelled_out(statement: Parsed) -> Result<Parsed> {
    let Parsed::Statement(sql) = &statement else { return Ok(statement) };
    let (text, options) = match sql.as_ref() {
        Sql::ShowCatalogs { show_options, .. } | Sql::ShowDatabases { show_options, .. } => {
            (SHOW_CATALOGS, show_options)
        }
        Sql::ShowSchemas { show_options, .. } => (SHOW_SCHEMAS, show_options),
        _ => return Ok(statement),
    };
    let ShowStatementOptions { show_in, starts_with, limit, limit_from, filter_position } = options;
    if show_in.is_some()
        || starts_with.is_some()
        || limit.is_some()
        || limit_from.is_some()
        || filter_position.is_some()
    {
        return Err(Error::unsupported("SHOW takes no filter here: select from information_schema.schemata"));
    }
    query(read(text)?)
}
