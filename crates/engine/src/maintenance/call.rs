//! `CALL system.procedure(argument, name => argument)`

use std::time::Duration;

use datafusion::arrow::compute::kernels::cast_utils::parse_interval_month_day_nano;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Interval, ObjectName, ObjectNamePart,
    Value, ValueWithSpan,
};
use pintail_lake::{Done, MaintenanceStep, MaintenanceTask, StepState};
use pintail_types::{Error, QueryId, Result, reason};

use super::admit;
use crate::dialect::normalized;
use crate::missing::with_suggestion;
use crate::session::Session;
use crate::system::SYSTEM_SCHEMA;

/// The procedures with their parameters, in order.
const PROCEDURES: &[(&str, &[&str])] = &[
    ("flush", &[]),
    ("compact", &["table", "volume"]),
    ("expire_snapshots", &["older_than"]),
    ("cleanup", &["older_than"]),
    ("retention", &[]),
    ("apply_storage_policy", &["dry_run"]),
    ("move", &["table", "date", "from_volume", "to_volume"]),
    ("vacuum", &["expire_older_than"]),
    ("fsck", &["repair"]),
    ("cancel", &["query_id"]),
];

/// Days of a month, where one is given as a length of time.
const DAYS_OF_MONTH: i64 = 30;
const SECONDS_OF_DAY: i64 = 24 * 3600;

/// A procedure and what it is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Maintain(MaintenanceTask),
    Cancel(QueryId),
}

impl Call {
    /// What a statement calls.
    ///
    /// # Errors
    /// `NotFound` for a procedure that is not there; `Invalid` for arguments that do not fit it.
    pub(crate) fn of_sql(function: &Function) -> Result<Self> {
        let (procedure, parameters) = procedure_of(&function.name)?;
        let arguments = Arguments::of(procedure, parameters, function)?;
        Ok(match procedure {
            "flush" => Self::Maintain(MaintenanceTask::Flush),
            "compact" => Self::Maintain(MaintenanceTask::Compact {
                table: arguments.text("table"),
                volume: arguments.text("volume"),
            }),
            "expire_snapshots" => {
                Self::Maintain(MaintenanceTask::ExpireSnapshots { older_than: arguments.age("older_than")? })
            }
            "cleanup" => {
                Self::Maintain(MaintenanceTask::Cleanup { older_than: arguments.age("older_than")? })
            }
            "retention" => Self::Maintain(MaintenanceTask::Retention),
            "apply_storage_policy" => {
                Self::Maintain(MaintenanceTask::ApplyStoragePolicy { dry_run: arguments.flag("dry_run")? })
            }
            "move" => Self::Maintain(MaintenanceTask::Move {
                table: arguments.needed("table")?,
                date: arguments.needed("date")?,
                from_volume: arguments.needed("from_volume")?,
                to_volume: arguments.needed("to_volume")?,
            }),
            "vacuum" => Self::Maintain(MaintenanceTask::Vacuum {
                expire_older_than: arguments.age("expire_older_than")?,
            }),
            "fsck" => Self::Maintain(MaintenanceTask::Fsck { repair: arguments.flag("repair")? }),
            _ => {
                let id = arguments.text("query_id").ok_or_else(|| {
                    Error::invalid("system.cancel takes the query_id of a query in system.queries")
                })?;
                Self::Cancel(id.parse()?)
            }
        })
    }

    /// `system.vacuum(expire_older_than)`
    ///
    /// # Errors
    /// `Invalid` for text that is no length of time.
    pub(crate) fn vacuum(expire_older_than: Option<&str>) -> Result<Self> {
        let expire_older_than =
            expire_older_than.map(|text| parse_age("expire_older_than", text)).transpose()?;
        Ok(Self::Maintain(MaintenanceTask::Vacuum { expire_older_than }))
    }

    /// Does it, in the name of the session's principal.
    ///
    /// # Errors
    /// `Forbidden` for who is no admin; `Unsupported` where there is no lake; what kept it from being done.
    pub(crate) async fn run(&self, session: &Session) -> Result<Vec<MaintenanceStep>> {
        admit(session.principal(), session.is_read_only())?;
        match self {
            Self::Maintain(task) => {
                let maintainer =
                    session.engine().storage().maintainer().ok_or_else(|| {
                        Error::unsupported("there is no lake here that could be maintained")
                    })?;
                maintainer.maintain(task).await
            }
            Self::Cancel(id) => {
                let registry = session.engine().registry();
                let now = registry.now();
                registry.cancel(*id, session.principal())?;
                let done = Done { message: format!("query {id} is cancelled"), ..Done::default() };
                Ok(vec![MaintenanceStep {
                    task: "cancel",
                    catalog: session.lake_catalog().to_owned(),
                    table_name: None,
                    state: StepState::Finished,
                    started_at: now,
                    finished_at: Some(registry.now()),
                    done,
                }])
            }
        }
    }
}

/// The procedure of this name.
fn procedure_of(name: &ObjectName) -> Result<(&'static str, &'static [&'static str])> {
    let parts: Vec<String> =
        name.0.iter().filter_map(|part: &ObjectNamePart| part.as_ident().map(normalized)).collect();
    let (in_system, procedure) = match parts.as_slice() {
        [schema, procedure] | [_, schema, procedure] => (schema == SYSTEM_SCHEMA, procedure.as_str()),
        [procedure] => (false, procedure.as_str()),
        _ => (false, ""),
    };
    let known = PROCEDURES.iter().find(|(known, _)| *known == procedure);
    if let Some((procedure, parameters)) = known.filter(|_| in_system) {
        return Ok((procedure, parameters));
    }
    let others: Vec<String> =
        PROCEDURES.iter().map(|(known, _)| format!("{SYSTEM_SCHEMA}.{known}")).collect();
    let wanted = format!("{SYSTEM_SCHEMA}.{procedure}");
    let message = suggesting(format!("procedure {name} does not exist"), &wanted, &others);
    Err(Error::not_found(message).with_reason(reason::UNDEFINED_FUNCTION))
}

/// `message` and what may have been meant or, if nothing is near, all that there is.
fn suggesting(message: String, name: &str, others: &[String]) -> String {
    let suggested = with_suggestion(message.clone(), name, others.iter().cloned());
    match suggested == message {
        true => format!("{message}: there are {}", others.join(", ")),
        false => suggested,
    }
}

/// The arguments of a call.
struct Arguments {
    procedure: String,
    parameters: &'static [&'static str],
    values: Vec<Option<String>>,
}

impl Arguments {
    fn of(procedure: &str, parameters: &'static [&'static str], function: &Function) -> Result<Self> {
        let list: &[FunctionArg] = match &function.args {
            FunctionArguments::None => &[],
            FunctionArguments::List(list) => list.args.as_slice(),
            FunctionArguments::Subquery(_) => {
                return Err(Error::invalid(format!("system.{procedure} takes values, no query")));
            }
        };
        let values = vec![None; parameters.len()];
        let mut arguments = Self { procedure: procedure.to_owned(), parameters, values };
        let mut given = vec![false; parameters.len()];
        for (position, argument) in list.iter().enumerate() {
            let (place, value) = arguments.placed(procedure, position, argument)?;
            if std::mem::replace(&mut given[place], true) {
                return Err(Error::invalid(format!(
                    "system.{procedure}: {} is given twice",
                    parameters[place]
                )));
            }
            arguments.values[place] = value;
        }
        Ok(arguments)
    }

    /// Which parameter an argument is for, and its value.
    fn placed(
        &self,
        procedure: &str,
        position: usize,
        argument: &FunctionArg,
    ) -> Result<(usize, Option<String>)> {
        let (name, value) = match argument {
            FunctionArg::Unnamed(value) => (None, value),
            FunctionArg::Named { name, arg, .. } => (Some(normalized(name)), arg),
            FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, .. } => (Some(normalized(name)), arg),
            FunctionArg::ExprNamed { name, .. } => {
                return Err(Error::invalid(format!("system.{procedure}: {name} names no argument")));
            }
        };
        let place = match &name {
            None => (position < self.parameters.len()).then_some(position),
            Some(name) => self.parameters.iter().position(|parameter| parameter == name),
        };
        let Some(place) = place else { return Err(self.unknown(procedure, name.as_deref())) };
        let value = match value {
            FunctionArgExpr::Expr(value) => literal(procedure, self.parameters[place], value)?,
            other => return Err(no_value(procedure, self.parameters[place], &other.to_string())),
        };
        Ok((place, value))
    }

    fn unknown(&self, procedure: &str, name: Option<&str>) -> Error {
        let parameters: Vec<String> =
            self.parameters.iter().map(|parameter| (*parameter).to_owned()).collect();
        match name {
            _ if parameters.is_empty() => Error::invalid(format!("system.{procedure} takes no arguments")),
            Some(name) => {
                let message = format!("system.{procedure} has no argument {name}");
                Error::invalid(suggesting(message, name, &parameters))
            }
            None => Error::invalid(format!(
                "too many arguments: system.{procedure} takes {}",
                parameters.join(", ")
            )),
        }
    }

    fn text(&self, parameter: &str) -> Option<String> {
        let place = self.parameters.iter().position(|known| *known == parameter)?;
        self.values[place].clone()
    }

    /// # Errors
    /// `Invalid` when it is not given.
    fn needed(&self, parameter: &str) -> Result<String> {
        self.text(parameter).ok_or_else(|| {
            Error::invalid(format!(
                "system.{} takes {}: {parameter} is missing",
                self.procedure,
                self.parameters.join(", ")
            ))
        })
    }

    /// A parameter that is true or false; absent, it is false.
    fn flag(&self, parameter: &str) -> Result<bool> {
        match self.text(parameter).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Error::invalid(format!("{parameter} is true or false, not '{other}'"))
                .with_reason(reason::INVALID_PARAMETER_VALUE)),
        }
    }

    fn age(&self, parameter: &str) -> Result<Option<Duration>> {
        self.text(parameter).map(|text| parse_age(parameter, &text)).transpose()
    }
}

/// The value of a literal as text; none for NULL.
fn literal(procedure: &str, parameter: &str, value: &Expr) -> Result<Option<String>> {
    match value {
        Expr::Value(ValueWithSpan { value: Value::Null, .. }) => Ok(None),
        Expr::Value(ValueWithSpan { value: Value::Number(number, _), .. }) => Ok(Some(number.to_string())),
        Expr::Value(ValueWithSpan { value: Value::Boolean(value), .. }) => Ok(Some(value.to_string())),
        Expr::TypedString(typed) => match typed.value.value.clone().into_string() {
            Some(text) => Ok(Some(text)),
            None => Err(no_value(procedure, parameter, &typed.to_string())),
        },
        Expr::Value(ValueWithSpan { value, .. }) => match value.clone().into_string() {
            Some(text) => Ok(Some(text)),
            None => Err(no_value(procedure, parameter, &value.to_string())),
        },
        Expr::Interval(Interval { value, leading_field, .. }) => {
            let number = literal(procedure, parameter, value)?.unwrap_or_default();
            Ok(Some(match leading_field {
                Some(unit) => format!("{number} {unit}"),
                None => number,
            }))
        }
        other => Err(no_value(procedure, parameter, &other.to_string())),
    }
}

fn no_value(procedure: &str, parameter: &str, found: &str) -> Error {
    Error::invalid(format!("system.{procedure}: {parameter} takes a text such as '7 days', not {found}"))
        .with_reason(reason::INVALID_PARAMETER_VALUE)
}

/// A length of time that is not negative, such as `7 days`; `parameter` is what an error names.
///
/// # Errors
/// `Invalid` for text that is none.
pub fn parse_age(parameter: &str, text: &str) -> Result<Duration> {
    let invalid = || {
        Error::invalid(format!(
            "{parameter}: '{text}' is no length of time: write '7 days', '12 hours' or '0 seconds'"
        ))
        .with_reason(reason::INVALID_PARAMETER_VALUE)
    };
    let interval = parse_interval_month_day_nano(text).map_err(|_| invalid())?;
    let days = i64::from(interval.months) * DAYS_OF_MONTH + i64::from(interval.days);
    let days = u64::try_from(days * SECONDS_OF_DAY).map_err(|_| invalid())?;
    let nanoseconds = u64::try_from(interval.nanoseconds).map_err(|_| invalid())?;
    Ok(Duration::from_secs(days) + Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_lengths_of_time_that_are_not_negative() {
        for (text, seconds) in [
            ("7 days", Some(7 * 86_400)),
            ("0 seconds", Some(0)),
            ("1 hour", Some(3600)),
            ("1 day 12 hours", Some(129_600)),
            ("1 month", Some(30 * 86_400)),
            ("-1 days", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_age("older_than", text).ok().map(|age| age.as_secs()), seconds, "{text}");
        }
    }
}
