//! Section `ingest`: Homer's receivers, and Pintail's journal.

use super::section::sections;

sections! {
    /// `ingest`: how packets come in.
    Ingest {
        enable: bool = true,
        worker_count: u32 = 0u32,
        queue_size: u64 = 200_000u64,
        worker_metrics_flush_packets: u64 = 0u64,
        /// Protocol numbers whose payload is stored even where it would be left out.
        force_hep_payload: Vec<u8> = [],
        udp: Udp = Udp::default(),
        tcp: Tcp = Tcp::default(),
        tls: Tls = Tls::default(),
        http: Http = Http::default(),
        https: Https = Https::default(),
        hep: Hep = Hep::default(),
        sip: Sip = Sip::default(),
        scripting: Scripting = Scripting::default(),
        hep_stream: HepStream = HepStream::default(),
        otlp: Otlp = Otlp::default(),
        line_protocol: LineProtocol = LineProtocol::default(),
        siprec: SipRec = SipRec::default(),
        vqrtcp: VoiceQuality = VoiceQuality::default(),
        journal: Journal = Journal::default(),
    }

    /// `ingest.udp`
    Udp {
        enable: bool = true,
        host: String = "0.0.0.0",
        port: u16 = 9060u16,
        /// One socket per core.
        multicore: bool = true,
        /// Bytes asked of the kernel for the receive buffer of each socket.
        socket_recv_buffer: u64 = 8_388_608u64,
        socket_send_buffer: u64 = 1_048_576u64,
        read_buffer_cap: u64 = 131_072u64,
    }

    /// `ingest.tcp`
    Tcp {
        enable: bool = false,
        host: String = "0.0.0.0",
        port: u16 = 9060u16,
        multicore: bool = true,
        /// 0: 1024.
        max_connections: u32 = 0u32,
        read_timeout_sec: u64 = 300u64,
        /// Bytes read ahead of the journal on one connection.
        read_ahead_bytes: u64 = 4_194_304u64,
        tls_enable: bool = false,
        tls_cert: String = "",
        tls_key: String = "",
        tls_client_ca: String = "",
    }

    /// `ingest.tls`: HEP over TLS. Homer's keys, and those of every listener beside them.
    Tls {
        enable: bool = false,
        host: String = "0.0.0.0",
        port: u16 = 9061u16,
        cert: String = "",
        key: String = "",
        cacert: String = "",
        min_tls_version: String = "TLS1.2",
        max_tls_version: String = "TLS1.3",
        mutual_tls: bool = false,
        insecure_skip_verify: bool = false,
        max_connections: u32 = 0u32,
        read_timeout_sec: u64 = 300u64,
        tls_enable: bool = true,
        tls_cert: String = "",
        tls_key: String = "",
        tls_client_ca: String = "",
    }

    /// `ingest.http`
    Http {
        enable: bool = true,
        host: String = "0.0.0.0",
        port: u16 = 9080u16,
        /// Seconds.
        read_timeout: u64 = 30u64,
        /// Seconds.
        write_timeout: u64 = 30u64,
        max_request_body_size: u64 = 67_108_864u64,
        websocket_enable: bool = false,
        auth_token: String = "",
        tls_enable: bool = false,
        tls_cert: String = "",
        tls_key: String = "",
        tls_client_ca: String = "",
    }

    /// `ingest.https`: as `ingest.http`, whose token, timeouts and limits hold here too, over TLS.
    Https {
        enable: bool = false,
        host: String = "0.0.0.0",
        port: u16 = 9443u16,
        cert: String = "",
        key: String = "",
        cacert: String = "",
        min_tls_version: String = "TLS1.2",
        max_tls_version: String = "TLS1.3",
        mutual_tls: bool = false,
        insecure_skip_verify: bool = false,
        max_connections: u32 = 0u32,
        read_timeout_sec: u64 = 300u64,
        tls_enable: bool = true,
        tls_cert: String = "",
        tls_key: String = "",
        tls_client_ca: String = "",
    }

    /// `ingest.hep`
    Hep {
        hepv2_enable: bool = true,
        hepv3_enable: bool = true,
        protobuf_enable: bool = true,
        /// Homer's switch: true means a window of 500 ms.
        deduplicate: bool = false,
        auth_keys: Vec<String> = [],
        dedup_window_ms: u64 = 0u64,
        max_decompressed_bytes: u64 = 1_048_576u64,
        keep_vendor_chunks: bool = false,
    }

    /// `ingest.sip`
    Sip {
        censored_methods: Vec<String> = [],
        discard_methods: Vec<String> = [],
        aleg_ids: Vec<String> = [],
        custom_headers: Vec<String> = [],
        force_aleg_id: bool = false,
    }

    /// `ingest.scripting`
    Scripting {
        enable: bool = false,
        engine: String = "lua",
        folder: String = "",
        hep_filter: Vec<serde_json::Value> = [],
    }

    /// `ingest.hep_stream`
    HepStream {
        enable: bool = true,
        buffer_size: u64 = 10_000u64,
        max_subscribers: u64 = 32u64,
        per_sub_queue_len: u64 = 256u64,
        rate_per_sub_pps: u64 = 500u64,
    }

    /// `ingest.otlp`
    Otlp {
        enable: bool = false,
        async_enable: bool = true,
        async_queue_depth: u64 = 512u64,
        async_enqueue_timeout_ms: u64 = 0u64,
        max_recv_msg_bytes: u64 = 4_194_304u64,
        grpc: OtlpListener = OtlpListener { enable: true, listen: ":4317".into() },
        http: OtlpListener = OtlpListener { enable: true, listen: ":4318".into() },
        sinks: OtlpSinks = OtlpSinks::default(),
    }

    /// `ingest.otlp.grpc` and `ingest.otlp.http`
    OtlpListener {
        enable: bool = true,
        listen: String = "",
    }

    /// `ingest.otlp.sinks`
    OtlpSinks {
        store_traces: bool = true,
        store_metrics: bool = true,
        store_logs: bool = true,
    }

    /// `ingest.line_protocol`
    LineProtocol {
        enable: bool = false,
        listen: String = ":8086",
        max_body_bytes: u64 = 8_388_608u64,
        default_precision: String = "ns",
        default_db: String = "",
        table_prefix: String = "",
        allow_hep_sip_call: bool = false,
    }

    /// `ingest.siprec`
    SipRec {
        enable: bool = false,
        sip_port: u16 = 5062u16,
    }

    /// `ingest.vqrtcp`
    VoiceQuality {
        enable: bool = false,
        sip_port: u16 = 5063u16,
    }

    /// `ingest.journal`: where accepted packets are made durable.
    Journal {
        /// Absent: `journal` under `data_dir`.
        path: String = "",
        sync: JournalSync = JournalSync::Group,
        sync_interval_ms: u64 = 10u64,
        segment_bytes: u64 = 67_108_864u64,
        max_bytes: u64 = 4_294_967_296u64,
    }
}

/// When a journal record is made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JournalSync {
    /// One fsync for everything appended within `sync_interval_ms`.
    Group,
    /// An fsync for every append.
    Always,
    /// None: a power cut may lose what was acknowledged.
    Off,
}
