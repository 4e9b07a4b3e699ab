//! Tools and smaller services for artificial intelligence and machine learning.

use super::Kind;

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new(
        "together-api-key",
        "Together AI API key",
        "https://docs.together.ai/docs/quickstart",
    )
    .pattern("tgp_v[0-9]_[A-Za-z0-9_-]{40,50}", &["tgp_v"])
    .apart()
    .examples(&["tgp_v1_{w43}"])
    .look_alikes(&["tgp_vname"]),
    Kind::new(
        "cerebras-api-key",
        "Cerebras API key",
        "https://inference-docs.cerebras.ai/quickstart",
    )
    .pattern("csk-[a-z0-9]{44,52}", &["csk-"])
    .apart()
    .entropy(3.5)
    .examples(&["csk-{l48}"])
    .look_alikes(&["csk-name"]),
    Kind::new(
        "voyage-api-key",
        "Voyage AI API key",
        "https://docs.voyageai.com/docs/api-key-and-installation",
    )
    .pattern("pa-[A-Za-z0-9_-]{43}", &["pa-"])
    .apart()
    .entropy(4.3)
    .examples(&["pa-{w43}"])
    .look_alikes(&["pa-some-long-name-of-a-deployment-with-numbers-1"]),
    Kind::new(
        "nomic-api-key",
        "Nomic API key",
        "https://docs.nomic.ai/reference/getting-started/authentication",
    )
    .pattern("nk-[A-Za-z0-9_-]{43}", &["nk-"])
    .apart()
    .entropy(4.3)
    .examples(&["nk-{w43}"])
    .look_alikes(&["nk-name"]),
    Kind::new(
        "jina-api-key",
        "Jina AI API key",
        "https://jina.ai/embeddings",
    )
    .pattern("jina_[a-f0-9]{32}[A-Za-z0-9_-]{24,32}", &["jina_"])
    .apart()
    .examples(&["jina_{h32}{w28}"])
    .look_alikes(&["jina_name"]),
    Kind::new(
        "tavily-api-key",
        "Tavily API key",
        "https://docs.tavily.com/documentation/api-reference/introduction",
    )
    .pattern("tvly-(?:dev-|prod-)?[A-Za-z0-9_-]{28,60}", &["tvly-"])
    .apart()
    .entropy(3.6)
    .examples(&["tvly-{a32}", "tvly-dev-{a32}", "tvly-prod-{w32}"])
    .look_alikes(&["tvly-name"]),
    Kind::new(
        "firecrawl-api-key",
        "Firecrawl API key",
        "https://docs.firecrawl.dev/api-reference/introduction",
    )
    .pattern("fc-[a-f0-9]{32}", &["fc-"])
    .apart()
    .entropy(3.0)
    .examples(&["fc-{h32}"])
    .look_alikes(&["fc-name"]),
    Kind::new("e2b-api-key", "E2B API key", "https://e2b.dev/docs/api-key")
        .pattern("e2b_[a-f0-9]{40}", &["e2b_"])
        .bounded()
        .examples(&["e2b_{h40}"])
        .look_alikes(&["e2b_name"]),
    Kind::new(
        "modal-token",
        "Modal token id or secret",
        "https://modal.com/docs/reference/modal.config",
    )
    .pattern("a[ks]-[A-Za-z0-9]{22}", &["ak-", "as-"])
    .apart()
    .entropy(3.7)
    .examples(&["ak-{a22}", "as-{a22}"])
    .look_alikes(&["as-counterrevolutionaries"]),
    Kind::new(
        "wandb-api-key",
        "Weights & Biases API key of version 1",
        "https://docs.wandb.ai/support/kb-articles/find-api-key",
    )
    .pattern("wandb_v[0-9]_[A-Za-z0-9_]{40,110}", &["wandb_v"])
    .bounded()
    .examples(&["wandb_v1_{a27}_{a49}"])
    .look_alikes(&["wandb_vname"]),
    Kind::new(
        "llm-observability-key",
        "Helicone API key",
        "https://docs.helicone.ai/helicone-headers/helicone-auth",
    )
    .pattern(
        "(?:sk|pk)-helicone-[a-z0-9]{7}(?:-[a-z0-9]{7}){3}",
        &["sk-helicone-", "pk-helicone-"],
    )
    .apart()
    .examples(&["sk-helicone-{l7}-{l7}-{l7}-{l7}"])
    .look_alikes(&["sk-helicone-name"]),
    Kind::new(
        "runpod-api-key",
        "RunPod API key",
        "https://docs.runpod.io/get-started/api-keys",
    )
    .pattern("rpa_[A-Za-z0-9]{40,52}", &["rpa_"])
    .bounded()
    .examples(&["rpa_{u46}"])
    .look_alikes(&["rpa_name"]),
    Kind::new(
        "lambda-api-key",
        "Lambda cloud API key",
        "https://docs.lambda.ai/public-cloud/cloud-api",
    )
    .pattern(
        r"secret_[A-Za-z0-9-]{1,40}_[a-f0-9]{32}\.[A-Za-z0-9]{32}",
        &["secret_"],
    )
    .apart()
    .examples(&["secret_my-key_{h32}.{a32}"])
    .look_alikes(&["secret_name"]),
    Kind::new(
        "braintrust-api-key",
        "Braintrust API key",
        "https://www.braintrust.dev/docs/reference/api",
    )
    .pattern("bt-st-[A-Za-z0-9]{40,60}", &["bt-st-"])
    .apart()
    .examples(&["bt-st-{a48}"])
    .look_alikes(&["bt-st-name"]),
    Kind::new(
        "llama-cloud-api-key",
        "LlamaCloud API key",
        "https://docs.cloud.llamaindex.ai/api_key",
    )
    .pattern("llx-[A-Za-z0-9]{40,60}", &["llx-"])
    .apart()
    .examples(&["llx-{a48}"])
    .look_alikes(&["llx-name"]),
    Kind::new(
        "cursor-api-key",
        "Cursor API key",
        "https://docs.cursor.com/account/teams/admin-api",
    )
    .pattern("(?:crsr|key)_[a-f0-9]{64}", &["crsr_", "key_"])
    .apart()
    .examples(&["crsr_{h64}", "key_{h64}"])
    .look_alikes(&["crsr_name"]),
    Kind::new(
        "friendli-token",
        "Friendli access token",
        "https://friendli.ai/docs/guides/personal_access_tokens",
    )
    .pattern("flp_[A-Za-z0-9]{40,60}", &["flp_"])
    .bounded()
    .examples(&["flp_{a46}"])
    .look_alikes(&["flp_name"]),
    Kind::new(
        "anyscale-api-key",
        "Anyscale API key",
        "https://docs.anyscale.com",
    )
    .pattern("esecret_[A-Za-z0-9]{20,60}", &["esecret_"])
    .bounded()
    .entropy(3.4)
    .examples(&["esecret_{a26}"])
    .look_alikes(&["esecret_name"]),
    Kind::new(
        "mem0-api-key",
        "Mem0 API key",
        "https://docs.mem0.ai/api-reference",
    )
    .pattern("m0-[A-Za-z0-9]{38,44}", &["m0-"])
    .apart()
    .entropy(3.9)
    .examples(&["m0-{a40}"])
    .look_alikes(&["m0-name"]),
    Kind::new(
        "vectara-api-key",
        "Vectara API key",
        "https://docs.vectara.com/docs/console-ui/api-access-overview",
    )
    .pattern(
        "z(?:ut|qt|wt)_[A-Za-z0-9_-]{32,80}",
        &["zut_", "zqt_", "zwt_"],
    )
    .apart()
    .entropy(4.0)
    .examples(&["zut_{w38}", "zqt_{w38}"])
    .look_alikes(&["zut_name"]),
];
