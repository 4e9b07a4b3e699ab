//! How a registry asks who is there: `WWW-Authenticate` (RFC 9110, section 11), and the tokens that Docker's registries take
//! (distribution, docs/spec/auth/token.md).

use crate::{Credential, Reference};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use url::{Host, Url};

/// Longest header that is read, in bytes.
const MAX_HEADER_BYTES: usize = 8 * 1024;
/// Longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 32 * 1024;

/// What a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token from another address.
    Bearer {
        /// Address that issues tokens.
        realm: String,
        /// Name of the registry, for the realm.
        service: Option<String>,
    },
}

/// What a request to a repository needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read.
    Pull,
    /// To read and write.
    Push,
}

impl Access {
    fn actions(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        }
    }
}

/// A request for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// Where to send it.
    pub url: Url,
    /// User and password, or nothing if everybody gets a token. Sent with basic authentication.
    pub basic: Option<Credential>,
    /// Fields of a form to POST; without them the request is a GET.
    pub form: Option<String>,
}

/// Why a challenge cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// The registry asks in no known way.
    #[error(
        "the registry asks for credentials in no known way: it needs a header WWW-Authenticate with Basic or Bearer"
    )]
    Unknown,
    /// The address that issues tokens is no URL.
    #[error("the registry names no usable address for tokens (realm)")]
    Realm,
    /// The address that issues tokens is another host, and credentials are not sent there.
    #[error(
        "the registry sends the credentials to another host ({0}): list that host if it may have them (--token-host; tokenHosts in the configuration)"
    )]
    Host(String),
    /// The address that issues tokens is not encrypted.
    #[error(
        "the registry sends the credentials to an address without TLS ({0}), so they are not sent"
    )]
    Plain(String),
    /// The registry wants a token, and the credential is none that it can be made of.
    #[error("the registry asks for a user and a password, and the credential is a token")]
    Credential,
    /// The answer has no token.
    #[error("the answer has no token")]
    Token,
}

impl Challenge {
    /// Reads the headers of an answer. Bearer is preferred.
    ///
    /// # Errors
    ///
    /// There is no challenge that the observer knows.
    pub fn parse<'a>(headers: impl IntoIterator<Item = &'a str>) -> Result<Self, ChallengeError> {
        let mut found = None;
        for header in headers {
            for (scheme, parameters) in challenges(header) {
                if scheme.eq_ignore_ascii_case("bearer") {
                    let value = |name: &str| {
                        let parameter = parameters
                            .iter()
                            .find(|(of, _)| of.eq_ignore_ascii_case(name));
                        parameter.map(|(_, value)| value.clone())
                    };
                    return Ok(Self::Bearer {
                        realm: value("realm").ok_or(ChallengeError::Realm)?,
                        service: value("service"),
                    });
                }
                if scheme.eq_ignore_ascii_case("basic") {
                    found = Some(Self::Basic);
                }
            }
        }
        found.ok_or(ChallengeError::Unknown)
    }
}

/// Reads a list of challenges: `Scheme name=value, name="quoted \"value\"", Scheme2 …`. What breaks the rules ends the list.
fn challenges(header: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = match header.len() {
        ..=MAX_HEADER_BYTES => header,
        _ => return found,
    };
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return found;
        }
        let trimmed = after.trim_start_matches([' ', '\t']);
        match (trimmed.strip_prefix('='), found.last_mut()) {
            (Some(value), Some((_, parameters))) => {
                let Some((value, after)) = value_of(value.trim_start_matches([' ', '\t'])) else {
                    return found;
                };
                parameters.push((word.to_owned(), value));
                rest = after;
            }
            (Some(_), None) => return found,
            (None, _) => {
                found.push((word.to_owned(), Vec::new()));
                rest = after;
            }
        }
    }
}

/// Reads a value, quoted or not. Returns it with what follows.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        return Some((value.to_owned(), after));
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            other => value.push(other),
        }
    }
}

impl TokenRequest {
    /// Makes the request for a token. Credentials go to the registry's own host and to the hosts in `token_hosts`, and only with TLS,
    /// unless the registry itself is used without it (`is_plain`) and issues its own tokens.
    ///
    /// # Errors
    ///
    /// The address for tokens cannot be used, or may not get the credential.
    pub fn new(
        (realm, service): (&str, Option<&str>),
        reference: &Reference,
        access: Access,
        credential: Option<&Credential>,
        is_plain: bool,
        token_hosts: &[String],
    ) -> Result<Self, ChallengeError> {
        let mut url = Url::parse(realm).map_err(|_| ChallengeError::Realm)?;
        let host = url.host().ok_or(ChallengeError::Realm)?.to_string();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ChallengeError::Realm);
        }
        let own = own_host(reference.registry());
        let is_own = own.as_deref() == Some(&*host);
        if !(is_own
            || token_hosts
                .iter()
                .any(|listed| listed.eq_ignore_ascii_case(&host)))
        {
            return Err(ChallengeError::Host(host));
        }
        match url.scheme() {
            "https" => {}
            "http" if is_plain && is_own => {}
            "http" => return Err(ChallengeError::Plain(host)),
            _ => return Err(ChallengeError::Realm),
        }
        // The scope is what this request needs, whatever the registry proposes.
        let scope = format!("repository:{}:{}", reference.repository(), access.actions());
        let service = service.map(|service| ("service", service));
        let fields = || [("scope", &*scope)].into_iter().chain(service);
        let (basic, form) = match credential {
            Some(Credential::Token(_)) => return Err(ChallengeError::Credential),
            Some(Credential::Identity(token)) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(fields()).extend_pairs([
                    ("grant_type", "refresh_token"),
                    ("client_id", "step-observer"),
                    ("refresh_token", token),
                ]);
                (None, Some(form.finish()))
            }
            other => {
                url.query_pairs_mut().extend_pairs(fields());
                (other.cloned(), None)
            }
        };
        Ok(Self { url, basic, form })
    }
}

fn own_host(registry: &str) -> Option<String> {
    let url = Url::parse(&format!("https://{registry}")).ok()?;
    url.host().map(|host: Host<&str>| host.to_string())
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

/// Reads the token from an answer. It can be the value of a header.
///
/// # Errors
///
/// There is no token, or it is none that a header can hold.
pub fn token(answer: &[u8]) -> Result<String, ChallengeError> {
    let answer: TokenAnswer = serde_json::from_slice(answer).map_err(|_| ChallengeError::Token)?;
    let token = match answer.token.is_empty() {
        true => answer.access_token,
        false => answer.token,
    };
    let is_sendable = token.bytes().all(|byte| byte.is_ascii_graphic());
    match is_sendable && (1..=MAX_TOKEN_BYTES).contains(&token.len()) {
        true => Ok(token),
        false => Err(ChallengeError::Token),
    }
}

impl Credential {
    /// Returns the value of `Authorization` for basic authentication; `None` for a token.
    #[must_use]
    pub fn basic(&self) -> Option<String> {
        match self {
            Self::Password { user, password } => Some(format!(
                "Basic {}",
                STANDARD.encode(format!("{user}:{password}"))
            )),
            Self::Identity(_) | Self::Token(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        }
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        for (headers, expected) in [
            (
                vec![
                    r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a:pull,push""#,
                ],
                bearer("https://auth.example/token", Some("registry.example")),
            ),
            (
                vec![r#"bearer Realm = "https://a/\"q\"""#],
                bearer(r#"https://a/"q""#, None),
            ),
            (
                vec![r#"Basic realm="a, b", Bearer realm=https://a,error=x"#],
                bearer("https://a", None),
            ),
            (
                vec!["Basic", r#"Bearer realm="https://a""#],
                bearer("https://a", None),
            ),
            (vec![r#"Basic realm="Registry""#], Challenge::Basic),
        ] {
            assert_eq!(
                Challenge::parse(headers.clone()),
                Ok(expected),
                "{headers:?}"
            );
        }
        for header in ["", "Negotiate", "realm=x", "=", &"Basic ".repeat(2000)] {
            assert_eq!(
                Challenge::parse([header]),
                Err(ChallengeError::Unknown),
                "{header}"
            );
        }
        assert_eq!(
            Challenge::parse(["Bearer service=x"]),
            Err(ChallengeError::Realm)
        );
        assert_eq!(
            Challenge::parse([r#"Bearer realm="open"#]),
            Err(ChallengeError::Realm)
        );
    }

    fn request(
        realm: &str,
        credential: Option<&Credential>,
        is_plain: bool,
        hosts: &[&str],
    ) -> Result<TokenRequest, ChallengeError> {
        let reference = "registry.example:5000/team/redact:1".parse().unwrap();
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let of = (realm, Some("the registry"));
        TokenRequest::new(of, &reference, Access::Push, credential, is_plain, &hosts)
    }

    fn password() -> Credential {
        Credential::Password {
            user: "ci".to_owned(),
            password: "hunter2".to_owned(),
        }
    }

    #[test]
    fn credentials_go_to_the_registry_and_to_listed_hosts_only() {
        let credential = password();
        let asked = |realm, is_plain, hosts| request(realm, Some(&credential), is_plain, hosts);
        let error = |found: Result<TokenRequest, _>| found.unwrap_err();
        let own = asked("https://registry.example/token", false, &[]).unwrap();
        assert_eq!(
            own.url.as_str(),
            "https://registry.example/token?scope=repository%3Ateam%2Fredact%3Apull%2Cpush&service=the+registry"
        );
        assert_eq!((own.basic, own.form), (Some(password()), None));
        assert!(asked("https://auth.example/t", false, &["auth.example"]).is_ok());
        assert!(asked("http://registry.example/t", true, &[]).is_ok());
        let host = |name: &str| ChallengeError::Host(name.to_owned());
        let plain = |name: &str| ChallengeError::Plain(name.to_owned());
        for (realm, is_plain, hosts, expected) in [
            (
                "https://auth.example/t",
                false,
                &[][..],
                host("auth.example"),
            ),
            (
                "https://registry.example.evil.example/t",
                false,
                &[],
                host("registry.example.evil.example"),
            ),
            (
                "https://registry.example@evil.example/t",
                false,
                &["evil.example"],
                ChallengeError::Realm,
            ),
            (
                "http://registry.example/t",
                false,
                &[],
                plain("registry.example"),
            ),
            (
                "http://auth.example/t",
                true,
                &["auth.example"],
                plain("auth.example"),
            ),
            ("file:///etc/passwd", false, &[], ChallengeError::Realm),
            (
                "ftp://registry.example/t",
                false,
                &[],
                ChallengeError::Realm,
            ),
            ("/token", false, &[], ChallengeError::Realm),
        ] {
            assert_eq!(error(asked(realm, is_plain, hosts)), expected, "{realm}");
        }
    }

    #[test]
    fn an_identity_is_exchanged_in_a_form() {
        let identity = Credential::Identity("a&b".to_owned());
        let found = request(
            "https://registry.example/t?x=1",
            Some(&identity),
            false,
            &[],
        )
        .unwrap();
        assert_eq!(found.url.as_str(), "https://registry.example/t?x=1");
        assert_eq!(
            found.form.as_deref(),
            Some(
                "scope=repository%3Ateam%2Fredact%3Apull%2Cpush&service=the+registry&grant_type=refresh_token\
                 &client_id=step-observer&refresh_token=a%26b"
            )
        );
        let token = Credential::Token("t".to_owned());
        let refused = request("https://registry.example/t", Some(&token), false, &[]);
        assert_eq!(refused, Err(ChallengeError::Credential));
        assert_eq!(
            request("https://registry.example/t", None, false, &[])
                .unwrap()
                .basic,
            None
        );
    }

    #[test]
    fn a_token_is_one_that_a_header_can_hold() {
        assert_eq!(
            token(br#"{"token": "a.b-c", "expires_in": 300}"#),
            Ok("a.b-c".to_owned())
        );
        assert_eq!(
            token(br#"{"token": "", "access_token": "x"}"#),
            Ok("x".to_owned())
        );
        for answer in [
            &b"{}"[..],
            b"<html>",
            br#"{"token": "a\r\nHost: b"}"#,
            br#"{"token": 1}"#,
        ] {
            assert_eq!(token(answer), Err(ChallengeError::Token));
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(header in "(Bearer|Basic|realm|=|\"|\\\\|,| |é|x){0,40}") {
            Challenge::parse([&*header]).ok();
        }
    }
}
