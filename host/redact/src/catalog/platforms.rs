//! Platforms that run applications, networks that deliver them, and databases that come with them.

use super::Kind;

const FLY: &str = "https://fly.io/docs/security/tokens/";
const VERCEL: &str = "https://vercel.com/docs/rest-api#authentication";
const NETLIFY: &str = "https://docs.netlify.com/api/get-started/#authentication";
const SUPABASE: &str = "https://supabase.com/docs/guides/api/api-keys";
const PLANETSCALE: &str = "https://planetscale.com/docs/api/reference/service-tokens";
const CLOUDFLARE: &str =
    "https://developers.cloudflare.com/fundamentals/api/get-started/token-formats/";
const TAILSCALE: &str = "https://tailscale.com/kb/1277/key-prefixes";
const NGROK: &str = "https://ngrok.com/docs/api/";
const HEROKU: &str = "https://devcenter.heroku.com/articles/authentication";

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new("heroku-api-key", "Heroku API key", HEROKU)
        .pattern("HRKU-[A-Za-z0-9_-]{36,80}", &["hrku-"])
        .apart()
        .entropy(3.0)
        .examples(&["HRKU-AA{w58}", "HRKU-{U}"])
        .look_alikes(&["HRKU-short"]),
    Kind::new("fly-token", "Fly.io access token", FLY)
        .pattern(
            "fm[12][a-z]?_[A-Za-z0-9+/=]{40,3000}",
            &["fm1_", "fm1r_", "fm1a_", "fm2_"],
        )
        .bounded()
        .entropy(3.5)
        .examples(&["fm2_{b300}", "fm1r_{b300}=="])
        .look_alikes(&["fm2_short"]),
    Kind::new("fly-personal-token", "Fly.io personal token", FLY)
        .pattern("fo1_[A-Za-z0-9_-]{40,60}", &["fo1_"])
        .apart()
        .entropy(3.5)
        .examples(&["fo1_{w43}"])
        .look_alikes(&["fo1_short"]),
    Kind::new(
        "render-api-key",
        "Render API key",
        "https://render.com/docs/api",
    )
    .pattern("rnd_[A-Za-z0-9]{26,40}", &["rnd_"])
    .bounded()
    .entropy(3.3)
    .examples(&["rnd_{a32}", "rnd_{a28}"])
    .look_alikes(&["rnd_seed"]),
    Kind::new("vercel-token", "Vercel access or refresh token", VERCEL)
        .pattern(
            "vc[piarkc]_[A-Za-z0-9]{24,64}",
            &["vcp_", "vci_", "vca_", "vcr_", "vck_", "vcc_"],
        )
        .bounded()
        .entropy(3.3)
        .examples(&["vcp_{a56}", "vck_{a56}", "vci_{a24}"])
        .look_alikes(&["vcp_server"]),
    Kind::new(
        "vercel-blob-token",
        "Vercel Blob token",
        "https://vercel.com/docs/vercel-blob",
    )
    .pattern(
        "vercel_blob_rw_[A-Za-z0-9]{12,24}_[A-Za-z0-9]{24,48}",
        &["vercel_blob_rw_"],
    )
    .examples(&["vercel_blob_rw_{a16}_{a30}"])
    .look_alikes(&["vercel_blob_rw_token"]),
    Kind::new("netlify-token", "Netlify access token", NETLIFY)
        .pattern(
            "nf[pcobu]_[A-Za-z0-9]{34,42}",
            &["nfp_", "nfc_", "nfo_", "nfb_", "nfu_"],
        )
        .bounded()
        .entropy(3.3)
        .examples(&["nfp_{a36}", "nfc_{a36}"])
        .look_alikes(&["nfp_short"]),
    Kind::new(
        "supabase-access-token",
        "Supabase personal access token",
        SUPABASE,
    )
    .pattern("sbp_(?:[a-z0-9]{1,8}_)?[a-f0-9]{40}", &["sbp_"])
    .bounded()
    .entropy(2.5)
    .examples(&["sbp_{h40}", "sbp_v0_{h40}", "sbp_oauth_{h40}"])
    .look_alikes(&["sbp_short"]),
    Kind::new("supabase-secret-key", "Supabase secret key", SUPABASE)
        .pattern("sb_secret_[A-Za-z0-9_-]{24,64}", &["sb_secret_"])
        .bounded()
        .entropy(3.5)
        .examples(&["sb_secret_{w31}_{a8}", "sb_secret_{w22}_{w8}"])
        .look_alikes(&["sb_secret_key_name"]),
    Kind::new(
        "neon-api-key",
        "Neon API key",
        "https://neon.com/docs/manage/api-keys",
    )
    .pattern("napi_[A-Za-z0-9]{40,72}", &["napi_"])
    .bounded()
    .entropy(3.5)
    .examples(&["napi_{l64}", "napi_{a64}"])
    .look_alikes(&["napi_create_string_utf8", "napi_status"]),
    Kind::new(
        "neon-database-password",
        "Password of a Neon database role",
        "https://neon.com/docs/manage/roles",
    )
    .pattern("npg_[A-Za-z0-9]{12,16}", &["npg_"])
    .bounded()
    .entropy(2.8)
    .examples(&["npg_{a12}"])
    .look_alikes(&["npg_short"]),
    Kind::new(
        "planetscale-service-token",
        "PlanetScale service token",
        PLANETSCALE,
    )
    .pattern(
        r"pscale_(?:tkn|api)_[A-Za-z0-9_.=-]{32,64}",
        &["pscale_tkn_", "pscale_api_"],
    )
    .entropy(3.0)
    .examples(&["pscale_tkn_{w43}"])
    .look_alikes(&["pscale_tkn_id"]),
    Kind::new(
        "planetscale-password",
        "PlanetScale database password",
        PLANETSCALE,
    )
    .pattern(r"pscale_pw_[A-Za-z0-9_.=-]{32,64}", &["pscale_pw_"])
    .entropy(3.0)
    .examples(&["pscale_pw_{w43}"])
    .look_alikes(&["pscale_pw_file"]),
    Kind::new(
        "planetscale-oauth-token",
        "PlanetScale OAuth token",
        PLANETSCALE,
    )
    .pattern(
        r"pscale_(?:oauth|app_secret)_[A-Za-z0-9_.=-]{32,64}",
        &["pscale_oauth_", "pscale_app_secret_"],
    )
    .entropy(3.0)
    .examples(&["pscale_oauth_{w43}", "pscale_app_secret_{w43}"])
    .look_alikes(&["pscale_oauth_id"]),
    Kind::new(
        "cloudflare-scannable-token",
        "Cloudflare API token, account token or global key with prefix",
        CLOUDFLARE,
    )
    .pattern(
        "cf(?:ut|at|k|st|it)_[A-Za-z0-9_-]{40,60}",
        &["cfut_", "cfat_", "cfk_", "cfst_", "cfit_"],
    )
    .apart()
    .entropy(3.3)
    .examples(&["cfut_{a40}{h8}", "cfat_{a40}{h8}", "cfk_{a40}{h8}"])
    .look_alikes(&["cfk_short"]),
    Kind::new(
        "cloudflare-origin-ca-key",
        "Cloudflare Origin CA key",
        "https://developers.cloudflare.com/fundamentals/api/get-started/ca-keys/",
    )
    .pattern(r"v1\.0-[a-f0-9]{24}-[a-f0-9]{140,150}", &["v1.0-"])
    .bounded()
    .examples(&["v1.0-{h24}-{h146}"])
    .look_alikes(&["v1.0-alpha-1"]),
    // `eyJhIjoi` is `{"a":"` in base64.
    Kind::new(
        "cloudflare-tunnel-token",
        "Cloudflare Tunnel token",
        "https://developers.cloudflare.com/tunnel/advanced/tunnel-tokens/",
    )
    .pattern("eyJhIjoi[A-Za-z0-9+/]{120,400}={0,2}", &["eyjhijoi"])
    .outside_base64()
    .entropy(4.0)
    .examples(&["eyJhIjoi{b170}="])
    .look_alikes(&["eyJhIjoiYiJ9"]),
    Kind::new(
        "akamai-edgegrid-token",
        "Akamai EdgeGrid client or access token",
        "https://techdocs.akamai.com/developer/docs/edgegrid",
    )
    .pattern("akab-[a-z0-9]{16}-[a-z0-9]{16}", &["akab-"])
    .apart()
    .entropy(3.0)
    .examples(&["akab-{l16}-{l16}"])
    .look_alikes(&["akab-short"]),
    // The first 27 characters begin with a creation time in base 62. The first digit limits it to
    // 2018 to 2032.
    Kind::new("ngrok-authtoken", "ngrok authtoken or API key", NGROK)
        .pattern("[1-4][A-Za-z0-9]{26}_[A-Za-z0-9]{20,24}", &[])
        .bounded()
        .entropy(4.0)
        .examples(&["2{a26}_{d1}{a20}", "2{a26}_{a21}", "3{a26}_{a21}"])
        .look_alikes(&["2111111111111111111111111111_11111111111111111111111"]),
    Kind::new("ngrok-bot-key", "ngrok credential with prefix", NGROK)
        .pattern(
            "(?:cr|ak|ssc)_[1-4][A-Za-z0-9]{26}",
            &["cr_", "ak_", "ssc_"],
        )
        .bounded()
        .entropy(4.0)
        .examples(&["cr_2{a26}", "ak_2{a26}"])
        .look_alikes(&["cr_21111111111111111111111111"]),
    Kind::new("tailscale-key", "Tailscale key", TAILSCALE)
        .pattern(
            "tskey-(?:[a-z]{2,16}-)?[A-Za-z0-9]{6,30}-[A-Za-z0-9]{16,64}",
            &["tskey-"],
        )
        .apart()
        .entropy(3.3)
        .examples(&[
            "tskey-auth-k{a11}CNTRL-{a32}",
            "tskey-api-k{a11}-{a32}",
            "tskey-{a12}CNTRL-{a22}",
        ])
        .look_alikes(&["tskey-auth-secret", "tskey-short"]),
    Kind::new(
        "defined-networking-key",
        "Defined Networking API key",
        "https://docs.defined.net/api/defined-networking-api/",
    )
    .pattern("dnkey-[A-Za-z0-9=_-]{26}-[A-Za-z0-9=_-]{52}", &["dnkey-"])
    .apart()
    .examples(&["dnkey-{l26}-{l52}", "dnkey-{u26}-{u52}"])
    .look_alikes(&["dnkey-short"]),
    Kind::new(
        "zuplo-key",
        "Zuplo API key",
        "https://zuplo.com/docs/articles/api-key-leak-detection",
    )
    .pattern("zpka_[A-Za-z0-9]{28,40}_[a-f0-9]{8}", &["zpka_"])
    .bounded()
    .examples(&["zpka_{h32}_{h8}"])
    .look_alikes(&["zpka_short"]),
    Kind::new(
        "gitpod-token",
        "Gitpod personal access token",
        "https://www.gitpod.io/docs/configure/user-settings/access-tokens",
    )
    .pattern(
        r"gitpod_pat_[A-Za-z0-9_-]{20,100}(?:\.[A-Za-z0-9_-]{20,100})?",
        &["gitpod_pat_"],
    )
    .apart()
    .entropy(3.5)
    .examples(&["gitpod_pat_{w43}.{w40}"])
    .look_alikes(&["gitpod_pat_file"]),
];
