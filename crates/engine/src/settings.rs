//! What a session can be told: where bare names resolve, the time zone, limits.

use std::collections::BTreeMap;
use std::time::Duration;

use datafusion::arrow::array::timezone::Tz;
use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement as Parsed;
use pintail_types::{Error, Result};

use crate::dialect::{DEFAULT_SCHEMA, settings_query, shown_setting};
use crate::session::Session;

const CATALOG: &str = "catalog";
const SCHEMA: &str = "schema";
const TIME_ZONE: &str = "time_zone";
const QUERY_TIMEOUT: &str = "pintail.query_timeout";

/// All settings, as they are named in [`Session::settings`].
const SETTINGS: [&str; 4] = [CATALOG, QUERY_TIMEOUT, SCHEMA, TIME_ZONE];

/// The value of a setting, in the types that clients send.
#[derive(Debug, Clone, PartialEq)]
pub enum SettingValue {
    /// Text.
    Text(String),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Several texts.
    List(Vec<String>),
}

/// What a statement changes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SettingChange {
    /// One setting; back to what it started with if there is no value.
    Set { name: String, value: Option<SettingValue> },
    /// All settings back to what they started with.
    ResetAll,
    /// Where bare names resolve; what is absent stays, or is the catalog's default schema.
    Use { catalog: Option<String>, schema: Option<String> },
    /// The schema of this name in the current catalog, else the catalog of this name.
    UseEither(String),
    /// Where bare names resolved at the start.
    UseDefault,
}

impl Session {
    /// All settings with their values.
    pub fn settings(&self) -> BTreeMap<String, SettingValue> {
        let value = |name| SettingValue::Text(self.setting(name));
        SETTINGS.into_iter().map(|name| (name.to_owned(), value(name))).collect()
    }

    /// Gives a setting a value, for this session from the next statement on; `None` gives it the value that it
    /// started with. Statements that are planned already keep what they were planned with.
    ///
    /// # Errors
    /// `NotFound` if there is no such setting, `Invalid` if it can't have this value.
    pub fn set(&self, name: &str, value: Option<SettingValue>) -> Result<()> {
        match known(name)? {
            CATALOG => match value {
                Some(value) => self.use_place(Some(text(CATALOG, value)?), None),
                None => self.use_place(Some(catalog_of(self.initial_state())), None),
            },
            SCHEMA => match value {
                Some(value) => self.use_place(None, Some(text(SCHEMA, value)?)),
                None => self.use_place(None, Some(schema_of(self.initial_state()))),
            },
            TIME_ZONE => self.set_time_zone(value),
            _ => self.set_timeout(value),
        }
    }

    pub(crate) fn change(&self, change: &SettingChange) -> Result<()> {
        match change.clone() {
            SettingChange::Set { name, value } => self.set(&name, value),
            SettingChange::ResetAll => {
                self.replace_state(self.initial_state().clone());
                self.set_query_timeout(self.engine().query_timeout());
                Ok(())
            }
            SettingChange::Use { catalog, schema } => self.use_place(catalog, schema),
            SettingChange::UseEither(name) => {
                let current = self.state().catalog_list().catalog(&self.current_catalog());
                match current.and_then(|catalog| catalog.schema(&name)) {
                    Some(_) => self.use_place(None, Some(name)),
                    None => self.use_place(Some(name), None),
                }
            }
            SettingChange::UseDefault => {
                let initial = self.initial_state();
                self.use_place(Some(catalog_of(initial)), Some(schema_of(initial)))
            }
        }
    }

    /// `statement`; if it shows settings, the query for their values of now.
    ///
    /// # Errors
    /// `NotFound` if there is no such setting.
    pub(crate) fn with_settings_shown(&self, statement: Parsed) -> Result<Parsed> {
        let Some(name) = shown_setting(&statement) else { return Ok(statement) };
        // The planner knows its own options by their full names.
        if name.starts_with("datafusion.") {
            return Ok(statement);
        }
        let names = if name == "all" { SETTINGS.to_vec() } else { vec![known(&name)?] };
        settings_query(names.into_iter().map(|name| (name.to_owned(), self.setting(name))).collect())
    }

    fn setting(&self, name: &str) -> String {
        match name {
            CATALOG => self.current_catalog(),
            SCHEMA => self.current_schema(),
            TIME_ZONE => time_zone_of(&self.state()).unwrap_or_else(|| "UTC".to_owned()),
            _ => self.query_timeout().map_or_else(|| "0s".to_owned(), |timeout| format!("{timeout:?}")),
        }
    }

    fn use_place(&self, catalog: Option<String>, schema: Option<String>) -> Result<()> {
        let mut state = self.state().as_ref().clone();
        let is_other_catalog = catalog.is_some();
        let catalog = catalog.unwrap_or_else(|| catalog_of(&state));
        let provider = state
            .catalog_list()
            .catalog(&catalog)
            .ok_or_else(|| Error::invalid(format!("there is no catalog '{catalog}'")))?;
        let schema = match schema {
            Some(schema) => schema,
            None if is_other_catalog => DEFAULT_SCHEMA.to_owned(),
            None => schema_of(&state),
        };
        if provider.schema(&schema).is_none() {
            return Err(Error::invalid(format!("there is no schema '{schema}' in catalog '{catalog}'")));
        }
        let names = &mut state.config_mut().options_mut().catalog;
        names.default_catalog = catalog;
        names.default_schema = schema;
        self.replace_state(state);
        Ok(())
    }

    fn set_time_zone(&self, value: Option<SettingValue>) -> Result<()> {
        let zone = match value {
            Some(value) => Some(text(TIME_ZONE, value)?),
            None => time_zone_of(self.initial_state()),
        };
        if let Some(zone) = &zone {
            zone.parse::<Tz>().map_err(|_| {
                Error::invalid(format!(
                    "time_zone can't be '{zone}': use UTC, an offset such as +02:00, or a name such as Europe/Berlin"
                ))
            })?;
        }
        let mut state = self.state().as_ref().clone();
        state.config_mut().options_mut().execution.time_zone = zone;
        self.replace_state(state);
        Ok(())
    }

    /// A session may ask for less time than the server gives, not for more.
    fn set_timeout(&self, value: Option<SettingValue>) -> Result<()> {
        let most = self.engine().query_timeout();
        let Some(value) = value else {
            self.set_query_timeout(most);
            return Ok(());
        };
        let wanted = duration(&value).ok_or_else(|| {
            Error::invalid(format!(
                "{QUERY_TIMEOUT} takes a time such as '30s', '500ms' or '5min', or a number of seconds; 0 is the server's"
            ))
        })?;
        let wanted = Some(wanted).filter(|wanted| !wanted.is_zero());
        self.set_query_timeout([wanted, most].into_iter().flatten().min());
        Ok(())
    }
}

/// The name of the setting that is meant; drivers spell them in many ways.
fn known(name: &str) -> Result<&'static str> {
    let lower = name.to_lowercase();
    match lower.as_str() {
        "database" => return Ok(CATALOG),
        "search_path" => return Ok(SCHEMA),
        // SHOW TIME ZONE
        "timezone" | "time.zone" => return Ok(TIME_ZONE),
        _ => {}
    }
    SETTINGS.into_iter().find(|known| *known == lower).ok_or_else(|| {
        Error::not_found(format!("there is no setting '{name}': there are {}", SETTINGS.join(", ")))
    })
}

fn text(name: &str, value: SettingValue) -> Result<String> {
    match value {
        SettingValue::Text(text) => Ok(text),
        _ => Err(Error::invalid(format!("{name} takes a text"))),
    }
}

fn catalog_of(state: &SessionState) -> String {
    state.config_options().catalog.default_catalog.clone()
}

fn schema_of(state: &SessionState) -> String {
    state.config_options().catalog.default_schema.clone()
}

fn time_zone_of(state: &SessionState) -> Option<String> {
    state.config_options().execution.time_zone.clone()
}

/// A number of seconds, or a number with a unit.
fn duration(value: &SettingValue) -> Option<Duration> {
    let text = match value {
        SettingValue::Int(seconds) => return Some(Duration::from_secs(u64::try_from(*seconds).ok()?)),
        SettingValue::Float(seconds) => return Duration::try_from_secs_f64(*seconds).ok(),
        SettingValue::Text(text) => text.trim(),
        SettingValue::Bool(_) | SettingValue::List(_) => return None,
    };
    let unit_at = text.find(|character: char| !character.is_ascii_digit() && character != '.');
    let (number, unit) = text.split_at(unit_at.unwrap_or(text.len()));
    let in_seconds = match unit.trim() {
        "ms" => 0.001,
        "" | "s" | "sec" | "second" | "seconds" => 1.0,
        "m" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * in_seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_spellings_that_people_use() {
        let text = |text: &str| SettingValue::Text(text.to_owned());
        for (value, expected) in [
            (text("30s"), Some(30_000)),
            (text("500ms"), Some(500)),
            (text("1.5 min"), Some(90_000)),
            (text("2 hours"), Some(7_200_000)),
            (text("10"), Some(10_000)),
            (SettingValue::Int(3), Some(3_000)),
            (SettingValue::Float(0.25), Some(250)),
            (SettingValue::Int(-3), None),
            (SettingValue::Float(f64::NAN), None),
            (text("soon"), None),
            (text("1e999s"), None),
            (text(""), None),
            (SettingValue::Bool(true), None),
        ] {
            assert_eq!(duration(&value), expected.map(Duration::from_millis), "{value:?}");
        }
    }
}
