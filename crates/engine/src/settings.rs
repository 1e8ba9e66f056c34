//! What a session can be told: where bare names resolve, the time zone, limits.

use std::collections::BTreeMap;

use pintail_types::{Error, Result};

use crate::session::Session;

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

impl Session {
    /// All settings with their values: `catalog` and `schema` among them.
    pub fn settings(&self) -> BTreeMap<String, SettingValue> {
        BTreeMap::from([
            ("catalog".to_owned(), SettingValue::Text(self.current_catalog().to_owned())),
            ("schema".to_owned(), SettingValue::Text(self.current_schema().to_owned())),
        ])
    }

    /// Gives a setting a value, for this session from the next statement on; `None` gives it the value that it
    /// started with.
    ///
    /// # Errors
    /// `NotFound` if there is no such setting, `Invalid` if it can't have this value.
    pub fn set(&self, name: &str, value: Option<SettingValue>) -> Result<()> {
        let now = self.settings().remove(name);
        let now = now.ok_or_else(|| Error::not_found(format!("there is no setting '{name}'")))?;
        match value {
            Some(value) if value != now => Err(Error::invalid(format!("{name} can't be changed"))),
            _ => Ok(()),
        }
    }
}
