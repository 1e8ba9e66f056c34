//! Keeping the lake in shape: `CALL system.…`, and `system.maintenance`.

mod call;
mod table;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use pintail_identity::Principal;
use pintail_lake::{Lake, MaintenanceStep, MaintenanceTask};
use pintail_types::{Error, Result};

pub(crate) use self::call::Call;
pub use self::call::parse_age;
pub use self::table::maintenance_rows;
pub(crate) use self::table::{MaintenanceTable, maintenance_schema};

/// What keeps the tables of a storage in shape.
#[async_trait]
pub trait Maintainer: Send + Sync + fmt::Debug {
    /// Does what is asked, and tells of each step. Dropping it ends it.
    ///
    /// # Errors
    /// `NotFound` for a table or volume that is not there; what kept all steps from being done.
    async fn maintain(&self, task: &MaintenanceTask) -> Result<Vec<MaintenanceStep>>;

    /// The steps that go on and the last ones that ended, oldest first.
    fn steps(&self) -> Vec<MaintenanceStep>;
}

/// A lake as the engine's maintainer.
#[derive(Clone)]
pub(crate) struct LakeMaintainer(pub(crate) Arc<Lake>);

impl fmt::Debug for LakeMaintainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LakeMaintainer")
    }
}

#[async_trait]
impl Maintainer for LakeMaintainer {
    async fn maintain(&self, task: &MaintenanceTask) -> Result<Vec<MaintenanceStep>> {
        self.0.maintain(task).await
    }

    fn steps(&self) -> Vec<MaintenanceStep> {
        self.0.maintenance_steps()
    }
}

/// Says no to whoever may not look after the server.
///
/// # Errors
/// `Forbidden`.
pub(crate) fn admit(principal: &Principal, listener_is_read_only: bool) -> Result<()> {
    if !principal.is_admin() {
        return Err(Error::forbidden(format!(
            "{} may not call procedures: that takes group admin",
            principal.name
        )));
    }
    match listener_is_read_only {
        true => Err(Error::forbidden("this listener is read-only")),
        false => Ok(()),
    }
}
