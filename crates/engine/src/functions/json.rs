//! JSON by DuckDB's paths (`$.a.b[0]`, `/a/b`, `a`) and PostgreSQL's keys.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast, lit,
};
use datafusion_functions_json::udfs::{
    json_as_text_udf, json_contains_udf, json_get_json_udf, json_length_udf,
};

use super::shorthand::{Call, shorthand};
use crate::wire::json_column;

/// Steps of one path.
const MAX_STEPS: usize = 64;

/// One step into a JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into an object.
    Key(String),
    /// Into an array, from 0.
    Index(i64),
}

pub(super) fn functions() -> Vec<ScalarUDF> {
    let by_path = |function: fn() -> Arc<ScalarUDF>| {
        move |call: &Call| {
            let mut args = vec![document(call)];
            args.extend(path(call)?);
            Ok(function().call(args))
        }
    };
    let by_keys = |function: fn() -> Arc<ScalarUDF>| {
        move |call: &Call| {
            let mut args = call.args.clone();
            args[0] = document(call);
            Ok(function().call(args))
        }
    };
    vec![
        shorthand("json_extract", 2..=2, by_path(json_get_json_udf)),
        shorthand("json_extract_string", 2..=2, by_path(json_as_text_udf)),
        shorthand("json_value", 2..=2, by_path(json_as_text_udf)),
        shorthand("json_exists", 2..=2, by_path(json_contains_udf)),
        shorthand("json_extract_path", 2..=MAX_STEPS, by_keys(json_get_json_udf)),
        shorthand("json_extract_path_text", 2..=MAX_STEPS, by_keys(json_as_text_udf)),
        shorthand("json_array_length", 1..=2, array_length),
        ScalarUDF::from(ToJson { signature: Signature::any(1, Volatility::Immutable) }),
    ]
}

/// Any value as JSON.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToJson {
    signature: Signature,
}

impl ScalarUDFImpl for ToJson {
    fn name(&self) -> &str {
        "to_json"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        Ok(ColumnarValue::Array(json_column(&columns[0])?))
    }
}

fn document(call: &Call) -> Expr {
    cast(call.arg(0), DataType::Utf8)
}

fn array_length(call: &Call) -> Result<Expr> {
    let mut args = vec![document(call)];
    if call.args.len() > 1 {
        args.extend(path(call)?);
    }
    Ok(cast(json_length_udf().call(args), DataType::Int64))
}

fn path(call: &Call) -> Result<Vec<Expr>> {
    if call.data_type(1).is_integer() {
        return Ok(vec![call.arg(1)]);
    }
    let text = call.constant_text(1, "path")?;
    let Some(steps) = steps(text) else {
        return plan_err!(
            "{}: '{text}' is no path; write $.key[0].key, /key/0 or key, without wildcards",
            call.name
        );
    };
    Ok(steps.into_iter().map(Expr::from).collect())
}

impl From<Step> for Expr {
    fn from(step: Step) -> Self {
        match step {
            Step::Key(key) => lit(key),
            Step::Index(index) => lit(index),
        }
    }
}

/// The steps of a path as DuckDB writes it: JSONPath without wildcards, a JSON pointer, or one key.
pub(crate) fn steps(path: &str) -> Option<Vec<Step>> {
    let steps = match path.strip_prefix('$') {
        Some(rest) => json_path(rest)?,
        None if path.starts_with('/') => path.split('/').skip(1).map(pointer_step).collect(),
        None => vec![Step::Key(path.to_owned())],
    };
    (1..MAX_STEPS).contains(&steps.len()).then_some(steps)
}

fn pointer_step(step: &str) -> Step {
    match step_of(step) {
        Step::Key(key) => Step::Key(key.replace("~1", "/").replace("~0", "~")),
        index => index,
    }
}

/// A step as an array of text holds it: a number goes into an array.
pub(crate) fn step_of(step: &str) -> Step {
    step.parse().map_or_else(|_| Step::Key(step.to_owned()), Step::Index)
}

/// The steps of PostgreSQL's `{a,0,b}`, keys in quotes or without. None if it is no such text.
pub(crate) fn array_steps(text: &str) -> Option<Vec<Step>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let steps: Vec<Step> = inner.split(',').map(|step| step_of(step.trim().trim_matches('"'))).collect();
    (1..MAX_STEPS).contains(&steps.len()).then_some(steps)
}

fn json_path(mut rest: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    while let Some(start) = rest.chars().next() {
        let (step, tail) = match start {
            '.' => key_step(&rest[1..])?,
            '[' => bracket_step(&rest[1..])?,
            _ => return None,
        };
        steps.push(step);
        rest = tail;
    }
    Some(steps)
}

/// `key…` or `"key"…`
fn key_step(text: &str) -> Option<(Step, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (key, tail) = quoted.split_once('"')?;
        return Some((Step::Key(key.to_owned()), tail));
    }
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (key, tail) = text.split_at(end);
    (!key.is_empty() && key != "*").then(|| (Step::Key(key.to_owned()), tail))
}

/// `0]…`, `-1]…` and `#-1]…` from the end, `'key']…` or `"key"]…`
fn bracket_step(text: &str) -> Option<(Step, &str)> {
    let (inside, tail) = text.split_once(']')?;
    let unquoted = |quote| inside.strip_prefix(quote)?.strip_suffix(quote);
    let step = match unquoted('\'').or_else(|| unquoted('"')) {
        Some(key) => Step::Key(key.to_owned()),
        None => Step::Index(
            inside.strip_prefix('#').filter(|end| end.starts_with('-')).unwrap_or(inside).parse().ok()?,
        ),
    };
    Some((step, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str) -> Step {
        Step::Key(key.to_owned())
    }

    #[test]
    fn paths() {
        for (path, expected) in [
            ("a", Some(vec![key("a")])),
            ("a.b", Some(vec![key("a.b")])),
            ("$.a.b", Some(vec![key("a"), key("b")])),
            ("$.a[0].b", Some(vec![key("a"), Step::Index(0), key("b")])),
            ("$[2]", Some(vec![Step::Index(2)])),
            ("$.a[-1]", Some(vec![key("a"), Step::Index(-1)])),
            ("$.a[#-2]", Some(vec![key("a"), Step::Index(-2)])),
            ("$.a[#1]", None),
            ("$.a[*]", None),
            ("$..a", None),
            ("$.\"a.b\".c", Some(vec![key("a.b"), key("c")])),
            ("$['a b']", Some(vec![key("a b")])),
            ("/a/0/b~1c", Some(vec![key("a"), Step::Index(0), key("b/c")])),
            ("$", None),
            ("$.", None),
            ("$.*", None),
            ("$a", None),
            ("$[", None),
            ("$.a[x]", None),
            ("$.ü[0]", Some(vec![key("ü"), Step::Index(0)])),
        ] {
            assert_eq!(steps(path), expected, "{path}");
        }
        assert_eq!(steps(&"/a".repeat(MAX_STEPS)), None);
    }
}
