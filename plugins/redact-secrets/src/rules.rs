//! What secrets look like. The formats are those that the issuers publish.

use step_observer_guest::Rule;

/// A name that says that a secret follows, and what stands between the two.
macro_rules! assignment {
    () => {
        r#"(?i)[A-Za-z0-9_.-]{0,60}(?:passw(?:or)?d|passphrase|pwd|secret|token|api_?-?key|access_?-?key|private_?-?key|credentials?)[A-Za-z0-9_.-]{0,40}["']?\s{0,4}(?:=|:=|:|=>)\s{0,4}"#
    };
}

/// Words in such names.
const ASSIGNED: &[&str] = &[
    "passw",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "key",
    "credential",
];

/// Id, pattern, keywords. Patterns with the same id are counted together.
const RULES: &[(&str, &str, &[&str])] = &[
    (
        "github-token",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255})",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"],
    ),
    (
        "gitlab-token",
        r"\bgl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt|oas)-[A-Za-z0-9_=.-]{16,300}",
        &["gl"],
    ),
    ("npm-token", r"\bnpm_[A-Za-z0-9]{20,100}", &["npm_"]),
    ("pypi-token", r"\bpypi-[A-Za-z0-9_-]{32,1000}", &["pypi-"]),
    (
        "aws-access-key-id",
        r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
        &["AKIA", "ASIA", "ABIA", "ACCA"],
    ),
    (
        "aws-secret-access-key",
        r#"(?i)\b(?:aws_?)?(?:secret_?(?:access_?)?key|session_?token)["']?\s*[:=]\s*["']?(?P<secret>[A-Za-z0-9/+=]{40,2000})"#,
        &["secret", "session"],
    ),
    (
        "slack-token",
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,250}",
        &["xox"],
    ),
    (
        "slack-webhook",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9/_-]{20,200})",
        &["hooks.slack.com"],
    ),
    ("google-api-key", r"\bAIza[A-Za-z0-9_-]{35}", &["AIza"]),
    (
        "google-oauth-token",
        r"\bya29\.[A-Za-z0-9_-]{20,1000}",
        &["ya29."],
    ),
    (
        "jwt",
        r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}",
        &["eyJ"],
    ),
    (
        "bearer-token",
        r"(?i)\bbearer\s+(?P<secret>[A-Za-z0-9._~+/-]{12,}=*)",
        &["bearer"],
    ),
    (
        "basic-auth-header",
        r"(?i)\bbasic\s+(?P<secret>[A-Za-z0-9+/]{8,}={0,2})",
        &["basic"],
    ),
    // Greedy up to the last `@` before a blank or a slash: passwords may hold an `@`. What follows is
    // a host and not the `sha256` of an image.
    (
        "url-credentials",
        r#"[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s/:@"'<>]{0,200}:(?P<secret>[^\s/"'<>]{1,400})@(?:[^s\s]|s[^h]|sh[^a])"#,
        &["://"],
    ),
    (
        "password-assignment",
        concat!(assignment!(), r#""(?P<secret>[^"\n]{4,})""#),
        ASSIGNED,
    ),
    (
        "password-assignment",
        concat!(assignment!(), r#"'(?P<secret>[^'\n]{4,})'"#),
        ASSIGNED,
    ),
    (
        "password-assignment",
        concat!(assignment!(), r#"(?P<secret>[^\s"'`,;&|(){}\[\]<>$]{4,})"#),
        ASSIGNED,
    ),
    (
        "password-flag",
        r#"(?i)--?(?:password|passwd|token|secret|api-key)[= ]["']?(?P<secret>[^\s"'$-][^\s"']{3,})"#,
        &["password", "passwd", "token", "secret", "api-key"],
    ),
    (
        "docker-auth",
        r#"(?i)(?:docker[ _-]?(?:config|auth)(?:json)?|"auth"|"identitytoken"|dockerconfigjson)["']?\s*[:=]\s*["']?(?P<secret>[A-Za-z0-9+/]{12,}={0,2})"#,
        &["docker", "auth", "identitytoken"],
    ),
    (
        "credentials-to-base64",
        r#"(?:echo|printf)\s+(?:-\w+\s+)*"(?P<secret>[^"\n]*:[^"\n]+)"\s*\|\s*base64"#,
        &["base64"],
    ),
    (
        "credentials-to-base64",
        r"(?:echo|printf)\s+(?:-\w+\s+)*'(?P<secret>[^'\n]*:[^'\n]+)'\s*\|\s*base64",
        &["base64"],
    ),
    // Over several lines, in scripts with whatever stands between them; to the end where it was cut.
    (
        "private-key",
        r"(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\z)",
        &["PRIVATE KEY"],
    ),
    // The rest of a key whose beginning was cut off.
    (
        "private-key-rest",
        r"(?:[A-Za-z0-9+/=]{16,}\s+)*[A-Za-z0-9+/=]{4,}\s+-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
        &["PRIVATE KEY"],
    ),
];

/// All of them.
pub(crate) fn bundled() -> Vec<Rule> {
    RULES
        .iter()
        .map(|(id, pattern, keywords)| Rule {
            id: (*id).to_owned(),
            pattern: (*pattern).to_owned(),
            keywords: keywords.iter().map(|word| (*word).to_owned()).collect(),
            replacement: None,
        })
        .collect()
}
