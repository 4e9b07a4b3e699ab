//! Feature flags.

use super::Kind;

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new(
        "launchdarkly-access-token",
        "LaunchDarkly access token",
        "https://launchdarkly.com/docs/home/account/api",
    )
    .pattern(
        "api-[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}",
        &["api-"],
    )
    .apart()
    .examples(&["api-{U}"])
    .look_alikes(&["api-server-name", "my-api-01234567"]),
    Kind::new(
        "launchdarkly-sdk-key",
        "LaunchDarkly SDK or mobile key",
        "https://launchdarkly.com/docs/home/account/api",
    )
    .pattern(
        "(?:sdk|mob)-[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}",
        &["sdk-", "mob-"],
    )
    .apart()
    .examples(&["sdk-{U}", "mob-{U}"])
    .look_alikes(&["sdk-name"]),
    Kind::new(
        "statsig-key",
        "Statsig server secret or console key",
        "https://docs.statsig.com/access-management/api-keys",
    )
    .pattern(
        "(?:secret|console)-[A-Za-z0-9]{40,60}",
        &["secret-", "console-"],
    )
    .apart()
    .entropy(3.9)
    .examples(&["secret-{a43}", "console-{a43}"])
    .look_alikes(&["secret-name"]),
    Kind::new(
        "flagsmith-key",
        "Flagsmith server-side environment key",
        "https://docs.flagsmith.com/clients/server-side",
    )
    .pattern(r"ser\.[A-Za-z0-9]{20,24}", &["ser."])
    .apart()
    .entropy(3.5)
    .examples(&["ser.{a22}"])
    .look_alikes(&["user.name"]),
    Kind::new(
        "config-cat-key",
        "ConfigCat SDK key",
        "https://configcat.com/docs/sdk-reference/overview",
    )
    .pattern(
        "configcat-(?:sdk|proxy)-[0-9]/[A-Za-z0-9_-]{20,24}/[A-Za-z0-9_-]{20,24}",
        &["configcat-"],
    )
    .apart()
    .examples(&["configcat-sdk-1/{w22}/{w22}"])
    .look_alikes(&["configcat-name"]),
    Kind::new(
        "devcycle-sdk-key",
        "DevCycle SDK key",
        "https://docs.devcycle.com/platform/account-management/keys-and-tokens",
    )
    .pattern(
        "dvc_(?:server|client|mobile)_[A-Za-z0-9_]{20,90}",
        &["dvc_"],
    )
    .bounded()
    .entropy(3.4)
    .examples(&["dvc_server_{l32}", "dvc_client_{l32}_{h7}"])
    .look_alikes(&["dvc_name"]),
    Kind::new(
        "growthbook-secret-key",
        "GrowthBook secret key",
        "https://docs.growthbook.io/api",
    )
    .pattern(
        "secret_(?:admin|readonly|user)_[A-Za-z0-9+/]{30,64}(?:=|%3D){0,2}",
        &["secret_"],
    )
    .apart()
    .entropy(3.9)
    .examples(&["secret_admin_{b43}", "secret_user_{b43}="])
    .look_alikes(&["secret_name"]),
];
