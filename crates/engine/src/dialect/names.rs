//! Names made whole.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::catalog::CatalogProviderList;
use datafusion::catalog::information_schema::INFORMATION_SCHEMA;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Statement as Sql, TableFactor, Visit, VisitMut, Visitor,
    VisitorMut,
};

use super::DEFAULT_SCHEMA;
use crate::temporary::TEMPORARY_CATALOG;

/// Makes two-part names whole: `x.y` is schema and table of the current catalog if that has such a
/// schema, else catalog and table in [`DEFAULT_SCHEMA`].
///
/// A quoted name in capitals is that in small letters where only that exists.
pub(crate) fn complete_names(
    statement: &mut Parsed,
    catalogs: &dyn CatalogProviderList,
    current: &str,
    schema: &str,
) {
    let sql = match statement {
        Parsed::Statement(sql) => sql.as_mut(),
        Parsed::Explain(explain) => {
            return complete_names(&mut explain.statement, catalogs, current, schema);
        }
        Parsed::CopyTo(_) | Parsed::CreateExternalTable(_) | Parsed::Reset(_) => return,
    };
    let mut names = Names {
        catalogs,
        current,
        schema,
        completed: HashSet::new(),
        not_tables: HashSet::new(),
        made: None,
    };
    let _: ControlFlow<()> = sql.visit(&mut names);
    let mut columns = Columns { completed: names.completed };
    let _: ControlFlow<()> = sql.visit(&mut columns);
}

struct Names<'a> {
    catalogs: &'a dyn CatalogProviderList,
    current: &'a str,
    schema: &'a str,
    /// The pairs that became catalog and table.
    completed: HashSet<(String, String)>,
    /// Names of queries under WITH, and of a table that is to be made: temporary tables don't hide them.
    not_tables: HashSet<String>,
    /// The table that is to be made: its name stays as it was written.
    made: Option<ObjectName>,
}

impl Names<'_> {
    /// Gives a temporary table its full name.
    fn complete_temporary(&self, name: &mut ObjectName) {
        let [ObjectNamePart::Identifier(only)] = name.0.as_slice() else { return };
        let table = normalized(only);
        let temporary = self.catalogs.catalog(TEMPORARY_CATALOG).and_then(|own| own.schema(DEFAULT_SCHEMA));
        if self.not_tables.contains(&table) || !temporary.is_some_and(|own| own.table_exist(&table)) {
            return;
        }
        let place = [TEMPORARY_CATALOG, DEFAULT_SCHEMA];
        name.0.splice(0..0, place.map(|part| ObjectNamePart::Identifier(Ident::new(part))));
    }

    /// Makes quoted capitals small where no other name is known.
    fn fold(&self, name: &mut ObjectName) {
        if self.made.as_ref() == Some(name) {
            return;
        }
        let mut parts: Vec<&mut Ident> = name.0.iter_mut().filter_map(part_mut).collect();
        let Some(table) = parts.pop() else { return };
        let schema = match parts.pop() {
            Some(schema) if schema.value.eq_ignore_ascii_case(INFORMATION_SCHEMA) => {
                schema.value = INFORMATION_SCHEMA.to_owned();
                table.value = table.value.to_lowercase();
                return;
            }
            Some(schema) => normalized(schema),
            None => self.schema.to_owned(),
        };
        let lower = table.value.to_lowercase();
        let is_in_capitals = table.quote_style.is_some() && table.value != lower;
        if !is_in_capitals || self.not_tables.contains(&table.value) {
            return;
        }
        let catalog = parts.pop().map_or_else(|| self.current.to_owned(), |catalog| normalized(catalog));
        let provider = self.catalogs.catalog(&catalog).and_then(|catalog| catalog.schema(&schema));
        if provider.is_some_and(|tables| !tables.table_exist(&table.value) && tables.table_exist(&lower)) {
            table.value = lower;
        }
    }

    fn complete(&mut self, name: &mut ObjectName) {
        self.complete_temporary(name);
        self.fold(name);
        let [ObjectNamePart::Identifier(first), ObjectNamePart::Identifier(second)] = name.0.as_slice()
        else {
            return;
        };
        let (first, second) = (normalized(first), normalized(second));
        let has_schema = |schema: &str| {
            schema == INFORMATION_SCHEMA
                || self.catalogs.catalog(self.current).is_some_and(|catalog| catalog.schema(schema).is_some())
        };
        if has_schema(&first) || self.catalogs.catalog(&first).is_none() {
            return;
        }
        name.0.insert(1, ObjectNamePart::Identifier(Ident::new(DEFAULT_SCHEMA)));
        self.completed.insert((first, second));
    }
}

const fn part_mut(part: &mut ObjectNamePart) -> Option<&mut Ident> {
    match part {
        ObjectNamePart::Identifier(identifier) => Some(identifier),
        ObjectNamePart::Function(_) => None,
    }
}

impl VisitorMut for Names<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        self.complete(relation);
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let named = query.with.iter().flat_map(|with| &with.cte_tables);
        self.not_tables.extend(named.map(|query| normalized(&query.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &mut Sql) -> ControlFlow<()> {
        match statement {
            Sql::ShowCreate { obj_name, .. } => self.complete(obj_name),
            Sql::CreateTable(create) if !create.temporary => {
                self.made = Some(create.name.clone());
                if let [ObjectNamePart::Identifier(name)] = create.name.0.as_slice() {
                    self.not_tables.insert(normalized(name));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Lets `catalog.table.column` follow a name that became `catalog.main.table`.
struct Columns {
    completed: HashSet<(String, String)>,
}

impl VisitorMut for Columns {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expression
            && let [first, second, _] = parts.as_slice()
            && self.completed.contains(&(normalized(first), normalized(second)))
        {
            parts.insert(1, Ident::new(DEFAULT_SCHEMA));
        }
        ControlFlow::Continue(())
    }
}

/// The names that are called as table functions, lower case as they are looked up.
pub(crate) fn table_functions(statement: &Parsed) -> HashSet<String> {
    let mut functions = TableFunctions(HashSet::new());
    match statement {
        Parsed::Statement(sql) => {
            let _: ControlFlow<()> = sql.visit(&mut functions);
        }
        Parsed::Explain(explain) => return table_functions(&explain.statement),
        Parsed::CopyTo(_) | Parsed::CreateExternalTable(_) | Parsed::Reset(_) => {}
    }
    functions.0
}

struct TableFunctions(HashSet<String>);

impl Visitor for TableFunctions {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: Some(_), .. } = factor
            && let [ObjectNamePart::Identifier(function)] = name.0.as_slice()
        {
            self.0.insert(normalized(function));
        }
        ControlFlow::Continue(())
    }
}

/// The name an identifier stands for: lower case unless quoted.
pub(crate) fn normalized(identifier: &Ident) -> String {
    match identifier.quote_style {
        Some(_) => identifier.value.clone(),
        None => identifier.value.to_lowercase(),
    }
}
