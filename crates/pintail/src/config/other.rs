//! The remaining sections: coordinator, identity, limits, the doors of later versions, logging, metrics.

use super::section::{Opaque, sections};

sections! {
    /// `coordinator`
    Coordinator {
        enable: bool = false,
        lake_name: String = "homer_lake",
        query_timeout_sec: u64 = 30u64,
        settings_db_path: String = "/var/lib/homer/homer_settings.duckdb",
        http_server: CoordinatorHttp = CoordinatorHttp::default(),
        nodes: Vec<CoordinatorNode> = [],
        flightsql_server: CoordinatorFlightSql = CoordinatorFlightSql::default(),
        /// Homer's short form: a port here enables the Flight SQL door.
        flightsql_port: u16 = 0u16,
        smart_routing: SmartRouting = SmartRouting::default(),
        lake_topn_strategy: String = "stream",
        lake_chunk_sec: u64 = 86_400u64,
        lazy_payload: bool = true,
        allow_partial: bool = false,
        jwt: Jwt = Jwt::default(),
        auth: Auth = Auth::default(),
        oauth2_provider: Opaque = Opaque::new(),
        ldap: Opaque = Opaque::new(),
        api_settings: ApiSettings = ApiSettings::default(),
        correlation: Correlation = Correlation::default(),
        hep_stream: CoordinatorStream = CoordinatorStream::default(),
        transaction_view_max_opens: u32 = 3u32,
        ip_alias_cache_ttl_sec: u64 = 30u64,
    }

    /// `coordinator.http_server`
    CoordinatorHttp {
        enable: bool = true,
        host: String = "127.0.0.1",
        port: u16 = 8_080u16,
        read_timeout: u64 = 30u64,
        write_timeout: u64 = 30u64,
        static_path: String = "",
        gamedata_dir: String = "",
        auth_token: String = "",
        allow_unauthenticated: bool = false,
        tls_enable: bool = false,
        tls_cert: String = "",
        tls_key: String = "",
        tls_client_ca: String = "",
    }

    /// One element of `coordinator.nodes`.
    CoordinatorNode {
        name: String = "",
        host: String = "",
        port: u16 = 50_051u16,
        flightsql_port: u16 = 0u16,
        use_tls: bool = false,
        flightsql_tls: bool = false,
        flightsql_ca_cert: String = "",
        flightsql_server_name: String = "",
        token: String = "",
        priority: i64 = 0,
        replica_group: String = "",
    }

    /// `coordinator.flightsql_server`
    CoordinatorFlightSql {
        enable: bool = false,
        host: String = "127.0.0.1",
        port: u16 = 32_010u16,
        auth_token: String = "",
        allow_unauthenticated: bool = false,
        read_only: bool = false,
        profile: String = "standard",
        catalog_refresh_interval_sec: u64 = 30u64,
        tls_enable: bool = false,
        tls_cert: String = "",
        tls_key: String = "",
        tls_client_ca: String = "",
    }

    /// `coordinator.smart_routing`
    SmartRouting { enable: bool = false, }

    /// `coordinator.jwt`
    Jwt {
        secret: String = "",
        expire_hours: u64 = 24u64,
        cookie_enable: bool = true,
        cookie_name: String = "homer_session",
        cookie_same_site: String = "Lax",
    }

    /// `coordinator.auth`
    Auth {
        r#type: String = "internal",
        admin_user: String = "admin",
        admin_password_hash: String = "",
        fallback_auth_type: String = "",
        disable_password_login: bool = false,
        internal_position: i64 = 0,
    }

    /// `coordinator.api_settings`
    ApiSettings {
        enable_token_access: bool = false,
        auth_token_header: String = "Auth-Token",
    }

    /// `coordinator.correlation`
    Correlation {
        enable: bool = false,
        sql_timeout_ms: u64 = 5_000u64,
        script_timeout_ms: u64 = 3_000u64,
        max_sql_calls: u64 = 16u64,
        max_sql_rows: u64 = 10_000u64,
        sync_interval_sec: u64 = 30u64,
        seed_default: bool = true,
    }

    /// `coordinator.hep_stream`
    CoordinatorStream {
        enable: bool = true,
        allow_payload: bool = false,
        fan_out_timeout_ms: u64 = 2_000u64,
        history_limit: u64 = 200u64,
    }

    /// `identity`
    Identity {
        tokens: Vec<Token> = [],
        users_file: String = "",
        oidc: Vec<Oidc> = [],
        session: SessionLimits = SessionLimits::default(),
        cluster_secret_file: String = "",
    }

    /// One element of `identity.tokens`: a token is known by its SHA-256 alone.
    Token {
        name: String = "",
        /// 64 hexadecimal digits.
        sha256: String = "",
        groups: Vec<String> = [],
    }

    /// One element of `identity.oidc`.
    Oidc {
        issuer: String = "",
        client_id: String = "",
        client_secret: String = "",
        audience: String = "",
        groups_claim: String = "groups",
        password_grant: bool = true,
        introspection: bool = false,
    }

    /// `identity.session`
    SessionLimits {
        idle_sec: u64 = 3_600u64,
        max_sec: u64 = 86_400u64,
        secret_file: String = "",
    }

    /// `limits`: 0 is derived from the machine.
    Limits {
        memory_bytes: u64 = 0u64,
        /// Absent: `spill` under `data_dir`.
        spill_path: String = "",
        max_queries: u64 = 0u64,
        /// 0: no limit.
        query_timeout_sec: u64 = 0u64,
        /// A reader that takes no rows for this long loses its query; 0: no limit.
        stall_timeout_sec: u64 = 600u64,
        max_sessions: u64 = 10_000u64,
    }

    /// `semantic`
    Semantic {
        enable: bool = false,
        models_path: String = "",
        catalog: String = "semantic",
        flight_server: SemanticFlight = SemanticFlight::default(),
    }

    /// `semantic.flight_server`
    SemanticFlight {
        host: String = "127.0.0.1",
        port: u16 = 5_144u16,
        auth_token: String = "",
        allow_unauthenticated: bool = false,
        read_only: bool = false,
        profile: String = "standard",
        tls_enable: bool = false,
        tls_cert: String = "",
        tls_key: String = "",
        tls_client_ca: String = "",
    }

    /// `postgres`
    Postgres {
        enable: bool = false,
        host: String = "127.0.0.1",
        port: u16 = 5_145u16,
        auth_token: String = "",
        allow_unauthenticated: bool = false,
        tls_enable: bool = false,
        tls_cert: String = "",
        tls_key: String = "",
        tls_client_ca: String = "",
    }

    /// `trino`
    Trino {
        enable: bool = false,
        host: String = "127.0.0.1",
        port: u16 = 8_081u16,
        auth_token: String = "",
        allow_unauthenticated: bool = false,
        tls_enable: bool = false,
        tls_cert: String = "",
        tls_key: String = "",
        tls_client_ca: String = "",
    }

    /// `mcp`
    Mcp { enable: bool = false, }

    /// `log`
    Log {
        level: String = "info",
        json: bool = false,
        /// `stdout`, `stderr` or paths of files.
        output: Vec<String> = ["stdout".to_owned()],
    }

    /// `prometheus`: metrics and health on a listener of their own.
    Prometheus {
        enable: bool = true,
        host: String = "127.0.0.1",
        port: u16 = 9_090u16,
        path: String = "/metrics",
        target_ip: String = "",
        target_name: String = "",
        agent_label: String = "node_id",
        tls_enable: bool = false,
        tls_cert: String = "",
        tls_key: String = "",
        tls_client_ca: String = "",
    }

    /// `remote_logging`: kept whole, its three parts are open.
    RemoteLogging {
        loki: Opaque = Opaque::new(),
        elasticsearch: Opaque = Opaque::new(),
        lineproto: Opaque = Opaque::new(),
    }
}
