//! Stable codes for the reasons of errors: the SQLSTATEs that PostgreSQL gives for the same
//! (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $code;)*

        /// All of them.
        pub const ALL: &[&str] = &[$($code),*];
    };
}

reasons! {
    /// The server does not do this.
    FEATURE_NOT_SUPPORTED = "0A000";
    /// A value that does not fit the operation.
    DATA_EXCEPTION = "22000";
    /// A number outside of its type's range.
    NUMERIC_OUT_OF_RANGE = "22003";
    /// Text that is no date or time.
    INVALID_DATETIME_FORMAT = "22007";
    /// Division by zero.
    DIVISION_BY_ZERO = "22012";
    /// A regular expression that does not parse.
    INVALID_REGULAR_EXPRESSION = "2201B";
    /// An argument or setting that can't have this value.
    INVALID_PARAMETER_VALUE = "22023";
    /// Text that is no value of the type it is cast to.
    INVALID_TEXT_REPRESENTATION = "22P02";
    /// No credentials, or wrong ones.
    INVALID_AUTHORIZATION = "28000";
    /// There is no such catalog.
    UNDEFINED_CATALOG = "3D000";
    /// There is no such schema.
    UNDEFINED_SCHEMA = "3F000";
    /// Somebody else changed the same; retry.
    SERIALIZATION_FAILURE = "40001";
    /// The statement is wrong in a way that has no closer code.
    SYNTAX_OR_ACCESS_RULE = "42000";
    /// The caller may not do this.
    INSUFFICIENT_PRIVILEGE = "42501";
    /// The text does not parse.
    SYNTAX_ERROR = "42601";
    /// The same column name twice.
    DUPLICATE_COLUMN = "42701";
    /// A column name that fits several columns.
    AMBIGUOUS_COLUMN = "42702";
    /// There is no such column.
    UNDEFINED_COLUMN = "42703";
    /// There is no such object.
    UNDEFINED_OBJECT = "42704";
    /// A column beside aggregates that is not grouped by.
    GROUPING_ERROR = "42803";
    /// Types that do not go together.
    DATATYPE_MISMATCH = "42804";
    /// There is no such function, or none that takes these arguments.
    UNDEFINED_FUNCTION = "42883";
    /// There is no such table.
    UNDEFINED_TABLE = "42P01";
    /// There is such a schema already.
    DUPLICATE_SCHEMA = "42P06";
    /// There is such a table already.
    DUPLICATE_TABLE = "42P07";
    /// A limit was reached.
    INSUFFICIENT_RESOURCES = "53000";
    /// No space is left on a disk.
    DISK_FULL = "53100";
    /// The query needs more memory than it may take.
    OUT_OF_MEMORY = "53200";
    /// The statement is longer or deeper than is taken.
    STATEMENT_TOO_COMPLEX = "54001";
    /// It was stopped, or took too long.
    QUERY_CANCELED = "57014";
    /// Not now; retry later.
    CANNOT_CONNECT_NOW = "57P03";
    /// A file can't be read or written.
    IO_ERROR = "58030";
    /// A defect of the server.
    INTERNAL_ERROR = "XX000";
    /// Stored bytes are not what was written.
    DATA_CORRUPTED = "XX001";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn codes_are_sqlstates_and_differ() {
        let mut codes = ALL.to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ALL.len());
        let is_sqlstate = |code: &str| {
            code.len() == 5 && code.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
        };
        assert!(ALL.iter().all(|code| is_sqlstate(code)), "{ALL:?}");
    }
}
