//! The past of a session's catalogs: catalogs as they were, under names of their own, and the table functions that tell of
//! snapshots and changes.
//!
//! A catalog at some snapshots is a catalog like any other, so all that reads tables by their names reads the past too:
//! joins of two moments, views on views, and clients' own schemas.

use std::sync::Arc;

use datafusion::catalog::{CatalogProvider, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{DataFusionError, Result as PlanResult, ScalarValue, TableReference};
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use pintail_lake::{Changes, TableName};
use pintail_types::{Error, Result, SnapshotId, reason};

use crate::storage::{Past, StorageCatalog};
use crate::system::SystemSchema;
use crate::time_travel::{bound, zone};

/// The system table of snapshots, and the table function that gives the same.
const SNAPSHOTS: &str = "snapshots";

/// The table functions that give the changes of a table.
const CHANGES: [(&str, Changes); 3] = [
    ("table_changes", Changes::All),
    ("table_insertions", Changes::Insertions),
    ("table_deletions", Changes::Deletions),
];

/// The catalogs of a session that keep what they were.
#[derive(Debug, Default)]
pub(crate) struct PastCatalogs {
    catalogs: Vec<(String, Arc<dyn Past>)>,
    system: Option<Arc<SystemSchema>>,
}

impl PastCatalogs {
    /// Those of `catalogs`; `system` tells of them.
    pub(crate) fn new<'a>(
        catalogs: impl Iterator<Item = &'a StorageCatalog>,
        system: &Arc<SystemSchema>,
    ) -> Self {
        let past =
            |catalog: &StorageCatalog| Some((catalog.name.clone(), Arc::clone(catalog.past.as_ref()?)));
        Self { catalogs: catalogs.filter_map(past).collect(), system: Some(Arc::clone(system)) }
    }

    /// Makes them and their functions known where statements are planned.
    pub(crate) fn register(self, state: &mut SessionState) {
        let own = Arc::new(self);
        state.config_mut().set_extension(Arc::clone(&own));
        for (name, changes) in CHANGES {
            let catalogs = Arc::clone(&own);
            state.register_udtf(name, Arc::new(ChangesFunction { name, changes, catalogs }));
        }
        state.register_udtf(SNAPSHOTS, Arc::new(SnapshotsFunction(own)));
    }

    /// Those that are known in `state`.
    pub(crate) fn of(state: &SessionState) -> Arc<Self> {
        state.config().get_extension::<Self>().unwrap_or_default()
    }

    /// The past of the catalog of this name.
    pub(crate) fn get(&self, catalog: &str) -> Option<&Arc<dyn Past>> {
        self.catalogs.iter().find(|(name, _)| name == catalog).map(|(_, past)| past)
    }

    /// The name of the catalog whose past it is: of one that is in the past already, that of the present.
    pub(crate) fn present<'a>(&self, catalog: &'a str) -> &'a str {
        match present_name(catalog) {
            Some((present, _)) if self.get(present).is_some() => present,
            _ => catalog,
        }
    }

    /// The catalog of this name of [`past_name`], and the name of what it is in the present.
    pub(crate) fn catalog<'a>(&self, name: &'a str) -> Option<(&'a str, Arc<dyn CatalogProvider>)> {
        let (present, snapshots) = present_name(name)?;
        Some((present, self.get(present)?.catalog_at(&snapshots)?))
    }
}

/// What a catalog is called as it was at these snapshots. Plans show it.
pub(crate) fn past_name(catalog: &str, snapshots: &[SnapshotId]) -> String {
    let numbers: Vec<String> = snapshots.iter().map(SnapshotId::to_string).collect();
    format!("{catalog}{BEFORE_NUMBERS}{}{BEHIND_NUMBERS}", numbers.join(BETWEEN_NUMBERS))
}

const BEFORE_NUMBERS: &str = " AT (VERSION => ";
const BETWEEN_NUMBERS: &str = ", ";
const BEHIND_NUMBERS: char = ')';

/// The catalog and the snapshots of which [`past_name`] made a name.
fn present_name(name: &str) -> Option<(&str, Vec<SnapshotId>)> {
    let (catalog, numbers) = name.strip_suffix(BEHIND_NUMBERS)?.rsplit_once(BEFORE_NUMBERS)?;
    let snapshots = numbers.split(BETWEEN_NUMBERS).map(|number| number.parse().map(SnapshotId).ok());
    Some((catalog, snapshots.collect::<Option<_>>()?))
}

/// `table_changes('schema.table', from, to)` and its like.
#[derive(Debug)]
struct ChangesFunction {
    name: &'static str,
    changes: Changes,
    catalogs: Arc<PastCatalogs>,
}

impl ChangesFunction {
    fn table(&self, args: &TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let name = self.name;
        let [table, from, to] = args.exprs() else {
            return Err(Error::invalid(format!("{name} takes a table and two snapshots: {name}('t', 1, 5)")));
        };
        let Expr::Literal(ScalarValue::Utf8(Some(table)) | ScalarValue::Utf8View(Some(table)), _) = table
        else {
            return Err(Error::invalid(format!(
                "the first argument of {name} is the name of a table as a text"
            )));
        };
        let options = args.session().config_options();
        let table = TableReference::parse_str(table)
            .resolve(&options.catalog.default_catalog, &options.catalog.default_schema);
        let past = self.catalogs.get(&table.catalog).ok_or_else(|| {
            Error::not_found(format!("there is no catalog {} that keeps snapshots", table.catalog))
                .with_reason(reason::UNDEFINED_CATALOG)
        })?;
        let moment = |argument: &Expr, which: &str| match argument {
            Expr::Literal(value, _) => bound(value, &zone(options)),
            _ => Err(Error::invalid(format!(
                "the {which} snapshot of {name} is a constant: a number or a time"
            ))),
        };
        let (from, to) = (moment(from, "first")?, moment(to, "last")?);
        let table = TableName { schema: table.schema.to_string(), name: table.table.to_string() };
        past.changes(&table, self.changes, from, to)
    }
}

impl TableFunctionImpl for ChangesFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> PlanResult<Arc<dyn TableProvider>> {
        self.table(&args).map_err(|error| DataFusionError::External(Box::new(error)))
    }
}

/// `snapshots()`
#[derive(Debug)]
struct SnapshotsFunction(Arc<PastCatalogs>);

impl TableFunctionImpl for SnapshotsFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> PlanResult<Arc<dyn TableProvider>> {
        let found = match args.exprs() {
            [] => self.0.system.as_ref().and_then(|system| system.provider(SNAPSHOTS)),
            _ => None,
        };
        let refused = || Error::invalid("snapshots() takes no arguments, and tells of a lake only");
        found.ok_or_else(|| DataFusionError::External(Box::new(refused())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_past_are_read_back() {
        for (catalog, snapshots, name) in [
            ("lake", vec![4], "lake AT (VERSION => 4)"),
            ("a b", vec![0, 17], "a b AT (VERSION => 0, 17)"),
            ("l AT (VERSION => 1)", vec![2], "l AT (VERSION => 1) AT (VERSION => 2)"),
        ] {
            let snapshots: Vec<_> = snapshots.into_iter().map(SnapshotId).collect();
            assert_eq!(past_name(catalog, &snapshots), name);
            assert_eq!(present_name(name), Some((catalog, snapshots)));
        }
        for name in ["lake", "lake AT (VERSION => )", "lake AT (VERSION => x)", "lake AT (VERSION => 1"] {
            assert_eq!(present_name(name), None, "{name}");
        }
    }
}
