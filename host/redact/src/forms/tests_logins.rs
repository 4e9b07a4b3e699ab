//! Logins, clients of servers, rows of SQL, and lists of codes.

use super::tests::{check_all, check_kept};

#[test]
fn arguments_of_clients_are_masked() {
    check_all(&[
        "mysqlsh ci:→kT7q9ZxW←@db.example.com",
        "mysqlsh --uri=ci:→hunter2222←@localhost:33060/shop --sql -e 'select 1'",
        "lftp -u ci,→kT7q9ZxW← ftp://x.example.com",
        "+ lftp -u 'ci,→kT7q9 ZxW←' sftp://x.example.com",
        "lftp --user ci,→kT7q9ZxW← x",
        "lftp -e 'open -u ci,→kT7q9ZxW← x; ls'",
        "lftp -c \"open -u ci,→kT7q9ZxW← sftp://x; mirror\"",
        "kubectl create secret generic db --from-literal='user=→kT7q9ZxW pp←'",
        "kubectl create secret generic db --from-literal='pw=→kT7q 9ZxW←' --from-literal=user='ci user'",
        "7z a -p→hunter2222← a.7z dir",
        "hub -t →kT7q9ZxWpL3vR8nB5←",
        "vercel deploy --prod -t →kT7q9ZxWpL3vR8nB5cY2hJ4m←",
        "npx vercel env pull -t=→kT7q9ZxWpL3vR8nB5cY2hJ4m←",
        r"schtasks /run /s srv /u DOM\ci /p →kT7q9ZxW← /tn x",
        "SCHTASKS.EXE /Create /S srv /U ci /P →kT7q9ZxW← /TN x",
        "net use * https://dav.example.com/x →kT7q9ZxW← /user:ci",
    ]);
    check_kept(&[
        "mysqlsh ci@db.example.com",
        "mysqlsh --uri mysqlx://ci@db:33060/shop",
        "lftp -u ci ftp://x.example.com",
        "lftp -e 'open -u ci x; mirror a,b'",
        "7z x archive.7z -path",
        "7z x -pack.zip",
        "vercel deploy --prod",
        "the vercel CLI reads -t as a token",
        "github -t kT7q9ZxWpL3vR8nB5",
        "schtasks /query /tn /p",
        "net use * https://dav.example.com/x",
        "net use * https://dav.example.com/x /user:ci",
    ]);
}

#[test]
fn commands_of_mail_and_file_servers_are_masked() {
    check_all(&[
        "a1 LOGIN ci →kT7q9ZxW←",
        "A001 LOGIN ci@example.com →hunter2222←",
        r#"a001 LOGIN "ci" "→kT7q 9ZxW←""#,
        r#"> A002 LOGIN "ci" "→kT7q9ZxW←""#,
        "C: a001 LOGIN ci →kT7q9ZxW←\r\nS: a001 OK",
        "  10:22.11 > b'KKJH1 LOGIN ci →kT7q9ZxW←'",
        r#"  10:22.11 > KKJH1 LOGIN ci "→kT7q9ZxW←""#,
        ". LOGIN ci →kT7q9ZxW←",
        "USER ci\nPASS →kT7q9ZxW←\n",
        "> USER ci\n< 331 Please specify the password.\n> PASS →kT7q9ZxW←\n",
        "*cmd* 'USER ci'\n*resp* '331 User ci OK'\n*cmd* 'PASS →kT7q9ZxW←'",
        "ftp: USER ci / PASS →kT7q9ZxW←",
        "USER ci, PASS →hunter2222←",
        r#"FTP command: Client "10.0.0.1", "PASS →kT7q9ZxW←""#,
    ]);
    check_kept(&[
        "a1 LOGIN ci",
        "user1 LOGIN failed",
        "INFO LOGIN ci kT7q9ZxW",
        "a001 LOGIN ci $PASSWORD",
        "a001 LOGIN ci {8}",
        "2026-11-28 LOGIN page is ready",
        "* OK LOGIN completed",
        "a1 LOGIN ci kT7q9ZxW from 10.0.0.1",
        "*cmd* 'PASS ********'",
        "USER ci\nPASS ****",
        "PASS src/app.test.js",
        "USER tests\nPASS TestUser (0.00s)",
        "USER tests\nPASS example.com/pkg1 0.3s",
        "USER_1 x\nPASS a1b2c3d4",
        "USER ci\nall is well\nit is\nPASS a1b2c3d4",
        "3 tests: 2 PASS 1 FAIL",
    ]);
}

#[test]
fn users_and_passwords_in_sentences_are_masked() {
    check_all(&[
        "Login with admin / →kT7q9ZxW←",
        "Log in with admin / →hunter2222←.",
        "You can log in as 'admin' / '→kT7q9ZxW←'",
        "Sign in with ci@example.com / →kT7q9ZxW←",
        "You can login with admin:→kT7q9ZxW←",
        "Credentials: admin / →kT7q9ZxW←",
        "The credentials are admin / →kT7q9ZxW←",
        "Login: admin / →kT7q9ZxW←",
        "(log in as user admin / →kT7q9ZxW←)",
    ]);
    check_kept(&[
        "Login with GitHub / Google",
        "Login with OAuth2 / OpenID1",
        "Login with email/password",
        "Login with admin/admin",
        "login with username / password",
        "Log in with user $USER / $PASSWORD",
        "login: admin / 2026-11-28",
        "Log in with https://example.com/a1b2c3d4",
        "credentials: file:a1b2c3d4.json",
        "login: 12:34:56 from 10.0.0.1",
        "relogin with admin / kT7q9ZxW",
    ]);
}

#[test]
fn rows_of_sql_are_masked_by_the_names_of_their_columns() {
    check_all(&[
        "INSERT INTO users (name, password) VALUES ('ci', '→kT7q9ZxW←');",
        "INSERT INTO users (id, email, password, role) VALUES (1, 'ci@example.com', '→kT7q9ZxW←', 'admin');",
        r#"insert into "app"."users" ("email", "password") values ('a@x.example', '→kT7q9ZxW←'), ('b', '→bB5cY2hJ4m←');"#,
        "INSERT INTO `users` (`id`, `password`) VALUES (1, '→it''s kT7q9←');",
        "INSERT INTO [dbo].[users] ([login], [passwd]) VALUES (N'ci', N'→hunter2222←')",
        "INSERT INTO api_keys (name, token) VALUES ('ci', '→kT7q9ZxWpL3vR8nB5cY2hJ4m←');",
        "INSERT INTO users (name, password) VALUES (lower('CI'), crypt('→kT7q9ZxW←', gen_salt('bf')))",
        "REPLACE INTO users (name, password) VALUES (\"ci\", \"→kT7q9ZxW←\")",
        "LOG:  statement: INSERT INTO users (name, password) VALUES ('ci', '→kT7q9ZxW←');",
        "INSERT INTO users\n  (name, password)\nVALUES\n  ('ci', '→kT7q9ZxW←'),\n  ('cj', '→bB5cY2hJ4m←');",
        r#"{"sql":"INSERT INTO users (name, password) VALUES ('ci', '→kT7q9ZxW←')"}"#,
        r#"{"sql":"INSERT INTO \"users\" (\"name\", \"password\") VALUES ('ci', '→kT7q9ZxW←')"}"#,
    ]);
    check_kept(&[
        "INSERT INTO users (name, password) VALUES ($1, $2)",
        "INSERT INTO users (name, password) VALUES (?, ?), (?, ?)",
        "INSERT INTO users (name, password) VALUES (:name, :password)",
        "INSERT INTO users (name, password) VALUES ('%s', '%s')",
        "INSERT INTO users (name, password) VALUES ('ci', '${PASSWORD}')",
        "INSERT INTO users (name, email) VALUES ('ci', 'kT7q9ZxW');",
        "INSERT INTO users (password_changed_at, name) VALUES ('2026-11-28', 'kT7q9ZxW');",
        "INSERT INTO users (name, password) SELECT name, 'kT7q9ZxW' FROM x",
        "INSERT INTO users VALUES ('ci', 'kT7q9ZxW')",
        "INSERT INTO users (name, password VALUES ('ci', 'kT7q9ZxW')",
        "INSERT INTO users (name, password) VALUES ('ci')",
    ]);
}

#[test]
fn lists_of_recovery_codes_are_masked() {
    check_all(&[
        "Recovery codes:\n→a1b2c-3d4e5←\n→f6a7b-8c9d0←\n",
        "Your recovery codes:\n\n  1. →kT7q9-ZxWpL4←\n  2. →3vR8n-B5cY2←\n\nKeep them.",
        "Backup codes: →1234 5678← →8765 4321←",
        "Recovery codes: →a1b2c-3d4e5←, →f6a7b-8c9d0←.",
        "Your emergency scratch codes are:\n  →12345678←\n  →87654321←\n",
        "recovery code: →kT7q9ZxWpL←",
        r#"{"recovery_codes": ["→a1b2c-3d4e5←", "→f6a7b-8c9d0←"]}"#,
    ]);
    check_kept(&[
        "Recovery codes: 10 left",
        "recovery code path\nsrc12345.rs",
        "error recovery code: 0x80070005",
        "backup code: none",
        "The recovery code was removed in 1234567890",
        "See recovery codes:\n2026-11-28 10:00",
        "backup codes: https://example.com/a1b2c3d4",
    ]);
}
