//! Monitoring, logs, errors and on-call.

use super::Kind;

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new(
        "datadog-client-token",
        "Datadog client token",
        "https://docs.datadoghq.com/account_management/api-app-keys",
    )
    .pattern("pub[a-f0-9]{32}", &["pub"])
    .apart()
    .examples(&["pub{h32}"])
    .look_alikes(&["publication0123456789"]),
    Kind::new(
        "datadog-application-key",
        "Datadog application key with a prefix",
        "https://docs.datadoghq.com/account_management/api-app-keys",
    )
    .pattern(
        "dd(?:app|pat|sat)_[A-Za-z0-9_]{30,64}",
        &["ddapp_", "ddpat_", "ddsat_"],
    )
    .bounded()
    .examples(&["ddapp_{a34}"])
    .look_alikes(&["ddapp_name"]),
    Kind::new(
        "new-relic-user-key",
        "New Relic user key",
        "https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys",
    )
    .pattern("NRAK-[A-Z0-9]{24,32}", &["nrak-"])
    .apart()
    .examples(&["NRAK-{u27}"])
    .look_alikes(&["nrak-name"]),
    Kind::new(
        "new-relic-insert-key",
        "New Relic insert key",
        "https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys",
    )
    .pattern("NRII-[A-Za-z0-9_-]{28,40}", &["nrii-"])
    .apart()
    .examples(&["NRII-{w32}"])
    .look_alikes(&["nrii-name"]),
    Kind::new(
        "new-relic-query-key",
        "New Relic query key",
        "https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys",
    )
    .pattern("NRIQ-[A-Za-z0-9_-]{28,40}", &["nriq-"])
    .apart()
    .examples(&["NRIQ-{w32}"])
    .look_alikes(&["nriq-name"]),
    Kind::new(
        "new-relic-rest-key",
        "New Relic REST API key",
        "https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys",
    )
    .pattern("NRRA-[a-f0-9]{40,44}", &["nrra-"])
    .apart()
    .examples(&["NRRA-{h42}"])
    .look_alikes(&["nrra-name"]),
    Kind::new(
        "new-relic-browser-key",
        "New Relic browser key",
        "https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys",
    )
    .pattern("NRJS-[a-f0-9]{16,24}", &["nrjs-"])
    .apart()
    .examples(&["NRJS-{h19}"])
    .look_alikes(&["nrjs-name"]),
    Kind::new(
        "new-relic-other-key",
        "New Relic admin, mobile or synthetics key",
        "https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys",
    )
    .pattern(
        "NR(?:AA|SP|BR|MA)-[A-Za-z0-9_-]{16,64}",
        &["nraa-", "nrsp-", "nrbr-", "nrma-"],
    )
    .apart()
    .entropy(3.0)
    .examples(&["NRAA-{h27}", "NRSP-{a32}"])
    .look_alikes(&["nraa-name"]),
    Kind::new(
        "new-relic-license-key",
        "New Relic license key",
        "https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys",
    )
    .pattern("[a-z0-9]{32}(?:FFFF|[a-f0-9]{4})NRAL", &["nral"])
    .lead(36, 36)
    .bounded()
    .examples(&["{h36}NRAL", "eu01xx{h26}FFFFNRAL"])
    .look_alikes(&["enralgy"]),
    Kind::new(
        "grafana-service-account-token",
        "Grafana service account token",
        "https://grafana.com/docs/grafana/latest/administration/service-accounts",
    )
    .pattern("glsa_[A-Za-z0-9]{30,40}_[A-Fa-f0-9]{8}", &["glsa_"])
    .bounded()
    .examples(&["glsa_{a32}_{h8}"])
    .look_alikes(&["glsa_name"]),
    Kind::new(
        "grafana-cloud-token",
        "Grafana Cloud access policy token",
        concat!(
            "https://grafana.com/docs/grafana-cloud/account-management/",
            "authentication-and-permissions/access-policies"
        ),
    )
    .pattern(
        "glc_(?:[A-Za-z0-9+/_-]|%2[BF]){32,500}(?:=|%3D){0,3}",
        &["glc_"],
    )
    .outside_base64()
    .entropy(3.8)
    .examples(&["glc_eyJ{b120}==", "glc_eyJ{b97}="])
    .look_alikes(&["glc_name"]),
    Kind::new(
        "grafana-api-key",
        "Grafana API key",
        "https://grafana.com/docs/grafana/latest/administration/service-accounts",
    )
    .pattern(
        r"eyJrIjoi(?:[A-Za-z0-9+/]|\\/|%2[BF]){40,400}(?:=|%3D){0,3}",
        &["eyjrijoi"],
    )
    .outside_base64()
    .examples(&["eyJrIjoi{b70}==", "eyJrIjoi{b82}"])
    .look_alikes(&["eyjrijoiname"]),
    Kind::new(
        "sentry-organization-token",
        "Sentry organization token",
        "https://docs.sentry.io/account/auth-tokens",
    )
    .pattern(
        "sntrys_[A-Za-z0-9+/]{40,700}={0,2}(?:_[A-Za-z0-9+/]{43})?",
        &["sntrys_"],
    )
    .outside_base64()
    .examples(&[
        "sntrys_eyJpYXQiO{b120}=_{b43}",
        "sntrys_eyJpYXQiO{b120}==_{b43}",
    ])
    .look_alikes(&["sntrys_name"]),
    Kind::new(
        "sentry-user-token",
        "Sentry user or application token",
        "https://docs.sentry.io/account/auth-tokens",
    )
    .pattern(
        "sntry[uai]_[A-Fa-f0-9]{64}",
        &["sntryu_", "sntrya_", "sntryi_"],
    )
    .bounded()
    .examples(&["sntryu_{h64}", "sntrya_{h64}"])
    .look_alikes(&["sntryu_name"]),
    Kind::new(
        "sentry-dsn",
        "Sentry data source name",
        "https://docs.sentry.io/concepts/key-terms/dsn-explainer",
    )
    .pattern(
        concat!(
            r"https?://[a-f0-9]{32}(?::[a-f0-9]{32})?@(?:o[0-9]{1,17}\.)",
            r"?(?:ingest\.)?(?:[a-z]{2}\.)?sentry\.io/[0-9]{1,17}"
        ),
        &["sentry.io/"],
    )
    .lead(40, 103)
    .examples(&[
        "https://{h32}@o{d6}.ingest.sentry.io/{d7}",
        "https://{h32}@o{d16}.ingest.us.sentry.io/{d16}",
        "https://{h32}:{h32}@sentry.io/{d6}",
    ])
    .look_alikes(&["https://docs.sentry.io/platforms"]),
    Kind::new(
        "dynatrace-token",
        "Dynatrace token or OAuth client secret",
        concat!(
            "https://docs.dynatrace.com/docs/manage/identity-access-management/",
            "access-tokens-and-oauth-clients/access-tokens"
        ),
    )
    .pattern(
        r"dt0[a-z][0-9]{2}\.[A-Z0-9]{8,24}\.[A-Z0-9]{64}",
        &["dt0c", "dt0s", "dt0a", "dt0e"],
    )
    .bounded()
    .examples(&["dt0c01.{u24}.{u64}", "dt0s02.{u8}.{u64}"])
    .look_alikes(&["dt0cname"]),
    Kind::new(
        "honeycomb-key",
        "Honeycomb ingest or configuration key",
        "https://docs.honeycomb.io/configure/environments/manage-api-keys",
    )
    .pattern(
        "hc[a-z][il]k_[A-Za-z0-9]{40,70}",
        &["hcaik_", "hcxik_", "hcbik_", "hccik_", "hcalk_", "hcxlk_"],
    )
    .bounded()
    .examples(&["hcaik_{l58}", "hcxik_{l58}"])
    .look_alikes(&["hcaik_name"]),
    Kind::new(
        "honeycomb-management-key",
        "Honeycomb management key",
        "https://docs.honeycomb.io/configure/environments/manage-api-keys",
    )
    .pattern(
        "hc[a-z]mk_[A-Za-z0-9]{20,40}(?::[A-Za-z0-9]{20,64})?",
        &["hcamk_", "hcxmk_"],
    )
    .bounded()
    .examples(&["hcamk_{l26}:{l32}"])
    .look_alikes(&["hcamk_name"]),
    Kind::new(
        "rootly-api-key",
        "Rootly API key",
        "https://docs.rootly.com/api-reference/overview",
    )
    .pattern("rootly_[a-f0-9]{64}", &["rootly_"])
    .bounded()
    .examples(&["rootly_{h64}"])
    .look_alikes(&["rootly_name"]),
    Kind::new(
        "pagerduty-oauth-token",
        "PagerDuty OAuth token",
        "https://developer.pagerduty.com/docs/oauth-functionality",
    )
    .pattern(
        r"pd(?:us|eu)\+_[A-Z0-9]{5,12}_[A-Za-z0-9_-]{20,64}",
        &["pdus+_", "pdeu+_"],
    )
    .apart()
    .examples(&["pdus+_0{u6}_{U}"])
    .look_alikes(&["pdus+_name"]),
    Kind::new(
        "posthog-personal-key",
        "PostHog personal API key",
        "https://posthog.com/docs/api",
    )
    .pattern("ph[xsr]_[A-Za-z0-9]{36,60}", &["phx_", "phs_", "phr_"])
    .bounded()
    .examples(&["phx_{a43}", "phs_{a43}"])
    .look_alikes(&["phx_name"]),
    Kind::new(
        "posthog-project-key",
        "PostHog project API key",
        "https://posthog.com/docs/api",
    )
    .pattern("phc_[A-Za-z0-9]{36,60}", &["phc_"])
    .bounded()
    .examples(&["phc_{a43}"])
    .look_alikes(&["phc_name"]),
    Kind::new(
        "axiom-token",
        "Axiom API or personal token",
        "https://axiom.co/docs/reference/tokens",
    )
    .pattern(
        "xa[ap]t-[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}",
        &["xaat-", "xapt-"],
    )
    .apart()
    .examples(&["xaat-{U}", "xapt-{U}"])
    .look_alikes(&["xaat-name"]),
    Kind::new(
        "checkly-api-key",
        "Checkly API key",
        "https://www.checklyhq.com/docs/accounts-and-users/creating-api-key",
    )
    .pattern("cu_[a-f0-9]{32}", &["cu_"])
    .apart()
    .examples(&["cu_{h32}"])
    .look_alikes(&["cu_name"]),
    Kind::new(
        "elastic-api-key",
        "Elasticsearch API key with a prefix",
        "https://www.elastic.co/docs/deploy-manage/api-keys/elasticsearch-api-keys",
    )
    .pattern(
        "ess[ua]_[A-Za-z0-9+/]{40,160}(?:=|%3D){0,2}",
        &["essu_", "essa_"],
    )
    .outside_base64()
    .examples(&["essu_{b78}==", "essu_{b80}"])
    .look_alikes(&["essu_name"]),
    Kind::new(
        "healthchecks-api-key",
        "Healthchecks.io API key",
        "https://healthchecks.io/docs/api",
    )
    .pattern("hc[wr]_[A-Za-z0-9]{26,32}", &["hcw_", "hcr_"])
    .bounded()
    .entropy(3.4)
    .examples(&["hcw_{a28}"])
    .look_alikes(&["hcw_name"]),
    Kind::new(
        "honeybadger-key",
        "Honeybadger project or personal key",
        "https://docs.honeybadger.io/api",
    )
    .pattern("hb[pu]_[A-Za-z0-9]{30,40}", &["hbp_", "hbu_"])
    .bounded()
    .entropy(3.4)
    .examples(&["hbp_{a36}"])
    .look_alikes(&["hbp_name"]),
    Kind::new(
        "coralogix-key",
        "Coralogix API key",
        "https://coralogix.com/docs/user-guides/account-management/api-keys/api-keys",
    )
    .pattern(
        "cx(?:tp|up|th|et|eh)_[A-Za-z0-9]{28,40}",
        &["cxtp_", "cxup_", "cxth_", "cxet_", "cxeh_"],
    )
    .bounded()
    .examples(&["cxtp_{a30}"])
    .look_alikes(&["cxtp_name"]),
    Kind::new(
        "incident-io-key",
        "incident.io API key",
        "https://docs.incident.io/api-reference/introduction",
    )
    .pattern("inc_[a-f0-9]{64}", &["inc_"])
    .bounded()
    .examples(&["inc_{h64}"])
    .look_alikes(&["inc_name"]),
    Kind::new(
        "firehydrant-token",
        "FireHydrant bot token",
        "https://docs.firehydrant.com/docs/api-keys",
    )
    .pattern("fhb-[a-f0-9]{32}", &["fhb-"])
    .apart()
    .examples(&["fhb-{h32}"])
    .look_alikes(&["fhb-name"]),
];
