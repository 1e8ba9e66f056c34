//! GetXdbcTypeInfo: every type that a result can have, under the names that columns carry.

use std::sync::OnceLock;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType as Type, XdbcDatetimeSubcode as Subcode};
use pintail_types::{Error, Result};

/// Columns of the result.
pub(super) fn schema() -> Result<SchemaRef> {
    data().map(XdbcTypeInfoData::schema)
}

/// The types with this number; all if none is given.
pub(super) fn rows(data_type: Option<i32>) -> Result<RecordBatch> {
    data()?
        .record_batch(data_type)
        .map_err(|error| Error::internal("the types cannot be listed").with_source(error))
}

fn data() -> Result<&'static XdbcTypeInfoData> {
    static DATA: OnceLock<std::result::Result<XdbcTypeInfoData, String>> = OnceLock::new();
    DATA.get_or_init(|| {
        let mut builder = XdbcTypeInfoDataBuilder::new();
        types().into_iter().for_each(|info| builder.append(info));
        builder.build().map_err(|error| error.to_string())
    })
    .as_ref()
    .map_err(|error| Error::internal(format!("the types cannot be listed: {error}")))
}

fn types() -> Vec<XdbcTypeInfo> {
    let signed = [
        ("TINYINT", Type::XdbcTinyint, 3),
        ("SMALLINT", Type::XdbcSmallint, 5),
        ("INTEGER", Type::XdbcInteger, 10),
        ("BIGINT", Type::XdbcBigint, 19),
    ];
    let unsigned = [
        ("TINYINT UNSIGNED", Type::XdbcTinyint, 3),
        ("SMALLINT UNSIGNED", Type::XdbcSmallint, 5),
        ("INTEGER UNSIGNED", Type::XdbcInteger, 10),
        ("BIGINT UNSIGNED", Type::XdbcBigint, 20),
    ];
    let mut types = vec![XdbcTypeInfo { column_size: Some(1), ..plain("BOOLEAN", Type::XdbcBit) }];
    types.extend(signed.map(|(name, data_type, digits)| exact(name, data_type, digits, false)));
    types.extend(unsigned.map(|(name, data_type, digits)| exact(name, data_type, digits, true)));
    types.push(XdbcTypeInfo {
        create_params: Some(vec!["precision".into(), "scale".into()]),
        maximum_scale: Some(38),
        ..exact("DECIMAL", Type::XdbcDecimal, 38, false)
    });
    types.extend([("REAL", Type::XdbcReal, 24), ("DOUBLE", Type::XdbcDouble, 53)].map(
        |(name, data_type, bits)| XdbcTypeInfo {
            column_size: Some(bits),
            unsigned_attribute: Some(false),
            num_prec_radix: Some(2),
            ..plain(name, data_type)
        },
    ));
    types.push(XdbcTypeInfo { column_size: Some(16), ..quoted("UUID", Type::XdbcBinary, "'") });
    types.extend([("VARCHAR", Type::XdbcVarchar), ("JSON", Type::XdbcLongvarchar)].map(
        |(name, data_type)| XdbcTypeInfo {
            case_sensitive: true,
            searchable: Searchable::Full,
            ..quoted(name, data_type, "'")
        },
    ));
    types.extend([("BINARY", Type::XdbcBinary), ("VARBINARY", Type::XdbcVarbinary)].map(
        |(name, data_type)| XdbcTypeInfo {
            literal_prefix: Some("X'".into()),
            ..quoted(name, data_type, "'")
        },
    ));
    types.extend([
        // The protocol has one number for the subcodes YEAR and DATE.
        time("DATE", Type::XdbcDate, Subcode::XdbcSubcodeYear, 10, "DATE '"),
        time("TIME", Type::XdbcTime, Subcode::XdbcSubcodeTime, 15, "TIME '"),
        time("TIMESTAMP", Type::XdbcTimestamp, Subcode::XdbcSubcodeTimestamp, 26, "TIMESTAMP '"),
        time(
            "TIMESTAMP WITH TIME ZONE",
            Type::XdbcTimestamp,
            Subcode::XdbcSubcodeTimestampWithTimezone,
            32,
            "TIMESTAMP '",
        ),
    ]);
    types.extend(
        ["INTERVAL", "ARRAY", "STRUCT", "MAP", "UNION", "NULL"]
            .map(|name| plain(name, Type::XdbcUnknownType)),
    );
    types
}

fn plain(name: &str, data_type: Type) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type,
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Basic,
        auto_increment: Some(false),
        local_type_name: Some(name.to_owned()),
        sql_data_type: data_type,
        ..XdbcTypeInfo::default()
    }
}

fn exact(name: &str, data_type: Type, digits: i32, unsigned: bool) -> XdbcTypeInfo {
    XdbcTypeInfo {
        column_size: Some(digits),
        unsigned_attribute: Some(unsigned),
        minimum_scale: Some(0),
        maximum_scale: Some(0),
        num_prec_radix: Some(10),
        ..plain(name, data_type)
    }
}

fn quoted(name: &str, data_type: Type, prefix: &str) -> XdbcTypeInfo {
    XdbcTypeInfo {
        literal_prefix: Some(prefix.to_owned()),
        literal_suffix: Some("'".to_owned()),
        ..plain(name, data_type)
    }
}

fn time(name: &str, data_type: Type, subcode: Subcode, characters: i32, prefix: &str) -> XdbcTypeInfo {
    XdbcTypeInfo {
        column_size: Some(characters),
        sql_data_type: Type::XdbcDatetime,
        datetime_subcode: Some(subcode),
        ..quoted(name, data_type, prefix)
    }
}
