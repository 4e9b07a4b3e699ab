//! Chat, mail and telephony.

use super::Kind;

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new(
        "slack-bot-token",
        "Slack bot token",
        "https://docs.slack.dev/authentication/tokens",
    )
    .pattern("xoxb-[0-9]{6,15}-[A-Za-z0-9-]{12,150}", &["xoxb-"])
    .apart()
    .examples(&["xoxb-{d12}-{d13}-{a24}", "xoxb-{d12}-{a24}"])
    .look_alikes(&["xoxb-your-token"]),
    Kind::new(
        "slack-user-token",
        "Slack user token",
        "https://docs.slack.dev/authentication/tokens",
    )
    .pattern("xoxp-[0-9]{6,15}-[A-Za-z0-9-]{12,200}", &["xoxp-"])
    .apart()
    .examples(&["xoxp-{d12}-{d12}-{d12}-{h32}"])
    .look_alikes(&["xoxp-name"]),
    Kind::new(
        "slack-legacy-token",
        "Slack legacy or session token",
        "https://docs.slack.dev/authentication/tokens",
    )
    .pattern(
        "xox[soc]-[0-9]{1,15}-[A-Za-z0-9-]{10,200}",
        &["xoxs-", "xoxo-", "xoxc-"],
    )
    .apart()
    .examples(&[
        "xoxs-{d12}-{d12}-{d12}-{h10}",
        "xoxo-{d12}-{a24}",
        "xoxc-{d12}-{d12}-{d12}-{h64}",
    ])
    .look_alikes(&["xoxs-name"]),
    Kind::new(
        "slack-workspace-token",
        "Slack workspace access or refresh token",
        "https://docs.slack.dev/authentication/tokens",
    )
    .pattern(
        "xox[ar]-(?:[0-9]-)?[A-Za-z0-9-]{20,200}",
        &["xoxa-", "xoxr-"],
    )
    .apart()
    .entropy(3.4)
    .examples(&["xoxa-2-{d12}-{d12}-{h32}", "xoxr-{a48}"])
    .look_alikes(&["xoxa-name"]),
    Kind::new(
        "slack-config-token",
        "Slack configuration access token",
        "https://docs.slack.dev/reference/methods/tooling.tokens.rotate",
    )
    .pattern(r"xoxe\.xox[bp]-[0-9]-[A-Za-z0-9-]{60,300}", &["xoxe.xox"])
    .apart()
    .examples(&["xoxe.xoxp-1-{u166}"])
    .look_alikes(&["xoxe.xoxname"]),
    Kind::new(
        "slack-refresh-token",
        "Slack refresh token",
        "https://docs.slack.dev/authentication/using-token-rotation",
    )
    .pattern("xoxe-[0-9]-[A-Za-z0-9-]{60,300}", &["xoxe-"])
    .apart()
    .examples(&["xoxe-1-{u146}"])
    .look_alikes(&["xoxe-name"]),
    Kind::new(
        "slack-cookie",
        "Slack session cookie",
        "https://docs.slack.dev/authentication",
    )
    .pattern(
        "xoxd-(?:[A-Za-z0-9+/_-]|%2[BF]|%3D){60,400}={0,2}",
        &["xoxd-"],
    )
    .outside_base64()
    .examples(&["xoxd-{w140}", "xoxd-{a20}%2F{a80}%3D%3D"])
    .look_alikes(&["xoxd-name"]),
    Kind::new(
        "slack-app-token",
        "Slack app-level token",
        "https://docs.slack.dev/authentication/tokens",
    )
    .pattern(
        "xapp-[0-9]-[A-Z0-9]{8,15}-[0-9]{8,16}-[A-Za-z0-9]{30,100}",
        &["xapp-"],
    )
    .apart()
    .examples(&["xapp-1-{u11}-{d13}-{h64}"])
    .look_alikes(&["xapp-name"]),
    Kind::new(
        "slack-workflow-token",
        "Slack token of a workflow",
        "https://docs.slack.dev/authentication/tokens",
    )
    .pattern("xwfp-[A-Za-z0-9-]{20,300}", &["xwfp-"])
    .apart()
    .entropy(3.4)
    .examples(&["xwfp-{d12}-{d12}-{a64}"])
    .look_alikes(&["xwfp-name"]),
    Kind::new(
        "discord-bot-token",
        "Discord bot token",
        "https://discord.com/developers/docs/reference",
    )
    .pattern(
        r"[MNO][A-Za-z0-9_-]{22,28}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}",
        &[],
    )
    .apart()
    .entropy(4.65)
    .examples(&[
        "M{a23}.{w6}.{w38}",
        "N{a23}.{w6}.{w27}",
        "O{a25}.{w6}.{w38}",
    ])
    .look_alikes(&["MavenProjectBuilderFactory.method.someRatherLongNameOfSomethingElse"]),
    Kind::new(
        "telegram-bot-token",
        "Telegram bot token",
        "https://core.telegram.org/bots/api",
    )
    .pattern(
        "(?:bot)?[0-9]{8,12}:A[A-Za-z0-9_-]{32,36}",
        &[
            "0:a", "1:a", "2:a", "3:a", "4:a", "5:a", "6:a", "7:a", "8:a", "9:a",
        ],
    )
    .lead(7, 14)
    .apart()
    .entropy(4.15)
    .examples(&[
        "{d10}:AA{w33}",
        "{d9}:AA{w33}",
        "bot{d10}:AA{w33}",
        "{d10}:A{a34}",
    ])
    .look_alikes(&["12:30:45:AM", "1700000000:A"]),
    Kind::new(
        "twilio-key",
        "Twilio API key or account id",
        "https://www.twilio.com/docs/iam/api-keys",
    )
    .pattern("(?:SK|AC)[a-f0-9]{32}", &[])
    .apart()
    .entropy(3.0)
    .examples(&["SK{h32}", "AC{h32}"])
    .look_alikes(&["an-ordinary-name-of-some-length"]),
    Kind::new(
        "sendgrid-api-key",
        "SendGrid API key",
        "https://www.twilio.com/docs/sendgrid/ui/account-and-settings/api-keys",
    )
    .pattern(r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{36,64}", &["sg."])
    .apart()
    .examples(&["SG.{w22}.{w43}"])
    .look_alikes(&["msg.some.name"]),
    Kind::new(
        "mailgun-private-key",
        "Mailgun private API key",
        "https://documentation.mailgun.com/docs/mailgun/api-reference/mg-auth",
    )
    .pattern("key-[a-f0-9]{32}", &["key-"])
    .apart()
    .entropy(3.0)
    .examples(&["key-{h32}"])
    .look_alikes(&["cache-key-node-modules", "key-value-store"]),
    Kind::new(
        "mailgun-public-key",
        "Mailgun public key",
        "https://documentation.mailgun.com/docs/mailgun/api-reference/mg-auth",
    )
    .pattern("pubkey-[a-f0-9]{32}", &["pubkey-"])
    .apart()
    .examples(&["pubkey-{h32}"])
    .look_alikes(&["pubkey-name"]),
    Kind::new(
        "mailgun-signing-key",
        "Mailgun API or signing key",
        "https://documentation.mailgun.com/docs/mailgun/api-reference/mg-auth",
    )
    .pattern("[a-f0-9]{32}-[a-f0-9]{8}-[a-f0-9]{8}", &[])
    .apart()
    .entropy(3.0)
    .examples(&["{h32}-{h8}-{h8}"])
    .look_alikes(&["an-ordinary-name-of-some-length"]),
    Kind::new(
        "mailchimp-api-key",
        "Mailchimp API key",
        "https://mailchimp.com/developer/marketing/guides/quick-start",
    )
    .pattern("[a-f0-9]{32}-us[0-9]{1,2}", &["-us"])
    .lead(32, 32)
    .bounded()
    .examples(&["{h32}-us14", "{h32}-us6"])
    .look_alikes(&["data-us1"]),
    Kind::new(
        "mandrill-api-key",
        "Mailchimp Transactional API key",
        "https://mailchimp.com/developer/transactional/guides/quick-start",
    )
    .pattern("md-[A-Za-z0-9_-]{22}", &["md-"])
    .apart()
    .entropy(3.8)
    .examples(&["md-{w22}"])
    .look_alikes(&["md-datepicker-input-value"]),
    Kind::new(
        "brevo-api-key",
        "Brevo API key",
        "https://developers.brevo.com/docs/getting-started",
    )
    .pattern("xkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}", &["xkeysib-"])
    .apart()
    .examples(&["xkeysib-{h64}-{a16}"])
    .look_alikes(&["xkeysib-name"]),
    Kind::new(
        "brevo-smtp-key",
        "Brevo SMTP key",
        "https://developers.brevo.com/docs/getting-started",
    )
    .pattern("xsmtpsib-[a-f0-9]{64}-[A-Za-z0-9]{16}", &["xsmtpsib-"])
    .apart()
    .examples(&["xsmtpsib-{h64}-{a16}"])
    .look_alikes(&["xsmtpsib-name"]),
    Kind::new(
        "resend-api-key",
        "Resend API key",
        "https://resend.com/docs/api-reference/introduction",
    )
    .pattern("re_[A-Za-z0-9]{6,10}_[A-Za-z0-9]{20,30}", &["re_"])
    .apart()
    .entropy(4.0)
    .examples(&["re_{a8}_{a24}"])
    .look_alikes(&[
        "re_compile_pattern_with_flags",
        "core_library_internationalizationservices",
    ]),
    Kind::new(
        "courier-api-key",
        "Courier API key",
        "https://www.courier.com/docs/reference/intro",
    )
    .pattern(
        "(?:pk|dk)_(?:prod|test)_[A-Z0-9]{24,32}",
        &["pk_prod_", "pk_test_", "dk_prod_", "dk_test_"],
    )
    .bounded()
    .examples(&["pk_prod_{u28}"])
    .look_alikes(&["pk_prod_name"]),
    Kind::new(
        "knock-secret-key",
        "Knock secret key",
        "https://docs.knock.app/developer-tools/api-keys",
    )
    .pattern("sk_(?:test_)?[A-Za-z0-9_-]{43}", &["sk_"])
    .apart()
    .entropy(4.3)
    .examples(&["sk_{w43}", "sk_test_{w43}"])
    .look_alikes(&["sk_some_very_long_name_of_a_function_in_a_library"]),
    Kind::new(
        "onesignal-api-key",
        "OneSignal API key",
        "https://documentation.onesignal.com/docs/en/keys-and-ids",
    )
    .pattern("os_v[0-9]_(?:app|org)_[a-z0-9]{80,120}", &["os_v"])
    .bounded()
    .examples(&["os_v2_app_{l103}"])
    .look_alikes(&["os_vname"]),
    Kind::new(
        "telnyx-api-key",
        "Telnyx API key",
        "https://developers.telnyx.com/api/authentication",
    )
    .pattern("KEY0[A-F0-9]{31}_[A-Za-z0-9]{20,24}", &["key0"])
    .bounded()
    .examples(&["KEY0{H31}_{a22}"])
    .look_alikes(&["key0name"]),
    Kind::new(
        "mailersend-api-token",
        "MailerSend API token",
        "https://developers.mailersend.com/general.html",
    )
    .pattern(r"mlsn\.[a-f0-9]{64}", &["mlsn."])
    .bounded()
    .examples(&["mlsn.{h64}"])
    .look_alikes(&["mlsn.name"]),
    Kind::new(
        "webex-token",
        "Webex access token",
        "https://developer.webex.com/docs/getting-started",
    )
    .pattern(
        concat!(
            "[A-Za-z0-9]{64}_[A-Za-z0-9]{4}_[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}",
            "[A-Fa-f0-9]{12}"
        ),
        &[],
    )
    .apart()
    .examples(&["{a64}_PF84_{U}"])
    .look_alikes(&["an-ordinary-name-of-some-length"]),
];
