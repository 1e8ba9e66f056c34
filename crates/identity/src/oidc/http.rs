//! Requests to identity providers: HTTPS, short, bounded, and never redirected.

use std::net::IpAddr;
use std::time::Duration;

use pintail_types::{Error, Result};
use reqwest::{Client, RequestBuilder, StatusCode, Url, redirect};
use serde::de::DeserializeOwned;

/// How long a connection, and an answer, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest answer: key sets of large providers have a few tens of kilobytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// How we are known to a provider.
#[derive(Clone, Copy)]
pub(super) struct ClientSecret<'a> {
    pub(super) id: &'a str,
    /// Empty for a public client.
    pub(super) secret: &'a str,
    /// Whether the secret stands in the form (`client_secret_post`) and not in a header (`client_secret_basic`).
    pub(super) in_form: bool,
}

/// An answer that is not an error of ours or of the provider's.
#[derive(Debug)]
pub(super) enum Answer<T> {
    /// 2xx.
    Success(T),
    /// 400 or 401, with the code that OAuth (RFC 6749 section 5.2) gives.
    Refused(String),
}

/// The client of one provider.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
}

impl Http {
    /// A client that trusts the system's authorities.
    ///
    /// # Errors
    /// `Internal` if these can't be read.
    pub(super) fn new() -> Result<Self> {
        crate::tls::install_provider();
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("pintail/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::internal("no client for identity providers").with_source(error))?;
        Ok(Self { client })
    }

    /// The JSON document at `url`.
    ///
    /// # Errors
    /// `Unavailable` if it can't be had or read.
    pub(super) async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T> {
        let (status, body) = send(self.client.get(check_url(url)?), url).await?;
        if !status.is_success() {
            return Err(Error::unavailable(format!("{url} answered {status}")));
        }
        read(&body, url)
    }

    /// The answer to a form that is posted to `url` in our name.
    ///
    /// # Errors
    /// As [`Self::get`], but for refusals.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        url: &str,
        fields: &[(&str, &str)],
        client: ClientSecret<'_>,
    ) -> Result<Answer<T>> {
        let mut fields = fields.to_vec();
        let mut request = self.client.post(check_url(url)?);
        if client.secret.is_empty() || client.in_form {
            fields.push(("client_id", client.id));
        }
        if !client.secret.is_empty() && client.in_form {
            fields.push(("client_secret", client.secret));
        }
        if !client.secret.is_empty() && !client.in_form {
            request = request.basic_auth(form_encoded(client.id), Some(form_encoded(client.secret)));
        }
        let (status, body) = send(request.form(&fields), url).await?;
        if status.is_success() {
            return read(&body, url).map(Answer::Success);
        }
        if status == StatusCode::BAD_REQUEST || status == StatusCode::UNAUTHORIZED {
            let refusal: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let code = refusal.get("error").and_then(|code| code.as_str()).unwrap_or("no reason given");
            return Ok(Answer::Refused(code.to_owned()));
        }
        Err(Error::unavailable(format!("{url} answered {status}")))
    }
}

async fn send(request: RequestBuilder, url: &str) -> Result<(StatusCode, Vec<u8>)> {
    let failed = |error: reqwest::Error| {
        let reason = root_cause(&error);
        Error::unavailable(format!("the identity provider did not answer at {url}: {reason}"))
    };
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(failed)? {
        if body.len() + part.len() > MAX_ANSWER_BYTES {
            return Err(Error::unavailable(format!(
                "{url} answered with more than {MAX_ANSWER_BYTES} bytes"
            )));
        }
        body.extend_from_slice(&part);
    }
    Ok((status, body))
}

fn read<T: DeserializeOwned>(body: &[u8], url: &str) -> Result<T> {
    serde_json::from_slice(body)
        .map_err(|error| Error::unavailable(format!("{url} answered with something unreadable: {error}")))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// A URL that secrets may be sent to.
///
/// # Errors
/// `Invalid` if it is neither HTTPS nor on loopback.
pub(super) fn check_url(text: &str) -> Result<Url> {
    let url = Url::parse(text).map_err(|error| Error::invalid(format!("'{text}' is not a URL: {error}")))?;
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        _ => Err(Error::invalid(format!("'{text}' must begin with https:// (http:// is for loopback only)"))),
    }
}

/// Id and secret are form-encoded within the header (RFC 6749 section 2.3.1).
fn form_encoded(text: &str) -> String {
    let Ok(mut url) = Url::parse("form:") else { return text.to_owned() };
    url.query_pairs_mut().append_key_only(text);
    url.query().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_sent_over_https_or_loopback() {
        for (url, fine) in [
            ("https://id.example.com/realms/x", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080/x", true),
            ("http://localhost/x", true),
            ("http://id.example.com", false),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
            ("ftp://127.0.0.1", false),
            ("id.example.com", false),
            ("", false),
        ] {
            assert_eq!(check_url(url).is_ok(), fine, "{url}");
        }
    }

    #[test]
    fn ids_and_secrets_are_form_encoded() {
        for (text, encoded) in
            [("plain-1.0_x", "plain-1.0_x"), ("a b:c&d=e+f", "a+b%3Ac%26d%3De%2Bf"), ("ü", "%C3%BC")]
        {
            assert_eq!(form_encoded(text), encoded);
        }
    }
}
