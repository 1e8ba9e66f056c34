//! What the columns of telemetry tables mean, for the tools that show it beside their names.

use crate::STORAGE_VOLUME;

/// Columns and their meanings. Those of OpenTelemetry are fields of its protocol (opentelemetry-proto 1.x), those of
/// packets chunks of HEP or parts of a SIP message.
const REMARKS: &[(&str, &str)] = &[
    ("aor", "address of record: user and host of To"),
    ("attributes", "attributes of the record or data point, as JSON"),
    ("body", "text of the log record"),
    ("body_json", "body of the log record, as JSON"),
    ("callee", "user of To"),
    ("caller", "user of From"),
    ("callid", "Call-ID of the call that is reported on"),
    ("captid", "number of the capture agent"),
    ("capture_ip", "address of the capture agent"),
    ("cid", "correlation id: the same for all legs of a call"),
    ("contact", "Contact of the message"),
    ("create_ts", "when the report was made, in milliseconds since 1970"),
    ("cseq_method", "method of CSeq: of a response that of its request"),
    ("data", "the report as it came"),
    ("data_extra", "everything else that is known of the packet, as JSON"),
    ("date", "calendar day of timestamp, in UTC"),
    ("description", "description of the metric"),
    ("destination_ip", "address that the packet went to"),
    ("destination_port", "port that the packet went to"),
    ("dst_ip", "address that the packet went to"),
    ("dst_port", "port that the packet went to"),
    ("duration_ns", "length of the span, in nanoseconds"),
    ("end_timestamp", "when the span ended, in UTC"),
    ("event", "event of the report"),
    ("events_count", "number of events of the span"),
    ("expires", "Expires of the message, in seconds"),
    ("flags", "trace flags of the log record"),
    ("kind", "kind of the span, by its number"),
    ("links_count", "number of links of the span"),
    ("message", "values of the report, as JSON"),
    ("method", "method of a request, status code of a response"),
    ("mos", "mean opinion score, 1 to 5"),
    ("name", "name of the span or metric"),
    ("node", "name of the capture agent"),
    ("node_id", "number of the capture agent"),
    ("observed_timestamp", "when the log record was seen, in UTC"),
    ("parent_span_id", "span that this one is part of"),
    ("payload", "the message as it was captured"),
    ("proto", "IP protocol of the packet"),
    ("protocol", "IP protocol of the packet: 6 is TCP, 17 is UDP"),
    ("raw", "the record as it came, as JSON"),
    ("resource_attrs", "attributes of what sent the record, as JSON"),
    ("response_code", "status code of a response"),
    ("scope_name", "library that made the record"),
    ("scope_version", "version of the library that made the record"),
    ("service_name", "service that sent the record"),
    ("session_id", "Call-ID of SIP, correlation id of other protocols"),
    ("severity_number", "severity of the log record, 1 to 24"),
    ("severity_text", "severity of the log record, as its sender calls it"),
    ("source_ip", "address that the packet came from"),
    ("source_port", "port that the packet came from"),
    ("span_attrs", "attributes of the span, as JSON"),
    ("span_id", "id of the span"),
    ("src_ip", "address that the packet came from"),
    ("src_port", "port that the packet came from"),
    ("status_code", "status of the span, by its number"),
    ("status_message", "what went wrong in the span"),
    (STORAGE_VOLUME, "where the row is: the buffer in memory, or a volume"),
    ("timestamp", "when it was captured or happened, in UTC"),
    ("trace_id", "id of the trace"),
    ("type", "type of the metric or report"),
    ("unit", "unit of the metric"),
    ("user_agent", "User-Agent of the message"),
    ("uuid", "id of the row"),
    ("value_double", "value of the data point, if it has fractions"),
    ("value_int", "value of the data point, if it is whole"),
    ("vlan", "VLAN of the packet"),
];

/// What this column means in a telemetry table.
pub fn column_remarks(column: &str) -> Option<&'static str> {
    let found = REMARKS.binary_search_by_key(&column, |(name, _)| name).ok()?;
    Some(REMARKS[found].1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TelemetryTable;

    #[test]
    fn every_column_of_a_telemetry_table_is_explained() {
        assert!(REMARKS.is_sorted_by(|one, next| one.0 < next.0));
        let schemas: Vec<_> = TelemetryTable::KNOWN.into_iter().map(TelemetryTable::schema).collect();
        let columns = || schemas.iter().flat_map(|schema| schema.fields());
        for column in columns() {
            assert!(column_remarks(column.name()).is_some(), "{}", column.name());
        }
        for (name, _) in REMARKS {
            assert!(*name == STORAGE_VOLUME || columns().any(|column| column.name() == name), "{name}");
        }
        assert_eq!(column_remarks("nothing"), None);
    }
}
