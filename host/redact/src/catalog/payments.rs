//! Payments.

use super::Kind;

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new(
        "stripe-secret-key",
        "Stripe secret key",
        "https://docs.stripe.com/keys",
    )
    .pattern(
        "sk_(?:live|test)_[A-Za-z0-9]{16,250}",
        &["sk_live_", "sk_test_"],
    )
    .bounded()
    .entropy(3.0)
    .examples(&["sk_live_{a99}", "sk_test_{a24}"])
    .look_alikes(&["sk_live_name"]),
    Kind::new(
        "stripe-restricted-key",
        "Stripe restricted key",
        "https://docs.stripe.com/keys",
    )
    .pattern(
        "rk_(?:live|test)_[A-Za-z0-9]{16,250}",
        &["rk_live_", "rk_test_"],
    )
    .bounded()
    .entropy(3.0)
    .examples(&["rk_live_{a99}", "rk_test_{a24}"])
    .look_alikes(&["rk_live_name"]),
    Kind::new(
        "stripe-organization-key",
        "Stripe API key of an organization",
        "https://docs.stripe.com/keys",
    )
    .pattern("sk_org_(?:live_|test_)?[A-Za-z0-9]{16,250}", &["sk_org_"])
    .bounded()
    .entropy(3.0)
    .examples(&["sk_org_live_{a99}", "sk_org_{a48}"])
    .look_alikes(&["sk_org_name"]),
    Kind::new(
        "stripe-ephemeral-key",
        "Stripe ephemeral key",
        "https://docs.stripe.com/issuing/elements",
    )
    .pattern(
        "ek_(?:live|test)_[A-Za-z0-9]{16,250}",
        &["ek_live_", "ek_test_"],
    )
    .bounded()
    .entropy(3.0)
    .examples(&["ek_live_{a90}"])
    .look_alikes(&["ek_live_name"]),
    Kind::new(
        "stripe-webhook-secret",
        "Signing secret of a webhook of Stripe or Svix",
        "https://docs.stripe.com/webhooks/signature",
    )
    .pattern(
        r"whsec_(?:[A-Za-z0-9+/]|\\/|%2[BF]){24,100}(?:=|%3D){0,2}",
        &["whsec_"],
    )
    .bounded()
    .entropy(3.0)
    .examples(&["whsec_{a32}", "whsec_{b43}="])
    .look_alikes(&["whsec_name"]),
    Kind::new(
        "stripe-client-secret",
        "Stripe client secret of a payment or a setup",
        "https://docs.stripe.com/api/payment_intents/object",
    )
    .pattern(
        "(?:pi|seti|src|cs)_[A-Za-z0-9]{14,32}_secret_[A-Za-z0-9]{20,100}",
        &["_secret_"],
    )
    .lead(17, 37)
    .bounded()
    .entropy(3.0)
    .examples(&["pi_{a24}_secret_{a25}", "seti_{a24}_secret_{a34}"])
    .look_alikes(&["pi_raspberry_cluster_secret_store_controller_names"]),
    Kind::new(
        "paystack-secret-key",
        "Paystack secret key",
        "https://paystack.com/docs/api/authentication",
    )
    .pattern("sk_(?:live|test)_[a-f0-9]{40}", &["sk_live_", "sk_test_"])
    .bounded()
    .examples(&["sk_live_{h40}", "sk_test_{h40}"])
    .look_alikes(&["sk_live_name"]),
    Kind::new(
        "square-access-token",
        "Square access token",
        "https://developer.squareup.com/docs/build-basics/access-tokens",
    )
    .pattern("EAAA[A-Za-z0-9_-]{56,64}", &["eaaa"])
    .apart()
    .entropy(4.3)
    .examples(&["EAAA{w60}"])
    .look_alikes(&["EAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]),
    Kind::new(
        "square-personal-token",
        "Square personal access token",
        "https://developer.squareup.com/docs/build-basics/access-tokens",
    )
    .pattern("sq0atp-[A-Za-z0-9_-]{20,24}", &["sq0atp-"])
    .apart()
    .examples(&["sq0atp-{w22}"])
    .look_alikes(&["sq0atp-name"]),
    Kind::new(
        "square-oauth-secret",
        "Square OAuth application secret",
        "https://developer.squareup.com/docs/build-basics/access-tokens",
    )
    .pattern("sq0csp-[A-Za-z0-9_-]{40,46}", &["sq0csp-"])
    .bounded()
    .examples(&["sq0csp-{w43}"])
    .look_alikes(&["sq0csp-name"]),
    Kind::new(
        "braintree-access-token",
        "PayPal Braintree access token",
        "https://developer.paypal.com/braintree/docs/start/overview",
    )
    .pattern(
        concat!(
            r"access_token(?:\\?\$|%24)(?:production|sandbox)(?:\\?\$|%24)",
            r"[a-z0-9]{14,18}(?:\\?\$|%24)[a-f0-9]{32}"
        ),
        &["access_token$", "access_token%24", r"access_token\$"],
    )
    .bounded()
    .examples(&[
        "access_token$production${l16}${h32}",
        "access_token$sandbox${l16}${h32}",
    ])
    .look_alikes(&["access_token$name"]),
    Kind::new(
        "adyen-api-key",
        "Adyen API key",
        "https://docs.adyen.com/development-resources/api-credentials",
    )
    .pattern(
        concat!(
            "AQE[A-Za-z0-9+/]{76,220}={0,2}(?:-[A-Za-z0-9+/]{30,90}={0,2}",
            "(?:-[!#-&(-~]{8,24})?)?"
        ),
        &["aqe"],
    )
    .outside_base64()
    .entropy(4.6)
    .examples(&["AQEyhmfx{b88}==-{b43}=-{a16}", "AQE{a97}"])
    .look_alikes(&["AQEFAAOCAQ8AMIIBCgKCAQEA"]),
    Kind::new(
        "plaid-access-token",
        "Plaid access token",
        "https://plaid.com/docs/api/tokens",
    )
    .pattern(
        concat!(
            "access-(?:sandbox|development|production)-[A-Fa-f0-9]{8}",
            "-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}"
        ),
        &["access-"],
    )
    .apart()
    .examples(&["access-production-{U}", "access-sandbox-{U}"])
    .look_alikes(&["access-production-database"]),
    Kind::new(
        "plaid-link-token",
        "Plaid link or public token",
        "https://plaid.com/docs/api/tokens",
    )
    .pattern(
        concat!(
            "(?:link|public)-(?:sandbox|development|production)-[A-Fa-f0-9]{8}",
            "-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}"
        ),
        &["link-", "public-"],
    )
    .apart()
    .examples(&["link-production-{U}", "public-sandbox-{U}"])
    .look_alikes(&["link-name"]),
    Kind::new(
        "razorpay-key",
        "Razorpay key id",
        "https://razorpay.com/docs/api/authentication",
    )
    .pattern("rzp_(?:live|test)_[A-Za-z0-9]{14,24}", &["rzp_"])
    .bounded()
    .examples(&["rzp_live_{a14}", "rzp_test_{a14}"])
    .look_alikes(&["rzp_name"]),
    Kind::new(
        "flutterwave-secret-key",
        "Flutterwave secret or encryption key",
        "https://developer.flutterwave.com/docs/authentication",
    )
    .pattern(
        "FLWSECK(?:_TEST|_PROD)?-?[A-Za-z0-9]{12,64}(?:-[A-Za-z0-9]{1,20}){0,2}",
        &["flwseck"],
    )
    .bounded()
    .examples(&[
        "FLWSECK-{h32}-X",
        "FLWSECK_TEST-{h32}-X",
        "FLWSECK_TEST{h12}",
    ])
    .look_alikes(&["FLWSECK_TEST"]),
    Kind::new(
        "flutterwave-public-key",
        "Flutterwave public key",
        "https://developer.flutterwave.com/docs/authentication",
    )
    .pattern(
        "FLWPUBK(?:_TEST|_PROD)?-[A-Za-z0-9]{12,64}(?:-[A-Za-z0-9]{1,20}){0,2}",
        &["flwpubk"],
    )
    .bounded()
    .examples(&["FLWPUBK-{h32}-X", "FLWPUBK_TEST-{h32}-X"])
    .look_alikes(&["flwpubkname"]),
    Kind::new(
        "gocardless-access-token",
        "GoCardless access token",
        "https://developer.gocardless.com/getting-started/api/making-your-first-request",
    )
    .pattern("(?:live|sandbox)_[A-Za-z0-9_-]{40}", &["live_", "sandbox_"])
    .apart()
    .entropy(4.2)
    .examples(&["live_{w40}", "sandbox_{w40}"])
    .look_alikes(&["live_reload_of_the_long_named_development_server"]),
    Kind::new(
        "mollie-api-key",
        "Mollie API key",
        "https://docs.mollie.com/reference/authentication",
    )
    .pattern("live_[A-Za-z0-9]{28,40}", &["live_"])
    .apart()
    .entropy(3.7)
    .examples(&["live_{a30}"])
    .look_alikes(&["live_name"]),
    Kind::new(
        "mollie-access-token",
        "Mollie access token",
        "https://docs.mollie.com/reference/authentication",
    )
    .pattern("access_[A-Za-z0-9]{28,40}", &["access_"])
    .apart()
    .entropy(3.7)
    .examples(&["access_{a30}"])
    .look_alikes(&["access_name"]),
    Kind::new(
        "checkout-com-key",
        "Checkout.com secret key",
        "https://www.checkout.com/docs/developer-resources/api/manage-api-keys",
    )
    .pattern(
        concat!(
            "sk_(?:sbox_)?[a-z2-7]{26}[a-z2-7*#$=]?|sk_(?:test_)?[A-Fa-f0-9]{8}",
            "-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}"
        ),
        &["sk_"],
    )
    .apart()
    .entropy(3.2)
    .examples(&["sk_{i27}", "sk_sbox_{i27}", "sk_{U}"])
    .look_alikes(&["sk_learn"]),
    Kind::new(
        "paddle-api-key",
        "Paddle API key",
        "https://developer.paddle.com/api-reference/about/authentication",
    )
    .pattern(
        "pdl_(?:live_|sdbx_)?apikey_[a-z0-9]{26}_[A-Za-z0-9]{22}_[A-Za-z0-9]{3}",
        &["pdl_"],
    )
    .bounded()
    .examples(&[
        "pdl_live_apikey_{l26}_{a22}_{a3}",
        "pdl_sdbx_apikey_{l26}_{a22}_{a3}",
    ])
    .look_alikes(&["pdl_name"]),
    Kind::new(
        "paddle-webhook-secret",
        "Secret of a Paddle webhook",
        "https://developer.paddle.com/api-reference/about/authentication",
    )
    .pattern(
        r"pdl_ntfset_[a-z0-9]{26}_(?:[A-Za-z0-9+/]|\\/|%2[BF]){24,48}(?:=|%3D){0,2}",
        &["pdl_ntfset_"],
    )
    .bounded()
    .examples(&["pdl_ntfset_{l26}_{b32}"])
    .look_alikes(&["pdl_ntfset_name"]),
    Kind::new(
        "xendit-api-key",
        "Xendit API key",
        "https://docs.xendit.co/docs/how-to-authenticate",
    )
    .pattern(
        "xnd_(?:public_)?(?:production|development)_[A-Za-z0-9]{30,80}",
        &["xnd_"],
    )
    .bounded()
    .examples(&["xnd_production_{a60}", "xnd_development_{a50}"])
    .look_alikes(&["xnd_name"]),
    Kind::new(
        "midtrans-key",
        "Midtrans server key",
        "https://docs.midtrans.com/docs/api-authorization-headers",
    )
    .pattern("(?:SB-)?Mid-server-[A-Za-z0-9_-]{20,40}", &["mid-server-"])
    .lead(0, 3)
    .apart()
    .entropy(3.6)
    .examples(&["Mid-server-{w24}", "SB-Mid-server-{w24}"])
    .look_alikes(&["mid-server-name"]),
    Kind::new(
        "klarna-api-key",
        "Klarna API key",
        "https://docs.klarna.com/api/authentication",
    )
    .pattern(
        "klarna_(?:live|test|playground)_api_[A-Za-z0-9*!()+/=_-]{40,200}",
        &["klarna_"],
    )
    .bounded()
    .examples(&["klarna_live_api_{a120}"])
    .look_alikes(&["klarna_name"]),
    Kind::new(
        "mercado-pago-access-token",
        "Mercado Pago access token",
        "https://www.mercadopago.com.br/developers/en/docs/your-integrations/credentials",
    )
    .pattern(
        concat!(
            "(?:APP_USR|TEST)-[0-9]{12,17}-[0-9]{6}-[a-f0-9]{32}(?:__[A-Z]{2}",
            "_[A-Z]{2}__)?-[0-9]{6,12}"
        ),
        &["app_usr-", "test-"],
    )
    .apart()
    .examples(&[
        "APP_USR-{d16}-{d6}-{h32}-{d9}",
        "TEST-{d16}-{d6}-{h32}__LA_LD__-{d9}",
    ])
    .look_alikes(&["app_usr-name"]),
    Kind::new(
        "omise-secret-key",
        "Omise secret key",
        "https://docs.omise.co/api-authentication",
    )
    .pattern("skey_(?:test_)?[a-z0-9]{19}", &["skey_"])
    .bounded()
    .entropy(3.2)
    .examples(&["skey_{l19}", "skey_test_{l19}"])
    .look_alikes(&["skey_name"]),
    Kind::new(
        "cashfree-secret-key",
        "Cashfree secret key",
        "https://www.cashfree.com/docs/api-reference/authentication",
    )
    .pattern("cfsk_ma_(?:prod|test)_[a-f0-9]{32}_[a-f0-9]{8}", &["cfsk_"])
    .bounded()
    .examples(&["cfsk_ma_prod_{h32}_{h8}"])
    .look_alikes(&["cfsk_name"]),
    Kind::new(
        "asaas-api-key",
        "Asaas API key",
        "https://docs.asaas.com/docs/authentication",
    )
    .pattern(r"\$?aact_[A-Za-z0-9_]{60,320}", &["aact_"])
    .lead(0, 1)
    .bounded()
    .entropy(4.0)
    .examples(&["$aact_{a160}", "$aact_prod_{a160}"])
    .look_alikes(&["aact_name"]),
    Kind::new(
        "polar-access-token",
        "Polar access token",
        "https://docs.polar.sh/integrate/authentication",
    )
    .pattern(
        "polar_(?:[a-z]{2,3}_)(?:[a-z]_)?[A-Za-z0-9]{32,64}",
        &["polar_"],
    )
    .bounded()
    .entropy(3.8)
    .examples(&["polar_oat_{a43}", "polar_pat_{a43}", "polar_at_u_{a43}"])
    .look_alikes(&["polar_name"]),
];
