//! What `data_extra` holds: everything that a table has no column for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pintail_hep::{CaptureTime, Packet};
use pintail_types::TelemetryTable;

use super::json::{Members, key};
use super::packet::RowRules;
use crate::sip::{SipMessage, StartLine};

/// What a row says of its packet besides the packet itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Remarks<'a> {
    /// The number of the message within its packet, if there are several.
    pub(super) message_index: Option<u16>,
    /// Why the payload could not be read.
    pub(super) parse_error: Option<&'a str>,
    /// What the agent wrote as the time, if it was replaced.
    pub(super) original_time: Option<CaptureTime>,
    /// The payload, if it is not text.
    pub(super) binary_payload: Option<&'a [u8]>,
    /// The payload, if it could not be decompressed.
    pub(super) compressed_payload: Option<&'a [u8]>,
}

/// Writes the members of any packet.
pub(super) fn write_packet(
    members: &mut Members<'_>,
    rules: &RowRules,
    table: TelemetryTable,
    packet: &Packet<'_>,
    remarks: &Remarks<'_>,
) {
    members.optional_number(key!("version"), packet.family);
    if table.protocol() != Some(1) {
        members.number(key!("proto_type"), u64::from(packet.protocol_type.unwrap_or_default()));
    }
    write_columns_that_the_table_lacks(members, table, packet);
    if packet.agent_number() != packet.capture_id {
        members.optional_number(key!("capture_id_raw"), packet.capture_id);
    }
    write_chunks(members, packet);
    if rules.keep_vendor_chunks {
        write_vendor_chunks(members, packet);
    }
    members.optional_number(key!("message_index"), remarks.message_index);
    members.optional_text(key!("parse_error"), remarks.parse_error);
    if let Some(time) = remarks.original_time {
        members.raw(key!("original_time"));
        members.raw("{\"seconds\":");
        members.raw(super::json::Decimal::of(u64::from(time.seconds)).as_str());
        members.number(key!("micros"), u64::from(time.micros));
        members.raw("}");
    }
    if let Some(bytes) = remarks.binary_payload {
        members.text(key!("payload_base64"), &STANDARD.encode(bytes));
    }
    if let Some(bytes) = remarks.compressed_payload {
        members.text(key!("compressed_base64"), &STANDARD.encode(bytes));
    }
}

fn write_columns_that_the_table_lacks(members: &mut Members<'_>, table: TelemetryTable, packet: &Packet<'_>) {
    match table {
        TelemetryTable::Registration | TelemetryTable::Dns => {
            members.optional_bytes(key!("cid"), packet.correlation_id);
        }
        TelemetryTable::Log => {
            members.optional_number(key!("src_port"), packet.source_port);
            members.optional_number(key!("dst_port"), packet.destination_port);
            members.optional_number(key!("protocol"), packet.ip_protocol);
        }
        _ => {}
    }
}

/// The generic chunks that few agents send.
fn write_chunks(members: &mut Members<'_>, packet: &Packet<'_>) {
    let extra = &packet.extra;
    members.optional_bytes(key!("node_name"), extra.node_name);
    members.optional_number(key!("vlan"), extra.vlan);
    write_mac(members, key!("src_mac"), extra.source_mac);
    write_mac(members, key!("dst_mac"), extra.destination_mac);
    members.optional_number(key!("ethernet_type"), extra.ethernet_type);
    members.optional_number(key!("tcp_flags"), extra.tcp_flags);
    members.optional_number(key!("tos"), extra.type_of_service);
    if let Some(mos) = extra.mos {
        // The scale is convention only, so the number on the wire is kept too.
        members.raw(key!("mos"));
        members.raw(&format!("{}.{:02}", mos / 100, mos % 100));
        members.number(key!("mos_raw"), u64::from(mos));
    }
    members.optional_number(key!("r_factor"), extra.r_factor);
    members.optional_bytes(key!("geo_location"), extra.geo_location);
    members.optional_number(key!("jitter"), extra.jitter);
    members.optional_bytes(key!("transaction_type"), extra.transaction_type);
    members.optional_bytes(key!("payload_keys"), extra.payload_keys);
    members.optional_bytes(key!("tags"), extra.tags);
    members.optional_number(key!("tag_type"), extra.tag_type);
    members.optional_number(key!("event_type"), extra.event_type);
    members.optional_bytes(key!("group_id"), extra.group_id);
}

/// Six bytes as `00:11:22:33:44:55`.
fn write_mac(members: &mut Members<'_>, key: &str, mac: Option<u64>) {
    let Some(mac) = mac else { return };
    let [_, _, a, b, c, d, e, f] = mac.to_be_bytes();
    members.text(key, &format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"));
}

/// Each as `vendor_<id>_<type>` with its body in hexadecimal; of equal ones the last counts.
fn write_vendor_chunks(members: &mut Members<'_>, packet: &Packet<'_>) {
    use std::fmt::Write as _;
    let mut chunks: Vec<_> = packet.vendor_chunks.iter().collect();
    chunks.reverse();
    let mut written = std::collections::HashSet::new();
    for chunk in chunks {
        if !written.insert((chunk.vendor, chunk.kind)) {
            continue;
        }
        let mut hex = String::with_capacity(2 * chunk.body.len());
        for byte in chunk.body {
            // Writing into a string does not fail.
            let _ = write!(hex, "{byte:02x}");
        }
        members.text(&format!(",\"vendor_{}_{}\":", chunk.vendor, chunk.kind), &hex);
    }
}

/// Writes the members of a SIP message.
pub(super) fn write_sip(members: &mut Members<'_>, rules: &RowRules, message: &SipMessage<'_>) {
    match &message.kind {
        StartLine::Request { uri, .. } => members.text(key!("request_uri"), uri),
        StartLine::Response { code, reason } => {
            members.number(key!("response_code"), u64::from(*code));
            members.text(key!("response_reason"), reason);
        }
        StartLine::Unreadable => {}
    }
    if let Some(from) = &message.from {
        members.optional_text(key!("from_host"), from.host.as_deref());
        members.optional_text(key!("from_tag"), from.tag.as_deref());
    }
    if let Some(to) = &message.to {
        members.optional_text(key!("to_host"), to.host.as_deref());
        members.optional_text(key!("to_tag"), to.tag.as_deref());
    }
    members.optional_text(key!("via"), message.via.as_deref());
    members.optional_text(key!("branch"), message.branch.as_deref());
    members.optional_text(key!("cseq"), message.cseq.as_deref());
    members.optional_text(key!("contact"), message.contact.as_ref().map(|contact| contact.value.as_ref()));
    members.optional_text(key!("user_agent"), message.user_agent.as_deref());
    members.optional_text(key!("server"), message.server.as_deref());
    members.optional_text(key!("authorization"), message.authorization.as_deref());
    members.optional_text(key!("content_type"), message.content_type.as_deref());
    members.optional_integer(key!("content_length"), message.content_length.as_deref());
    members.optional_integer(key!("expires"), message.expires.as_deref());
    members.optional_integer(key!("max_forwards"), message.max_forwards.as_deref());
    members.optional_text(key!("x_call_id"), message.x_call_id.as_deref());
    write_custom_headers(members, rules, message);
}

fn write_custom_headers(members: &mut Members<'_>, rules: &RowRules, message: &SipMessage<'_>) {
    let custom = rules.custom_headers();
    let mut is_open = false;
    for (index, name) in custom {
        let Some(value) = message.wanted(index) else { continue };
        members.raw(if is_open { "," } else { key!("custom_headers") });
        members.raw(if is_open { "" } else { "{" });
        is_open = true;
        members.quoted(name);
        members.raw(":");
        members.quoted(value);
    }
    if is_open {
        members.raw("}");
    }
}
