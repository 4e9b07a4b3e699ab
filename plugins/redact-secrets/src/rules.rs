//! Forms of secrets, as their issuers publish them.

use step_observer_guest::Rule;

/// A name whose value is always a password, and the text between name and value.
macro_rules! password {
    () => {
        r#"(?i)[A-Za-z0-9_.-]{0,60}(?:passw(?:or)?d|passphrase|pwd|_pass|\bpass)\\*["']?[ \t]{0,4}(?:=>|:=|=|:)[ \t]{0,4}"#
    };
}

/// A name that may belong to a secret, and the text between name and value. The value is a secret
/// only if it is long.
macro_rules! secret {
    () => {
        r#"(?i)[A-Za-z0-9_.-]{0,60}(?:secret|token|api_?-?key|access_?-?key|private_?-?key|account_?key|credentials?|_auth)\\*["']?[ \t]{0,4}(?:=>|:=|=|:)[ \t]{0,4}"#
    };
}

/// Words in such names.
const PASSWORD: &[&str] = &["pass", "pwd"];
const SECRET: &[&str] = &["secret", "token", "key", "credential", "_auth"];

/// Id, pattern, keywords. Patterns with the same id are counted together.
///
/// Prefixes that occur in no other text have no `\b` before them: colours and escapes
/// (`\x1b[32mghp_…`, `\nghp_…` in JSON) end in letters.
const RULES: &[(&str, &str, &[&str])] = &[
    (
        "github-token",
        r"gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255}",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"],
    ),
    (
        "gitlab-token",
        r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt|oas)-[A-Za-z0-9_=.-]{16,300}",
        &[
            "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "glagent-",
            "glimt-", "gloas-",
        ],
    ),
    ("npm-token", r"npm_[A-Za-z0-9]{20,100}", &["npm_"]),
    ("pypi-token", r"pypi-[A-Za-z0-9_-]{32,1000}", &["pypi-"]),
    (
        "docker-token",
        r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,100}",
        &["dckr_"],
    ),
    ("hugging-face-token", r"\bhf_[A-Za-z0-9]{20,100}", &["hf_"]),
    (
        "digitalocean-token",
        r"do[oprt]_v1_[a-f0-9]{40,100}",
        &["_v1_"],
    ),
    (
        "stripe-key",
        r"[rs]k_(?:live|test)_[A-Za-z0-9]{10,200}",
        &["k_live_", "k_test_"],
    ),
    (
        "openai-key",
        r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{32,300}",
        &["sk-"],
    ),
    (
        "sendgrid-key",
        r"SG\.[A-Za-z0-9_-]{16,100}\.[A-Za-z0-9_-]{16,100}",
        &["SG."],
    ),
    (
        "age-key",
        r"AGE-SECRET-KEY-1[0-9A-Z]{50,60}",
        &["AGE-SECRET-KEY-1"],
    ),
    (
        "aws-access-key-id",
        r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",
        &["AKIA", "ASIA", "ABIA", "ACCA"],
    ),
    (
        "aws-secret-access-key",
        r#"(?i)\b(?:aws_?)?(?:secret_?(?:access_?)?key|session_?token)\\*["']?\s*[:=]\s*\\*["']?(?P<secret>[A-Za-z0-9/+=]{40,2000})"#,
        &["secret", "session"],
    ),
    (
        "slack-token",
        r"xox[abeoprs]-[A-Za-z0-9-]{10,250}|xapp-[A-Za-z0-9-]{10,250}",
        &["xox", "xapp-"],
    ),
    (
        "slack-webhook",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9/_-]{20,200})",
        &["hooks.slack.com"],
    ),
    ("google-api-key", r"AIza[A-Za-z0-9_-]{35}", &["AIza"]),
    (
        "google-oauth-token",
        r"ya29\.[A-Za-z0-9_-]{20,1000}",
        &["ya29."],
    ),
    (
        "jwt",
        r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}",
        &["eyJ"],
    ),
    (
        "bearer-token",
        r"(?i)\bbearer\s+(?P<secret>[A-Za-z0-9._~+/-]{20,}=*)",
        &["bearer"],
    ),
    (
        "authorization-header",
        r#"(?i)\bauthorization\\*["']?\s*[:=]\s*\\*["']?(?:(?:basic|bearer|token|digest|apikey)\s+)?(?P<secret>[^\s"'\\]{8,})"#,
        &["authorization"],
    ),
    // Matches up to the last `@` before a blank or a slash, because passwords may hold an `@`. The
    // text after that `@` must be a host, not the `sha256:` of an image.
    (
        "url-credentials",
        r#"[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s/:@"'<>]{0,200}:(?P<secret>[^\s/"'<>]{1,400})@(?:[^s\s]|s[^h]|sh[^a]|sha[^2]|sha2[^5]|sha25[^6]|sha256[^:])"#,
        &["://"],
    ),
    (
        "url-token",
        r"[a-z+]{2,10}://(?P<secret>[A-Za-z0-9_-]{20,300})@",
        &["://"],
    ),
    (
        "password-assignment",
        concat!(password!(), r#""(?P<secret>(?:\\.|[^"\\\n]){3,})"#),
        PASSWORD,
    ),
    (
        "password-assignment",
        concat!(password!(), r"'(?P<secret>(?:\\.|[^'\\\n]){3,})"),
        PASSWORD,
    ),
    (
        "password-assignment",
        concat!(password!(), r#"\\+"(?P<secret>[^"\\\n]{3,})"#),
        PASSWORD,
    ),
    (
        "password-assignment",
        concat!(password!(), r#"(?P<secret>[^\s"'`\\$<{\[(][^\s"'`]{2,})"#),
        PASSWORD,
    ),
    (
        "secret-assignment",
        concat!(secret!(), r#""(?P<secret>(?:\\.|[^"\\\n$]){8,})"#),
        SECRET,
    ),
    (
        "secret-assignment",
        concat!(secret!(), r"'(?P<secret>(?:\\.|[^'\\\n$]){8,})"),
        SECRET,
    ),
    (
        "secret-assignment",
        concat!(secret!(), r#"\\+"(?P<secret>[^"\\\n$]{8,})"#),
        SECRET,
    ),
    (
        "secret-assignment",
        concat!(secret!(), r#"(?P<secret>[^\s"'`\\$<{\[(/.][^\s"'`]{7,})"#),
        SECRET,
    ),
    (
        "password-flag",
        r#"(?i)(?:^|\s)--?(?:password|passwd|token|secret|api-key)[= ]["']?(?P<secret>[^\s"'$-][^\s"']{3,})"#,
        &["password", "passwd", "token", "secret", "api-key"],
    ),
    (
        "user-flag",
        r#"(?:^|\s)(?:-u|--user|--proxy-user)[= ]["']?[^\s:"']{1,100}:(?P<secret>[^\s"'$]{3,})"#,
        &["-u", "--user", "--proxy-user"],
    ),
    (
        "netrc-password",
        r"(?i)\bmachine\s+\S+\s+login\s+\S+\s+password\s+(?P<secret>\S{3,})",
        &["machine"],
    ),
    (
        "xml-password",
        r"(?i)<(?:password|passphrase|secret|token)>(?P<secret>[^<\s]{3,})<",
        &["<pass", "<secret", "<token"],
    ),
    (
        "docker-auth",
        r#"(?i)(?:docker[ _-]?(?:config|auth)(?:json)?|"auth\\*"|"identitytoken\\*"|dockerconfigjson)\\*["']?\s*[:=]\s*\\*["']?(?P<secret>[A-Za-z0-9+/]{12,}={0,2})"#,
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
    // Matches everything from the first to the last line of a key, also other text in between, as
    // in scripts. If the last line is missing, matches to the end of the text.
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

#[cfg(test)]
mod tests {
    use step_observer_guest::testing::{Processed, process};

    fn redact(log: &str) -> String {
        let event = serde_json::json!({
            "id": "1", "source": "s", "type": "x.failed.v1", "specversion": "1.0", "data": {"log": log},
        });
        match process::<crate::RedactSecrets>("null", &event) {
            Ok(Processed::Kept(event)) => event["data"]["log"].as_str().unwrap().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    /// Each line holds a made-up secret between the arrows.
    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        for line in [
            "\x1b[32m→ghp_0123456789abcdefABCDEF0123456789abcd←\x1b[0m",
            r#"{"msg":"first\n→ghp_0123456789abcdefABCDEF0123456789abcd←"}"#,
            "TOKEN_→npm_9z8y7x6w5v4u3t2s1r0qponmlkjihgfedcba←",
            "CI_TOKEN: →glpat-abcdefghij0123456789←",
            "\\t→AKIAIOSFODNN7EXAMPLE←",
            "postgres://admin:→Sup3rSecret←@shared-db:5432/x",
            "https://→0123456789abcdefghijabcdefghij←@git.example.com",
            "DB_PASS=→hun←",
            "password: →pa$$w0rd;more&that(all)←",
            r#"password="→with \" quote and blank←""#,
            r#"{\"password\":\"→hunter2222←\"}"#,
            r#"{"client_secret": "→hunter2222←"}"#,
            "export API_TOKEN='→abcdefgh12345678←'",
            "curl -u admin:→hunter2222← http://x",
            "mytool --password →hunter2222← --verbose",
            "Authorization: token →abcdefgh12345678←",
            "Authorization: Basic →YWRtaW46aHVudGVyMg==←",
            "machine h login me password →hunter2222←",
            "<password>→hunter2222←</password>",
            "sk_live_ is →sk_live_abcdefghij0123456789←",
        ] {
            let secret = line.split('→').nth(1).unwrap().split('←').next().unwrap();
            let line = line.replace(['→', '←'], "");
            let masked = redact(&line);
            assert!(
                masked.contains("[redacted:") && !masked.contains(secret),
                "{line:?} gives {masked:?}"
            );
        }
    }

    #[test]
    fn ordinary_lines_stay_as_they_are() {
        for line in [
            "secret/my-secret created",
            "Basic functionality, bearer authentication",
            "max_tokens: 4096",
            "TOKEN_COUNT=1000",
            "private_key_path=/etc/ssl/private.pem",
            "token=\"$TOKEN\" and password=$PASSWORD",
            "docker-pullable://busybox:1.35@sha256:895ab622e92e18d6b461d671081757af7dbaa3b00e3e28e12505af7817f73649",
            "Enter password: \nchecking 12 keys",
            "[0/40] compiling module 0 with --user-agent x",
            "https://git.example.com:8443/shop/web.git",
        ] {
            assert_eq!(redact(line), line);
        }
    }
}
