//! Identity, content, maps, social networks and developer tools.

use super::Kind;

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new(
        "okta-api-token",
        "Okta API token",
        "https://developer.okta.com/docs/guides/create-an-api-token",
    )
    .pattern("00[A-Za-z0-9_-]{40}", &[])
    .apart()
    .entropy(4.25)
    .examples(&["00{w40}"])
    .look_alikes(&[
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00000000-0000-0000-0000-000000000000-some-name",
        "0055a54008ad1ba589aa210d2629c1df41d0b1f4ab12",
    ]),
    Kind::new(
        "contentful-token",
        "Contentful management token",
        "https://www.contentful.com/developers/docs/references/authentication",
    )
    .pattern("CFPAT-[A-Za-z0-9_-]{40,50}", &["cfpat-"])
    .apart()
    .examples(&["CFPAT-{w43}"])
    .look_alikes(&["cfpat-name"]),
    Kind::new(
        "sanity-token",
        "Sanity API token",
        "https://www.sanity.io/docs/content-lake/http-auth",
    )
    .pattern("sk[A-Za-z0-9]{78,190}", &[])
    .outside_base64()
    .entropy(4.8)
    .examples(&["sk{a80}", "sk{a178}"])
    .look_alikes(&["sketchesForAnOrdinaryClassName"]),
    Kind::new(
        "mapbox-token",
        "Mapbox access token",
        "https://docs.mapbox.com/api/guides",
    )
    .pattern(
        r"[spt]k\.eyJ[A-Za-z0-9_-]{40,200}\.[A-Za-z0-9_-]{18,30}",
        &["sk.eyj", "pk.eyj", "tk.eyj"],
    )
    .apart()
    .examples(&["sk.eyJ{w85}.{w22}", "pk.eyJ{w57}.{w22}"])
    .look_alikes(&["sk.eyjname"]),
    Kind::new(
        "arcgis-api-key",
        "ArcGIS API key",
        concat!(
            "https://developers.arcgis.com/documentation/",
            "security-and-authentication/api-key-authentication"
        ),
    )
    .pattern("AAP[KT][A-Za-z0-9_-]{60,400}", &["aapk", "aapt"])
    .apart()
    .entropy(4.3)
    .examples(&["AAPK{w100}", "AAPT{w200}"])
    .look_alikes(&["aapkname"]),
    Kind::new(
        "maxmind-license-key",
        "MaxMind license key",
        "https://support.maxmind.com/hc/en-us/articles/4407111582235",
    )
    .pattern("[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk", &["_mmk"])
    .lead(36, 36)
    .bounded()
    .examples(&["{a6}_{a29}_mmk"])
    .look_alikes(&["_mmkname"]),
    Kind::new(
        "media-cloud-address",
        "Cloudinary address with API key and secret",
        "https://cloudinary.com/documentation/how_to_integrate_cloudinary",
    )
    .pattern(
        "cloudinary://[0-9]{8,20}:[A-Za-z0-9_-]{20,40}@[A-Za-z0-9-]{1,64}",
        &["cloudinary://"],
    )
    .bounded()
    .examples(&["cloudinary://{d15}:{w27}@acme"])
    .look_alikes(&["cloudinary://name:secret"]),
    Kind::new(
        "facebook-access-token",
        "Facebook access token",
        "https://developers.facebook.com/docs/facebook-login/guides/access-tokens",
    )
    .pattern("EAA[A-Za-z0-9]{90,260}", &["eaa"])
    .bounded()
    .entropy(4.6)
    .examples(&["EAAC{a160}", "EAAM{a120}", "EAA{a180}"])
    .look_alikes(&[concat!(
        "EAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    )]),
    Kind::new(
        "instagram-access-token",
        "Instagram access token",
        "https://developers.facebook.com/docs/instagram-platform",
    )
    .pattern(
        "IG[A-Z]{2}[A-Za-z0-9_-]{100,260}",
        &["igqv", "igqw", "igaa"],
    )
    .apart()
    .entropy(4.3)
    .examples(&["IGQV{w160}", "IGAA{w180}"])
    .look_alikes(&["igqvname"]),
    Kind::new(
        "twitter-bearer-token",
        "X (Twitter) bearer token",
        "https://docs.x.com/fundamentals/authentication/oauth-2-0/bearer-tokens",
    )
    .pattern("A{20,22}[A-Za-z0-9%]{60,120}", &["aaaaaaaaaaaaaaaaaaaaa"])
    .bounded()
    .entropy(4.4)
    .examples(&[
        "AAAAAAAAAAAAAAAAAAAAA{a30}%2B{a30}%3D{a50}",
        "AAAAAAAAAAAAAAAAAAAAA{a93}",
    ])
    .look_alikes(&[concat!(
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    )]),
    Kind::new(
        "linkedin-client-secret",
        "LinkedIn client secret with a prefix",
        "https://learn.microsoft.com/linkedin/shared/authentication/authentication",
    )
    .pattern(
        r"WPL_AP[0-9]\.[A-Za-z0-9]{16}\.[A-Za-z0-9+/]{6,12}(?:=|%3D){0,2}",
        &["wpl_ap"],
    )
    .bounded()
    .examples(&["WPL_AP1.{a16}.{b6}=="])
    .look_alikes(&["wpl_apname"]),
    Kind::new(
        "dropbox-long-lived-token",
        "Dropbox long-lived access token",
        "https://www.dropbox.com/developers/documentation/http/documentation",
    )
    .pattern("[A-Za-z0-9]{11}A{10}[A-Za-z0-9_-]{43}", &["aaaaaaaaaa"])
    .lead(11, 11)
    .apart()
    .entropy(4.3)
    .examples(&["{a11}AAAAAAAAAA{w43}"])
    .look_alikes(&["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]),
    Kind::new(
        "stytch-secret",
        "Stytch project secret",
        "https://stytch.com/docs/api/authentication",
    )
    .pattern(
        "secret-(?:test|live)-[A-Za-z0-9_-]{36}(?:=|%3D){0,2}",
        &["secret-test-", "secret-live-"],
    )
    .apart()
    .examples(&["secret-test-{w36}="])
    .look_alikes(&["secret-test-name"]),
    Kind::new(
        "authress-access-key",
        "Authress access key",
        "https://authress.io/knowledge-base/docs/authorization/service-clients",
    )
    .pattern(
        concat!(
            r"(?:sc|ext|scauth|authress)_[A-Za-z0-9]{5,30}\.[A-Za-z0-9]{4,6}",
            r"\.acc[_-][a-z0-9-]{10,32}\.[A-Za-z0-9+/_=-]{30,120}"
        ),
        &["sc_", "ext_", "scauth_", "authress_"],
    )
    .bounded()
    .examples(&["sc_{l10}.{l4}.acc_{l16}.{b60}"])
    .look_alikes(&["sc_name.txt"]),
    Kind::new(
        "intra42-client-secret",
        "42 intranet client secret",
        "https://api.intra.42.fr/apidoc/guides/getting_started",
    )
    .pattern(
        "s-s4t2(?:ud|af)-[A-Fa-f0-9]{64}",
        &["s-s4t2ud-", "s-s4t2af-"],
    )
    .apart()
    .examples(&["s-s4t2ud-{h64}", "s-s4t2af-{h64}"])
    .look_alikes(&["s-s4t2ud-name"]),
    Kind::new(
        "settlemint-token",
        "SettleMint access token",
        "https://console.settlemint.com/documentation",
    )
    .pattern(
        "sm_(?:aat|pat|sat)_[A-Za-z0-9]{16}",
        &["sm_aat_", "sm_pat_", "sm_sat_"],
    )
    .bounded()
    .examples(&["sm_aat_{a16}", "sm_pat_{a16}", "sm_sat_{a16}"])
    .look_alikes(&["sm_aat_name"]),
    Kind::new(
        "apify-token",
        "Apify API token",
        "https://docs.apify.com/platform/integrations/api",
    )
    .pattern("apify_(?:api|proxy)_[A-Za-z0-9]{30,40}", &["apify_"])
    .bounded()
    .examples(&["apify_api_{a36}"])
    .look_alikes(&["apify_name"]),
    Kind::new(
        "val-town-token",
        "Val Town API token",
        "https://docs.val.town/reference/api/authentication",
    )
    .pattern("vtwn_[A-Za-z0-9]{24,40}", &["vtwn_"])
    .bounded()
    .entropy(3.4)
    .examples(&["vtwn_{a28}"])
    .look_alikes(&["vtwn_name"]),
    Kind::new(
        "n8n-api-key",
        "n8n API key",
        "https://docs.n8n.io/api/authentication",
    )
    .pattern("n8n_api_[a-f0-9]{60,100}", &["n8n_api_"])
    .bounded()
    .examples(&["n8n_api_{h80}"])
    .look_alikes(&["n8n_api_name"]),
    Kind::new(
        "trigger-dev-key",
        "Trigger.dev API key or access token",
        "https://trigger.dev/docs/apikeys",
    )
    .pattern(
        "tr_(?:dev|prod|stg|preview|pat)_[A-Za-z0-9]{18,48}",
        &["tr_"],
    )
    .bounded()
    .entropy(3.2)
    .examples(&["tr_dev_{a20}", "tr_pat_{l40}"])
    .look_alikes(&["tr_dev_name"]),
    Kind::new(
        "inngest-signing-key",
        "Inngest signing key",
        "https://www.inngest.com/docs/platform/signing-keys",
    )
    .pattern(
        "signkey-(?:prod|test|dev|branch|staging)-[a-f0-9]{32,64}",
        &["signkey-"],
    )
    .apart()
    .examples(&["signkey-prod-{h64}", "signkey-test-{h32}"])
    .look_alikes(&["signkey-name"]),
    Kind::new(
        "liveblocks-secret-key",
        "Liveblocks secret key",
        "https://liveblocks.io/docs/authentication",
    )
    .pattern(
        "sk_(?:dev|prod)_[A-Za-z0-9_-]{50,80}",
        &["sk_dev_", "sk_prod_"],
    )
    .apart()
    .entropy(4.2)
    .examples(&["sk_prod_{w64}", "sk_dev_{w64}"])
    .look_alikes(&["sk_dev_name"]),
    Kind::new(
        "service-secret-key",
        concat!(
            "Secret key with the prefix sk_, of several services (Clerk, Reve",
            "nueCat and others)"
        ),
        "https://clerk.com/docs/guides/development/clerk-environment-variables",
    )
    .pattern("sk_[A-Za-z0-9]{30,64}", &["sk_"])
    .apart()
    .entropy(4.0)
    .examples(&["sk_{a32}", "sk_{a40}"])
    .look_alikes(&[
        "sk_buff_something_of_the_network_stack",
        "sk_internationalizationoptions",
    ]),
    Kind::new(
        "svix-token",
        "Svix API token",
        "https://docs.svix.com/api-keys",
    )
    .pattern(
        r"(?:test)?sk_[A-Za-z0-9_-]{30,48}\.(?:us|eu|in|ca|au)",
        &["sk_"],
    )
    .lead(0, 4)
    .apart()
    .entropy(3.9)
    .examples(&["sk_{w32}.eu", "testsk_{w32}.us"])
    .look_alikes(&["task_force.eu"]),
    Kind::new(
        "rfc-8959-token",
        "Secret token address of RFC 8959",
        "https://www.rfc-editor.org/rfc/rfc8959",
    )
    .pattern(
        "secret-token:[A-Za-z0-9._~%!$&()*+,;=:@/-]{16,300}",
        &["secret-token:"],
    )
    .apart()
    .entropy(3.4)
    .examples(&[
        "secret-token:{w40}",
        "secret-token:mercury_production_{a40}",
    ])
    .look_alikes(&["secret-token: name"]),
];
