//! Sections `storage` and `node`: the lake, and the doors of one node.

use std::collections::BTreeMap;

use super::section::sections;

sections! {
    /// `storage`
    Storage {
        enable: bool = true,
        ducklake: DuckLake = DuckLake::default(),
    }

    /// `storage.ducklake`
    DuckLake {
        /// Only `sqlite`.
        catalog_type: String = "sqlite",
        /// Absent: `homer_catalog.sqlite` under `data_dir`.
        catalog_path: String = "",
        /// Absent: `parquet` under `data_dir`.
        data_path: String = "",
        lake_name: String = "homer_lake",
        /// Rows handed to the writer at once.
        batch_size: u64 = 10_000u64,
        flush_interval_sec: u64 = 60u64,
        search_buffer: bool = false,
        shard_count: u32 = 1u32,
        flush_queue: serde_json::Value = serde_json::Value::Null,
        auto_repair_catalog: bool = true,
        data_inlining_row_limit: u64 = 0u64,
        tuning: Tuning = Tuning::default(),
        s3: S3 = S3::default(),
        azure: Azure = Azure::default(),
        compaction: Compaction = Compaction::default(),
        search: Search = Search::default(),
        storage_policy: StoragePolicy = StoragePolicy::default(),
        hot_buffer: HotBuffer = HotBuffer::default(),
    }

    /// `storage.ducklake.hot_buffer`
    HotBuffer {
        max_bytes: u64 = 268_435_456u64,
        /// The share of `max_bytes` past which a flush starts early.
        high_water: f64 = 0.5,
    }

    /// `storage.ducklake.tuning`
    Tuning {
        threads: u32 = 0u32,
        memory_limit: String = "",
        temp_directory: String = "",
    }

    /// `storage.ducklake.s3`
    S3 {
        region: String = "",
        access_key_id: String = "",
        secret_access_key: String = "",
        endpoint: String = "",
        use_ssl: bool = true,
        url_style: String = "",
    }

    /// `storage.ducklake.azure`
    Azure {
        account_name: String = "",
        account_key: String = "",
        connection_string: String = "",
        endpoint: String = "",
    }

    /// `storage.ducklake.compaction`
    Compaction {
        enable: bool = true,
        check_interval_sec: u64 = 3_600u64,
        retention_days: u64 = 0u64,
        retention_days_by_table: BTreeMap<String, u64> = BTreeMap::new(),
        retention_unit: String = "days",
        snapshot_expire_interval_sec: u64 = 3_600u64,
        min_age_sec: u64 = 300u64,
        min_file_size_bytes: u64 = 0u64,
        max_file_size_bytes: u64 = 0u64,
        max_compacted_files: u64 = 0u64,
        engine: String = "duckdb",
        target_file_size_bytes: u64 = 0u64,
        max_row_group_bytes: u64 = 0u64,
        grace_sec: u64 = 3_600u64,
    }

    /// `storage.ducklake.search`
    Search {
        lake_topn_strategy: String = "stream",
        lake_chunk_sec: u64 = 3_600u64,
        lazy_payload: bool = true,
    }

    /// `storage.ducklake.storage_policy`
    StoragePolicy {
        enable: bool = false,
        ttl_move_interval_sec: u64 = 3_600u64,
        move_factor: f64 = 0.8,
        concurrent_moves: u32 = 2u32,
        move_on_startup: bool = false,
        move_engine: String = "duckdb",
        volumes: Vec<Volume> = [],
    }

    /// One element of `storage_policy.volumes` and of `node.ducklake.volumes`.
    Volume {
        name: String = "",
        /// `local`, `s3` or `azure`.
        r#type: String = "local",
        path: String = "",
        catalog_type: String = "sqlite",
        catalog_path: String = "",
        priority: i64 = 0,
        max_data_age_days: u64 = 0u64,
        max_size_gb: f64 = 0.0,
        s3_region: String = "",
        s3_access_key_id: String = "",
        s3_secret_access_key: String = "",
        s3_endpoint: String = "",
        s3_use_ssl: bool = true,
        s3_url_style: String = "",
        azure_account_name: String = "",
        azure_account_key: String = "",
        azure_connection_string: String = "",
        azure_endpoint: String = "",
        override_data_path: bool = false,
    }

    /// `node`
    Node {
        enable: bool = false,
        flight_server: FlightServer = FlightServer::default(),
        http_server: NodeHttp = NodeHttp::default(),
        flightsql_server: FlightSqlServer = FlightSqlServer::default(),
        ducklake: NodeLake = NodeLake::default(),
    }

    /// `node.flight_server`: plain Flight with SQL text as the command.
    FlightServer {
        enable: bool = true,
        host: String = "127.0.0.1",
        port: u16 = 50_051u16,
        auth_token: String = "",
        allow_unauthenticated: bool = false,
        max_message_size: u64 = 16_777_216u64,
        tls_enable: bool = false,
        tls_cert: String = "",
        tls_key: String = "",
        tls_client_ca: String = "",
    }

    /// `node.http_server`: the node's HTTP API. Its token is that of `node.flight_server`.
    NodeHttp {
        enable: bool = true,
        host: String = "127.0.0.1",
        /// Absent: `flight_server.port` + 1.
        port: Option<u16> = Option::<u16>::None,
        allow_unauthenticated: bool = false,
        tls_enable: bool = false,
        tls_cert: String = "",
        tls_key: String = "",
        tls_client_ca: String = "",
    }

    /// `node.flightsql_server`
    FlightSqlServer {
        enable: bool = false,
        host: String = "127.0.0.1",
        port: u16 = 50_055u16,
        auth_token: String = "",
        allow_unauthenticated: bool = false,
        read_only: bool = false,
        /// `standard` or `grafana`.
        profile: String = "standard",
        catalog_refresh_interval_sec: u64 = 30u64,
        tls_enable: bool = false,
        tls_cert: String = "",
        tls_key: String = "",
        tls_client_ca: String = "",
    }

    /// `node.ducklake`: the lake that the node reads; absent parts are those of `storage.ducklake`.
    NodeLake {
        lake_name: String = "",
        catalog_type: String = "sqlite",
        catalog_path: String = "",
        data_path: String = "",
        volumes: Vec<Volume> = [],
    }
}
