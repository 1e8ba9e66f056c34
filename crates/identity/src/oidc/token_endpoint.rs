//! What a provider is asked about callers: whether a password is right, and whether an opaque token is good.

use pintail_types::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::OidcProvider;
use super::claims::Claims;
use super::http::Answer;
use super::jwt::is_jwt;
use crate::Principal;

/// What the token endpoint gives for a user and password (RFC 6749 section 5.1, OpenID Connect Core 3.1.3.3).
#[derive(Deserialize)]
pub(super) struct Granted {
    access_token: String,
    id_token: Option<String>,
    pub(super) expires_in: Option<i64>,
}

impl OidcProvider {
    /// The tokens for a user and password; `None` if they are wrong.
    pub(super) async fn grant(&self, user: &str, password: &str) -> Result<Option<Granted>> {
        let metadata = self.metadata().await?;
        let Some(endpoint) = &metadata.token_endpoint else {
            return Err(self.unusable("it has no token endpoint: set password_grant to false"));
        };
        let scope = metadata.scope();
        let fields = [
            ("grant_type", "password"),
            ("username", user),
            ("password", password),
            ("scope", scope.as_str()),
        ];
        match self.http.post(endpoint, &fields, self.client(&metadata)).await? {
            Answer::Success(granted) => Ok(Some(granted)),
            Answer::Refused(code) if code == "invalid_grant" => Ok(None),
            Answer::Refused(code) => Err(self.unusable(&format!(
                "its token endpoint refused us with {code}: check client_id, client_secret and whether the client may \
                 use the password grant"
            ))),
        }
    }

    /// Who the tokens stand for: the first of access token and ID token that is a JWT for us, and better one that has
    /// the groups; else what an introspection says.
    pub(super) async fn principal_of_grant(&self, granted: &Granted) -> Result<Principal> {
        let groups_claim = &self.options.groups_claim;
        let access = [(granted.access_token.as_str(), self.audience())];
        // An ID token is for the client that asked for it (OpenID Connect Core 3.1.3.7).
        let id = granted.id_token.iter().map(|token| (token.as_str(), self.options.client_id.as_str()));
        let mut first = None;
        let mut problem = None;
        for (token, audience) in access.into_iter().chain(id).filter(|(token, _)| is_jwt(token)) {
            match self.verified(token, audience).await {
                Ok(claims) if claims.has(groups_claim) => return claims.principal(groups_claim),
                Ok(claims) => first = first.or(Some(claims)),
                Err(error) => problem = Some(error),
            }
        }
        if let Some(claims) = first {
            return claims.principal(groups_claim);
        }
        if self.options.introspection
            && let Some(claims) = self.introspect(&granted.access_token).await?
        {
            return claims.principal(groups_claim);
        }
        Err(match problem {
            Some(error) => self.unusable(&format!("its token for a password is not for us: {error}")),
            None => self.unusable("it gave an opaque token for a password: set introspection to true"),
        })
    }

    /// What the provider says of a token (RFC 7662); `None` if it is not good.
    pub(super) async fn introspect(&self, token: &str) -> Result<Option<Claims>> {
        let metadata = self.metadata().await?;
        let Some(endpoint) = &metadata.introspection_endpoint else {
            return Err(self.unusable("it has no introspection endpoint: set introspection to false"));
        };
        let fields = [("token", token), ("token_type_hint", "access_token")];
        let answer = self.http.post::<Map<String, Value>>(endpoint, &fields, self.client(&metadata)).await?;
        let claims = match answer {
            Answer::Success(claims) => Claims::new(claims),
            Answer::Refused(code) => {
                return Err(self.unusable(&format!(
                    "its introspection endpoint refused us with {code}: check client_id and client_secret"
                )));
            }
        };
        if !claims.is_active() {
            return Ok(None);
        }
        claims.check_introspected(&self.options.issuer, self.audience(), self.now())?;
        Ok(Some(claims))
    }

    /// The caller can do nothing about it, so the log says it too.
    fn unusable(&self, reason: &str) -> Error {
        tracing::error!(issuer = self.options.issuer, "identity provider: {reason}");
        Error::unavailable(format!("identity provider {}: {reason}", self.options.issuer))
    }
}
