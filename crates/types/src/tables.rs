//! The telemetry tables of Homer 11: names and columns, in order.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The virtual last column of a telemetry table in the union of buffer and volumes.
pub const STORAGE_VOLUME: &str = "storage_volume";

/// A table that packets are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TelemetryTable {
    /// `hep_proto_1_call`: SIP dialogs.
    Call,
    /// `hep_proto_1_registration`: SIP REGISTER.
    Registration,
    /// `hep_proto_1_default`: every other SIP message, and what could not be parsed.
    SipDefault,
    /// `hep_proto_53_default`: DNS as JSON.
    Dns,
    /// `hep_proto_100_default`: log lines.
    Log,
    /// `hep_proto_<N>_default` for any other protocol number N (not 1, 53, 100).
    Protocol(u8),
    /// `vqrtcpxr_stats`: voice quality reports over SIP.
    VoiceQuality,
    /// `otlp_traces`
    Traces,
    /// `otlp_metrics`
    Metrics,
    /// `otlp_logs`
    Logs,
}

impl TelemetryTable {
    /// The tables every lake has from the start.
    pub const KNOWN: [Self; 12] = [
        Self::Call,
        Self::Registration,
        Self::SipDefault,
        Self::Protocol(5),
        Self::Protocol(34),
        Self::Protocol(35),
        Self::Dns,
        Self::Log,
        Self::VoiceQuality,
        Self::Traces,
        Self::Metrics,
        Self::Logs,
    ];

    /// The table of a HEP protocol number other than 1 (SIP chooses by method).
    pub const fn of_protocol(number: u8) -> Self {
        match number {
            1 => Self::SipDefault,
            53 => Self::Dns,
            100 => Self::Log,
            other => Self::Protocol(other),
        }
    }

    /// The table of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        if let Some(known) = Self::KNOWN.into_iter().find(|table| table.name() == name) {
            return Some(known);
        }
        let number = name.strip_prefix("hep_proto_")?.strip_suffix("_default")?.parse().ok()?;
        let table = Self::of_protocol(number);
        (table.name() == name).then_some(table)
    }

    /// The table's name in schema `main`.
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::Call => "hep_proto_1_call".into(),
            Self::Registration => "hep_proto_1_registration".into(),
            Self::SipDefault => "hep_proto_1_default".into(),
            Self::Dns => "hep_proto_53_default".into(),
            Self::Log => "hep_proto_100_default".into(),
            Self::Protocol(number) => format!("hep_proto_{number}_default").into(),
            Self::VoiceQuality => "vqrtcpxr_stats".into(),
            Self::Traces => "otlp_traces".into(),
            Self::Metrics => "otlp_metrics".into(),
            Self::Logs => "otlp_logs".into(),
        }
    }

    /// The HEP protocol number, for the tables that packets of one protocol go to.
    pub const fn protocol(self) -> Option<u8> {
        match self {
            Self::Call | Self::Registration | Self::SipDefault => Some(1),
            Self::Dns => Some(53),
            Self::Log => Some(100),
            Self::Protocol(number) => Some(number),
            Self::VoiceQuality | Self::Traces | Self::Metrics | Self::Logs => None,
        }
    }

    /// The stored columns, in order, without [`STORAGE_VOLUME`].
    ///
    /// `timestamp` is microseconds UTC without a zone; `date` is its calendar day. JSON columns are
    /// text that is marked with the extension name `arrow.json`.
    pub fn schema(self) -> SchemaRef {
        static SCHEMAS: LazyLock<HashMap<TelemetryTable, SchemaRef>> = LazyLock::new(|| {
            TelemetryTable::KNOWN.into_iter().map(|table| (table, Arc::new(build_schema(table)))).collect()
        });
        let key = if matches!(self, Self::Protocol(_)) { Self::Protocol(5) } else { self };
        SCHEMAS.get(&key).map_or_else(|| Arc::new(build_schema(self)), Arc::clone)
    }
}

/// Whether `name` is a table that only packets are written to.
pub fn is_telemetry_table(name: &str) -> bool {
    TelemetryTable::from_name(name).is_some()
}

fn build_schema(table: TelemetryTable) -> Schema {
    let columns = match table {
        TelemetryTable::Call => {
            "uuid date:date timestamp:timestamp session_id caller callee src_ip dst_ip src_port:u32 dst_port:u32 \
             method response_code cseq_method protocol:u32 node_id cid payload data_extra:json"
        }
        TelemetryTable::Registration => {
            "uuid date:date timestamp:timestamp session_id aor contact expires user_agent src_ip dst_ip \
             src_port:u32 dst_port:u32 method response_code protocol:u32 node_id payload data_extra:json"
        }
        TelemetryTable::SipDefault => {
            "uuid date:date timestamp:timestamp session_id src_ip dst_ip src_port:u32 dst_port:u32 method \
             response_code protocol:u32 node_id cid payload data_extra:json"
        }
        TelemetryTable::Protocol(_) => {
            "uuid date:date timestamp:timestamp session_id src_ip dst_ip src_port:u32 dst_port:u32 protocol:u32 \
             node_id cid payload data_extra:json"
        }
        TelemetryTable::Dns => {
            "uuid date:date timestamp:timestamp src_ip dst_ip src_port:u32 dst_port:u32 protocol:u32 node_id \
             payload data_extra:json"
        }
        TelemetryTable::Log => {
            "uuid date:date timestamp:timestamp session_id src_ip dst_ip node_id payload data_extra:json"
        }
        TelemetryTable::VoiceQuality => {
            "uuid date:date timestamp:timestamp create_ts:i64 callid mos:f64 event source_ip source_port:u32 \
             destination_ip destination_port:u32 vlan:u32 capture_ip proto:u32 node type captid:u32 data \
             message:json"
        }
        TelemetryTable::Traces => {
            "date:date timestamp:timestamp end_timestamp:timestamp duration_ns:i64 trace_id span_id \
             parent_span_id name kind:i32 status_code:i32 status_message service_name scope_name scope_version \
             resource_attrs:json span_attrs:json events_count:i32 links_count:i32 raw:json"
        }
        TelemetryTable::Metrics => {
            "date:date timestamp:timestamp name description unit type value_double:f64 value_int:i64 \
             service_name scope_name scope_version attributes:json resource_attrs:json raw:json"
        }
        TelemetryTable::Logs => {
            "date:date timestamp:timestamp observed_timestamp:timestamp severity_number:i32 severity_text body \
             body_json:json trace_id span_id flags:i32 service_name scope_name scope_version attributes:json \
             resource_attrs:json raw:json"
        }
    };
    Schema::new(columns.split_whitespace().map(field).collect::<Vec<_>>())
}

/// One `name` or `name:type` of the lists above; text where no type stands.
fn field(column: &str) -> Field {
    let (name, type_name) = column.split_once(':').unwrap_or((column, "text"));
    let data_type = match type_name {
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "u32" => DataType::UInt32,
        "i32" => DataType::Int32,
        "i64" => DataType::Int64,
        "f64" => DataType::Float64,
        _ => DataType::Utf8,
    };
    let field = Field::new(name, data_type, true);
    if type_name != "json" {
        return field;
    }
    field.with_metadata(HashMap::from([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_table() {
        for table in TelemetryTable::KNOWN {
            assert_eq!(TelemetryTable::from_name(&table.name()), Some(table));
        }
        assert_eq!(TelemetryTable::from_name("hep_proto_61_default"), Some(TelemetryTable::Protocol(61)));
        assert_eq!(TelemetryTable::from_name("hep_proto_300_default"), None);
        assert_eq!(TelemetryTable::from_name("hep_proto_061_default"), None);
        assert_eq!(TelemetryTable::from_name("hep_proto_1_calls"), None);
        assert!(!is_telemetry_table("orders"));
    }

    #[test]
    fn every_table_is_dated_and_timed() {
        for table in TelemetryTable::KNOWN {
            let schema = table.schema();
            assert_eq!(schema.field_with_name("date").unwrap().data_type(), &DataType::Date32, "{table:?}");
            let timestamp = schema.field_with_name("timestamp").unwrap();
            assert_eq!(timestamp.data_type(), &DataType::Timestamp(TimeUnit::Microsecond, None), "{table:?}");
        }
        assert_eq!(TelemetryTable::Call.schema().fields().len(), 18);
    }
}
