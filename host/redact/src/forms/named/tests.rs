//! Made-up secrets under many names in many contexts, and ordinary lines that stay.

use crate::catalog::example;
use crate::forms::tests::mask;

/// Contexts: `N` stands for the name in capitals, `n` for it in small letters with `_`, `f` with
/// `-`, `p` with dots, `V` for the value, each between `<` and `>`.
const CONTEXTS: &[&str] = &[
    "export <N>=<V>",
    "+ <N>='<V>'",
    "<n>: <V>\nother: 1",
    "<n>: \"<V>\"",
    "{\"x\": 1, \"<n>\": \"<V>\"}",
    "{\\\"<n>\\\":\\\"<V>\\\"}",
    "{\\\\\\\"<n>\\\\\\\":\\\\\\\"<V>\\\\\\\"}",
    "- name: <N>\n  value: <V>\n- name: X\n  value: y",
    "{\"env\":[{\"name\":\"<N>\",\"value\":\"<V>\"}]}",
    "+ tool --<f>=<V> run",
    "+ tool --<f> <V> run",
    "tool --<f> '<V>' run",
    "args: [\"--<f>\", \"<V>\"]",
    "- --<f>\n- <V>",
    "<N>=\x1b[32m<V>\x1b[0m",
    "| <N> | <V> |",
    "<n> -> <V>",
    "<n> = \"<V>\"",
    "app.<p>=<V>",
    "<<n>><V></<n>>",
    "<x <n>=\"<V>\"/>",
    "<add key=\"<n>\" value=\"<V>\" />",
    "Step 4/9 : ENV <N> <V>",
    "set -x <N> <V>",
    "docker run -e <N>=<V> web",
    "mvn -D<p>=<V> verify",
    "  + <n> = \"<V>\" -> null",
    "{'<n>' => '<V>'}",
    "{:<n>=>\"<V>\"}",
    "level=info <n>=<V> retry=3",
    "POST /x?a=1&<n>=<V>&b=2",
    "the <N> is <V> here",
];

const NAMES: &[&str] = &[
    "DB_PASSWORD",
    "DB_PASSWORD_PROD",
    "PGPASSWORD",
    "SSHPASS",
    "GPG_PASSPHRASE",
    "API_KEY_1",
    "GITHUB_TOKEN_RW",
    "CLIENT_SECRET",
    "SECRET_KEY_BASE",
    "APP_ENCRYPTION_KEY",
    "WEBHOOK_SECRET",
    "SUMO_ACCESS_KEY",
    "CC_TEST_REPORTER_ID",
    "REDISCLI_AUTH",
    "AIRBRAKE_PROJECT_KEY",
];

#[test]
fn secrets_are_masked_under_all_names_in_all_contexts() {
    let templates = [
        "{a14}", "{a20}", "{a40}", "{h32}", "{h64}", "{w44}", "{b43}=", "{U}", "{l26}", "{l52}",
    ];
    let (mut found, mut all) = (0, 0);
    let mut missed = Vec::new();
    for context in CONTEXTS {
        for name in NAMES {
            let small = name.to_ascii_lowercase();
            for (seed, template) in templates.iter().enumerate() {
                // Under an ambiguous name, the value must look random.
                let weak =
                    name.ends_with("AUTH") || name.ends_with("_ID") || name.ends_with("T_KEY");
                if weak && matches!(*template, "{a14}") {
                    continue;
                }
                let value = example(template, seed as u64);
                let text = context
                    .replace("<N>", name)
                    .replace("<n>", &small)
                    .replace("<f>", &small.replace('_', "-"))
                    .replace("<p>", &small.replace('_', "."))
                    .replace("<V>", &value);
                let masked = mask(&text);
                let left = value
                    .as_bytes()
                    .windows(8)
                    .any(|part| masked.contains(std::str::from_utf8(part).unwrap()));
                all += 1;
                if left {
                    missed.push(format!("{text:?} gives {masked:?}"));
                } else {
                    found += 1;
                }
            }
        }
    }
    assert!(
        found * 1000 >= all * 995,
        "{found} of {all}:\n{}",
        missed.join("\n")
    );
}

#[test]
fn passwords_with_signs_are_masked_as_a_whole() {
    for value in [
        "85UK#YRx!jWDC",
        "it's",
        "a b&c;d,e",
        "x\"y",
        "$y5Kr1N0Yyuj",
        "{gk6Exc3c",
        "(7HOFXNj8",
        "<II90DUAG",
        "8e",
    ] {
        let shell = format!("export DB_PASSWORD='{}'", value.replace('\'', r"'\''"));
        assert_eq!(
            mask(&shell),
            "export DB_PASSWORD='[redacted:password-assignment]'",
            "{shell}"
        );
        let json = serde_json::json!({"password": value, "user": "ci"}).to_string();
        assert_eq!(
            mask(&json),
            r#"{"password":"[redacted:password-assignment]","user":"ci"}"#
        );
        let nested = serde_json::json!({"log": json, "x": 1}).to_string();
        assert_eq!(
            mask(&nested),
            r#"{"log":"{\"password\":\"[redacted:password-assignment]\",\"user\":\"ci\"}","x":1}"#
        );
        let yaml = format!("password: '{}'\nuser: ci", value.replace('\'', "''"));
        assert_eq!(
            mask(&yaml),
            "password: '[redacted:password-assignment]'\nuser: ci"
        );
    }
}

/// Short passwords of letters and digits, and passwords with characters that also occur in source
/// code. The secret stands between the arrows.
#[test]
fn simple_passwords_are_masked_as_a_whole() {
    for line in [
        "password: →pa$$w0rd;more&that(all)←",
        "password: →pa7w0rd;more&that←",
        "password: →pa7w0rd(all)←",
        "password: →geheim←",
        "mytool --password →hunter2222← --verbose",
        "mytool --password →hunter2222←",
        "machine h login me password →hunter2222←",
        "machine h\n  login me\n  password →hunter2222←",
        r#"password="→with \" quote and blank←""#,
        r#"{"client_secret": "→hunter2222←"}"#,
        "echo 'me:→hunter2222←' | base64",
    ] {
        let secret = line.split(['→', '←']).nth(1).unwrap();
        let masked = mask(&line.replace(['→', '←'], ""));
        assert!(
            masked.contains("[redacted:") && !masked.contains(secret),
            "{line} gives {masked}"
        );
    }
}

#[test]
fn ordinary_lines_stay_as_they_are() {
    let lines = r#"
--- PASS: TestIssue10281 (0.00s)
    --- PASS: TestParseQuery/a=%3B (0.00s)
ok   example.com/auth 0.012s
ii  passwd         1:4.13+dfsg1-1+deb12u2         amd64        change and administer
TESTS_PASS = 120
{"pass": 14, "fail": 0}
Password: required
password: this field is needed
Enter the password for ci:
The password policy is: at least 12 characters
token: "$(params.token)"
token = os.environ["API_TOKEN"]
let token = lexer.next_token()?;
let password: &str = "";
api_key=${API_KEY:-unset}
secret/db-credentials created
secret: db-credentials-x7k2p
random_password.db: Creation complete after 0s [id=none]
  + admin_password = (sensitive value)
  + password = (known after apply)
Setting up passwd:amd64 (1:4.13+dfsg1-1) ...
Get:1 http://deb.example.org/keyring key-1.0_amd64.deb
cache key: node-cache-Linux-x64-npm-9f86d081884c7d659a2feaa0c55ad015
GPG_KEY=E3FF2839C048B25C084DEBE9B26995E310250568
GOOGLE_APPLICATION_CREDENTIALS=/var/run/gcp/key.json
SSH_AUTH_SOCK=/tmp/ssh-XXXXabcd/agent.1234
"minipass": "^7.1.3",
    pub const TOKEN_READ: TOKEN_ACCESS_MASK = 131080u32;
private_key: PKCS7PrivateKeyTypes,
WARNING! Using --password via the CLI is insecure. Use --password-stdin.
  -p, --password string   Password
unknown flag --token requires a value
nextToken: null
max_tokens: 4096
tokens used: 123456
<token>end</token>
password=$DB_PASSWORD
password: ***
token=[redacted:secret-assignment]
key = "build/output-1.2.3"
E: Unable to locate key package
npm warn deprecated keygrip@1.1.0
password_reset_token_expires_at: 2026-01-01
created secret: docker-registry-config
machine x86_64 login shell password aging
password: prompted
password: sha256sum(x)
password = base64encode(var.x)
the option --password requires
error_password = "Password must be \"long\""
echo "host:8080" | base64
"token": "string2"
secret: tls2024
"#;
    for line in lines.lines() {
        assert_eq!(mask(line), line);
    }
    assert_eq!(mask(lines), lines);
}

/// Masks values near the maximum length in a stream. The result is that of the whole text.
#[test]
fn a_stream_gives_what_the_whole_text_gives() {
    let engine = std::sync::Arc::new(crate::Engine::new(&crate::Options::default()).unwrap());
    let long = example("{a60}", 1).repeat(700);
    for length in [
        crate::REACH - 1100,
        crate::REACH - 1024,
        crate::REACH - 10,
        crate::REACH + 9,
    ] {
        let value = long.get(..length).unwrap();
        for form in [
            format!("DB_PASSWORD={value} x"),
            format!("{{\"password\":   \"{value}\", \"x\": 1}}"),
            format!("<password>{value}</password>"),
            format!("password: |\n  {value}\n  {value}\nx: 1"),
            format!("- name: API_TOKEN\n  value: {value}\n"),
        ] {
            let text = format!(
                "{}{form}\n{}",
                "line\n".repeat(20_000),
                "end of it\n".repeat(30_000)
            );
            let mut masker = crate::Masker::new(engine.clone());
            let mut streamed = Vec::new();
            for part in text.as_bytes().chunks(1013) {
                masker.push(part, &mut streamed);
            }
            drop(masker.finish(&mut streamed));
            let streamed = String::from_utf8(streamed).unwrap();
            assert!(
                streamed == crate::testing::mask(&engine, &text),
                "{}",
                form.get(..20).unwrap()
            );
        }
    }
}

/// Before a bracket, the name of an algorithm makes a value code. Random letters and digits do not.
#[test]
fn a_bracket_in_a_password_makes_no_code_of_it() {
    let is_masked = |value: &str| {
        let text = format!("DB_PASSWORD={value}\n");
        mask(&text) != text
    };
    assert!(is_masked("kT0to9x(q7Zp"));
    assert!(!is_masked("sha2sum(q7Zp"));
}
