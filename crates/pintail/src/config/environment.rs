//! Overrides by environment variable, and the names that keys can have.

use serde_json::{Map, Value, json};

use super::{Config, other, storage};

/// Variables of this prefix without `__` that are not settings: they belong to the command line and the tests.
const NOT_SETTINGS: [&str; 9] = [
    "PINTAIL_CONFIG",
    "PINTAIL_URL",
    "PINTAIL_TOKEN",
    "PINTAIL_USER",
    "PINTAIL_PASSWORD",
    "PINTAIL_LOG",
    "PINTAIL_CLIENT_PYTHON",
    "PINTAIL_DUCKDB_PYTHON",
    "PINTAIL_FAULT",
];

/// Elements an array can grow to through the environment.
const ARRAY_LIMIT: usize = 1024;

/// Puts `PINTAIL_A__B__0__C` and Homer's `HOMER_A_B_0_C` into `tree`; where both name a key, the first wins.
pub(super) fn apply(
    tree: &mut Value,
    environment: impl IntoIterator<Item = (String, String)>,
    problems: &mut Vec<String>,
    warnings: &mut Vec<String>,
) {
    let template = template();
    let mut ours = Vec::new();
    let mut homers = Vec::new();
    for (name, value) in environment {
        if let Some(rest) = name.strip_prefix("PINTAIL_") {
            if !rest.contains("__") && rest != "DATA_DIR" {
                if !NOT_SETTINGS.contains(&name.as_str()) {
                    warnings.push(format!(
                        "environment: {name} is not a setting (levels stand apart by two underscores); ignored"
                    ));
                }
                continue;
            }
            let path: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
            ours.push((path, name, value));
        } else if let Some(rest) = name.strip_prefix("HOMER_") {
            match homer_path(&template, &rest.to_lowercase()) {
                Some(path) => homers.push((path, name, value)),
                None => {
                    warnings.push(format!("environment: {name} names nothing that exists here; ignored"));
                }
            }
        }
    }
    // Sorted, so that element 0 is set before element 1 whatever the order of the environment.
    homers.sort_by(by_path);
    ours.sort_by(by_path);
    for (path, name, value) in homers.into_iter().chain(ours) {
        if let Err(problem) = set(tree, &template, &path, &value) {
            problems.push(format!("environment: {name}: {problem}"));
        }
    }
}

type Override = (Vec<String>, String, String);

fn by_path(left: &Override, right: &Override) -> std::cmp::Ordering {
    let key = |path: &[String]| -> Vec<(Option<usize>, String)> {
        path.iter().map(|part| (part.parse().ok(), part.clone())).collect()
    };
    key(&left.0).cmp(&key(&right.0))
}

/// Sets one value, making the objects and array elements on the way.
fn set(tree: &mut Value, template: &Value, path: &[String], text: &str) -> Result<(), String> {
    let (mut place, mut shape) = (tree, template);
    for (depth, part) in path.iter().enumerate() {
        if let Value::Array(elements) = shape {
            let index: usize = part.parse().map_err(|_| {
                format!("{} is a list; an index is wanted, not '{part}'", path[..depth].join("."))
            })?;
            shape = elements.first().unwrap_or(&Value::Null);
            if !place.is_array() {
                *place = json!([]);
            }
            let Value::Array(list) = place else { return Err("not a list".into()) };
            if index > list.len() || index >= ARRAY_LIMIT {
                return Err(format!("element {index} leaves a gap: {} are set", list.len()));
            }
            if index == list.len() {
                list.push(if shape.is_object() { json!({}) } else { Value::Null });
            }
            place = &mut list[index];
            continue;
        }
        let Value::Object(keys) = shape else {
            return Err(format!("{} has no parts", path[..depth].join(".")));
        };
        let open = keys.is_empty();
        shape = match keys.get(part) {
            Some(shape) => shape,
            None if open => &Value::Null,
            None => return Err(unknown_key(&path[..=depth].join("."))),
        };
        if !place.is_object() {
            *place = json!({});
        }
        let Value::Object(object) = place else { return Err("not an object".into()) };
        place = object.entry(part.clone()).or_insert(Value::Null);
    }
    *place = value_of(text, shape)?;
    Ok(())
}

/// `text` as the type that `shape` has.
fn value_of(text: &str, shape: &Value) -> Result<Value, String> {
    match shape {
        Value::String(_) => Ok(Value::String(text.to_owned())),
        Value::Bool(_) => match text.to_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(Value::Bool(true)),
            "false" | "0" | "no" | "off" => Ok(Value::Bool(false)),
            _ => Err(format!("'{text}' is neither true nor false")),
        },
        Value::Number(_) => match serde_json::from_str(text.trim()) {
            Ok(Value::Number(number)) => Ok(Value::Number(number)),
            _ => Err(format!("'{text}' is not a number")),
        },
        Value::Array(elements) => {
            if text.trim_start().starts_with('[') {
                return serde_json::from_str(text).map_err(|error| format!("not a JSON array: {error}"));
            }
            let shape = elements.first().unwrap_or(&Value::Null);
            text.split(',')
                .filter(|part| !part.trim().is_empty())
                .map(|part| value_of(part.trim(), shape))
                .collect()
        }
        Value::Object(_) => serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}")),
        Value::Null => Ok(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))),
    }
}

/// The path that Homer's name means: single underscores stand both between levels and within names.
fn homer_path(shape: &Value, rest: &str) -> Option<Vec<String>> {
    let prepend = |head: &str, mut tail: Vec<String>| {
        tail.insert(0, head.to_owned());
        tail
    };
    match shape {
        Value::Object(keys) => keys.iter().find_map(|(key, below)| {
            let after = rest.strip_prefix(key.as_str())?;
            if after.is_empty() {
                return Some(vec![key.clone()]);
            }
            homer_path(below, after.strip_prefix('_')?).map(|tail| prepend(key, tail))
        }),
        Value::Array(elements) => {
            let (index, after) =
                rest.split_once('_').map_or((rest, None), |(index, after)| (index, Some(after)));
            index.parse::<usize>().ok()?;
            match after {
                None => Some(vec![index.to_owned()]),
                Some(after) => homer_path(elements.first()?, after).map(|tail| prepend(index, tail)),
            }
        }
        _ => None,
    }
}

/// A message for a key that does not exist, with the nearest one beside it that does.
pub(super) fn unknown_key(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    let template = template();
    let mut shape = &template;
    for (depth, part) in parts.iter().enumerate() {
        let next = match shape {
            Value::Object(keys) => keys.get(*part),
            Value::Array(elements) => elements.first(),
            _ => None,
        };
        if let Some(next) = next {
            shape = next;
            continue;
        }
        let known: Vec<String> =
            shape.as_object().map_or_else(Vec::new, |keys| keys.keys().cloned().collect());
        let nearest = known
            .iter()
            .map(|key| (likeness(key, part), key))
            .filter(|(likeness, _)| *likeness > 0.8)
            .max_by(|left, right| left.0.total_cmp(&right.0));
        return match nearest {
            Some((_, key)) => {
                let mut meant: Vec<&str> = parts[..depth].to_vec();
                meant.push(key);
                format!("unknown key '{path}'; did you mean '{}'?", meant.join("."))
            }
            None if depth == 0 => format!("unknown key '{path}'; known here: {}", known.join(", ")),
            None => {
                format!("unknown key '{path}'; known in '{}': {}", parts[..depth].join("."), known.join(", "))
            }
        };
    }
    format!("unknown key '{path}'")
}

/// 1 for the same, less the further apart; two letters in the wrong order are as near as one wrong letter.
fn likeness(key: &str, written: &str) -> f64 {
    let near = strsim::damerau_levenshtein(key, written) == 1;
    strsim::jaro_winkler(key, written).max(if near { 0.9 } else { 0.0 })
}

/// Every key that exists, with a value of its type; lists hold one element.
pub(super) fn template() -> Value {
    let mut config = Config::default();
    config.ingest.force_hep_payload = vec![0];
    for list in [
        &mut config.ingest.hep.auth_keys,
        &mut config.ingest.sip.censored_methods,
        &mut config.ingest.sip.discard_methods,
        &mut config.ingest.sip.aleg_ids,
        &mut config.ingest.sip.custom_headers,
    ] {
        list.push(String::new());
    }
    config.storage.ducklake.storage_policy.volumes = vec![storage::Volume::default()];
    config.node.http_server.port = Some(0);
    config.node.ducklake.volumes = vec![storage::Volume::default()];
    config.coordinator.nodes = vec![other::CoordinatorNode::default()];
    config.identity.tokens = vec![other::Token { groups: vec![String::new()], ..Default::default() }];
    config.identity.oidc = vec![other::Oidc::default()];
    serde_json::to_value(config).unwrap_or(Value::Object(Map::new()))
}
