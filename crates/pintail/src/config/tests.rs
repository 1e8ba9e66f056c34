//! What a configuration says, and what is said about it.

use pintail_identity::tls::LeastVersion;
use serde_json::json;

use super::*;

fn read(text: &str) -> Result<Loaded> {
    parse("test.json", text, Vec::new())
}

fn read_with(text: &str, environment: &[(&str, &str)]) -> Result<Loaded> {
    let owned: Vec<_> = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    parse("test.json", text, owned)
}

/// The message of a configuration that must not be accepted.
fn refused(text: &str) -> String {
    read(text).expect_err("must be refused").to_string()
}

#[test]
fn homers_defaults_hold() {
    let config = read("{}").unwrap().config;
    assert_eq!(config.ingest.udp.port, 9060);
    assert_eq!(config.ingest.udp.host, "0.0.0.0");
    assert!(!config.ingest.tcp.enable);
    assert_eq!(config.storage.ducklake.flush_interval_sec, 60);
    assert_eq!(config.storage.ducklake.lake_name, "homer_lake");
    assert_eq!(config.node.flight_server.host, "127.0.0.1");
    assert_eq!(config.prometheus.host, "127.0.0.1");
    assert_eq!(config, Config::default());
}

#[test]
fn toml_and_json_say_the_same() {
    let toml = "[ingest.udp]\nport = 1\n[[identity.tokens]]\nname='a'\nsha256='".to_owned()
        + &"0".repeat(64)
        + "'\n";
    let json = json!({"ingest": {"udp": {"port": 1}}, "identity": {"tokens": [{"name": "a", "sha256": "0".repeat(64)}]}});
    let from_toml = parse("test.toml", &toml, Vec::new()).unwrap().config;
    assert_eq!(from_toml, read(&json.to_string()).unwrap().config);
    assert_eq!(from_toml, parse("test", &toml, Vec::new()).unwrap().config);
    assert_eq!(from_toml, parse("test", &json.to_string(), Vec::new()).unwrap().config);
}

#[test]
fn wrong_keys_and_values_are_named_with_their_path() {
    for (text, wanted) in [
        (r#"{"ingset": {}}"#, "test.json: unknown key 'ingset'; did you mean 'ingest'?"),
        (
            r#"{"ingest": {"udp": {"prot": 1}}}"#,
            "unknown key 'ingest.udp.prot'; did you mean 'ingest.udp.port'?",
        ),
        (
            r#"{"ingest": {"udp": {"port": "9060"}}}"#,
            r#"ingest.udp.port: invalid type: string "9060", expected u16"#,
        ),
        (
            r#"{"ingest": {"udp": {"port": 70000}}}"#,
            "ingest.udp.port: invalid value: integer `70000`, expected u16",
        ),
        (
            r#"{"ingest": {"journal": {"sync": "never"}}}"#,
            "unknown variant `never`, expected one of `group`, `always`, `off`",
        ),
        (
            r#"{"storage": {"ducklake": {"catalog_type": "postgres"}}}"#,
            "storage.ducklake.catalog_type: 'postgres'",
        ),
        (
            r#"{"node": {"ducklake": {"volumes": [{"name": "a", "typ": "s3"}]}}}"#,
            "did you mean 'node.ducklake.volumes.0.type'?",
        ),
        (
            r#"{"node": {"ducklake": {"volumes": [{"name": "a", "type": "tape"}]}}}"#,
            "'tape' is none of local, s3, azure",
        ),
        (r#"{"log": {"level": "loud"}}"#, "log.level: 'loud'"),
        (r#"{"storage": {"enable": false}}"#, "packets need storage.enable"),
        (
            r#"{"identity": {"tokens": [{"name": "a", "sha256": "12"}]}}"#,
            "identity.tokens.0: token 'a': sha256 must be",
        ),
        ("[1]", "the top level must be an object"),
        ("{", "not valid JSON"),
    ] {
        let message = refused(text);
        assert!(message.contains(wanted), "{text}: {message}");
    }
}

#[test]
fn an_open_door_on_the_network_is_refused() {
    let door = |extra: &str| {
        format!(
            r#"{{"node": {{"enable": true, "flightsql_server": {{"enable": true, "host": "0.0.0.0"{extra}}}}}}}"#
        )
    };
    assert!(refused(&door("")).contains("node.flightsql_server"));
    read(&door(r#", "auth_token": "x""#)).unwrap();
    read(&door(r#", "allow_unauthenticated": true"#)).unwrap();
}

#[test]
fn what_is_not_served_is_said_and_what_would_be_unsafe_is_refused() {
    let loaded = read(r#"{"coordinator": {"enable": true}, "ingest": {"otlp": {"enable": true}}}"#).unwrap();
    let warnings = loaded.warnings.join("\n");
    assert!(warnings.contains("coordinator.enable: recognised, not served"), "{warnings}");
    assert!(warnings.contains("ingest.otlp.enable: recognised, not served"), "{warnings}");
    assert!(refused(r#"{"identity": {"cluster_secret_file": "/etc/secret"}}"#).contains("less safe"));
}

#[test]
fn secrets_are_not_printed() {
    let text = r#"{"node": {"flight_server": {"auth_token": "hush"}}, "ingest": {"http": {"auth_token": "hush"}},
        "identity": {"oidc": [{"issuer": "https://x.y", "client_id": "a", "client_secret": "hush"}]}}"#;
    assert!(!format!("{:?}", read(text).unwrap()).contains("hush"));
}

#[test]
fn homers_tls_listeners_take_homers_keys_and_ours() {
    let tls = |keys: &str| format!(r#"{{"ingest": {{"tls": {{"enable": true, {keys}}}}}}}"#);
    let homers = r#""cert": "/c", "key": "/k", "cacert": "/a""#;
    for (keys, client_authorities, least) in [
        (format!("{homers}, \"mutual_tls\": true"), Some("/a"), LeastVersion::Tls12),
        (homers.to_owned(), None, LeastVersion::Tls12),
        (
            r#""tls_cert": "/c", "tls_key": "/k", "tls_client_ca": "/a""#.to_owned(),
            Some("/a"),
            LeastVersion::Tls12,
        ),
        (r#""cert": "/c", "key": "/k", "min_tls_version": "TLS1.3""#.to_owned(), None, LeastVersion::Tls13),
    ] {
        let found = read(&tls(&keys)).unwrap().config.tls().unwrap();
        let [("ingest.tls", settings)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(settings.files.client_authorities, client_authorities.map(PathBuf::from), "{keys}");
        assert_eq!((settings.least, settings.files.key.to_str()), (least, Some("/k")), "{keys}");
    }
    for (keys, wanted) in [
        (r#""key": "/k""#.to_owned(), "ingest.tls.tls_cert: TLS needs it"),
        (r#""cert": "/c", "key": "/k", "mutual_tls": true"#.to_owned(), "a cacert is needed"),
        (format!("{homers}, \"mutual_tls\": true, \"insecure_skip_verify\": true"), "remove one"),
        (format!("{homers}, \"min_tls_version\": \"SSL3\""), "'SSL3' is neither TLS1.2 nor TLS1.3"),
        (format!("{homers}, \"max_tls_version\": \"TLS1.2\""), "can't be switched off"),
        (format!("{homers}, \"tls_cert\": \"/d\""), "tls_cert and cert name different files"),
        (format!("{homers}, \"tls_enable\": false"), "set ingest.tls.enable to false"),
    ] {
        let message = refused(&tls(&keys));
        assert!(message.contains(wanted), "{keys}: {message}");
    }
}

#[test]
fn tls_and_identity_are_complete_or_refused() {
    let node = |server: &str| format!(r#"{{"node": {{"enable": true, "flight_server": {{{server}}}}}}}"#);
    let identity = |keys: &str| format!(r#"{{"identity": {{{keys}}}}}"#);
    let oidc = |keys: &str| identity(&format!(r#""oidc": [{{{keys}}}]"#));
    let provider = r#""issuer": "https://id.example.com", "client_id": "pintail""#;
    for (text, wanted) in [
        (node(r#""tls_enable": true"#), "node.flight_server.tls_cert: TLS needs it"),
        (node(r#""tls_enable": true, "tls_cert": "/c""#), "node.flight_server.tls_key: TLS needs it"),
        (node(r#""tls_client_ca": "/c""#), "set node.flight_server.tls_enable to true"),
        (node(r#""tls_certificate": "/c""#), "did you mean 'node.flight_server.tls_cert'?"),
        (oidc(r#""issuer": "http://id.example.com", "client_id": "x""#), "must begin with https://"),
        (oidc(r#""issuer": "https://id.example.com""#), "a client_id is needed"),
        (oidc(&format!(r#"{provider}, "introspection": true"#)), "introspection needs a client_secret"),
        (oidc(r#""isuer": "x""#), "did you mean 'identity.oidc.0.issuer'?"),
        (identity(&format!(r#""oidc": [{{{provider}}}, {{{provider}}}]"#)), "is there twice"),
        (identity(r#""session": {"idle_sec": 0}"#), "idle_sec must be at least 1"),
        (identity(r#""session": {"idle_sec": 10, "max_sec": 5}"#), "max_sec at least idle_sec"),
        (r#"{"limits": {"max_sessions": 0}}"#.to_owned(), "limits.max_sessions: must be at least 1"),
        (
            r#"{"node": {"enable": true, "flightsql_server": {"profile": "influx"}}}"#.to_owned(),
            "'influx' is neither standard nor grafana",
        ),
    ] {
        let message = refused(&text);
        assert!(message.contains(wanted), "{text}: {message}");
    }
    let open_to_all = r#""flightsql_server": {"enable": true, "host": "0.0.0.0"}"#;
    for keys in [r#""users_file": "/users""#.to_owned(), format!(r#""oidc": [{{{provider}}}]"#)] {
        let text = format!(r#"{{"node": {{"enable": true, {open_to_all}}}, "identity": {{{keys}}}}}"#);
        assert_eq!(read(&text).unwrap().warnings, Vec::<String>::new(), "{text}");
    }
    let idle = read(&node(r#""tls_cert": "/c", "tls_key": "/k""#)).unwrap();
    assert!(idle.warnings.join("").contains("it speaks in clear"), "{:?}", idle.warnings);
    let both = node(r#""tls_enable": true, "tls_cert": "/c", "tls_key": "/k", "tls_client_ca": "/a""#);
    let tls = read(&both).unwrap().config.tls().unwrap();
    assert_eq!(tls[0].0, "node.flight_server");
    assert_eq!(tls[0].1.files.client_authorities, Some("/a".into()));
}

#[test]
fn decompressed_payloads_have_a_highest_limit() {
    let limit = |bytes: u64| format!(r#"{{"ingest": {{"hep": {{"max_decompressed_bytes": {bytes}}}}}}}"#);
    read(&limit(16 << 20)).unwrap();
    assert!(
        refused(&limit((16 << 20) + 1))
            .contains("ingest.hep.max_decompressed_bytes: must be at most 16777216")
    );
}

#[test]
fn the_environment_merges_into_elements() {
    let file = r#"{"node": {"ducklake": {"volumes": [{"name": "hot", "path": "/a"}]}}, "ingest": {"udp": {"port": 1}}}"#;
    let config = read_with(
        file,
        &[
            ("PINTAIL_NODE__DUCKLAKE__VOLUMES__0__PATH", "/b"),
            ("PINTAIL_INGEST__UDP__PORT", "3"),
            ("HOMER_INGEST_UDP_PORT", "2"),
            ("HOMER_STORAGE_DUCKLAKE_FLUSH_INTERVAL_SEC", "7"),
            ("PINTAIL_INGEST__HEP__AUTH_KEYS", "one,two"),
            ("PINTAIL_DATA_DIR", "/data"),
            ("PINTAIL_STORAGE__DUCKLAKE__COMPACTION__RETENTION_DAYS_BY_TABLE__HEP_PROTO_1_CALL", "5"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap()
    .config;
    assert_eq!(config.node.ducklake.volumes[0].path, "/b");
    assert_eq!(config.node.ducklake.volumes[0].name, "hot");
    assert_eq!(config.ingest.udp.port, 3);
    assert_eq!(config.storage.ducklake.flush_interval_sec, 7);
    assert_eq!(config.ingest.hep.auth_keys, ["one", "two"]);
    assert_eq!(config.data_dir, "/data");
    assert_eq!(config.storage.ducklake.compaction.retention_days_by_table["hep_proto_1_call"], 5);
}

#[test]
fn homers_names_reach_array_elements() {
    let loaded = read_with(
        "{}",
        &[
            ("HOMER_STORAGE_DUCKLAKE_STORAGE_POLICY_VOLUMES_0_NAME", "hot"),
            ("HOMER_STORAGE_DUCKLAKE_STORAGE_POLICY_VOLUMES_1_NAME", "cold"),
            ("HOMER_STORAGE_DUCKLAKE_STORAGE_POLICY_VOLUMES_1_S3_ENDPOINT", "e"),
            ("HOMER_NO_SUCH_THING", "1"),
        ],
    )
    .unwrap();
    assert_eq!(loaded.config.storage.ducklake.storage_policy.volumes[1].s3_endpoint, "e");
    assert!(loaded.warnings.iter().any(|warning| warning.contains("HOMER_NO_SUCH_THING")));
}

#[test]
fn the_environment_is_checked_too() {
    for (name, value, wanted) in [
        ("PINTAIL_INGEST__UPD__PORT", "1", "did you mean 'ingest.udp'?"),
        ("PINTAIL_INGEST__UDP__PORT", "x", "'x' is not a number"),
        ("PINTAIL_INGEST__UDP__ENABLE", "maybe", "neither true nor false"),
        ("PINTAIL_NODE__DUCKLAKE__VOLUMES__1__NAME", "a", "leaves a gap"),
        ("PINTAIL_INGEST__UDP__PORT", "70000", "ingest.udp.port: invalid value"),
    ] {
        let message = read_with("{}", &[(name, value)]).expect_err(name).to_string();
        assert!(message.contains(wanted), "{name}: {message}");
    }
}

#[test]
fn storage_and_node_agree_on_the_lake() {
    let both = |catalog: &str| {
        format!(
            r#"{{"storage": {{"ducklake": {{"catalog_path": "/a.sqlite", "data_path": "/p"}}}},
                "node": {{"enable": true, "ducklake": {{"catalog_path": "{catalog}", "data_path": "/p/"}}}}}}"#
        )
    };
    let place = read(&both("/a.sqlite")).unwrap().config.lake_place().unwrap();
    assert_eq!(place.volumes[0].catalog_path, Path::new("/a.sqlite"));
    assert_eq!(place.volumes[0].name, "default");
    assert!(refused(&both("/b.sqlite")).contains("different lakes"));

    let node_only =
        read(r#"{"node": {"enable": true, "ducklake": {"catalog_path": "/n.sqlite", "data_path": "/n"}}}"#);
    let place = node_only.unwrap().config.lake_place().unwrap();
    assert_eq!(place.volumes[0].catalog_path, Path::new("/n.sqlite"));

    let volume = r#"{"storage": {"ducklake": {"storage_policy": {"enable": true, "volumes": [{"name": "hot", "path": "/p"}]}}}}"#;
    assert_eq!(read(volume).unwrap().config.lake_place().unwrap().volumes[0].name, "hot");

    let place = read(r#"{"data_dir": "/d"}"#).unwrap().config.lake_place().unwrap();
    assert_eq!(place.volumes[0].catalog_path, Path::new("/d/homer_catalog.sqlite"));
    assert_eq!(place.volumes[0].data_path(), "/d/parquet");
}

#[test]
fn volumes_are_ordered_by_priority_and_have_places_of_their_own() {
    let policy = |volumes: &str| {
        format!(
            r#"{{"data_dir": "/d", "storage": {{"ducklake": {{"storage_policy": {{"enable": true, "volumes": [{volumes}]}}}}}}}}"#
        )
    };
    let loaded = read(&policy(
        r#"{"name": "cold", "priority": 2, "path": "/cold"}, {"name": "hot", "priority": 1, "max_size_gb": 0.5, "max_data_age_days": 7}"#,
    ));
    let loaded = loaded.unwrap();
    assert!(loaded.warnings.is_empty() && loaded.refusals.is_empty(), "{loaded:?}");
    let place = loaded.config.lake_place().unwrap();
    let places: Vec<_> = place
        .volumes
        .iter()
        .map(|volume| (volume.name.as_str(), volume.catalog_path.as_path(), volume.data_path()))
        .collect();
    assert_eq!(
        places,
        [
            ("hot", Path::new("/d/homer_catalog_hot.sqlite"), "/d/parquet".to_owned()),
            ("cold", Path::new("/d/homer_catalog_cold.sqlite"), "/cold".to_owned()),
        ]
    );
    assert_eq!((place.volumes[0].max_age_days, place.volumes[0].max_bytes), (7, 1 << 29));
    for (volumes, wanted) in [
        (r#"{"name": "a", "path": "/p"}, {"name": "b", "path": "/p/q"}"#, "paths one in the other"),
        (r#"{"name": "a", "catalog_path": "/c"}, {"name": "b", "catalog_path": "/c"}"#, "one catalog_path"),
        (r#"{"name": "a", "max_size_gb": -1}"#, "max_size_gb"),
        (r#"{"name": "a"}, {"name": "a"}"#, "used twice"),
    ] {
        let message = refused(&policy(volumes));
        assert!(message.contains(wanted), "{volumes}: {message}");
    }
    let node = |second: &str| {
        format!(
            r#"{{"storage": {{"ducklake": {{"storage_policy": {{"enable": true, "volumes": [
                    {{"name": "hot", "path": "/h"}}, {{"name": "cold", "path": "/c"}}]}}}}}},
                "node": {{"enable": true, "ducklake": {{"volumes": [{{"name": "cold", "path": "{second}"}}, {{"name": "hot", "path": "/h"}}]}}}}}}"#
        )
    };
    assert_eq!(read(&node("/c/")).unwrap().config.lake_place().unwrap().volumes.len(), 2);
    assert!(refused(&node("/other")).contains("different lakes"));
}

#[test]
fn the_old_catalog_becomes_that_of_the_hottest_volume() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("homer_catalog.sqlite"), "").unwrap();
    let text = format!(
        r#"{{"data_dir": "{}", "storage": {{"ducklake": {{"storage_policy": {{"enable": true, "volumes": [
            {{"name": "hot"}}, {{"name": "cold", "priority": 1}}]}}}}}}}}"#,
        directory.path().display()
    );
    let place = read(&text).unwrap().config.lake_place().unwrap();
    let catalogs: Vec<_> =
        place.volumes.iter().map(|volume| volume.catalog_path.file_name().unwrap()).collect();
    assert_eq!(catalogs, ["homer_catalog.sqlite", "homer_catalog_cold.sqlite"]);
    assert_eq!(Path::new(&place.volumes[1].data_path()), directory.path().join("parquet_cold"));
}

/// The configurations that Homer's documents print: they load, and what is not served is said.
#[test]
fn the_printed_configurations_load() {
    let grafana_node = r#"{"node": {"enable": true,
        "flight_server": {"host": "0.0.0.0", "port": 50051, "auth_token": "change-me-airport"},
        "flightsql_server": {"enable": true, "host": "0.0.0.0", "port": 50055, "auth_token": "change-me-flightsql", "catalog_refresh_interval_sec": 30},
        "ducklake": {"lake_name": "homer_lake", "catalog_type": "sqlite", "catalog_path": "/data/homer/homer_catalog.sqlite", "data_path": "/data/homer/parquet"}}}"#;
    let grafana_proxy = r#"{"coordinator": {"enable": true,
        "flightsql_server": {"enable": true, "host": "0.0.0.0", "port": 32010, "auth_token": "change-me-proxy", "catalog_refresh_interval_sec": 30},
        "nodes": [{"name": "node-a", "host": "10.0.0.11", "port": 50051, "flightsql_port": 50055, "token": "change-me-flightsql"}]}}"#;
    let one_volume = r#"{"node": {"enable": true,
        "flight_server": {"host": "0.0.0.0", "port": 50051, "auth_token": "your-secret-token", "max_message_size": 16777216},
        "flightsql_server": {"enable": false, "host": "0.0.0.0", "port": 50055, "auth_token": "", "catalog_refresh_interval_sec": 30},
        "ducklake": {"lake_name": "homer_lake", "volumes": [{"name": "default", "type": "local", "catalog_type": "sqlite",
            "catalog_path": "/data/homer/homer_catalog.sqlite", "path": "/data/homer/parquet"}]}}}"#;
    let two_volumes = r#"{"node": {"enable": true, "flight_server": {"host": "0.0.0.0", "port": 50051, "auth_token": "your-secret-token"},
        "ducklake": {"lake_name": "homer_lake", "volumes": [
            {"name": "hot", "type": "local", "catalog_type": "sqlite", "catalog_path": "/data/homer/homer_catalog_hot.sqlite", "path": "/data/homer/parquet"},
            {"name": "cold", "type": "s3", "catalog_type": "sqlite", "catalog_path": "/data/homer/homer_catalog_cold.sqlite", "path": "s3://homer-bucket/cold/",
             "s3_region": "us-east-1", "s3_access_key_id": "your-key", "s3_secret_access_key": "your-secret", "s3_endpoint": "https://s3.amazonaws.com", "s3_use_ssl": true}]}}}"#;
    let local = r#"{"storage": {"enable": true, "ducklake": {"catalog_type": "sqlite", "catalog_path": "/data/homer_catalog.sqlite",
        "data_path": "/data/homer_parquet", "batch_size": 10000, "flush_interval_sec": 30}}}"#;
    let remote = r#"{"storage": {"enable": true, "ducklake": {"catalog_type": "sqlite", "catalog_path": "/data/homer_catalog.sqlite",
        "data_path": "s3://my-bucket/homer-parquet/", "s3": {"region": "us-east-1", "access_key_id": "AKIA...", "secret_access_key": "..."}}}}"#;
    for (text, served) in [
        (grafana_node, true),
        (grafana_proxy, true),
        (one_volume, true),
        (two_volumes, true),
        (local, true),
        (remote, true),
    ] {
        let loaded = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(loaded.refusals.is_empty(), served, "{text}: {:?}", loaded.refusals);
    }
}

#[test]
fn the_examples_load_without_a_word() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if !path.extension().is_some_and(|extension| extension == "json" || extension == "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let loaded = parse(path.to_str().unwrap(), &text, Vec::new()).unwrap();
        assert!(loaded.warnings.is_empty() && loaded.refusals.is_empty(), "{path:?}: {loaded:?}");
        seen += 1;
    }
    assert!(seen >= 3);
}
