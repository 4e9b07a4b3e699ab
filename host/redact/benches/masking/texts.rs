//! Ordinary and adversarial texts.

/// Repeats a text up to a size.
pub(super) fn fill(unit: &str, size: usize) -> String {
    unit.repeat(size / unit.len() + 1)
}

/// Returns a pseudo-random word.
pub(super) fn word(seed: usize, length: usize) -> String {
    let mut state = seed as u64 ^ 0x9E37_79B9_7F4A_7C15;
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(letters[(state % 62) as usize])
        })
        .collect()
}

/// Lines as a build prints them.
pub(super) fn ordinary_log(size: usize) -> String {
    let mut text = String::new();
    let mut line = 0;
    while text.len() < size {
        line += 1;
        let hash = word(line, 40).to_ascii_lowercase();
        text.push_str(&match line % 9 {
            0 => format!("[{:>3}/400] Compiling module-{line} v1.{}.{}\n", line % 400, line % 7, line % 13),
            1 => format!("go: downloading github.com/example/library v0.{}.{}\n", line % 31, line % 17),
            2 => format!("#12 {}.{} sha256:{hash} 12.3MB / 45.6MB 3.2s\n", line % 60, line % 100),
            3 => format!("2026-11-28T10:{:02}:{:02}.123Z INFO  server listening on 0.0.0.0:8080\n", line / 60 % 60, line % 60),
            4 => "    at com.example.build.Task.execute(Task.java:123)\n".to_owned(),
            5 => format!("npm http fetch GET 200 https://registry.example.com/package/-/package-{line}.tgz {}ms (cache hit)\n", line % 500),
            6 => format!("ok      example.com/project/internal/package{line}  0.{:03}s\n", line % 1000),
            7 => "warning: unused variable: `result` in function `compute_the_thing`\n".to_owned(),
            _ => format!("Unpacking libexample-dev:amd64 (2:1.19~{line}) over (2:1.18~{line}) ...\n"),
        });
    }
    text
}

/// Texts that are repeated: runs, nested keywords, beginnings of secrets.
pub(super) fn adversarial() -> Vec<(&'static str, String)> {
    let base64 = word(7, 1021);
    let hex: String = (0..1021).map(|n| format!("{:02x}", n % 251)).collect();
    let long = |unit: &str| unit.to_owned();
    vec![
        ("a", long("a")),
        ("=", long("=")),
        ("\"", long("\"")),
        ("'", long("'")),
        ("\\", long("\\")),
        ("/", long("/")),
        ("{", long("{")),
        ("[", long("[")),
        ("<", long("<")),
        ("$", long("$")),
        ("%", long("%")),
        ("&", long("&")),
        ("-", long("-")),
        ("blanks", long(" ")),
        ("line breaks", long("\n")),
        ("password", long("password")),
        ("password=", long("password=")),
        ("password=\"", long("password=\"")),
        ("password='", long("password='")),
        ("password: ", long("password: ")),
        ("\"password\":", long("\"password\":")),
        ("\\\"password\\\":\\\"", long("\\\"password\\\":\\\"")),
        ("token token", long("token ")),
        ("key=key=", long("key=")),
        ("secret.key_", long("secret.key_")),
        ("--password ", long("--password ")),
        ("-u a:", long("-u a:")),
        ("://", long("://")),
        ("a://b:", long("a://b:")),
        ("a://b:c@", long("a://b:c@")),
        ("@", long("@")),
        ("authorization: ", long("authorization: ")),
        ("bearer ", long("bearer ")),
        ("cookie: a=b; ", long("cookie: a=b; ")),
        ("BEGIN PRIVATE KEY", long("-----BEGIN PRIVATE KEY-----\n")),
        ("END PRIVATE KEY", long("-----END PRIVATE KEY-----\n")),
        (
            "key lines without an end",
            format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n", word(3, 64)),
        ),
        ("base64 without a break", base64),
        ("base64 in lines", format!("{}\n", word(7, 76))),
        ("hex without a break", hex),
        ("\\x41", long("\\x41")),
        ("\\u0041", long("\\u0041")),
        ("%41", long("%41")),
        ("&#65;", long("&#65;")),
        ("ghp_", long("ghp_")),
        (
            "beginnings of many kinds",
            long("ghp_ glpat- AKIA xoxb- sk_live_ npm_ pypi- SG. eyJ AIza ya29. hvs. dop_v1_ "),
        ),
        ("eyJ", long("eyJ")),
        ("eyJ.", long("eyJhbGciOi.")),
        ("hyphens and words", long("a-b_c-")),
        ("kind: Secret", long("kind: Secret\ndata:\n  a: b\n")),
        ("colours", long("\u{1b}[31mpass\u{1b}[0mword=")),
        ("name and value", long("- name: TOKEN\n  value: ")),
        ("one word of 20 characters", format!("{} ", word(9, 20))),
        ("characters that are not ASCII", long("пароль=é✓ ")),
        ("/hooks/", long("/hooks/")),
        (
            "chat.googleapis.com",
            long("https://chat.googleapis.com/v1/spaces/"),
        ),
        ("testpypi", long("testpypi")),
        ("private-lines:", long("private-lines:")),
        ("Private-Lines: 9", long("Private-Lines: 9\n")),
        ("htpasswd -b", long("htpasswd -b ")),
        ("x-api-key:", long("x-api-key:")),
        ("@tcp(", long("@tcp(")),
        ("\"kind\":\"Secret\"", long("\"kind\":\"Secret\"")),
        ("kind: Secret in lines", long("kind: Secret\n")),
        ("aa://b:c/@", long("aa://b:c/@")),
        ("password=\"a\"\"", long("password=\"a\"\"")),
        ("password=aB1,;,;", long("password=aB1,;,;")),
    ]
}
