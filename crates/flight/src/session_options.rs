//! Session options as engine settings.

use std::collections::HashMap;

use pintail_engine::{Session, SettingValue};
use pintail_types::ErrorKind;

use crate::session_messages::{
    GetSessionOptionsResult, OptionError, OptionErrorValue, OptionValue, SessionOptionValue,
    SetSessionOptionsRequest, SetSessionOptionsResult, TextList,
};

/// Sets every option that can be set; the result names the others.
pub(crate) fn set(session: &Session, request: SetSessionOptionsRequest) -> SetSessionOptionsResult {
    // In the order of their names, so that the same request always does the same.
    let mut options: Vec<_> = request.session_options.into_iter().collect();
    options.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let mut errors = HashMap::new();
    for (name, option) in options {
        let Err(error) = session.set(&name, option.value.map(setting)) else {
            continue;
        };
        let value = match error.kind() {
            ErrorKind::NotFound if !session.settings().contains_key(&name) => OptionErrorValue::InvalidName,
            // A catalog or schema that does not exist is a wrong value.
            ErrorKind::NotFound | ErrorKind::Invalid => OptionErrorValue::InvalidValue,
            _ => OptionErrorValue::Error,
        };
        errors.insert(name, OptionError { value: value.into() });
    }
    SetSessionOptionsResult { errors }
}

/// All options with their values.
pub(crate) fn get(session: &Session) -> GetSessionOptionsResult {
    let options = session.settings().into_iter();
    let session_options =
        options.map(|(name, value)| (name, SessionOptionValue { value: Some(option_value(value)) }));
    GetSessionOptionsResult { session_options: session_options.collect() }
}

fn setting(value: OptionValue) -> SettingValue {
    match value {
        OptionValue::Text(value) => SettingValue::Text(value),
        OptionValue::Bool(value) => SettingValue::Bool(value),
        OptionValue::Integer(value) => SettingValue::Int(value),
        OptionValue::Double(value) => SettingValue::Float(value),
        OptionValue::TextList(list) => SettingValue::List(list.values),
    }
}

fn option_value(value: SettingValue) -> OptionValue {
    match value {
        SettingValue::Text(value) => OptionValue::Text(value),
        SettingValue::Bool(value) => OptionValue::Bool(value),
        SettingValue::Int(value) => OptionValue::Integer(value),
        SettingValue::Float(value) => OptionValue::Double(value),
        SettingValue::List(values) => OptionValue::TextList(TextList { values }),
    }
}
