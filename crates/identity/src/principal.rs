//! The one who asks.

/// Who asks: a name and the groups it is in. Every query has one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// The name that logs and `system.queries` show.
    pub name: String,
    /// Group names. `admin` may do everything, `writers` create and change user tables; everybody reads.
    pub groups: Vec<String>,
}

impl Principal {
    /// The group that may do everything.
    pub const ADMIN: &'static str = "admin";
    /// The group that may create and change user tables.
    pub const WRITERS: &'static str = "writers";

    /// A principal of this name in these groups.
    pub fn new(name: impl Into<String>, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { name: name.into(), groups: groups.into_iter().map(Into::into).collect() }
    }

    /// The caller of a listener on loopback for which no credential is configured: `local`, an admin.
    pub fn local() -> Self {
        Self::new("local", [Self::ADMIN])
    }

    /// The caller that a listener with `allow_unauthenticated` lets in: `anonymous`, who only reads.
    pub fn anonymous() -> Self {
        Self::new("anonymous", Vec::<String>::new())
    }

    /// Whether it may do everything and see everything.
    pub fn is_admin(&self) -> bool {
        self.is_in(Self::ADMIN)
    }

    /// Whether it may create and change user tables.
    pub fn may_write(&self) -> bool {
        self.is_admin() || self.is_in(Self::WRITERS)
    }

    /// Whether it is in `group`.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_decide_what_may_be_done() {
        for (principal, admin, writes) in [
            (Principal::local(), true, true),
            (Principal::anonymous(), false, false),
            (Principal::new("etl", ["writers"]), false, true),
            (Principal::new("grafana", ["readers"]), false, false),
            (Principal::new("admin", ["administrators"]), false, false),
        ] {
            assert_eq!((principal.is_admin(), principal.may_write()), (admin, writes), "{principal:?}");
        }
    }
}
