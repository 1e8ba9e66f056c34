//! What a well-formed configuration still gets wrong, and what of it this version does not serve.

use std::net::IpAddr;
use std::path::Path;

use pintail_capture::MAX_DECOMPRESSED_BYTES;
use pintail_identity::check_binding;
use pintail_lake::FilePlace;
use serde_json::Value;

use super::resolve::{VIRTUAL_HOSTED, VolumePlace};
use super::{Config, storage};

/// What was found, by weight.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The configuration is wrong.
    pub(super) errors: Vec<String>,
    /// The configuration is right, and this version can't serve it without harm.
    pub(super) refusals: Vec<String>,
    /// Recognised and without effect, or worth knowing.
    pub(super) warnings: Vec<String>,
}

/// How a key that this version does not serve is treated when it is not at its default.
#[derive(Clone, Copy, PartialEq)]
enum Weight {
    /// Said once.
    Warning,
    /// Said once: Pintail needs no such setting.
    NoEffect,
    /// The server does not start: ignoring it would be less safe than what was asked.
    Error,
}

/// Keys, `*` for any element, that are recognised and not served. The first that fits counts.
const NOT_SERVED: &[(&str, Weight)] = &[
    ("identity.cluster_secret_file", Weight::Error),
    ("ingest.https.read_timeout_sec", Weight::NoEffect),
    ("ingest.http.websocket_enable", Weight::Warning),
    ("ingest.scripting", Weight::Warning),
    ("ingest.hep_stream", Weight::Warning),
    ("ingest.otlp", Weight::Warning),
    ("ingest.line_protocol", Weight::Warning),
    ("ingest.siprec", Weight::Warning),
    ("ingest.vqrtcp", Weight::Warning),
    ("ingest.force_hep_payload", Weight::Warning),
    ("ingest.hep.protobuf_enable", Weight::NoEffect),
    ("ingest.worker_count", Weight::NoEffect),
    ("ingest.queue_size", Weight::NoEffect),
    ("ingest.worker_metrics_flush_packets", Weight::NoEffect),
    ("ingest.udp.socket_send_buffer", Weight::NoEffect),
    ("ingest.udp.read_buffer_cap", Weight::NoEffect),
    ("ingest.tcp.multicore", Weight::NoEffect),
    ("storage.ducklake.search_buffer", Weight::NoEffect),
    ("storage.ducklake.auto_repair_catalog", Weight::NoEffect),
    ("node.flight_server.max_message_size", Weight::NoEffect),
    ("node.flightsql_server.catalog_refresh_interval_sec", Weight::NoEffect),
    ("storage.ducklake.shard_count", Weight::Warning),
    ("storage.ducklake.flush_queue", Weight::Warning),
    ("storage.ducklake.data_inlining_row_limit", Weight::Warning),
    ("storage.ducklake.tuning", Weight::Warning),
    ("storage.ducklake.compaction.engine", Weight::NoEffect),
    ("storage.ducklake.storage_policy.move_engine", Weight::NoEffect),
    ("storage.ducklake.storage_policy.concurrent_moves", Weight::NoEffect),
    ("storage.ducklake.search", Weight::Warning),
    ("coordinator", Weight::Warning),
    ("semantic", Weight::Warning),
    ("postgres", Weight::Warning),
    ("trino", Weight::Warning),
    ("mcp", Weight::Warning),
    ("remote_logging", Weight::Warning),
    ("prometheus.path", Weight::Warning),
    ("prometheus.target_ip", Weight::Warning),
    ("prometheus.target_name", Weight::Warning),
    ("prometheus.agent_label", Weight::Warning),
];

/// Looks through `config`.
pub(super) fn check(config: &Config, findings: &mut Findings) {
    not_served(config, findings);
    check_lake(config, findings);
    check_listeners(config, findings);
    config.check_tls(&mut findings.errors, &mut findings.warnings);
    super::identity::check(config, &mut findings.errors);
    if config.log.level.parse::<tracing_subscriber::filter::LevelFilter>().is_err() {
        findings.errors.push(format!(
            "log.level: '{}' is none of off, error, warn, info, debug, trace",
            config.log.level
        ));
    }
    if config.ingest.enable && !config.storage.enable {
        findings.errors.push("ingest.enable: packets need storage.enable to be stored".into());
    }
    if config.ingest.hep.max_decompressed_bytes > MAX_DECOMPRESSED_BYTES as u64 {
        findings
            .errors
            .push(format!("ingest.hep.max_decompressed_bytes: must be at most {MAX_DECOMPRESSED_BYTES}"));
    }
    if config.ingest.journal.sync == super::JournalSync::Off {
        findings
            .warnings
            .push("ingest.journal.sync is off: a power cut may lose packets that were acknowledged".into());
    }
    let journal = &config.ingest.journal;
    if journal.segment_bytes == 0 || journal.max_bytes < journal.segment_bytes {
        findings
            .errors
            .push("ingest.journal.max_bytes: must be at least segment_bytes, and that more than 0".into());
    }
}

fn not_served(config: &Config, findings: &mut Findings) {
    let (Ok(values), Ok(defaults)) = (serde_json::to_value(config), serde_json::to_value(Config::default()))
    else {
        return;
    };
    for (path, weight) in NOT_SERVED {
        let pointer = format!("/{}", path.replace('.', "/"));
        let (value, default) = (values.pointer(&pointer), defaults.pointer(&pointer));
        if value == default {
            continue;
        }
        let mut leaves = Vec::new();
        differing(path, value.unwrap_or(&Value::Null), default.unwrap_or(&Value::Null), &mut leaves);
        for leaf in leaves {
            match weight {
                Weight::Warning => {
                    // Refused keys are said once, by their own line.
                    let refused = |(other, weight): &&(&str, Weight)| *other == leaf && *weight == Weight::Error;
                    if !NOT_SERVED.iter().any(|entry| refused(&entry)) {
                        findings.warnings.push(format!("{leaf}: recognised, not served by this version"));
                    }
                }
                Weight::NoEffect => {
                    findings.warnings.push(format!("{leaf}: recognised, has no effect here"));
                }
                Weight::Error => findings.errors.push(format!(
                    "{leaf}: recognised, not served by this version, and not ignored because that would be less safe; remove it"
                )),
            }
        }
    }
}

/// The topmost keys under `path` whose values differ; a list is named as a whole.
fn differing(path: &str, value: &Value, default: &Value, leaves: &mut Vec<String>) {
    match (value, default) {
        (Value::Object(value), Value::Object(default)) if !default.is_empty() => {
            for (key, below) in value {
                differing(&format!("{path}.{key}"), below, default.get(key).unwrap_or(&Value::Null), leaves);
            }
        }
        _ if value == default => {}
        _ => leaves.push(path.to_owned()),
    }
}

fn check_lake(config: &Config, findings: &mut Findings) {
    let lake = &config.storage.ducklake;
    let node = &config.node.ducklake;
    for (path, catalog_type) in [
        ("storage.ducklake.catalog_type", &lake.catalog_type),
        ("node.ducklake.catalog_type", &node.catalog_type),
    ] {
        if catalog_type != "sqlite" {
            findings.errors.push(format!("{path}: '{catalog_type}' is not a catalog type; only sqlite is"));
        }
    }
    let unit = &lake.compaction.retention_unit;
    if unit != "days" && unit != "hours" {
        findings
            .errors
            .push(format!("storage.ducklake.compaction.retention_unit: '{unit}' is neither days nor hours"));
    }
    let keys = &lake.compaction;
    let keeps_for_a_time =
        keys.retention_days > 0 || keys.retention_days_by_table.values().any(|kept| *kept > 0);
    if keeps_for_a_time && (!keys.enable || keys.check_interval_sec == 0) {
        findings.warnings.push(
            "storage.ducklake.compaction: nothing is removed by retention while enable is false or \
             check_interval_sec is 0, unless by CALL system.retention()"
                .into(),
        );
    }
    if !lake.hot_buffer.high_water.is_finite() || !(0.01..=1.0).contains(&lake.hot_buffer.high_water) {
        findings.errors.push("storage.ducklake.hot_buffer.high_water: must lie between 0.01 and 1".into());
    }
    if lake.batch_size == 0 {
        findings.errors.push("storage.ducklake.batch_size: must be at least 1".into());
    }
    check_name("storage.ducklake.lake_name", &lake.lake_name, findings);
    if !node.lake_name.is_empty() {
        check_name("node.ducklake.lake_name", &node.lake_name, findings);
    }
    check_volumes("storage.ducklake.storage_policy.volumes", &lake.storage_policy.volumes, findings);
    check_volumes("node.ducklake.volumes", &node.volumes, findings);
    match config.lake_place() {
        Err(error) => findings.errors.push(error.to_string()),
        Ok(place) => check_places(&place.volumes, findings),
    }
    let factor = lake.storage_policy.move_factor;
    if !factor.is_finite() || !(0.01..=1.0).contains(&factor) {
        findings
            .errors
            .push("storage.ducklake.storage_policy.move_factor: must lie between 0.01 and 1".into());
    }
}

/// Files of one volume must not lie among those of another: each deletes what its catalog does not know.
fn check_places(volumes: &[VolumePlace], findings: &mut Findings) {
    for (index, volume) in volumes.iter().enumerate() {
        if let FilePlace::Bucket { bucket, .. } = &volume.files
            && let Err(error) = bucket.check()
        {
            findings.errors.push(format!("volume '{}': {}", volume.name, error.message()));
        }
        for other in &volumes[..index] {
            if volume.catalog_path == other.catalog_path {
                findings.errors.push(format!(
                    "volumes '{}' and '{}' have one catalog_path, {}: each needs a catalog of its own",
                    other.name,
                    volume.name,
                    volume.catalog_path.display()
                ));
            }
            let (one, two) = (volume.data_path(), other.data_path());
            if Path::new(&one).starts_with(&two) || Path::new(&two).starts_with(&one) {
                findings.errors.push(format!(
                    "volumes '{}' and '{}' have paths one in the other, {two} and {one}: each needs a place of its own",
                    other.name, volume.name
                ));
            }
            if let (FilePlace::Bucket { bucket, .. }, FilePlace::Bucket { bucket: same, .. }) =
                (&volume.files, &other.files)
                && bucket.is_asked_otherwise(same)
            {
                findings.errors.push(format!(
                    "volumes '{}' and '{}' lie in one bucket and have other keys or another endpoint for it",
                    other.name, volume.name
                ));
            }
        }
    }
}

fn check_name(path: &str, name: &str, findings: &mut Findings) {
    let plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
    if name.is_empty() || !name.chars().all(plain) || name.starts_with(|first: char| first.is_ascii_digit()) {
        findings.errors.push(format!(
            "{path}: '{name}' must be letters, digits and underscores, not starting with a digit"
        ));
    }
}

fn check_volumes(path: &str, volumes: &[storage::Volume], findings: &mut Findings) {
    for (index, volume) in volumes.iter().enumerate() {
        let path = format!("{path}.{index}");
        check_name(&format!("{path}.name"), &volume.name, findings);
        if !matches!(volume.r#type.as_str(), "local" | "s3" | "azure" | "gcs") {
            findings
                .errors
                .push(format!("{path}.type: '{}' is none of local, s3, azure, gcs", volume.r#type));
        }
        if volume.r#type != "local" && !volume.path.contains("://") {
            findings.errors.push(format!(
                "{path}.path: '{}' is no URL, which type {} needs: s3://bucket/prefix, az://container/prefix or \
                 gs://bucket/prefix",
                volume.path, volume.r#type
            ));
        }
        if !["", "path", VIRTUAL_HOSTED].contains(&volume.s3_url_style.as_str()) {
            findings.errors.push(format!(
                "{path}.s3_url_style: '{}' is neither path nor {VIRTUAL_HOSTED}",
                volume.s3_url_style
            ));
        }
        if volume.catalog_type != "sqlite" {
            findings.errors.push(format!(
                "{path}.catalog_type: '{}' is not a catalog type; only sqlite is",
                volume.catalog_type
            ));
        }
        if !volume.max_size_gb.is_finite() || volume.max_size_gb < 0.0 {
            findings.errors.push(format!("{path}.max_size_gb: must be 0 or more"));
        }
        if volumes[..index].iter().any(|other| other.name == volume.name) {
            findings.errors.push(format!("{path}.name: '{}' is used twice", volume.name));
        }
    }
}

/// Hosts must be addresses, and a door without credentials stays on loopback.
fn check_listeners(config: &Config, findings: &mut Findings) {
    let (ingest, node) = (&config.ingest, &config.node);
    for (path, host, enabled) in [
        ("ingest.udp", &ingest.udp.host, ingest.udp.enable),
        ("ingest.tcp", &ingest.tcp.host, ingest.tcp.enable),
        ("ingest.tls", &ingest.tls.host, ingest.tls.enable),
        ("ingest.http", &ingest.http.host, ingest.http.enable),
        ("ingest.https", &ingest.https.host, ingest.https.enable),
    ] {
        if ingest.enable && enabled {
            check_host(path, host, findings);
        }
    }
    if config.prometheus.enable {
        check_host("prometheus", &config.prometheus.host, findings);
    }
    if !node.enable {
        return;
    }
    let identity = &config.identity;
    let shared = !identity.tokens.is_empty() || !identity.users_file.is_empty() || !identity.oidc.is_empty();
    let flight = &node.flight_server;
    let sql = &node.flightsql_server;
    if pintail_flight::profile_named(&sql.profile).is_none() {
        findings.errors.push(format!(
            "node.flightsql_server.profile: '{}' is neither standard nor grafana",
            sql.profile
        ));
    }
    let doors = [
        ("node.flight_server", &flight.host, &flight.auth_token, flight.allow_unauthenticated, flight.enable),
        (
            "node.http_server",
            &node.http_server.host,
            &flight.auth_token,
            node.http_server.allow_unauthenticated,
            node.http_server.enable,
        ),
        ("node.flightsql_server", &sql.host, &sql.auth_token, sql.allow_unauthenticated, sql.enable),
    ];
    for (path, host, token, open, enabled) in doors {
        if !enabled {
            continue;
        }
        let Some(address) = check_host(path, host, findings) else { continue };
        if let Err(error) = check_binding(path, address, shared || !token.is_empty(), open) {
            findings.errors.push(error.to_string());
        }
    }
}

fn check_host(path: &str, host: &str, findings: &mut Findings) -> Option<IpAddr> {
    match super::resolve::address_of(host) {
        Ok(address) => Some(address),
        Err(error) => {
            findings.errors.push(format!("{path}.host: {error}"));
            None
        }
    }
}
