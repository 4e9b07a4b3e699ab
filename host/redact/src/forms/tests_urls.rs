//! Passwords and signatures in addresses, with percent-encoded signs.

use super::tests::{check, check_all, check_kept};

#[test]
fn encoded_values_are_masked_as_a_whole() {
    check_all(&[
        "https://ci:→kT7%2Bq9ZxW%2FpL3vR8%3D←@git.example.com/x.git",
        "fatal: Authentication failed for 'https://ci:→kT7'q9%2FZx~a!b%22c←@git.example.com/x.git/'",
        "DATABASE_URL='postgresql://app:→p%40ss%2Fw0rd%3A9%25x←@db:5432/shop'",
        "smtp://user%40example.com:→kT7%2Bq9%2FZx←@smtp.example.com:587",
        "password=→kT7%2Bq9%26ZxW%22F←&x=1",
        "curl -d \"client_secret=→kT7%7Eq9ZxW%2EpL3%22vR8n←&scope=x\" https://login.example.com",
        "q=AccountName%3Dx%3BAccountKey%3D→kT7%2Bq9ZxW%2FpL3vR8nB5cY2hJ4m%3D%3D←%3BEndpointSuffix%3Dx",
        "q=%7B%22token%22%3A→kT7q9ZxWpL3vR8nB5←%2C%22x%22%3A1%7D",
        "sv=2024-05-04&se=2027-01-01T00%3A00%3A00Z&sp=rl&sig=→kT7%2Bq9ZxW%2FpL3vR8nB5cY2hJ4m%3D←&x=1",
    ]);
}

/// Tokens of some registries are more than a kilobyte long.
#[test]
fn long_passwords_leave_no_end() {
    for length in [10, 400, 1500, 2600] {
        let password = "kT7%2Bq".repeat(length / 7 + 1);
        check(&format!(
            "+ git clone https://ci:→{password}←@git.example.com/x.git"
        ));
        check(&format!(
            "{{\"url\":\"https://ci:→{password}←@registry.example.com/v2/\"}}"
        ));
    }
}

#[test]
fn the_host_after_a_token_stays() {
    check_all(&[
        "https://x-access-token:→kT7q9ZxWpL3vR8nB5cY2←@github.example.com/x/y.git",
        "git remote set-url origin https://x-access-token:→kT7%2Bq9ZxW%3D←@host.example.com/a",
        "x-access-token:→kT7q9ZxWpL3vR8nB5cY2←@git.example.com/a/b.git",
        "https://gitlab-ci-token:→kT7q9ZxWpL3vR8nB5cY2←@git.example.com:8443/x.git",
        "pip install --index-url https://__token__:→kT7q9ZxWpL3vR8nB5cY2←@pypi.example.com/simple/",
    ]);
    check("x-access-token: →kT7q9ZxWpL3vR8nB5cY2←");
    check("token:→kT7q9Zx@WpL3vR8nB5cY2←");
}

#[test]
fn addresses_without_a_secret_stay() {
    check_kept(&[
        "https://x-access-token:${GITHUB_TOKEN}@github.example.com/x/y.git",
        "see 'https://git.example.com:8443','ci@example.com'",
        "x = 'http://host:' + port + '@' + name",
        "https://registry.example.org/@babel%2fcore",
        "GET /search?q=password%3A%20required%2C%20token%3A%20missing",
    ]);
}
