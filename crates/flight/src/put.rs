//! DoPut: parameters, updates and bulk ingest.

use arrow_flight::sql::{
    Command, CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementUpdate,
    DoPutUpdateResult, TableExistsOption, TableNotExistOption,
};
use bytes::Bytes;
use pintail_engine::{IfExists, IfMissing, IngestTarget};
use pintail_types::{Error, Result};
use prost::Message as _;

use crate::access::Caller;
use crate::command::{Asked, name_of, of_descriptor};
use crate::door::Door;
use crate::flights::{as_count, update};
use crate::incoming::{Batches, Incoming};
use crate::prepared::{MAX_PARAMETER_BYTES, check_columns};
use crate::transactions;

/// The number of changed rows, where it is not known.
const UNKNOWN: i64 = -1;

impl Door {
    /// Does what the first message of a DoPut says, and gives the metadata of the one result.
    ///
    /// # Errors
    /// `Unsupported` and `Invalid` for what is not put, and those of the command itself.
    pub(crate) async fn put(&self, caller: &Caller, incoming: Incoming) -> Result<Bytes> {
        match of_descriptor(&incoming.descriptor)? {
            Asked::Command(Command::CommandPreparedStatementQuery(command)) => {
                self.bind(caller, &command, incoming).await
            }
            Asked::Command(Command::CommandPreparedStatementUpdate(command)) => {
                self.update_prepared(caller, &command, incoming).await
            }
            Asked::Command(Command::CommandStatementUpdate(command)) => self.update(caller, &command).await,
            Asked::Sql(query) => {
                self.update(caller, &CommandStatementUpdate { query, transaction_id: None }).await
            }
            Asked::Command(Command::CommandStatementIngest(command)) => {
                self.ingest(caller, command, incoming).await
            }
            // The door to updates is SQL: plans with writes are not read.
            Asked::Command(Command::CommandStatementSubstraitPlan(_)) => Err(Error::unsupported(
                "updates as plans of Substrait are not served: send queries with GetFlightInfo, and updates as SQL",
            )),
            Asked::Path(path) => Err(Error::unsupported(format!(
                "data for the path '{}' can't be put: send CommandStatementIngest",
                path.join(".")
            ))),
            Asked::Command(command) => {
                Err(Error::unsupported(format!("{} is not served with DoPut", name_of(&command))))
            }
        }
    }

    async fn update(&self, caller: &Caller, command: &CommandStatementUpdate) -> Result<Bytes> {
        transactions::refuse(command.transaction_id.as_ref())?;
        let planned = self.plan(caller, &command.query).await?;
        if !planned.statement.is_update() {
            return Err(Error::invalid("the statement is a query: send it with GetFlightInfo"));
        }
        check_columns(&planned.statement, 0)?;
        update(&planned, None).await.map(changed)
    }

    /// Runs a prepared update once for each row that comes with it; without columns, with what was bound before.
    async fn update_prepared(
        &self,
        caller: &Caller,
        command: &CommandPreparedStatementUpdate,
        incoming: Incoming,
    ) -> Result<Bytes> {
        let held = self.prepared.get(&command.prepared_statement_handle, &caller.principal)?;
        let planned = &held.content.planned;
        let statement = &planned.statement;
        if !statement.is_update() {
            return Err(Error::invalid("the prepared statement is a query: send it with GetFlightInfo"));
        }
        if let Some((rows, _)) = incoming.rows(MAX_PARAMETER_BYTES).await? {
            check_columns(statement, rows.num_columns())?;
            return update(planned, Some(&rows)).await.map(changed);
        }
        let bound = held.content.parameters()?;
        update(planned, bound.as_ref().map(|bound| &bound.rows)).await.map(changed)
    }

    async fn ingest(
        &self,
        caller: &Caller,
        command: CommandStatementIngest,
        incoming: Incoming,
    ) -> Result<Bytes> {
        transactions::refuse(command.transaction_id.as_ref())?;
        let target = ingest_target(command)?;
        let session = self.session(caller)?;
        let Batches { schema, batches } = incoming.batches().await?;
        if schema.fields().is_empty() {
            return Err(Error::invalid("the data has no columns"));
        }
        Box::pin(session.ingest(target, schema, batches)).await.map(|rows| changed(Some(rows)))
    }
}

/// Where an ingest goes.
///
/// # Errors
/// `Invalid` if no table is named, or the options leave open what happens when it exists or does not.
fn ingest_target(command: CommandStatementIngest) -> Result<IngestTarget> {
    if command.table.is_empty() {
        return Err(Error::invalid("the ingest names no table"));
    }
    if let Some(name) = command.options.keys().min() {
        return Err(Error::invalid(format!("the ingest option '{name}' is not known")));
    }
    let options = command.table_definition_options.unwrap_or_default();
    let if_missing = match options.if_not_exist() {
        TableNotExistOption::Create => IfMissing::Create,
        TableNotExistOption::Fail => IfMissing::Fail,
        TableNotExistOption::Unspecified => {
            return Err(Error::invalid("the ingest does not say what happens if the table does not exist"));
        }
    };
    let if_exists = match options.if_exists() {
        TableExistsOption::Fail => IfExists::Fail,
        TableExistsOption::Append => IfExists::Append,
        TableExistsOption::Replace => IfExists::Replace,
        TableExistsOption::Unspecified => {
            return Err(Error::invalid("the ingest does not say what happens if the table exists"));
        }
    };
    let named = |name: Option<String>| name.filter(|name| !name.is_empty());
    Ok(IngestTarget {
        catalog: named(command.catalog),
        schema: named(command.schema),
        table: command.table,
        if_missing,
        if_exists,
        temporary: command.temporary,
    })
}

fn changed(rows: Option<u64>) -> Bytes {
    DoPutUpdateResult { record_count: rows.map_or(UNKNOWN, as_count) }.encode_to_vec().into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use arrow_flight::sql::TableDefinitionOptions;
    use pintail_types::ErrorKind;

    use super::*;

    fn command(if_not_exist: i32, if_exists: i32) -> CommandStatementIngest {
        let table_definition_options = Some(TableDefinitionOptions { if_not_exist, if_exists });
        CommandStatementIngest {
            table_definition_options,
            table: "t".into(),
            ..CommandStatementIngest::default()
        }
    }

    #[test]
    fn every_mode_of_adbc_has_its_target() {
        for (mode, options, expected) in [
            ("create", (1, 1), (IfMissing::Create, IfExists::Fail)),
            ("append", (2, 2), (IfMissing::Fail, IfExists::Append)),
            ("replace", (1, 3), (IfMissing::Create, IfExists::Replace)),
            ("create_append", (1, 2), (IfMissing::Create, IfExists::Append)),
        ] {
            let target = ingest_target(command(options.0, options.1)).unwrap();
            assert_eq!((target.if_missing, target.if_exists), expected, "{mode}");
        }
    }

    #[test]
    fn what_is_left_open_is_refused() {
        let no_table = CommandStatementIngest { table: String::new(), ..command(1, 1) };
        let no_options = CommandStatementIngest { table_definition_options: None, ..command(1, 1) };
        let options = HashMap::from([("compression".to_owned(), "zstd".to_owned())]);
        let unknown_option = CommandStatementIngest { options, ..command(1, 1) };
        for command in
            [command(0, 1), command(1, 0), command(7, 1), command(1, 7), no_table, no_options, unknown_option]
        {
            assert_eq!(ingest_target(command).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn empty_names_are_absent() {
        let command = CommandStatementIngest {
            catalog: Some(String::new()),
            schema: Some("s".into()),
            ..command(1, 1)
        };
        let target = ingest_target(command).unwrap();
        assert_eq!((target.catalog, target.schema), (None, Some("s".to_owned())));
    }
}
