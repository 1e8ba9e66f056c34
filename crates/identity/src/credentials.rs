//! What a caller shows to be let in.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Standard base64 with or without padding: ADBC sends it without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a caller shows to be let in.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// Nothing.
    None,
    /// A token.
    Bearer(&'a str),
    /// A user and a password; either may be the token.
    Basic {
        /// What stands before the first colon.
        user: String,
        /// What stands after it.
        password: String,
    },
    /// Something that cannot be read; it lets nobody in, and says what is wrong.
    Malformed(&'static str),
}

impl<'a> Credentials<'a> {
    /// Reads the value of an `authorization` header: `Bearer TOKEN`, `Basic BASE64` (RFC 7617, padded
    /// or not), or the bare token. The scheme's case does not matter. An empty value is [`Self::None`].
    pub fn from_authorization_header(value: &'a str) -> Self {
        let value = value.trim();
        let Some((scheme, rest)) = value.split_once(' ') else {
            return match value {
                "" => Self::None,
                scheme if scheme.eq_ignore_ascii_case("bearer") => Self::Bearer(""),
                scheme if scheme.eq_ignore_ascii_case("basic") => {
                    Self::Malformed("basic credentials are missing after 'Basic'")
                }
                token => Self::Bearer(token),
            };
        };
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self::Bearer(rest);
        }
        if scheme.eq_ignore_ascii_case("basic") {
            return Self::from_basic(rest);
        }
        Self::Malformed("the authorization scheme is not known: send 'Bearer TOKEN' or 'Basic BASE64'")
    }

    /// The token of a binary header (`-bin` in gRPC): base64 with or without padding; `None` if it is not.
    pub fn token_of_binary_header(value: &str) -> Option<String> {
        String::from_utf8(BASE64.decode(value.trim()).ok()?).ok()
    }

    fn from_basic(encoded: &str) -> Self {
        let Ok(bytes) = BASE64.decode(encoded) else {
            return Self::Malformed("basic credentials are not base64");
        };
        let Ok(text) = String::from_utf8(bytes) else {
            return Self::Malformed("basic credentials are not UTF-8");
        };
        let Some((user, password)) = text.split_once(':') else {
            return Self::Malformed("basic credentials have no colon between user and password");
        };
        Self::Basic { user: user.to_owned(), password: password.to_owned() }
    }
}

/// Shows the kind only, so that no secret reaches a log.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bearer(_) => f.write_str("Bearer(..)"),
            Self::Basic { .. } => f.write_str("Basic { .. }"),
            Self::Malformed(problem) => f.debug_tuple("Malformed").field(problem).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorization_headers() {
        let basic = |user: &str, password: &str| Credentials::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        for (header, expected) in [
            ("", Credentials::None),
            ("Bearer abc", Credentials::Bearer("abc")),
            ("bearer  abc ", Credentials::Bearer("abc")),
            ("Bearer", Credentials::Bearer("")),
            ("abc", Credentials::Bearer("abc")),
            ("Basic dTpw", basic("u", "p")),
            ("Basic dTpwcA==", basic("u", "pp")),
            ("basic dTpwcA", basic("u", "pp")),
            ("Basic dTpwOnE=", basic("u", "p:q")),
            ("Basic OnRva2Vu", basic("", "token")),
        ] {
            assert_eq!(Credentials::from_authorization_header(header), expected, "{header}");
        }
        for header in ["Basic", "Basic !!!", "Basic dXNlcg==", "Basic /////w==", "Negotiate abc"] {
            let read = Credentials::from_authorization_header(header);
            assert!(matches!(read, Credentials::Malformed(_)), "{header}: {read:?}");
        }
    }

    #[test]
    fn binary_headers() {
        for (value, token) in
            [("c2VjcmV0", Some("secret")), ("c2VjcmU=", Some("secre")), ("!", None), ("/////w", None)]
        {
            assert_eq!(Credentials::token_of_binary_header(value).as_deref(), token, "{value}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let shown = format!(
            "{:?} {:?}",
            Credentials::Bearer("hush"),
            Credentials::from_authorization_header("Basic dTpodXNo")
        );
        assert!(!shown.contains("hush"), "{shown}");
    }
}
