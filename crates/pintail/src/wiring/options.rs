//! From the configuration to the options of each room.

use std::net::SocketAddr;
use std::time::Duration;

use pintail_capture::{AuthKey, CaptureOptions, HepOptions, HttpOptions, SipOptions, TcpOptions, UdpOptions};
use pintail_engine::EngineOptions;
use pintail_lake::{
    HotBufferOptions, JournalOptions, LakeOptions, MaintenanceOptions, MergeOptions, Retention,
    RetentionUnit, StoragePolicy, SyncPolicy, VolumeOptions,
};
use pintail_types::Result;

use super::tls::ListenerTls;
use crate::config::{self, Compaction, Config, JournalSync, VolumePlace};

/// As good as no time limit, and still a time that can be reckoned with.
const NO_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// The window of Homer's `deduplicate: true`.
const HOMER_DEDUP_WINDOW: Duration = Duration::from_millis(500);

/// Where the lake lies and how it takes rows.
///
/// # Errors
/// `Unsupported` for places that this version can't serve.
pub(super) fn lake(config: &Config) -> Result<LakeOptions> {
    let place = config.lake_place()?;
    let storage = &config.storage.ducklake;
    let journal = &config.ingest.journal;
    Ok(LakeOptions {
        name: place.lake_name,
        volumes: place.volumes.into_iter().map(volume).collect(),
        policy: policy(&storage.storage_policy),
        read_only: !config.storage.enable,
        journal: JournalOptions {
            path: config.derived().journal_path,
            sync: match journal.sync {
                JournalSync::Group => SyncPolicy::Group,
                JournalSync::Always => SyncPolicy::Always,
                JournalSync::Off => SyncPolicy::Off,
            },
            sync_interval: Duration::from_millis(journal.sync_interval_ms),
            segment_bytes: journal.segment_bytes,
            max_bytes: journal.max_bytes,
        },
        hot_buffer: HotBufferOptions {
            max_bytes: size(storage.hot_buffer.max_bytes),
            high_water: storage.hot_buffer.high_water,
        },
        flush_interval: Duration::from_secs(storage.flush_interval_sec.max(1)),
        batch_size: size(storage.batch_size),
        maintenance: maintenance(&storage.compaction),
    })
}

fn volume(place: VolumePlace) -> VolumeOptions {
    VolumeOptions {
        name: place.name,
        catalog_path: place.catalog_path,
        files: place.files,
        override_data_path: place.override_data_path,
        priority: place.priority,
        max_age_days: place.max_age_days,
        max_bytes: place.max_bytes,
    }
}

/// When rows move from volume to volume.
fn policy(keys: &config::StoragePolicy) -> StoragePolicy {
    let interval = keys.enable && keys.ttl_move_interval_sec > 0;
    StoragePolicy {
        interval: interval.then(|| timeout(keys.ttl_move_interval_sec)),
        on_start: keys.move_on_startup,
        move_factor: keys.move_factor,
        watch: None,
    }
}

/// How the lake keeps itself in shape. What is 0 takes its default, or does not happen.
fn maintenance(keys: &Compaction) -> MaintenanceOptions {
    let seconds = |seconds: u64| (seconds > 0).then(|| timeout(seconds));
    let or = |configured: u64, default: u64| if configured == 0 { default } else { configured };
    let defaults = MergeOptions::default();
    let target_bytes = or(keys.target_file_size_bytes, defaults.target_bytes);
    MaintenanceOptions {
        interval: seconds(keys.check_interval_sec).filter(|_| keys.enable),
        keep_snapshots: seconds(keys.snapshot_expire_interval_sec),
        grace: Duration::from_secs(keys.grace_sec),
        retention: Retention {
            default: keys.retention_days,
            by_table: keys.retention_days_by_table.clone(),
            unit: match keys.retention_unit.as_str() {
                "hours" => RetentionUnit::Hours,
                _ => RetentionUnit::Days,
            },
        },
        merging: MergeOptions {
            min_age: Duration::from_secs(keys.min_age_sec),
            min_file_bytes: keys.min_file_size_bytes,
            max_file_bytes: or(keys.max_file_size_bytes, target_bytes),
            target_bytes,
            max_outputs: size(or(keys.max_compacted_files, defaults.max_outputs as u64)),
            row_group_bytes: size(or(keys.max_row_group_bytes, defaults.row_group_bytes as u64)),
        },
    }
}

/// The listeners of packets and their rules; none where packets are not taken.
///
/// # Errors
/// `Invalid` for a host that does not resolve.
pub(super) fn capture(config: &Config, tls: &ListenerTls) -> Result<CaptureOptions> {
    let ingest = &config.ingest;
    let (hep, sip) = (&ingest.hep, &ingest.sip);
    let taking = ingest.enable && config.storage.enable;
    let udp = match taking && ingest.udp.enable {
        true => Some(UdpOptions {
            address: address(&ingest.udp.host, ingest.udp.port)?,
            sockets: usize::from(!ingest.udp.multicore),
            receive_buffer: size(ingest.udp.socket_recv_buffer),
        }),
        false => None,
    };
    let tcp = |section: &str, host: &str, port, max_connections, read_timeout_sec| {
        let defaults = TcpOptions::default();
        Result::Ok(TcpOptions {
            address: address(host, port)?,
            max_connections: or_default(max_connections, defaults.max_connections),
            idle_timeout: timeout(read_timeout_sec),
            read_ahead_bytes: size(ingest.tcp.read_ahead_bytes),
            security: tls.of(section),
        })
    };
    let http = |section: &str, host: &str, port, max_connections| {
        let defaults = HttpOptions::default();
        Result::Ok(HttpOptions {
            address: address(host, port)?,
            auth_token: Some(ingest.http.auth_token.clone()).filter(|token| !token.is_empty()),
            max_body_bytes: size(ingest.http.max_request_body_size),
            max_connections: or_default(max_connections, defaults.max_connections),
            read_timeout: timeout(ingest.http.read_timeout),
            write_timeout: timeout(ingest.http.write_timeout),
            security: tls.of(section),
            ..defaults
        })
    };
    let (plain, secure) = (&ingest.tcp, &ingest.tls);
    let (web, secure_web) = (&ingest.http, &ingest.https);
    let enabled = |enable: bool| (taking && enable).then_some(());
    let dedup_window = match (hep.dedup_window_ms, hep.deduplicate) {
        (0, true) => HOMER_DEDUP_WINDOW,
        (milliseconds, _) => Duration::from_millis(milliseconds),
    };
    Ok(CaptureOptions {
        udp,
        tcp: enabled(plain.enable)
            .map(|()| {
                tcp("ingest.tcp", &plain.host, plain.port, plain.max_connections, plain.read_timeout_sec)
            })
            .transpose()?,
        tls: enabled(secure.enable)
            .map(|()| {
                tcp("ingest.tls", &secure.host, secure.port, secure.max_connections, secure.read_timeout_sec)
            })
            .transpose()?,
        http: enabled(web.enable).map(|()| http("ingest.http", &web.host, web.port, 0)).transpose()?,
        https: enabled(secure_web.enable)
            .map(|()| http("ingest.https", &secure_web.host, secure_web.port, secure_web.max_connections))
            .transpose()?,
        hep: HepOptions {
            auth_keys: hep.auth_keys.iter().map(|key| AuthKey::everywhere(key.as_bytes())).collect(),
            dedup_window,
            max_decompressed_bytes: size(hep.max_decompressed_bytes),
            keep_vendor_chunks: hep.keep_vendor_chunks,
            hepv2_enable: hep.hepv2_enable,
            hepv3_enable: hep.hepv3_enable,
        },
        sip: SipOptions {
            censored_methods: sip.censored_methods.clone(),
            discard_methods: sip.discard_methods.clone(),
            aleg_ids: sip.aleg_ids.clone(),
            custom_headers: sip.custom_headers.clone(),
            force_aleg_id: sip.force_aleg_id,
        },
        ..CaptureOptions::default()
    })
}

/// The limits of queries.
pub(super) fn engine(config: &Config) -> EngineOptions {
    let derived = config.derived();
    EngineOptions {
        memory_bytes: derived.memory_bytes,
        spill_path: derived.spill_path,
        max_queries: derived.max_queries,
        query_timeout: derived.query_timeout,
        stall_timeout: derived.stall_timeout,
        target_partitions: Some(derived.cores),
    }
}

/// Where a listener listens.
///
/// # Errors
/// `Invalid` for a host that does not resolve.
pub(super) fn address(host: &str, port: u16) -> Result<SocketAddr> {
    Ok(SocketAddr::new(config::address_of(host)?, port))
}

/// A time limit of a listener; 0 is none.
fn timeout(seconds: u64) -> Duration {
    match seconds {
        0 => NO_TIMEOUT,
        seconds => Duration::from_secs(seconds).min(NO_TIMEOUT),
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn or_default(configured: u32, default: usize) -> usize {
    match configured {
        0 => default,
        configured => usize::try_from(configured).unwrap_or(usize::MAX),
    }
}
