//! Google Cloud and Firebase.

use super::Kind;

const OAUTH: &str = "https://developers.google.com/identity/protocols/oauth2";
const FIREBASE: &str = "https://firebase.google.com/docs/cloud-messaging";

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new(
        "google-api-key",
        "Google API key",
        "https://cloud.google.com/docs/authentication/api-keys",
    )
    .pattern("AIza[A-Za-z0-9_-]{35,40}", &["aiza"])
    .bounded()
    .entropy(3.3)
    .examples(&["AIza{w35}"])
    .look_alikes(&["AIzaXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"]),
    Kind::new(
        "google-bound-api-key",
        "Google API key that is bound to a service account",
        "https://ai.google.dev/gemini-api/docs/api-key",
    )
    .pattern(r"AQ\.Ab[A-Za-z0-9_-]{40,80}", &["aq.ab"])
    .bounded()
    .entropy(3.5)
    .examples(&["AQ.Ab8RN6{w44}"])
    .look_alikes(&["AQ.About"]),
    Kind::new(
        "google-oauth-client-secret",
        "Google OAuth client secret",
        OAUTH,
    )
    .pattern("GOCSPX-[A-Za-z0-9_-]{24,40}", &["gocspx-"])
    .apart()
    .entropy(3.0)
    .examples(&["GOCSPX-{w28}"])
    .look_alikes(&["GOCSPX-short"]),
    Kind::new(
        "google-oauth-access-token",
        "Google OAuth access token",
        OAUTH,
    )
    .pattern(r"ya29\.(?:[a-z]\.)?[A-Za-z0-9_-]{20,2000}", &["ya29."])
    .bounded()
    .entropy(3.3)
    .examples(&["ya29.{w180}", "ya29.c.{w400}", "ya29.a0{w120}"])
    .look_alikes(&["ya29.example"]),
    Kind::new(
        "google-oauth-refresh-token",
        "Google OAuth refresh token, token of firebase login:ci",
        OAUTH,
    )
    .pattern("1//0[A-Za-z0-9_-]{30,200}", &["1//0"])
    .bounded()
    .entropy(3.5)
    .examples(&["1//0{a1}{w97}", "1//0{w60}"])
    .look_alikes(&["http://10.0.0.1//0123456789"]),
    Kind::new(
        "google-hmac-key",
        "Google Cloud Storage HMAC access id",
        "https://cloud.google.com/storage/docs/authentication/hmackeys",
    )
    .pattern("GOOG1?[A-Z0-9]{20,60}", &["goog"])
    .bounded()
    .entropy(3.4)
    .examples(&["GOOG1E{u55}", "GOOG{u20}", "GOOG1E{u57}"])
    .look_alikes(&[
        "GOOGLEAPPLICATIONCREDENTIALS",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ])
    .allow(&["google", "goog1eee"]),
    Kind::new(
        "google-service-account-key-id",
        "Id of a key of a Google service account",
        "https://cloud.google.com/iam/docs/keys-create-delete",
    )
    .pattern(
        r#"private_key_id\\{0,3}"?\s{0,4}[:=]\s{0,4}\\{0,3}"?(?P<secret>[0-9a-f]{40})"#,
        &["private_key_id"],
    )
    .examples(&["private_key_id\": \"{h40}", "private_key_id: {h40}"])
    .look_alikes(&["private_key_id: none"]),
    Kind::new(
        "firebase-server-key",
        "Firebase Cloud Messaging server key",
        FIREBASE,
    )
    .pattern(
        "AAAA[A-Za-z0-9_-]{7}:APA91b[A-Za-z0-9_-]{100,200}",
        &[":apa91b"],
    )
    .lead(11, 11)
    .bounded()
    .examples(&["AAAA{w7}:APA91b{w134}"])
    .look_alikes(&["AAAA:APA91b"]),
    Kind::new(
        "firebase-registration-token",
        "Firebase Cloud Messaging registration token",
        FIREBASE,
    )
    .pattern(
        "[A-Za-z0-9_-]{22}:APA91b[A-Za-z0-9_-]{100,200}",
        &[":apa91b"],
    )
    .lead(22, 22)
    .bounded()
    .examples(&["{w22}:APA91b{w134}"])
    .look_alikes(&["registration:APA91b"]),
    Kind::new(
        "google-recaptcha-key",
        "Google reCAPTCHA key",
        "https://developers.google.com/recaptcha/docs/verify",
    )
    .pattern(
        "6L[a-f][A-Za-z0-9_-]{5}AAAAA[A-Za-z0-9_-]{27}",
        &["6la", "6lb", "6lc", "6ld", "6le", "6lf"],
    )
    .apart()
    .examples(&["6Le{w5}AAAAA{w27}", "6Lc{a5}AAAAA{a27}"])
    .look_alikes(&["6Le-wvkSAAAAA"]),
];
