//! Object stores by the URL of a bucket: S3 and what speaks like it, Azure and Google.
//!
//! Keys that are configured count; without them come those of the environment, of the instance or of the service
//! account, which the stores renew before they expire. Every request is tried again with growing pauses when the store answers
//! with 429 or 5xx, or the connection breaks. S3 verifies a checksum of everything that is sent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use pintail_types::{Error, Result};

/// How long one request may be tried again before it counts as failed.
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);
/// How often at most.
const MAX_RETRIES: usize = 8;
/// The first pause before a request is tried again; they grow up to some seconds.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a connection may take to be made, and a request to be answered.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The region of stores that have none.
const DEFAULT_REGION: &str = "us-east-1";

/// Where a bucket is, and who may use it. What is empty comes from the environment or the instance.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BucketOptions {
    /// `s3://bucket/prefix`, `az://container/prefix` or `gs://bucket/prefix`.
    pub url: String,
    /// The region of S3.
    pub region: String,
    /// The key of S3.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// Another server than the provider's own: `host:port` or a URL.
    pub endpoint: String,
    /// Whether an endpoint without a scheme is asked over TLS.
    pub use_ssl: bool,
    /// Whether the bucket stands in the host's name, not in the path.
    pub virtual_hosted: bool,
    /// The account of Azure.
    pub account_name: String,
    /// Its key.
    pub account_key: String,
}

impl fmt::Debug for BucketOptions {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketOptions").field("url", &self.url).field("endpoint", &self.endpoint).finish()
    }
}

impl BucketOptions {
    /// Whether it is the bucket of another one, and would not be asked in the same way.
    pub fn is_asked_otherwise(&self, other: &Self) -> bool {
        let place = |options: &Self| {
            options.scheme_and_bucket().ok().map(|(scheme, bucket)| (scheme, bucket.to_owned()))
        };
        let keys = |options: &Self| Self { url: String::new(), ..options.clone() };
        place(self).is_some() && place(self) == place(other) && keys(self) != keys(other)
    }

    /// # Errors
    /// `Invalid` when the URL names no bucket of a kind that is known.
    pub fn check(&self) -> Result<()> {
        self.scheme_and_bucket().map(|_| ())
    }

    /// The URL with a slash at the end, as catalogs record it.
    pub(crate) fn directory(&self) -> String {
        format!("{}/", self.url.trim_end_matches('/'))
    }

    /// `s3`, `az` or `gs`, and the name of the bucket.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    fn scheme_and_bucket(&self) -> Result<(Scheme, &str)> {
        let invalid = || {
            Error::invalid(format!(
                "'{}' is no place in a store of objects: write s3://bucket/prefix, az://container/prefix or gs://bucket/prefix",
                self.url
            ))
        };
        let (scheme, rest) = self.url.split_once("://").ok_or_else(invalid)?;
        let scheme = match scheme {
            "s3" | "s3a" => Scheme::S3,
            "az" | "azure" | "abfs" | "abfss" => Scheme::Azure,
            "gs" | "gcs" => Scheme::Google,
            _ => return Err(invalid()),
        };
        match rest.split('/').next().filter(|bucket| !bucket.is_empty()) {
            Some(bucket) => Ok((scheme, bucket)),
            None => Err(invalid()),
        }
    }

    /// The store whose root is the bucket.
    ///
    /// # Errors
    /// `Invalid` for a URL or keys that no store takes.
    pub(crate) fn store(&self) -> Result<Arc<dyn ObjectStore>> {
        let (scheme, bucket) = self.scheme_and_bucket()?;
        let built = match scheme {
            Scheme::S3 => self.s3(bucket).build().map(|store| Arc::new(store) as Arc<dyn ObjectStore>),
            Scheme::Azure => self.azure(bucket).build().map(|store| Arc::new(store) as Arc<dyn ObjectStore>),
            Scheme::Google => {
                self.google(bucket).build().map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
            }
        };
        built.map_err(|error| Error::invalid(format!("{}: {error}", self.url)).with_source(error))
    }

    fn s3(&self, bucket: &str) -> AmazonS3Builder {
        let mut builder = match self.access_key_id.is_empty() {
            // A token of the environment belongs to the keys of the environment.
            true => AmazonS3Builder::from_env(),
            false => AmazonS3Builder::new()
                .with_access_key_id(&self.access_key_id)
                .with_secret_access_key(&self.secret_access_key),
        };
        if !self.region.is_empty() {
            builder = builder.with_region(&self.region);
        } else if !self.access_key_id.is_empty() {
            builder = builder.with_region(DEFAULT_REGION);
        }
        if let Some(endpoint) = self.endpoint_url() {
            let endpoint = match (self.virtual_hosted, endpoint.split_once("://")) {
                (true, Some((scheme, host))) => format!("{scheme}://{bucket}.{host}"),
                _ => endpoint.clone(),
            };
            builder = builder.with_endpoint(endpoint);
        }
        builder
            .with_bucket_name(bucket)
            .with_virtual_hosted_style_request(self.virtual_hosted)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_retry(retries())
            .with_client_options(client(self.is_clear()))
    }

    fn azure(&self, container: &str) -> MicrosoftAzureBuilder {
        let mut builder = match self.account_name.is_empty() {
            true => MicrosoftAzureBuilder::from_env(),
            false => MicrosoftAzureBuilder::new()
                .with_account(&self.account_name)
                .with_access_key(&self.account_key),
        };
        if let Some(endpoint) = self.endpoint_url() {
            builder = builder.with_endpoint(endpoint);
        }
        builder
            .with_container_name(container)
            .with_allow_http(self.is_clear())
            .with_retry(retries())
            .with_client_options(client(self.is_clear()))
    }

    fn google(&self, bucket: &str) -> GoogleCloudStorageBuilder {
        GoogleCloudStorageBuilder::from_env()
            .with_bucket_name(bucket)
            .with_retry(retries())
            .with_client_options(client(false))
    }

    /// The endpoint with its scheme, if one is configured.
    fn endpoint_url(&self) -> Option<String> {
        let endpoint = self.endpoint.trim_end_matches('/');
        match (endpoint.is_empty(), endpoint.contains("://")) {
            (true, _) => None,
            (false, true) => Some(endpoint.to_owned()),
            (false, false) => Some(format!("{}://{endpoint}", if self.use_ssl { "https" } else { "http" })),
        }
    }

    /// Whether requests go without TLS.
    fn is_clear(&self) -> bool {
        self.endpoint_url().is_some_and(|endpoint| endpoint.starts_with("http://"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    S3,
    Azure,
    Google,
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { init_backoff: FIRST_PAUSE, max_backoff: LONGEST_PAUSE, base: 2.0 },
        max_retries: MAX_RETRIES,
        retry_timeout: RETRY_TIMEOUT,
    }
}

fn client(allow_http: bool) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(allow_http)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(REQUEST_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_store_is_made_by_its_url() {
        let options = |url: &str| BucketOptions {
            url: url.to_owned(),
            access_key_id: "key".to_owned(),
            secret_access_key: "secret".to_owned(),
            account_name: "account".to_owned(),
            account_key: "a2V5".to_owned(),
            ..BucketOptions::default()
        };
        for url in ["s3://bucket", "s3://bucket/some/prefix/", "az://container/prefix", "azure://container/"]
        {
            options(url).store().unwrap_or_else(|error| panic!("{url}: {error}"));
        }
        for url in ["", "bucket", "ftp://host/", "s3://", "s3:///prefix"] {
            assert!(options(url).store().is_err(), "{url}");
        }
        let shown = format!("{:?}", options("s3://bucket"));
        assert!(!shown.contains("secret") && !shown.contains("a2V5"), "{shown}");
    }

    #[test]
    fn an_endpoint_has_the_scheme_that_is_asked_for_and_the_bucket_where_it_belongs() {
        for (endpoint, use_ssl, wanted) in [
            ("", true, None),
            ("minio:9000", true, Some("https://minio:9000")),
            ("minio:9000/", false, Some("http://minio:9000")),
            ("http://minio:9000", true, Some("http://minio:9000")),
        ] {
            let options =
                BucketOptions { endpoint: endpoint.to_owned(), use_ssl, ..BucketOptions::default() };
            assert_eq!(options.endpoint_url().as_deref(), wanted);
        }
        let keys = BucketOptions {
            endpoint: "http://host".to_owned(),
            virtual_hosted: true,
            ..BucketOptions::default()
        };
        let shown = format!("{:?}", keys.s3("bucket").build().unwrap());
        assert!(shown.contains("http://bucket.host"), "{shown}");
    }
}
