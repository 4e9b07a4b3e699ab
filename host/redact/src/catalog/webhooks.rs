//! Addresses of webhooks: the address is the credential.

use super::Kind;

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new(
        "slack-webhook",
        "Slack webhook, workflow or trigger address",
        "https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks",
    )
    .pattern(
        concat!(
            r"(?:https?(?::|%3[Aa])(?:\\?/|%2[Ff]){2})?hooks\.slack(?:-gov)",
            r"?\.com(?:\\?/|%2[Ff])(?:services|workflows|triggers)(?:(?:\\?/|%2[Ff])",
            "[A-Za-z0-9_-]{1,60}){2,5}"
        ),
        &["hooks.slack.com", "hooks.slack-gov.com"],
    )
    .lead(0, 14)
    .examples(&[
        "https://hooks.slack.com/services/T{u10}/B{u10}/{a24}",
        "https://hooks.slack.com/workflows/T{u10}/A{u10}/{d18}/{a24}",
        "https://hooks.slack.com/triggers/T{u10}/{d13}/{h32}",
    ])
    .look_alikes(&["https://hooks.slack.com/services"]),
    Kind::new(
        "discord-webhook",
        "Discord webhook address",
        "https://discord.com/developers/docs/resources/webhook",
    )
    .pattern(
        concat!(
            r"(?:https?(?::|%3[Aa])(?:\\?/|%2[Ff]){2})?(?:(?:canary|ptb)\.)",
            r"?discord(?:app)?\.com(?:\\?/|%2[Ff])api(?:\\?/|%2[Ff])(?:v[0-9]{1,2}",
            r"(?:\\?/|%2[Ff]))?webhooks(?:\\?/|%2[Ff])[0-9]{15,22}(?:\\?/|%2[Ff])",
            "[A-Za-z0-9_-]{40,90}"
        ),
        &["discord.com", "discordapp.com"],
    )
    .lead(0, 21)
    .examples(&[
        "https://discord.com/api/webhooks/{d18}/{w68}",
        "https://canary.discord.com/api/webhooks/{d19}/{w68}",
        "https://discordapp.com/api/v10/webhooks/{d18}/{w68}",
    ])
    .look_alikes(&["https://discord.com/api/webhooks/"]),
    Kind::new(
        "teams-webhook",
        "Microsoft Teams webhook address",
        concat!(
            "https://learn.microsoft.com/microsoftteams/platform/",
            "webhooks-and-connectors/how-to/add-incoming-webhook"
        ),
    )
    .pattern(
        concat!(
            r"https?(?::|%3[Aa])(?:\\?/|%2[Ff]){2}[A-Za-z0-9_-]{1,63}",
            r"\.webhook\.office(?:365)?\.com(?:\\?/|%2[Ff])webhook(?:b2)?(?:\\?/|",
            "%2[Ff])[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}(?:@|%40)",
            r"[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}(?:\\?/|%2[Ff])",
            r"[A-Za-z]{3,30}(?:\\?/|%2[Ff])[A-Za-z0-9]{20,64}(?:(?:\\?/|%2[Ff])",
            "[A-Za-z0-9_-]{20,90}){0,2}"
        ),
        &[".webhook.office.com", ".webhook.office365.com"],
    )
    .lead(9, 77)
    .examples(&["https://acme.webhook.office.com/webhookb2/{U}@{U}/IncomingWebhook/{h32}/{U}"])
    .look_alikes(&["https://acme.webhook.office.com/"]),
    Kind::new(
        "power-automate-webhook",
        "Address of a Power Automate or Logic Apps workflow",
        "https://learn.microsoft.com/power-automate/oauth-authentication",
    )
    .pattern(
        concat!(
            r"https?://[A-Za-z0-9.-]{3,80}\.(?:logic\.azure\.com|",
            r"api\.powerplatform\.com)(?::443)?/[A-Za-z0-9/_.-]{10,200}",
            r"\?[A-Za-z0-9%&;=_./-]{0,120}sig=[A-Za-z0-9%_-]{20,80}"
        ),
        &[".logic.azure.com", ".api.powerplatform.com"],
    )
    .lead(11, 88)
    .examples(&[concat!(
        "https://prod-12.westeurope.logic.azure.com:443/workflows/{h32}/",
        "triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftrigge",
        "rs%2Fmanual%2Frun&sv=1.0&sig={w43}"
    )])
    .look_alikes(&["https://prod-12.westeurope.logic.azure.com/workflows"]),
    Kind::new(
        "google-chat-webhook",
        "Google Chat webhook address",
        "https://developers.google.com/workspace/chat/quickstart/webhooks",
    )
    .pattern(
        concat!(
            r"(?:https?(?::|%3[Aa])(?:\\?/|%2[Ff]){2})?chat\.googleapis\.com(?:\\?/|",
            r"%2[Ff])v1(?:\\?/|%2[Ff])spaces(?:\\?/|%2[Ff])[A-Za-z0-9_-]{5,40}",
            r"(?:\\?/|%2[Ff])messages(?:\?|%3F)(?:[A-Za-z0-9_.=%-]|&(?:amp;)?|",
            r"\\u0026){40,400}"
        ),
        &["chat.googleapis.com"],
    )
    .lead(0, 14)
    .examples(&["https://chat.googleapis.com/v1/spaces/{a11}/messages?key=AIzaSy{w33}&token={w43}"])
    .look_alikes(&["https://chat.googleapis.com/v1/spaces/list"]),
    Kind::new(
        "zapier-webhook",
        "Zapier webhook address",
        "https://help.zapier.com/hc/en-us/articles/8496288690317",
    )
    .pattern(
        concat!(
            r"(?:https?(?::|%3[Aa])(?:\\?/|%2[Ff]){2})?hooks\.zapier\.com(?:\\?/|",
            r"%2[Ff])hooks(?:\\?/|%2[Ff])(?:catch|standard)(?:(?:\\?/|%2[Ff])",
            r"(?:[A-Za-z0-9]{5,40}|v[0-9])){2,4}(?:\\?/|%2[Ff])?"
        ),
        &["hooks.zapier.com"],
    )
    .lead(0, 14)
    .examples(&[
        "https://hooks.zapier.com/hooks/catch/{d7}/{l7}/",
        "https://hooks.zapier.com/hooks/catch/{d8}/{l7}",
    ])
    .look_alikes(&["https://hooks.zapier.com/hooks/catch/"]),
    Kind::new(
        "ifttt-webhook",
        "IFTTT webhook address",
        "https://ifttt.com/maker_webhooks",
    )
    .pattern(
        concat!(
            r"(?:https?(?::|%3[Aa])(?:\\?/|%2[Ff]){2})?maker\.ifttt\.com(?:\\?/|",
            r"%2[Ff])(?:trigger(?:\\?/|%2[Ff])[A-Za-z0-9_{}-]{1,64}(?:\\?/|%2[Ff])",
            r"(?:json(?:\\?/|%2[Ff]))?with(?:\\?/|%2[Ff])key|use)(?:\\?/|%2[Ff])",
            "[A-Za-z0-9_-]{20,64}"
        ),
        &["maker.ifttt.com"],
    )
    .lead(0, 14)
    .examples(&[
        "https://maker.ifttt.com/trigger/build_done/with/key/{w43}",
        "https://maker.ifttt.com/use/{w43}",
    ])
    .look_alikes(&["https://maker.ifttt.com/trigger/x"]),
    Kind::new(
        "make-webhook",
        "Make webhook address",
        "https://www.make.com/en/help/tools/webhooks",
    )
    .pattern(
        concat!(
            r"(?:https?(?::|%3[Aa])(?:\\?/|%2[Ff]){2})?hook\.(?:[a-z]{2}[0-9]\.)",
            r"?make\.(?:com|celonis\.com)(?:\\?/|%2[Ff])[a-z0-9]{24,40}"
        ),
        &["hook."],
    )
    .lead(0, 14)
    .examples(&[
        "https://hook.eu1.make.com/{l32}",
        "https://hook.make.com/{l32}",
    ])
    .look_alikes(&["https://hook.example.com/x", "pre-commit-hook.sh"]),
    Kind::new(
        "make-old-webhook",
        "Integromat webhook address",
        "https://www.make.com/en/help/tools/webhooks",
    )
    .pattern(
        concat!(
            r"(?:https?(?::|%3[Aa])(?:\\?/|%2[Ff]){2})?hook\.integromat\.com(?:\\?/|",
            "%2[Ff])[a-z0-9]{24,40}"
        ),
        &["hook.integromat.com"],
    )
    .lead(0, 14)
    .examples(&["https://hook.integromat.com/{l32}"])
    .look_alikes(&["hook.integromat.comname"]),
    Kind::new(
        "pipe-dream-webhook",
        "Pipedream endpoint address",
        "https://pipedream.com/docs/workflows/building-workflows/triggers",
    )
    .pattern(
        r"https?://[A-Za-z0-9]{14,40}\.m\.pipedream\.net",
        &[".m.pipedream.net"],
    )
    .lead(21, 48)
    .examples(&["https://eo{l14}.m.pipedream.net"])
    .look_alikes(&[".m.pipedream.netname"]),
    Kind::new(
        "tines-webhook",
        "Tines webhook address",
        "https://www.tines.com/docs/actions/types/webhook",
    )
    .pattern(
        concat!(
            r"https?(?::|%3[Aa])(?:\\?/|%2[Ff]){2}[A-Za-z0-9.-]{1,63}",
            r"\.tines\.(?:com|io)(?:\\?/|%2[Ff])webhook(?:\\?/|%2[Ff])",
            r"[a-f0-9]{20,64}(?:\\?/|%2[Ff])[a-f0-9]{20,64}"
        ),
        &[".tines.com", ".tines.io"],
    )
    .lead(9, 77)
    .examples(&["https://acme.tines.com/webhook/{h32}/{h32}"])
    .look_alikes(&["https://acme.tines.com/webhook"]),
    Kind::new(
        "mattermost-webhook",
        "Mattermost incoming webhook address",
        "https://developers.mattermost.com/integrate/webhooks/incoming",
    )
    .pattern(
        concat!(
            r"https?://[A-Za-z0-9.-]{1,70}(?::[0-9]{1,5})?(?:\\?/|%2[Ff])",
            r"hooks(?:\\?/|%2[Ff])[a-z0-9]{26}"
        ),
        &["/hooks/"],
    )
    .lead(8, 84)
    .bounded()
    .examples(&[
        "https://chat.example.com/hooks/{l26}",
        "https://mm.example.com:8065/hooks/{l26}",
    ])
    .look_alikes(&[".git/hooks/pre-receive"]),
    Kind::new(
        "rocket-chat-webhook",
        "Rocket.Chat webhook address",
        "https://docs.rocket.chat/docs/integrations",
    )
    .pattern(
        concat!(
            r"https?://[A-Za-z0-9.-]{1,70}(?::[0-9]{1,5})?(?:\\?/|%2[Ff])",
            r"hooks(?:\\?/|%2[Ff])[A-Za-z0-9]{17,24}(?:\\?/|%2[Ff])[A-Za-z0-9]{40,64}"
        ),
        &["/hooks/"],
    )
    .lead(8, 84)
    .bounded()
    .examples(&["https://chat.example.com/hooks/{a24}/{a48}"])
    .look_alikes(&[".git/hooks/pre-receive"]),
    Kind::new(
        "feishu-webhook",
        "Feishu or Lark bot webhook address",
        "https://open.larksuite.com/document/client-docs/bot-v3/add-custom-bot",
    )
    .pattern(
        concat!(
            r"(?:https?(?::|%3[Aa])(?:\\?/|%2[Ff]){2})?open\.(?:feishu\.cn|",
            r"larksuite\.com)(?:\\?/|%2[Ff])open-apis(?:\\?/|%2[Ff])bot(?:\\?/|",
            r"%2[Ff])(?:v2(?:\\?/|%2[Ff]))?hook(?:\\?/|%2[Ff])[A-Za-z0-9-]{30,40}"
        ),
        &["open.feishu.cn", "open.larksuite.com"],
    )
    .lead(0, 14)
    .examples(&[
        "https://open.feishu.cn/open-apis/bot/v2/hook/{U}",
        "https://open.larksuite.com/open-apis/bot/v2/hook/{U}",
    ])
    .look_alikes(&["open.feishu.cnname"]),
    Kind::new(
        "ding-talk-webhook",
        "DingTalk robot webhook address",
        "https://open.dingtalk.com/document/robots/custom-robot-access",
    )
    .pattern(
        concat!(
            r"(?:https?(?::|%3[Aa])(?:\\?/|%2[Ff]){2})?oapi\.dingtalk\.com(?:\\?/|",
            r"%2[Ff])robot(?:\\?/|%2[Ff])send(?:\?|%3F)access_token(?:=|%3D)",
            "[a-f0-9]{64}"
        ),
        &["oapi.dingtalk.com"],
    )
    .lead(0, 14)
    .examples(&["https://oapi.dingtalk.com/robot/send?access_token={h64}"])
    .look_alikes(&["oapi.dingtalk.comname"]),
    Kind::new(
        "wecom-webhook",
        "WeCom group robot webhook address",
        "https://developer.work.weixin.qq.com/document/path/91770",
    )
    .pattern(
        concat!(
            r"(?:https?(?::|%3[Aa])(?:\\?/|%2[Ff]){2})?qyapi\.weixin\.qq\.com(?:\\?/",
            r"|%2[Ff])cgi-bin(?:\\?/|%2[Ff])webhook(?:\\?/|%2[Ff])(?:send|",
            r"upload_media)(?:\?|%3F)key(?:=|%3D)[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-)",
            "{3}[A-Fa-f0-9]{12}"
        ),
        &["qyapi.weixin.qq.com"],
    )
    .lead(0, 14)
    .examples(&["https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={U}"])
    .look_alikes(&["qyapi.weixin.qq.comname"]),
    Kind::new(
        "ops-genie-webhook",
        "Address of an Opsgenie integration with its key",
        "https://support.atlassian.com/opsgenie/docs/create-a-default-api-integration",
    )
    .pattern(
        concat!(
            r"https?://api\.(?:eu\.)?opsgenie\.com/v[0-9]/json/[a-z]{2,40}",
            r"\?apiKey=[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}"
        ),
        &[".opsgenie.com"],
    )
    .lead(11, 14)
    .examples(&["https://api.opsgenie.com/v1/json/prometheus?apiKey={U}"])
    .look_alikes(&[".opsgenie.comname"]),
    Kind::new(
        "quicknode-address",
        "Address of a QuickNode endpoint",
        "https://www.quicknode.com/docs/ethereum/endpoint-security",
    )
    .pattern(
        r"(?:https?|wss?)://[A-Za-z0-9.-]{3,90}\.quiknode\.pro/[a-f0-9]{32,48}/?",
        &[".quiknode.pro"],
    )
    .lead(8, 98)
    .examples(&["https://wild-old-sky.quiknode.pro/{h40}/"])
    .look_alikes(&["https://wild-old-sky.quiknode.pro/"]),
    Kind::new(
        "infura-address",
        "Address of an Infura endpoint",
        "https://docs.metamask.io/services/get-started/infura",
    )
    .pattern(
        r"(?:https?|wss?)://[a-z0-9-]{3,40}\.infura\.io/(?:ws/)?v3/[a-f0-9]{32}",
        &[".infura.io"],
    )
    .lead(8, 48)
    .examples(&["https://mainnet.infura.io/v3/{h32}"])
    .look_alikes(&[".infura.ioname"]),
    Kind::new(
        "alchemy-address",
        "Address of an Alchemy endpoint",
        "https://www.alchemy.com/docs/reference/ethereum-api-quickstart",
    )
    .pattern(
        concat!(
            r"(?:https?|wss?)://[a-z0-9-]{3,40}\.g\.alchemy\.com/(?:nft/)?v[0-9]/",
            "[A-Za-z0-9_-]{30,44}"
        ),
        &[".g.alchemy.com"],
    )
    .lead(8, 48)
    .examples(&["https://eth-mainnet.g.alchemy.com/v2/{w32}"])
    .look_alikes(&[".g.alchemy.comname"]),
];
