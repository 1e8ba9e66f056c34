//! The columns of one table while rows are added to them.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder, UInt32Builder,
};
use pintail_types::{Error, JournalPosition, Micros, Result, TelemetryTable};
use uuid::Uuid;

use super::json::{Decimal, Members};

/// The values of one row; a table takes those that it has columns for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Row<'a> {
    pub(crate) uuid: Uuid,
    pub(crate) date: i32,
    pub(crate) timestamp: Micros,
    pub(crate) session_id: Option<&'a str>,
    pub(crate) caller: Option<&'a str>,
    pub(crate) callee: Option<&'a str>,
    /// User and host of the address of record; a URI without a host is a user alone.
    pub(crate) aor: Option<(&'a str, &'a str)>,
    pub(crate) contact: Option<&'a str>,
    pub(crate) expires: Option<&'a str>,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) destination: Option<IpAddr>,
    pub(crate) source_port: Option<u16>,
    pub(crate) destination_port: Option<u16>,
    pub(crate) method: Option<&'a str>,
    pub(crate) response_code: Option<&'a str>,
    pub(crate) cseq_method: Option<&'a str>,
    pub(crate) protocol: Option<u8>,
    pub(crate) node: Option<u32>,
    pub(crate) cid: Option<&'a str>,
    pub(crate) payload: Option<&'a str>,
}

/// What a column of text holds.
#[derive(Debug, Clone, Copy)]
enum TextField {
    SessionId,
    Caller,
    Callee,
    Contact,
    Expires,
    UserAgent,
    Method,
    ResponseCode,
    CseqMethod,
    Cid,
    Payload,
}

/// What a column of numbers holds.
#[derive(Debug, Clone, Copy)]
enum NumberField {
    SourcePort,
    DestinationPort,
    Protocol,
}

#[derive(Debug)]
enum Column {
    Uuid(StringBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Text(TextField, StringBuilder),
    Number(NumberField, UInt32Builder),
    Source(StringBuilder),
    Destination(StringBuilder),
    Aor(StringBuilder),
    Node(StringBuilder),
    Extra(StringBuilder),
}

/// Rows of one table.
#[derive(Debug)]
pub(crate) struct RowBuilder {
    table: TelemetryTable,
    columns: Vec<Column>,
    rows: usize,
    /// Ticks since the first row.
    age: u8,
    last: JournalPosition,
}

/// Finished rows of one table.
#[derive(Debug, Clone)]
pub(crate) struct BuiltRows {
    pub(crate) table: TelemetryTable,
    pub(crate) rows: RecordBatch,
    /// The newest record among them.
    pub(crate) last: JournalPosition,
}

/// Bytes of a row besides its text: offsets, numbers and validity of all columns, rounded up.
const FIXED_ROW_BYTES: usize = 128;

impl RowBuilder {
    /// A builder for a table that packets go to.
    ///
    /// # Errors
    /// `Internal` when the table has a column that nothing here fills.
    pub(crate) fn new(table: TelemetryTable) -> Result<Self> {
        let schema = table.schema();
        let column = |name: &str| {
            Column::named(name).ok_or_else(|| {
                Error::internal(format!("column {name} of {} is filled by nothing", table.name()))
            })
        };
        let columns = schema.fields().iter().map(|field| column(field.name())).collect::<Result<Vec<_>>>()?;
        Ok(Self { table, columns, rows: 0, age: 0, last: JournalPosition::default() })
    }

    /// The number of rows.
    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// About how much memory they take: all their text, and a fixed part for the rest.
    pub(crate) fn bytes(&self) -> usize {
        self.rows * FIXED_ROW_BYTES + self.columns.iter().map(Column::text_bytes).sum::<usize>()
    }

    /// A tick has passed; returns how many have since the first row.
    pub(crate) const fn grow_older(&mut self) -> u8 {
        self.age = self.age.saturating_add(1);
        self.age
    }

    /// Adds one row of the record at `position`. `first` begins its `data_extra`, `extra` writes the rest.
    pub(crate) fn append(
        &mut self,
        row: &Row<'_>,
        position: JournalPosition,
        first: &str,
        extra: impl FnOnce(&mut Members<'_>),
    ) {
        let mut extra = Some(extra);
        for column in &mut self.columns {
            match column {
                Column::Uuid(texts) => {
                    texts.append_value(row.uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
                }
                Column::Date(days) => days.append_value(row.date),
                Column::Timestamp(times) => times.append_value(row.timestamp),
                Column::Text(field, texts) => texts.append_option(field.of(row)),
                Column::Number(field, numbers) => numbers.append_option(field.of(row)),
                Column::Source(texts) => append_address(texts, row.source),
                Column::Destination(texts) => append_address(texts, row.destination),
                Column::Aor(texts) => append_aor(texts, row.aor),
                Column::Node(texts) => match row.node {
                    Some(node) => texts.append_value(Decimal::of(u64::from(node)).as_str()),
                    None => texts.append_null(),
                },
                Column::Extra(texts) => {
                    let mut members = Members::begin(texts, first);
                    if let Some(extra) = extra.take() {
                        extra(&mut members);
                    }
                    members.end();
                }
            }
        }
        self.rows += 1;
        self.last = self.last.max(position);
    }

    /// Takes the rows and begins anew.
    ///
    /// # Errors
    /// `Internal` when the columns do not make the table's schema.
    pub(crate) fn finish(&mut self) -> Result<BuiltRows> {
        let columns = self.columns.iter_mut().map(Column::finish).collect();
        let rows = RecordBatch::try_new(self.table.schema(), columns).map_err(|error| {
            Error::internal(format!("rows for {} do not fit its columns", self.table.name()))
                .with_source(error)
        })?;
        (self.rows, self.age) = (0, 0);
        Ok(BuiltRows { table: self.table, rows, last: std::mem::take(&mut self.last) })
    }
}

impl Column {
    fn named(name: &str) -> Option<Self> {
        let text = |field| Self::Text(field, StringBuilder::with_capacity(0, 0));
        let number = |field| Self::Number(field, UInt32Builder::with_capacity(0));
        let texts = || StringBuilder::with_capacity(0, 0);
        Some(match name {
            "uuid" => Self::Uuid(texts()),
            "date" => Self::Date(Date32Builder::with_capacity(0)),
            "timestamp" => Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(0)),
            "session_id" => text(TextField::SessionId),
            "caller" => text(TextField::Caller),
            "callee" => text(TextField::Callee),
            "aor" => Self::Aor(texts()),
            "contact" => text(TextField::Contact),
            "expires" => text(TextField::Expires),
            "user_agent" => text(TextField::UserAgent),
            "src_ip" => Self::Source(texts()),
            "dst_ip" => Self::Destination(texts()),
            "src_port" => number(NumberField::SourcePort),
            "dst_port" => number(NumberField::DestinationPort),
            "method" => text(TextField::Method),
            "response_code" => text(TextField::ResponseCode),
            "cseq_method" => text(TextField::CseqMethod),
            "protocol" => number(NumberField::Protocol),
            "node_id" => Self::Node(texts()),
            "cid" => text(TextField::Cid),
            "payload" => text(TextField::Payload),
            "data_extra" => Self::Extra(texts()),
            _ => return None,
        })
    }

    fn text_bytes(&self) -> usize {
        match self {
            Self::Uuid(texts)
            | Self::Text(_, texts)
            | Self::Source(texts)
            | Self::Destination(texts)
            | Self::Aor(texts)
            | Self::Node(texts)
            | Self::Extra(texts) => texts.values_slice().len(),
            Self::Date(_) | Self::Timestamp(_) | Self::Number(..) => 0,
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Uuid(texts)
            | Self::Text(_, texts)
            | Self::Source(texts)
            | Self::Destination(texts)
            | Self::Aor(texts)
            | Self::Node(texts)
            | Self::Extra(texts) => finish_texts(texts),
            Self::Date(days) => Arc::new(days.finish()),
            Self::Timestamp(times) => Arc::new(times.finish()),
            Self::Number(_, numbers) => Arc::new(numbers.finish()),
        }
    }
}

/// The next batch is expected to be as large as this one, and gets its room at once; room that a small
/// batch did not need is given back, so that the hot buffer holds no air.
fn finish_texts(texts: &mut StringBuilder) -> ArrayRef {
    let used = texts.values_slice().len();
    let rows = texts.offsets_slice().len() - 1;
    let is_roomy = texts.values_capacity() > 2 * used + 1024 || texts.offsets_capacity() > 2 * rows + 128;
    // A little more than this batch took: one that is slightly larger must not be copied into twice the room.
    let next = StringBuilder::with_capacity(rows + rows / 8, used + used / 8);
    let full = std::mem::replace(texts, next).finish();
    let mut array: ArrayRef = Arc::new(full);
    if is_roomy {
        // Reaches into the array because nobody else holds it yet.
        if let Some(only) = Arc::get_mut(&mut array) {
            only.shrink_to_fit();
        }
    }
    array
}

impl TextField {
    const fn of<'a>(self, row: &Row<'a>) -> Option<&'a str> {
        match self {
            Self::SessionId => row.session_id,
            Self::Caller => row.caller,
            Self::Callee => row.callee,
            Self::Contact => row.contact,
            Self::Expires => row.expires,
            Self::UserAgent => row.user_agent,
            Self::Method => row.method,
            Self::ResponseCode => row.response_code,
            Self::CseqMethod => row.cseq_method,
            Self::Cid => row.cid,
            Self::Payload => row.payload,
        }
    }
}

impl NumberField {
    fn of(self, row: &Row<'_>) -> Option<u32> {
        match self {
            Self::SourcePort => row.source_port.map(u32::from),
            Self::DestinationPort => row.destination_port.map(u32::from),
            Self::Protocol => row.protocol.map(u32::from),
        }
    }
}

/// Text of an address: dotted decimal, or RFC 5952.
fn append_address(texts: &mut StringBuilder, address: Option<IpAddr>) {
    match address {
        None => texts.append_null(),
        Some(IpAddr::V4(v4)) => texts.append_value(Decimal::dotted(v4.octets()).as_str()),
        Some(IpAddr::V6(v6)) => {
            // Writing into a column's buffer does not fail.
            let _ = write!(texts, "{v6}");
            texts.append_value("");
        }
    }
}

fn append_aor(texts: &mut StringBuilder, aor: Option<(&str, &str)>) {
    let Some((user, host)) = aor else { return texts.append_null() };
    let separator = if user.is_empty() || host.is_empty() { "" } else { "@" };
    for part in [user, separator, host] {
        let _ = texts.write_str(part);
    }
    texts.append_value("");
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array as _, AsArray as _};

    use super::*;

    #[test]
    fn every_packet_table_can_be_built() {
        for number in 0..=u8::MAX {
            RowBuilder::new(TelemetryTable::of_protocol(number)).unwrap();
        }
        for table in [TelemetryTable::Call, TelemetryTable::Registration] {
            let mut builder = RowBuilder::new(table).unwrap();
            builder.append(&Row::default(), JournalPosition(7), "{\"receive_time\":\"x\"", |_| {});
            let built = builder.finish().unwrap();
            assert_eq!((built.rows.num_rows(), built.last), (1, JournalPosition(7)));
            assert_eq!(built.rows.schema(), table.schema());
            assert_eq!((builder.rows(), builder.bytes(), builder.grow_older()), (0, 0, 1));
        }
        assert!(RowBuilder::new(TelemetryTable::Traces).is_err());
    }

    #[test]
    fn addresses_are_written_as_people_do() {
        let cases = ["192.0.2.1", "0.0.0.0", "255.255.255.255", "2001:db8::1", "::", "::ffff:192.0.2.1"];
        let mut texts = StringBuilder::new();
        for address in cases {
            append_address(&mut texts, Some(address.parse().unwrap()));
        }
        append_address(&mut texts, None);
        let array = texts.finish();
        assert_eq!(array.iter().flatten().collect::<Vec<_>>(), cases);
        assert!(array.is_null(cases.len()));
    }

    #[test]
    fn an_address_of_record_needs_no_host() {
        let mut texts = StringBuilder::new();
        for aor in [("alice", "example.org"), ("+15551234", ""), ("", "example.org")] {
            append_aor(&mut texts, Some(aor));
        }
        let array = texts.finish();
        assert_eq!(
            array.iter().flatten().collect::<Vec<_>>(),
            ["alice@example.org", "+15551234", "example.org"]
        );
    }

    #[test]
    fn every_text_counts_for_the_limits() {
        let long = "x".repeat(10_000);
        let long = Some(long.as_str());
        let row = Row { session_id: long, caller: long, callee: long, ..Row::default() };
        let mut builder = RowBuilder::new(TelemetryTable::Call).unwrap();
        builder.append(&row, JournalPosition(1), "{", |_| {});
        let estimate = builder.bytes();
        assert!(estimate > 30_000, "{estimate}");
        assert!(estimate > builder.finish().unwrap().rows.get_array_memory_size() / 2);
    }

    #[test]
    fn a_small_batch_after_a_large_one_takes_little_memory() {
        let mut builder = RowBuilder::new(TelemetryTable::Log).unwrap();
        let payload = "x".repeat(1000);
        let row = Row { payload: Some(&payload), ..Row::default() };
        for _ in 0..1000 {
            builder.append(&row, JournalPosition(1), "{", |_| {});
        }
        assert!(builder.bytes() > 1_000_000);
        assert!(builder.finish().unwrap().rows.get_array_memory_size() > 1_000_000);
        builder.append(&row, JournalPosition(2), "{", |_| {});
        let small = builder.finish().unwrap().rows;
        assert!(small.get_array_memory_size() < 32_768, "{}", small.get_array_memory_size());
        assert_eq!(small.column_by_name("payload").unwrap().as_string::<i32>().value(0), payload);
    }
}
