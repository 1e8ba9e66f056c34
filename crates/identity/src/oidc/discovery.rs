//! What a provider says of itself (OpenID Connect Discovery 1.0 section 4).

use pintail_types::{Error, Result};
use serde::Deserialize;

use super::http::{ClientSecret, check_url};
use super::keys::{KeySet, KeysDocument};
use super::{Http, OidcProvider};

/// The scopes that are asked for where the provider has them: who it is, and its groups.
const WANTED_SCOPES: [&str; 3] = ["openid", "profile", "groups"];

/// The part of a provider's metadata that is used.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    jwks_uri: String,
    pub(super) token_endpoint: Option<String>,
    pub(super) introspection_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

impl Metadata {
    async fn fetch(http: &Http, issuer: &str) -> Result<Self> {
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let metadata: Self = http.get(&url).await?;
        if metadata.issuer != issuer {
            return Err(Error::unavailable(format!(
                "{url} names the issuer '{}': identity.oidc.issuer must be exactly that",
                metadata.issuer
            )));
        }
        let endpoints = [
            Some(&metadata.jwks_uri),
            metadata.token_endpoint.as_ref(),
            metadata.introspection_endpoint.as_ref(),
        ];
        for endpoint in endpoints.into_iter().flatten() {
            check_url(endpoint).map_err(|error| Error::unavailable(format!("{url}: {error}")))?;
        }
        Ok(metadata)
    }

    /// The scopes to ask for.
    pub(super) fn scope(&self) -> String {
        let has = |scope: &&str| *scope == "openid" || self.scopes_supported.iter().any(|own| own == scope);
        WANTED_SCOPES.into_iter().filter(has).collect::<Vec<_>>().join(" ")
    }
}

impl OidcProvider {
    pub(super) async fn metadata(&self) -> Result<std::sync::Arc<Metadata>> {
        self.metadata.get(|| Metadata::fetch(&self.http, &self.options.issuer)).await
    }

    pub(super) async fn fetch_keys(&self) -> Result<KeySet> {
        let metadata = self.metadata().await?;
        let document: KeysDocument = self.http.get(&metadata.jwks_uri).await?;
        Ok(KeySet::new(document))
    }

    /// How we show who we are. Without a word of the provider it takes a header (Discovery section 3).
    pub(super) fn client<'a>(&'a self, metadata: &Metadata) -> ClientSecret<'a> {
        let methods = &metadata.token_endpoint_auth_methods_supported;
        let has = |method: &str| methods.iter().any(|own| own == method);
        let in_form = !has("client_secret_basic") && has("client_secret_post");
        ClientSecret { id: &self.options.client_id, secret: &self.options.client_secret, in_form }
    }
}
