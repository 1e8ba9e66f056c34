//! `SET`, `RESET` and `USE`.

use datafusion::sql::parser::{ResetStatement, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Reset, Set, Statement as Sql, UnaryOperator, Use, Value, ValueWithSpan,
};
use pintail_types::{Error, Result};

use super::normalized;
use crate::settings::{SettingChange, SettingValue};

/// The change that a statement asks for, if it is one of settings.
///
/// # Errors
/// `Unsupported` and `Invalid` for forms that name no setting or no value.
pub(super) fn setting_change(statement: &Parsed) -> Result<Option<SettingChange>> {
    let sql = match statement {
        Parsed::Statement(sql) => sql.as_ref(),
        Parsed::Reset(ResetStatement::Variable(name)) => return reset(name).map(Some),
        Parsed::Explain(_) | Parsed::CopyTo(_) | Parsed::CreateExternalTable(_) => return Ok(None),
    };
    match sql {
        Sql::Set(set) => assignment(set).map(Some),
        Sql::Reset(statement) => match &statement.reset {
            Reset::ALL => Ok(Some(SettingChange::ResetAll)),
            Reset::ConfigurationParameter(name) => reset(name).map(Some),
        },
        Sql::Use(place) => used(place).map(Some),
        _ => Ok(None),
    }
}

fn reset(name: &ObjectName) -> Result<SettingChange> {
    match dotted(name)?.as_str() {
        "all" => Ok(SettingChange::ResetAll),
        name => Ok(SettingChange::Set { name: name.to_owned(), value: None }),
    }
}

fn assignment(set: &Set) -> Result<SettingChange> {
    let (name, value) = match set {
        Set::SingleAssignment { variable, values, hivevar: false, .. } => match values.as_slice() {
            [value] => (dotted(variable)?, value),
            _ => return Err(Error::invalid(format!("SET {variable} takes one value"))),
        },
        Set::SetTimeZone { value, .. } => ("time_zone".to_owned(), value),
        _ => return Err(Error::unsupported(format!("{set} is not supported: write SET name = value"))),
    };
    let value = setting_value(value).ok_or_else(|| {
        Error::invalid(format!("SET {name} takes a text, a number, true, false or DEFAULT, not {value}"))
    })?;
    Ok(SettingChange::Set { name, value })
}

/// The value, and in it nothing for `DEFAULT`.
fn setting_value(expression: &Expr) -> Option<Option<SettingValue>> {
    let value = match expression {
        Expr::Value(ValueWithSpan { value, .. }) => value,
        Expr::Identifier(word)
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("default") =>
        {
            return Some(None);
        }
        // SET schema = main
        Expr::Identifier(word) => return Some(Some(SettingValue::Text(normalized(word)))),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
            return match setting_value(expr)?? {
                SettingValue::Int(value) => Some(Some(SettingValue::Int(-value))),
                SettingValue::Float(value) => Some(Some(SettingValue::Float(-value))),
                _ => None,
            };
        }
        _ => return None,
    };
    let value = match value {
        Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => SettingValue::Text(text.clone()),
        Value::Boolean(value) => SettingValue::Bool(*value),
        Value::Number(digits, _) => match digits.parse() {
            Ok(whole) => SettingValue::Int(whole),
            Err(_) => SettingValue::Float(digits.parse().ok()?),
        },
        _ => return None,
    };
    Some(Some(value))
}

fn used(place: &Use) -> Result<SettingChange> {
    let unsupported = || Error::unsupported(format!("{place} is not supported: write USE catalog.schema"));
    match place {
        Use::Catalog(name) | Use::Database(name) => match parts(name)?.as_slice() {
            [catalog] => Ok(SettingChange::Use { catalog: Some(catalog.clone()), schema: None }),
            _ => Err(unsupported()),
        },
        Use::Schema(name) => match parts(name)?.as_slice() {
            [schema] => Ok(SettingChange::Use { catalog: None, schema: Some(schema.clone()) }),
            _ => Err(unsupported()),
        },
        Use::Object(name) => match parts(name)?.as_slice() {
            [place] => Ok(SettingChange::UseEither(place.clone())),
            [catalog, schema] => {
                Ok(SettingChange::Use { catalog: Some(catalog.clone()), schema: Some(schema.clone()) })
            }
            _ => Err(unsupported()),
        },
        Use::Default => Ok(SettingChange::UseDefault),
        _ => Err(unsupported()),
    }
}

fn parts(name: &ObjectName) -> Result<Vec<String>> {
    let parts = name.0.iter().map(|part| part.as_ident().map(normalized));
    parts.collect::<Option<_>>().ok_or_else(|| Error::invalid(format!("{name} is not a name")))
}

fn dotted(name: &ObjectName) -> Result<String> {
    parts(name).map(|parts| parts.join("."))
}
