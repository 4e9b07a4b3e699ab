//! Databases, data platforms and automation of data flows.

use super::Kind;

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new(
        "mongodb-service-account-secret",
        "MongoDB Atlas service account secret",
        "https://www.mongodb.com/docs/atlas/api/service-accounts-overview",
    )
    .pattern("mdb_sa_sk_[A-Za-z0-9_-]{36,60}", &["mdb_sa_sk_"])
    .apart()
    .examples(&["mdb_sa_sk_{w40}"])
    .look_alikes(&["mdb_sa_sk_name"]),
    Kind::new(
        "clickhouse-api-secret",
        "ClickHouse Cloud API secret",
        "https://clickhouse.com/docs/cloud/manage/openapi",
    )
    .pattern("4b1d[A-Za-z0-9]{38}", &["4b1d"])
    .apart()
    .entropy(4.1)
    .examples(&["4b1d{a38}"])
    .look_alikes(&["4b1d825dc642cb6eb9a060e54bf8d69288fbee4904"]),
    Kind::new(
        "aiven-password",
        "Password of an Aiven service",
        "https://aiven.io/docs/platform/howto/manage-service-users",
    )
    .pattern("AVNS_[A-Za-z0-9_-]{15,24}", &["avns_"])
    .apart()
    .examples(&["AVNS_{w19}"])
    .look_alikes(&["avns_name"]),
    Kind::new(
        "confluent-api-secret",
        "Confluent Cloud API secret with a prefix",
        concat!(
            "https://docs.confluent.io/cloud/current/security/authenticate/",
            "workload-identities/service-accounts/api-keys"
        ),
    )
    .pattern("cflt[A-Za-z0-9+/]{56,64}", &["cflt"])
    .outside_base64()
    .entropy(4.2)
    .examples(&["cflt{b60}"])
    .look_alikes(&["cfltname"]),
    Kind::new(
        "dbt-token",
        "dbt platform token",
        "https://docs.getdbt.com/docs/dbt-cloud-apis/authentication",
    )
    .pattern(
        "dbt[ucs]_[A-Za-z0-9_-]{32,64}",
        &["dbtu_", "dbtc_", "dbts_"],
    )
    .apart()
    .entropy(4.0)
    .examples(&["dbtu_{w42}", "dbtc_{w42}"])
    .look_alikes(&["dbtu_name"]),
    Kind::new(
        "tableau-token",
        "Tableau personal access token",
        concat!(
            "https://help.tableau.com/current/server/en-us/",
            "security_personal_access_tokens.htm"
        ),
    )
    .pattern(
        r"(?:[A-Za-z0-9+/]|\\/|%2[BF]){22}(?:==|%3D%3D)(?::|%3A)[A-Za-z0-9]{32}",
        &["==:", "%3d%3d:", "%3d%3d%3a"],
    )
    .lead(22, 34)
    .examples(&["{b22}==:{a32}"])
    .look_alikes(&["a==:b"]),
    Kind::new(
        "tinybird-token",
        "Tinybird auth token",
        "https://www.tinybird.co/docs/forward/administration/tokens",
    )
    .pattern(
        r"p\.eyJ[A-Za-z0-9_-]{40,400}\.[A-Za-z0-9_-]{40,50}",
        &["p.eyj"],
    )
    .apart()
    .examples(&["p.eyJ{w100}.{w43}"])
    .look_alikes(&["p.eyjname"]),
    Kind::new(
        "materialize-app-password",
        "Materialize app password",
        concat!(
            "https://materialize.com/docs/security/cloud/users-service-accounts/",
            "create-service-accounts"
        ),
    )
    .pattern("mzp_[a-f0-9]{64}", &["mzp_"])
    .bounded()
    .examples(&["mzp_{h64}"])
    .look_alikes(&["mzp_name"]),
    Kind::new("xata-api-key", "Xata API key", "https://xata.io/docs")
        .pattern("xau_[A-Za-z0-9]{36,48}", &["xau_"])
        .bounded()
        .examples(&["xau_{a40}"])
        .look_alikes(&["xau_name"]),
    Kind::new(
        "segment-api-token",
        "Segment public API token",
        "https://docs.segmentapis.com",
    )
    .pattern("sgp_[A-Za-z0-9]{60,72}", &["sgp_"])
    .bounded()
    .examples(&["sgp_{a64}"])
    .look_alikes(&["sgp_name"]),
    Kind::new(
        "scalingo-token",
        "Scalingo API token",
        "https://developers.scalingo.com/index",
    )
    .pattern(
        "tk-[a-z]{2}-[A-Za-z0-9_-]{40,56}",
        &["tk-us-", "tk-eu-", "tk-fr-"],
    )
    .apart()
    .examples(&["tk-us-{w48}"])
    .look_alikes(&["tk-us-name"]),
    Kind::new(
        "laravel-app-key",
        "Laravel application key",
        "https://laravel.com/docs/encryption",
    )
    .pattern(
        r"base64(?::|%3A)(?:[A-Za-z0-9+/]|\\/|%2[BF]){43}(?:=|%3D)",
        &["base64:", "base64%3a"],
    )
    .bounded()
    .examples(&["base64:{b43}="])
    .look_alikes(&["base64: invalid input", "data:image/png;base64:x"]),
    Kind::new(
        "airflow-fernet-token",
        "Fernet token, as used by Airflow and OpenStack",
        "https://docs.openstack.org/keystone/latest/admin/fernet-token-faq.html",
    )
    .pattern("gAAAAA[A-Za-z0-9_-]{60,700}={0,2}", &["gaaaaa"])
    .apart()
    .entropy(4.3)
    .examples(&["gAAAAA{w94}==", "gAAAAA{w180}"])
    .look_alikes(&["gAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]),
    Kind::new(
        "nats-seed",
        "Seed of a NATS key",
        concat!(
            "https://docs.nats.io/running-a-nats-service/configuration/",
            "securing_nats/auth_intro/nkey_auth"
        ),
    )
    .pattern("S[UAOCNX][A-Z2-7]{56}", &[])
    .apart()
    .entropy(3.8)
    .examples(&["SU{t56}"])
    .look_alikes(&["SAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]),
    Kind::new(
        "rapidapi-key",
        "RapidAPI key",
        "https://docs.rapidapi.com/docs/keys",
    )
    .pattern(
        "[a-z0-9]{10}msh[a-z0-9]{15}p1[a-z0-9]{6}jsn[a-z0-9]{12}",
        &["msh"],
    )
    .lead(10, 10)
    .bounded()
    .examples(&["{l10}msh{l15}p1{l6}jsn{l12}"])
    .look_alikes(&["0123456789mshname"]),
];
