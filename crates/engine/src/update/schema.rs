//! Statements about schemas, tables and views: CREATE, DROP, ALTER.

use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use datafusion::sql::sqlparser::ast::{
    AlterTable, AlterTableOperation, CreateTable, CreateView, ObjectName, ObjectNamePart, ObjectType,
    RenameTableNameKind, SchemaName, Statement as Sql,
};
use pintail_lake::{Destination, Existing, SchemaChange, TableName};
use pintail_types::{Error, Result};

use super::Change;
use super::columns;
use super::names::Target;
use crate::dialect::normalized;
use crate::error::from_datafusion;
use crate::planning;
use crate::session::Session;
use crate::views;

/// What the statement is to do in `state`.
pub(super) async fn change(session: &Session, state: &SessionState, sql: &Sql) -> Result<Change> {
    match sql {
        Sql::CreateSchema { schema_name: SchemaName::Simple(name), if_not_exists, .. } => {
            let existing = if *if_not_exists { Existing::Keep } else { Existing::Fail };
            on_schema(session, name, |name| SchemaChange::CreateSchema { name, existing })
        }
        Sql::Drop { object_type, if_exists, names, cascade, .. } => match names.as_slice() {
            [name] => drop_one(session, *object_type, name, *if_exists, *cascade),
            _ => Err(Error::unsupported("DROP takes one name at a time")),
        },
        Sql::CreateTable(create) => create_table(session, state, create).await,
        Sql::CreateView(create) => create_view(session, state, create).await,
        Sql::AlterTable(alter) => alter_table(session, state, alter).await,
        other => Err(Error::unsupported(format!("{} is not supported", crate::dialect::first_word(other)))),
    }
}

fn on_schema(
    session: &Session,
    name: &ObjectName,
    change: impl FnOnce(String) -> SchemaChange,
) -> Result<Change> {
    let (writer, schema) = Target::schema(session, name)?;
    let table = TableName { schema: schema.clone(), name: String::new() };
    Ok(Change::Schema(Target { writer, table, is_temporary: false }, change(schema)))
}

fn drop_one(
    session: &Session,
    object_type: ObjectType,
    name: &ObjectName,
    if_exists: bool,
    cascade: bool,
) -> Result<Change> {
    match object_type {
        ObjectType::Schema => {
            on_schema(session, name, |name| SchemaChange::DropSchema { name, if_exists, cascade })
        }
        ObjectType::Table => {
            let target = Target::named(session, name)?;
            let table = target.table.clone();
            Ok(Change::Schema(target, SchemaChange::DropTable { table, if_exists }))
        }
        ObjectType::View => {
            let target = Target::named(session, name)?;
            let view = target.table.clone();
            Ok(Change::Schema(target, SchemaChange::DropView { view, if_exists }))
        }
        other => Err(Error::unsupported(format!("DROP {other} is not supported"))),
    }
}

async fn create_table(session: &Session, state: &SessionState, create: &CreateTable) -> Result<Change> {
    let target = match create.temporary {
        true => temporary(session, &create.name)?,
        false => Target::named(session, &create.name)?,
    };
    let existing = existing(create.or_replace, create.if_not_exists)?;
    let Some(query) = &create.query else {
        let columns = columns::defined(state, create).await?;
        let table = target.table.clone();
        return Ok(Change::Schema(target, SchemaChange::CreateTable { table, columns, existing }));
    };
    if !create.columns.is_empty() {
        return Err(Error::unsupported("CREATE TABLE AS takes its columns from the query: name them there"));
    }
    let destination = match existing {
        Existing::Keep if target.table_type(session).await?.is_some() => return Ok(Change::None),
        Existing::Keep | Existing::Fail => Destination::Create,
        Existing::Replace => Destination::CreateOrReplace,
    };
    let mut query = Parsed::Statement(Box::new(Sql::Query(query.clone())));
    let plan = planning::plan(state, &mut query).await?;
    let plan = state
        .analyzer()
        .execute_and_check(plan, state.config_options(), |_, _| {})
        .map_err(|error| from_datafusion(&error))?;
    Ok(Change::Fill(target, destination, plan))
}

fn temporary(session: &Session, name: &ObjectName) -> Result<Target> {
    if let [ObjectNamePart::Identifier(name)] = name.0.as_slice() {
        return Ok(Target::temporary(session, normalized(name)));
    }
    let target = Target::named(session, name)?;
    match target.is_temporary {
        true => Ok(target),
        false => Err(Error::invalid("a temporary table belongs to the session: its name has one part")),
    }
}

fn existing(or_replace: bool, if_not_exists: bool) -> Result<Existing> {
    match (or_replace, if_not_exists) {
        (false, false) => Ok(Existing::Fail),
        (false, true) => Ok(Existing::Keep),
        (true, false) => Ok(Existing::Replace),
        (true, true) => Err(Error::invalid("OR REPLACE and IF NOT EXISTS exclude each other")),
    }
}

async fn create_view(session: &Session, state: &SessionState, create: &CreateView) -> Result<Change> {
    if create.temporary || create.materialized {
        return Err(Error::unsupported("views are neither temporary nor materialized here"));
    }
    let existing = existing(create.or_replace || create.or_alter, create.if_not_exists)?;
    let target = Target::named(session, &create.name)?;
    let sql = views::definition(session, state, create).await?;
    let view = target.table.clone();
    Ok(Change::Schema(target, SchemaChange::CreateView { view, sql, existing }))
}

async fn alter_table(session: &Session, state: &SessionState, alter: &AlterTable) -> Result<Change> {
    let target = Target::named(session, &alter.name)?;
    let [operation] = alter.operations.as_slice() else {
        return Err(Error::unsupported("ALTER TABLE makes one change at a time"));
    };
    if alter.if_exists && target.table_type(session).await?.is_none() {
        return Ok(Change::None);
    }
    let table = target.table.clone();
    let change = match operation {
        AlterTableOperation::AddColumn { column_def, if_not_exists, column_position: None, .. } => {
            let template = CreateTableBuilder::new(alter.name.clone()).build();
            let column = columns::one(state, &template, column_def).await?;
            SchemaChange::AddColumn { table, column, if_not_exists: *if_not_exists }
        }
        AlterTableOperation::DropColumn { column_names, if_exists, .. } => match column_names.as_slice() {
            [column] => SchemaChange::DropColumn { table, column: normalized(column), if_exists: *if_exists },
            _ => return Err(Error::unsupported("ALTER TABLE drops one column at a time")),
        },
        AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
            SchemaChange::RenameColumn {
                table,
                column: normalized(old_column_name),
                to: normalized(new_column_name),
            }
        }
        AlterTableOperation::RenameTable {
            table_name: RenameTableNameKind::To(to) | RenameTableNameKind::As(to),
        } => SchemaChange::RenameTable { table, to: new_name(session, &target, to)? },
        other => return Err(Error::unsupported(format!("ALTER TABLE {other} is not supported"))),
    };
    Ok(Change::Schema(target, change))
}

/// The new name of a table, which stays in its schema.
fn new_name(session: &Session, target: &Target, to: &ObjectName) -> Result<String> {
    if let [ObjectNamePart::Identifier(name)] = to.0.as_slice() {
        let renamed = TableName { name: normalized(name), ..target.table.clone() };
        target.writer.admit(&renamed)?;
        return Ok(renamed.name);
    }
    let renamed = Target::named(session, to)?;
    match renamed.table.schema == target.table.schema {
        true => Ok(renamed.table.name),
        false => Err(Error::unsupported("a table stays in its schema: give its new name alone")),
    }
}
