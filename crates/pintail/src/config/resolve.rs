//! From the keys as written to the values the server works with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pintail_lake::{BucketOptions, FilePlace};
use pintail_types::{Error, Result};

use super::{Config, storage::Volume};

/// Memory that is assumed where the machine does not tell.
const MEMORY_FALLBACK: u64 = 4 << 30;
/// The smallest memory limit of queries that is derived.
const MEMORY_FLOOR: u64 = 256 << 20;
/// Queries that run at once for each core, where no number is configured.
const QUERIES_PER_CORE: usize = 8;

/// The label of the volume of a lake that names none.
const DEFAULT_VOLUME: &str = "default";
/// The catalog of a lake that names no volumes.
const OLD_CATALOG: &str = "homer_catalog.sqlite";
/// The `url_style` that has the bucket in the host's name, as DuckDB calls it.
pub(super) const VIRTUAL_HOSTED: &str = "vhost";
/// What `max_size_gb` counts.
const GIGABYTE: u64 = 1 << 30;

/// Where the lake lies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LakePlace {
    /// The lake's name: the catalog in SQL.
    pub(crate) lake_name: String,
    /// Its volumes, hottest first; at least one.
    pub(crate) volumes: Vec<VolumePlace>,
}

/// Where a volume lies, and what it keeps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VolumePlace {
    /// Its label, `default` where none is named.
    pub(crate) name: String,
    /// The SQLite file of the catalog.
    pub(crate) catalog_path: PathBuf,
    /// Where the Parquet files lie.
    pub(crate) files: FilePlace,
    /// That may differ from the place that the catalog recorded.
    pub(crate) override_data_path: bool,
    /// The lower, the hotter.
    pub(crate) priority: i64,
    /// Days after which rows leave it; 0 is never.
    pub(crate) max_age_days: u64,
    /// Bytes that it is to hold; 0 is no limit.
    pub(crate) max_bytes: u64,
}

/// Limits that follow from the machine where the configuration says 0.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Derived {
    /// Cores that may be used.
    pub(crate) cores: usize,
    /// Memory of all queries together, in bytes.
    pub(crate) memory_bytes: u64,
    /// Where queries spill.
    pub(crate) spill_path: PathBuf,
    /// Queries that run at once.
    pub(crate) max_queries: usize,
    /// The longest a query may run.
    pub(crate) query_timeout: Option<Duration>,
    /// How long a reader may take no rows.
    pub(crate) stall_timeout: Option<Duration>,
    /// The directory of the journal.
    pub(crate) journal_path: PathBuf,
}

impl Config {
    /// Where the lake lies: `storage.ducklake`, its volumes, or what `node.ducklake` adds.
    ///
    /// # Errors
    /// `Invalid` when storage and node name different lakes.
    pub(crate) fn lake_place(&self) -> Result<LakePlace> {
        let storage = &self.storage.ducklake;
        let node = &self.node.ducklake;
        let node_given = !node.volumes.is_empty() || !node.catalog_path.is_empty();
        let node_counts = self.node.enable || !self.storage.enable;

        let from_storage = if storage.storage_policy.volumes.is_empty()
            || (!storage.storage_policy.enable && !storage.catalog_path.is_empty())
        {
            vec![plain_volume(&storage.catalog_path, &storage.data_path)]
        } else {
            by_priority(&storage.storage_policy.volumes)
        };
        let from_node = if node.volumes.is_empty() {
            vec![plain_volume(&node.catalog_path, &node.data_path)]
        } else {
            by_priority(&node.volumes)
        };
        let node_name = if node.lake_name.is_empty() { &storage.lake_name } else { &node.lake_name };
        if self.storage.enable && node_counts && node_given {
            agree("lake_name", &storage.lake_name, node_name)?;
            agree_on_volumes(&from_storage, &from_node)?;
        }
        let (lake_name, volumes) = if !self.storage.enable {
            (node_name, if node_given { from_node } else { from_storage })
        } else if node_given && node_counts && from_storage[0].catalog_path.is_empty() {
            (&storage.lake_name, from_node)
        } else {
            (&storage.lake_name, from_storage)
        };
        let places = volumes.iter().enumerate().map(|(index, volume)| self.volume_place(volume, index == 0));
        Ok(LakePlace { lake_name: lake_name.clone(), volumes: places.collect() })
    }

    /// A volume with the paths that it has where none are configured.
    fn volume_place(&self, volume: &Volume, is_first: bool) -> VolumePlace {
        let of_volume = format!("homer_catalog_{}.sqlite", volume.name);
        // A lake that got its volumes later: its old catalog is that of the hottest one.
        let is_old = is_first && !Path::new(&self.data_dir).join(&of_volume).exists();
        let is_old = is_old && Path::new(&self.data_dir).join(OLD_CATALOG).exists();
        let catalog = if is_old || volume.name == DEFAULT_VOLUME { OLD_CATALOG } else { &of_volume };
        let data = if is_first { "parquet".to_owned() } else { format!("parquet_{}", volume.name) };
        VolumePlace {
            name: volume.name.clone(),
            catalog_path: self.under_data_dir(&volume.catalog_path, catalog),
            files: match volume.path.contains("://") {
                true => FilePlace::Bucket {
                    bucket: self.bucket(volume),
                    staging: Path::new(&self.data_dir).join("staging").join(&volume.name),
                },
                false => FilePlace::Directory(self.under_data_dir(&volume.path, &data)),
            },
            override_data_path: volume.override_data_path,
            priority: volume.priority,
            max_age_days: volume.max_data_age_days,
            max_bytes: bytes_of(volume.max_size_gb),
        }
    }

    /// The bucket of a volume; keys that it does not have are those of `storage.ducklake.s3` and `azure`.
    fn bucket(&self, volume: &Volume) -> BucketOptions {
        let (s3, azure) = (&self.storage.ducklake.s3, &self.storage.ducklake.azure);
        let or = |own: &str, common: &str| if own.is_empty() { common.to_owned() } else { own.to_owned() };
        let connection = or(&volume.azure_connection_string, &azure.connection_string);
        let part = |name: &str| {
            let parts = connection.split(';').filter_map(|part| part.split_once('='));
            parts.clone().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
        };
        let endpoint = match volume.path.starts_with("s3") {
            true => or(&volume.s3_endpoint, &s3.endpoint),
            false => or(&or(&volume.azure_endpoint, &azure.endpoint), part("BlobEndpoint")),
        };
        BucketOptions {
            url: volume.path.clone(),
            region: or(&volume.s3_region, &s3.region),
            access_key_id: or(&volume.s3_access_key_id, &s3.access_key_id),
            secret_access_key: or(&volume.s3_secret_access_key, &s3.secret_access_key),
            endpoint,
            use_ssl: volume.s3_use_ssl && s3.use_ssl,
            virtual_hosted: or(&volume.s3_url_style, &s3.url_style) == VIRTUAL_HOSTED,
            account_name: or(&or(&volume.azure_account_name, &azure.account_name), part("AccountName")),
            account_key: or(&or(&volume.azure_account_key, &azure.account_key), part("AccountKey")),
        }
    }

    /// The limits that hold on this machine.
    pub(crate) fn derived(&self) -> Derived {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let memory_bytes = match self.limits.memory_bytes {
            0 => (machine_memory() / 2).max(MEMORY_FLOOR),
            configured => configured,
        };
        Derived {
            cores,
            memory_bytes,
            spill_path: self.under_data_dir(&self.limits.spill_path, "spill"),
            max_queries: match self.limits.max_queries {
                0 => (cores * QUERIES_PER_CORE).max(16),
                configured => usize::try_from(configured).unwrap_or(usize::MAX),
            },
            query_timeout: time_limit(self.limits.query_timeout_sec),
            stall_timeout: time_limit(self.limits.stall_timeout_sec),
            journal_path: self.under_data_dir(&self.ingest.journal.path, self.journal_name()),
        }
    }

    /// The file with the secret that session tokens are signed with.
    pub(crate) fn session_secret_path(&self) -> PathBuf {
        self.under_data_dir(&self.identity.session.secret_file, "session-secret")
    }

    /// One process at a time has a journal: a node that only reads must not take the writer's.
    const fn journal_name(&self) -> &'static str {
        if self.storage.enable { "journal" } else { "node-journal" }
    }

    fn under_data_dir(&self, path: &str, name: &str) -> PathBuf {
        if path.is_empty() { Path::new(&self.data_dir).join(name) } else { PathBuf::from(path) }
    }
}

impl VolumePlace {
    /// Where its files lie, for people.
    pub(crate) fn data_path(&self) -> String {
        match &self.files {
            FilePlace::Directory(directory) => directory.display().to_string(),
            FilePlace::Bucket { bucket, .. } => format!("{}/", bucket.url.trim_end_matches('/')),
        }
    }
}

impl Derived {
    /// One line for the log: every limit, and where it comes from.
    pub(crate) fn describe(&self, config: &Config) -> String {
        let origin = |configured: u64| if configured == 0 { "derived" } else { "configured" };
        format!(
            "{} cores; query memory {} MiB ({}), at most {} queries at once ({}), query timeout {}, stall timeout {}, \
             spill to {}; \
             hot buffer {} MiB, journal up to {} MiB in {}",
            self.cores,
            self.memory_bytes >> 20,
            origin(config.limits.memory_bytes),
            self.max_queries,
            origin(config.limits.max_queries),
            in_words(self.query_timeout),
            in_words(self.stall_timeout),
            self.spill_path.display(),
            config.storage.ducklake.hot_buffer.max_bytes >> 20,
            config.ingest.journal.max_bytes >> 20,
            self.journal_path.display(),
        )
    }
}

/// Seconds as a limit; 0 is none.
fn time_limit(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

fn in_words(limit: Option<Duration>) -> String {
    limit.map_or_else(|| "none".to_owned(), |limit| format!("{} s", limit.as_secs()))
}

/// Bytes of a number of GB, each of 2 to the 30th bytes.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the configuration check leaves only numbers that are not negative, and `as` keeps within the type"
)]
fn bytes_of(gigabytes: f64) -> u64 {
    (gigabytes * GIGABYTE as f64) as u64
}

fn plain_volume(catalog_path: &str, path: &str) -> Volume {
    Volume {
        name: DEFAULT_VOLUME.into(),
        catalog_path: catalog_path.to_owned(),
        path: path.to_owned(),
        ..Volume::default()
    }
}

fn by_priority(volumes: &[Volume]) -> Vec<Volume> {
    let mut sorted = volumes.to_vec();
    sorted.sort_by_key(|volume| volume.priority);
    sorted
}

fn agree(what: &str, storage: &str, node: &str) -> Result<()> {
    if storage.is_empty() || node.is_empty() || storage.trim_end_matches('/') == node.trim_end_matches('/') {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "storage.ducklake and node.ducklake name different lakes: {what} '{storage}' and '{node}'; in one process they \
         must be the same"
    )))
}

/// Node and storage must name the same volumes, whatever their order.
fn agree_on_volumes(storage: &[Volume], node: &[Volume]) -> Result<()> {
    if let [only] = storage
        && only.catalog_path.is_empty()
        && only.path.is_empty()
    {
        // Storage says nothing of its place: it takes the node's.
        return Ok(());
    }
    if let ([storage], [node]) = (storage, node) {
        agree("catalog_path", &storage.catalog_path, &node.catalog_path)?;
        return agree("data path", &storage.path, &node.path);
    }
    for one in storage {
        let Some(other) = node.iter().find(|other| other.name == one.name) else {
            return agree("volume", &one.name, "none of that name");
        };
        agree("catalog_path", &one.catalog_path, &other.catalog_path)?;
        agree("data path", &one.path, &other.path)?;
    }
    match node.iter().find(|other| storage.iter().all(|one| one.name != other.name)) {
        Some(other) => agree("volume", "none of that name", &other.name),
        None => Ok(()),
    }
}

/// The address that `host` means: an address, `localhost`, a resolvable name, or empty for all.
///
/// # Errors
/// `Invalid` for a name that does not resolve.
pub(crate) fn address_of(host: &str) -> Result<IpAddr> {
    let bare = host.trim().trim_start_matches('[').trim_end_matches(']');
    if bare.is_empty() {
        return Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    }
    if bare == "*" {
        return Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    }
    if let Ok(address) = bare.parse() {
        return Ok(address);
    }
    let resolved = (bare, 0u16).to_socket_addrs().ok().and_then(|mut found| found.next());
    resolved
        .map(|found: SocketAddr| found.ip())
        .ok_or_else(|| Error::invalid(format!("'{host}' is neither an address nor a name that resolves")))
}

/// The memory this process may use: the machine's, or less where a control group says so.
fn machine_memory() -> u64 {
    let total = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?.to_owned();
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
    });
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
    match (total, group) {
        (Some(total), Some(group)) => total.min(group),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => MEMORY_FALLBACK,
    }
}
