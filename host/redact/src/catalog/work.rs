//! Tickets, documents, design and sales.

use super::Kind;

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new(
        "atlassian-organization-token",
        "Atlassian access token of a repository, a project or an organization",
        concat!(
            "https://support.atlassian.com/organization-administration/docs/",
            "manage-an-organization-with-the-admin-apis"
        ),
    )
    .pattern(
        "ATCTT3[A-Za-z0-9_-]{40,300}(?:(?:=|%3D)[A-Fa-f0-9]{8})?",
        &["atctt3"],
    )
    .apart()
    .examples(&["ATCTT3xFfGN0{w176}={H8}"])
    .look_alikes(&["atctt3name"]),
    Kind::new(
        "trello-token",
        "Trello API token",
        "https://developer.atlassian.com/cloud/trello/guides/rest-api/authorization",
    )
    .pattern("ATTA[A-Fa-f0-9]{60,80}", &["atta"])
    .bounded()
    .examples(&["ATTA{h72}", "ATTA{h64}{H8}"])
    .look_alikes(&["attaname"]),
    Kind::new(
        "linear-api-key",
        "Linear API key",
        "https://linear.app/developers/graphql",
    )
    .pattern("lin_api_[A-Za-z0-9]{36,48}", &["lin_api_"])
    .bounded()
    .examples(&["lin_api_{a40}"])
    .look_alikes(&["lin_api_name"]),
    Kind::new(
        "linear-oauth-token",
        "Linear OAuth token",
        "https://linear.app/developers/graphql",
    )
    .pattern("lin_oauth_[A-Za-z0-9]{40,72}", &["lin_oauth_"])
    .bounded()
    .examples(&["lin_oauth_{h64}"])
    .look_alikes(&["lin_oauth_name"]),
    Kind::new(
        "linear-webhook-secret",
        "Signing secret of a Linear webhook",
        "https://linear.app/developers/webhooks",
    )
    .pattern("lin_wh_[A-Za-z0-9]{20,48}", &["lin_wh_"])
    .bounded()
    .examples(&["lin_wh_{a40}"])
    .look_alikes(&["lin_wh_name"]),
    Kind::new(
        "notion-token",
        "Notion integration token",
        "https://developers.notion.com/docs/authorization",
    )
    .pattern("ntn_[A-Za-z0-9]{40,60}", &["ntn_"])
    .bounded()
    .examples(&["ntn_{d11}{a35}"])
    .look_alikes(&["ntn_name"]),
    Kind::new(
        "notion-secret",
        "Notion integration secret",
        "https://developers.notion.com/docs/authorization",
    )
    .pattern("secret_[A-Za-z0-9]{43}", &["secret_"])
    .apart()
    .entropy(4.0)
    .examples(&["secret_{a43}"])
    .look_alikes(&["secret_name_of_the_registry_credentials_in_use"]),
    Kind::new(
        "airtable-token",
        "Airtable personal access token",
        "https://airtable.com/developers/web/api/authentication",
    )
    .pattern(r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}", &["pat"])
    .bounded()
    .examples(&["pat{a14}.{h64}"])
    .look_alikes(&["path.to.something", "pattern.go"]),
    Kind::new(
        "airtable-oauth-token",
        "Airtable OAuth token",
        "https://airtable.com/developers/web/api/oauth-reference",
    )
    .pattern(
        r"oaa[A-Za-z0-9]{14}\.v1\.[A-Za-z0-9_-]{10,200}\.[a-f0-9]{32,140}",
        &["oaa"],
    )
    .bounded()
    .examples(&["oaa{a14}.v1.{w60}.{h64}"])
    .look_alikes(&["oaaname"]),
    Kind::new(
        "asana-token",
        "Asana personal access token",
        "https://developers.asana.com/docs/personal-access-token",
    )
    .pattern(
        "[0-2]/[0-9]{13,17}(?:/[0-9]{13,17})?:[A-Fa-f0-9]{32}",
        &[
            "0/0", "0/1", "0/2", "0/3", "0/4", "0/5", "0/6", "0/7", "0/8", "0/9", "1/0", "1/1",
            "1/2", "1/3", "1/4", "1/5", "1/6", "1/7", "1/8", "1/9", "2/0", "2/1", "2/2", "2/3",
            "2/4", "2/5", "2/6", "2/7", "2/8", "2/9",
        ],
    )
    .bounded()
    .examples(&["1/{d16}:{h32}", "2/{d16}/{d16}:{h32}"])
    .look_alikes(&["1/12", "2/2"]),
    Kind::new(
        "figma-token",
        "Figma personal access token",
        "https://www.figma.com/developers/api",
    )
    .pattern("figd_[A-Za-z0-9_-]{36,60}", &["figd_"])
    .apart()
    .examples(&["figd_{w40}"])
    .look_alikes(&["figd_name"]),
    Kind::new(
        "figma-oauth-token",
        "Figma OAuth token",
        "https://www.figma.com/developers/api",
    )
    .pattern(
        "fig(?:u|ur|o|or|oh|oauth)_[A-Za-z0-9_-]{36,60}",
        &["figu_", "figur_", "figo_", "figor_", "figoh_"],
    )
    .apart()
    .examples(&["figu_{w40}", "figo_{w40}"])
    .look_alikes(&["figu_name"]),
    Kind::new(
        "clickup-token",
        "ClickUp personal token",
        "https://developer.clickup.com/docs/authentication",
    )
    .pattern("pk_[0-9]{5,10}_[A-Z0-9]{32}", &["pk_"])
    .apart()
    .examples(&["pk_{d8}_{u32}"])
    .look_alikes(&["pk_name"]),
    Kind::new(
        "close-api-key",
        "Close API key",
        "https://developer.close.com/topics/authentication",
    )
    .pattern(r"api_[A-Za-z0-9]{20,24}\.[A-Za-z0-9]{20,24}", &["api_"])
    .bounded()
    .entropy(3.6)
    .examples(&["api_{a22}.{a22}"])
    .look_alikes(&["api_test.go"]),
    Kind::new(
        "readme-api-key",
        "ReadMe API key",
        "https://docs.readme.com/main/reference/intro/authentication",
    )
    .pattern("rdme_[A-Za-z0-9]{50,90}", &["rdme_"])
    .bounded()
    .examples(&["rdme_{l70}"])
    .look_alikes(&["rdme_name"]),
    Kind::new(
        "postman-api-key",
        "Postman API key",
        "https://learning.postman.com/docs/developer/postman-api/authentication",
    )
    .pattern("PMAK-[A-Fa-f0-9]{24}-[A-Fa-f0-9]{34}", &["pmak-"])
    .apart()
    .examples(&["PMAK-{h24}-{h34}"])
    .look_alikes(&["pmak-name"]),
    Kind::new(
        "postman-collection-key",
        "Postman collection access key",
        "https://learning.postman.com/docs/developer/postman-api/authentication",
    )
    .pattern("PMAT-[A-Z0-9]{26}", &["pmat-"])
    .apart()
    .examples(&["PMAT-{u26}"])
    .look_alikes(&["pmat-name"]),
    Kind::new(
        "hubspot-token",
        "HubSpot private app token",
        "https://developers.hubspot.com/docs/guides/apps/private-apps/overview",
    )
    .pattern(
        "pat-(?:na|eu|ap)[0-9]-[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}",
        &["pat-na", "pat-eu", "pat-ap"],
    )
    .apart()
    .examples(&["pat-na1-{U}", "pat-eu1-{U}"])
    .look_alikes(&["pat-naname"]),
    Kind::new(
        "intercom-token",
        "Intercom access token",
        concat!(
            "https://developers.intercom.com/docs/build-an-integration/learn-more/",
            "authentication"
        ),
    )
    .pattern("dG9r[A-Za-z0-9+/]{52,60}={0,2}", &["dg9r"])
    .outside_base64()
    .entropy(4.2)
    .examples(&["dG9r{b56}", "dG9rO{b54}="])
    .look_alikes(&["dG9rZW4="]),
    Kind::new(
        "salesforce-token",
        "Salesforce access token",
        "https://help.salesforce.com/s/articleView?id=sf.remoteaccess_access_tokens.htm",
    )
    .pattern(
        "00D[A-Za-z0-9]{12,15}(?:!|%21)[A-Za-z0-9._-]{70,160}",
        &["00d"],
    )
    .bounded()
    .examples(&["00D{a12}!{w60}{w36}", "00D{a15}!{a96}"])
    .look_alikes(&["00d41d8cd98f00b204e9800998ecf8427e"]),
    Kind::new(
        "salesforce-refresh-token",
        "Salesforce refresh token",
        concat!(
            "https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oau",
            "th_tokens_scopes.htm"
        ),
    )
    .pattern("5Aep861[A-Za-z0-9_-]{60,100}", &["5aep861"])
    .apart()
    .examples(&["5Aep861{w80}"])
    .look_alikes(&["5aep861name"]),
    Kind::new(
        "typeform-token",
        "Typeform personal access token",
        "https://www.typeform.com/developers/get-started/personal-access-token",
    )
    .pattern("tfp_[A-Za-z0-9_-]{40,70}", &["tfp_"])
    .apart()
    .examples(&["tfp_{w59}", "tfp_{a44}_{a14}"])
    .look_alikes(&["tfp_name"]),
    Kind::new(
        "klaviyo-api-key",
        "Klaviyo private API key",
        "https://developers.klaviyo.com/en/docs/authenticate_",
    )
    .pattern("pk_[a-f0-9]{34}", &["pk_"])
    .apart()
    .entropy(2.8)
    .examples(&["pk_{h34}"])
    .look_alikes(&["pk_name"]),
    Kind::new(
        "canva-secret",
        "Canva client secret",
        "https://www.canva.dev/docs/connect/authentication",
    )
    .pattern("cnvca[A-Za-z0-9_-]{36,70}", &["cnvca"])
    .apart()
    .entropy(4.0)
    .examples(&["cnvca{w50}"])
    .look_alikes(&["cnvcaname"]),
    Kind::new(
        "adobe-client-secret",
        "Adobe OAuth client secret",
        "https://developer.adobe.com/developer-console/docs/guides/authentication",
    )
    .pattern("p8e-[A-Za-z0-9_-]{30,36}", &["p8e-"])
    .apart()
    .examples(&["p8e-{w32}"])
    .look_alikes(&["p8e-name"]),
    Kind::new(
        "frame-io-token",
        "Frame.io API token",
        "https://developer.frame.io/docs/getting-started/authentication",
    )
    .pattern("fio-u-[A-Za-z0-9_-]{60,70}", &["fio-u-"])
    .apart()
    .examples(&["fio-u-{w64}"])
    .look_alikes(&["fio-u-name"]),
    Kind::new(
        "dropbox-access-token",
        "Dropbox access token",
        "https://www.dropbox.com/developers/documentation/http/documentation",
    )
    .pattern(
        r"sl\.(?:[A-Za-z0-9]{1,3}\.)?[A-Za-z0-9_-]{120,1500}",
        &["sl."],
    )
    .apart()
    .examples(&["sl.{w135}", "sl.u.{w900}"])
    .look_alikes(&["sl.name"]),
    Kind::new(
        "retool-token",
        "Retool access token",
        "https://docs.retool.com/org-users/guides/retool-api/authentication",
    )
    .pattern("retool_[A-Za-z0-9]{24,44}", &["retool_"])
    .bounded()
    .entropy(3.4)
    .examples(&["retool_{l26}"])
    .look_alikes(&["retool_name"]),
    Kind::new(
        "ory-token",
        "Ory API key or session token",
        "https://www.ory.com/docs/concepts/personal-access-token",
    )
    .pattern(
        r"ory_[a-z]{2,4}_[A-Za-z0-9_-]{30,90}(?:\.[A-Za-z0-9_-]{20,60})?",
        &["ory_"],
    )
    .apart()
    .entropy(3.6)
    .examples(&["ory_pat_{a32}", "ory_at_{w43}.{w43}"])
    .look_alikes(&["ory_kratos_selfservice"]),
];
