//! Which types a client can read, as its request's headers say.

use pintail_engine::WireProfile;
use pintail_types::{Error, Result};
use tonic::codegen::http::HeaderMap;

/// Says the profile outright.
const PROFILE: &str = "pintail-profile";

/// Headers in which Grafana's datasources name a database. Nothing else sends them.
const GRAFANA: [&str; 4] = ["database", "bucket", "bucket-name", "iox-namespace-name"];

/// The profile with this name, as it stands in headers and in the configuration.
pub fn profile_named(name: &str) -> Option<WireProfile> {
    match name {
        "standard" => Some(WireProfile::Standard),
        "grafana" => Some(WireProfile::Grafana),
        _ => None,
    }
}

/// The profile that headers ask for, if they ask for any.
///
/// # Errors
/// `Invalid` for a profile that is not known.
pub(crate) fn of_headers(headers: &HeaderMap) -> Result<Option<WireProfile>> {
    if let Some(named) = headers.get(PROFILE) {
        let profile = named.to_str().ok().and_then(profile_named);
        let unknown = || Error::invalid("the header pintail-profile is 'standard' or 'grafana'");
        return profile.map(Some).ok_or_else(unknown);
    }
    let is_grafana = GRAFANA.iter().any(|name| headers.contains_key(*name));
    Ok(is_grafana.then_some(WireProfile::Grafana))
}

#[cfg(test)]
mod tests {
    use tonic::codegen::http::HeaderValue;

    use super::*;

    #[test]
    fn headers_choose_the_profile() {
        for (headers, expected) in [
            (&[][..], None),
            (&[("user-agent", "grafana")][..], None),
            (&[("database", "main")][..], Some(WireProfile::Grafana)),
            (&[("bucket", "main")][..], Some(WireProfile::Grafana)),
            (&[("bucket-name", "")][..], Some(WireProfile::Grafana)),
            (&[("iox-namespace-name", "main")][..], Some(WireProfile::Grafana)),
            (&[("pintail-profile", "grafana")][..], Some(WireProfile::Grafana)),
            (&[("bucket", "b"), ("pintail-profile", "standard")][..], Some(WireProfile::Standard)),
        ] {
            let map: HeaderMap = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
                .collect();
            assert_eq!(of_headers(&map).unwrap(), expected, "{headers:?}");
        }
        let unknown = HeaderMap::from_iter([(PROFILE.parse().unwrap(), HeaderValue::from_static("influx"))]);
        assert!(of_headers(&unknown).is_err());
    }
}
