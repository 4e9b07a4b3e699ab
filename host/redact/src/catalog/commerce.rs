//! Shops, parcels, travel and business accounts.

use super::Kind;

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new(
        "shopify-access-token",
        "Shopify access token of an app",
        "https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens",
    )
    .pattern("shpat_[A-Fa-f0-9]{32,64}", &["shpat_"])
    .bounded()
    .examples(&["shpat_{h32}"])
    .look_alikes(&["shpat_name"]),
    Kind::new(
        "shopify-custom-app-token",
        "Shopify access token of a custom app",
        "https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens",
    )
    .pattern("shpca_[A-Fa-f0-9]{32,64}", &["shpca_"])
    .bounded()
    .examples(&["shpca_{h32}"])
    .look_alikes(&["shpca_name"]),
    Kind::new(
        "shopify-private-app-password",
        "Shopify password of a private app",
        "https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens",
    )
    .pattern("shppa_[A-Fa-f0-9]{32,64}", &["shppa_"])
    .bounded()
    .examples(&["shppa_{h32}"])
    .look_alikes(&["shppa_name"]),
    Kind::new(
        "shopify-shared-secret",
        "Shopify shared secret",
        "https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens",
    )
    .pattern("shpss_[A-Fa-f0-9]{32,64}", &["shpss_"])
    .bounded()
    .examples(&["shpss_{h32}"])
    .look_alikes(&["shpss_name"]),
    Kind::new(
        "shopify-user-token",
        "Shopify access token of a user",
        "https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens",
    )
    .pattern("shpua_[A-Fa-f0-9]{32,64}", &["shpua_"])
    .bounded()
    .examples(&["shpua_{h32}"])
    .look_alikes(&["shpua_name"]),
    Kind::new(
        "shopify-theme-password",
        "Shopify password for themes",
        "https://shopify.dev/docs/storefronts/themes/tools/theme-access",
    )
    .pattern("shptka_[A-Fa-f0-9]{32,64}", &["shptka_"])
    .bounded()
    .examples(&["shptka_{h32}"])
    .look_alikes(&["shptka_name"]),
    Kind::new(
        "shopify-partner-token",
        "Shopify partner API token",
        "https://shopify.dev/docs/api/partner",
    )
    .pattern("prtapi_[A-Fa-f0-9]{32,64}", &["prtapi_"])
    .bounded()
    .examples(&["prtapi_{h32}"])
    .look_alikes(&["prtapi_name"]),
    Kind::new(
        "shopify-automation-token",
        "Shopify token for automation",
        "https://shopify.dev/docs/apps/launch/deployment/deploy-in-ci-cd-pipeline",
    )
    .pattern(r"atkn_[a-z0-9]{1,3}\.[A-Za-z0-9_-]{40,1200}", &["atkn_"])
    .apart()
    .examples(&["atkn_2.{w200}"])
    .look_alikes(&["atkn_name"]),
    Kind::new("lob-api-key", "Lob API key", "https://docs.lob.com")
        .pattern("(?:live|test)_[a-f0-9]{35}", &["live_", "test_"])
        .apart()
        .entropy(3.0)
        .examples(&["live_{h35}", "test_{h35}"])
        .look_alikes(&["test_something_with_a_long_name_in_a_suite"]),
    Kind::new(
        "lob-publishable-key",
        "Lob publishable key",
        "https://docs.lob.com",
    )
    .pattern(
        "(?:live|test)_pub_[a-f0-9]{31}",
        &["live_pub_", "test_pub_"],
    )
    .apart()
    .entropy(3.0)
    .examples(&["live_pub_{h31}", "test_pub_{h31}"])
    .look_alikes(&["live_pub_name"]),
    Kind::new(
        "shippo-api-token",
        "Shippo API token",
        "https://docs.goshippo.com/docs/guides_general/authentication",
    )
    .pattern("shippo_(?:live|test)_[A-Fa-f0-9]{40}", &["shippo_"])
    .bounded()
    .examples(&["shippo_live_{h40}", "shippo_test_{h40}"])
    .look_alikes(&["shippo_name"]),
    Kind::new(
        "duffel-access-token",
        "Duffel access token",
        "https://duffel.com/docs/api/overview/making-requests/authentication",
    )
    .pattern("duffel_(?:live|test)_[A-Za-z0-9_-]{40,60}", &["duffel_"])
    .apart()
    .examples(&["duffel_live_{w43}", "duffel_test_{w43}"])
    .look_alikes(&["duffel_name"]),
    Kind::new(
        "easypost-api-key",
        "EasyPost API key",
        "https://docs.easypost.com/docs/authentication",
    )
    .pattern("EZAK[A-Za-z0-9]{50,60}", &["ezak"])
    .bounded()
    .examples(&["EZAK{a54}"])
    .look_alikes(&["ezakname"]),
    Kind::new(
        "easypost-test-key",
        "EasyPost API key for tests",
        "https://docs.easypost.com/docs/authentication",
    )
    .pattern("EZTK[A-Za-z0-9]{50,60}", &["eztk"])
    .bounded()
    .examples(&["EZTK{a54}"])
    .look_alikes(&["eztkname"]),
    Kind::new(
        "brex-token",
        "Brex user token",
        "https://developer.brex.com/docs/authentication",
    )
    .pattern("bxt_[A-Za-z0-9]{36,60}", &["bxt_"])
    .bounded()
    .examples(&["bxt_{a40}"])
    .look_alikes(&["bxt_name"]),
    Kind::new(
        "ramp-client-secret",
        "Ramp client secret",
        "https://docs.ramp.com/developer-api/v1/authorization",
    )
    .pattern("ramp_sec_[A-Za-z0-9]{40,60}", &["ramp_sec_"])
    .bounded()
    .examples(&["ramp_sec_{a48}"])
    .look_alikes(&["ramp_sec_name"]),
    Kind::new(
        "onfido-api-token",
        "Onfido API token",
        "https://documentation.onfido.com/api/latest",
    )
    .pattern(
        r"api_(?:live|sandbox)(?:_[a-z]{2})?\.[A-Za-z0-9_-]{11}\.[A-Za-z0-9_-]{32}",
        &["api_live", "api_sandbox"],
    )
    .bounded()
    .examples(&["api_live.{w11}.{w32}", "api_sandbox_us.{w11}.{w32}"])
    .look_alikes(&["api_livename"]),
];
