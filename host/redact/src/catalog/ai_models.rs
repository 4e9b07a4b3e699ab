//! Services that run models of artificial intelligence.

use super::Kind;

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new(
        "openai-api-key",
        "OpenAI API key of a user",
        "https://platform.openai.com/docs/api-reference/authentication",
    )
    .pattern(
        "sk-[A-Za-z0-9]{18,24}T3BlbkFJ[A-Za-z0-9]{18,24}",
        &["t3blbkfj"],
    )
    .lead(21, 27)
    .examples(&["sk-{a20}T3BlbkFJ{a20}"])
    .look_alikes(&["t3blbkfjname"]),
    Kind::new(
        "openai-project-key",
        "OpenAI API key of a project",
        "https://platform.openai.com/docs/api-reference/authentication",
    )
    .pattern(
        "sk-(?:proj|None)-[A-Za-z0-9_-]{40,260}",
        &["sk-proj-", "sk-none-"],
    )
    .apart()
    .entropy(4.2)
    .examples(&[
        "sk-proj-{w74}T3BlbkFJ{w74}",
        "sk-proj-{w58}T3BlbkFJ{w58}",
        "sk-proj-{a20}T3BlbkFJ{a20}",
    ])
    .look_alikes(&["sk-proj-a-name-of-a-project"]),
    Kind::new(
        "openai-service-account-key",
        "OpenAI API key of a service account",
        "https://platform.openai.com/docs/api-reference/authentication",
    )
    .pattern(
        "sk-(?:svcacct|service)-[A-Za-z0-9_-]{40,260}",
        &["sk-svcacct-", "sk-service-"],
    )
    .apart()
    .entropy(4.2)
    .examples(&["sk-svcacct-{w74}T3BlbkFJ{w74}"])
    .look_alikes(&["sk-svcacct-name"]),
    Kind::new(
        "openai-administration-key",
        "OpenAI admin API key",
        "https://platform.openai.com/docs/api-reference/admin-api-keys",
    )
    .pattern("sk-admin-[A-Za-z0-9_-]{40,260}", &["sk-admin-"])
    .apart()
    .entropy(4.2)
    .examples(&["sk-admin-{w58}T3BlbkFJ{w58}"])
    .look_alikes(&["sk-admin-name"]),
    Kind::new(
        "openai-session-key",
        "OpenAI session key",
        "https://platform.openai.com/docs/api-reference/authentication",
    )
    .pattern("sess-[A-Za-z0-9]{38,44}", &["sess-"])
    .apart()
    .entropy(3.9)
    .examples(&["sess-{a40}"])
    .look_alikes(&["sess-name"]),
    Kind::new(
        "sk-api-key",
        concat!(
            "API key with the prefix sk-, of several services (Stability AI, ",
            "Moonshot AI and others)"
        ),
        "https://platform.stability.ai/docs/api-reference",
    )
    .pattern("sk-[A-Za-z0-9]{20,64}", &["sk-"])
    .apart()
    .entropy(3.9)
    .examples(&["sk-{a48}", "sk-{a51}"])
    .look_alikes(&[
        "task-sk-learn-some-very-long-name-of-a-model",
        "sk-internationalization",
    ]),
    Kind::new(
        "deepseek-api-key",
        "DeepSeek or DashScope API key",
        "https://api-docs.deepseek.com",
    )
    .pattern("sk-[a-f0-9]{32}", &["sk-"])
    .apart()
    .entropy(3.0)
    .examples(&["sk-{h32}"])
    .look_alikes(&["sk-name"]),
    Kind::new(
        "anthropic-api-key",
        "Anthropic API key",
        "https://docs.anthropic.com/en/api/getting-started",
    )
    .pattern(
        "sk-ant-(?:api[0-9]{2}-)?[A-Za-z0-9_-]{32,140}",
        &["sk-ant-"],
    )
    .apart()
    .entropy(4.2)
    .examples(&["sk-ant-api03-{w93}AA", "sk-ant-{w86}"])
    .look_alikes(&["sk-ant-name"]),
    Kind::new(
        "anthropic-admin-key",
        "Anthropic admin API key",
        "https://docs.anthropic.com/en/api/administration-api",
    )
    .pattern(
        "sk-ant-admin[0-9]{2}-[A-Za-z0-9_-]{60,140}",
        &["sk-ant-admin"],
    )
    .apart()
    .entropy(4.2)
    .examples(&["sk-ant-admin01-{w93}AA"])
    .look_alikes(&["sk-ant-adminname"]),
    Kind::new(
        "anthropic-oauth-token",
        "Anthropic OAuth access or refresh token",
        "https://docs.anthropic.com/en/api/getting-started",
    )
    .pattern(
        "sk-ant-o[ar]t[0-9]{2}-[A-Za-z0-9_-]{60,140}",
        &["sk-ant-oat", "sk-ant-ort"],
    )
    .apart()
    .entropy(4.2)
    .examples(&["sk-ant-oat01-{w93}AA", "sk-ant-ort01-{w93}AA"])
    .look_alikes(&["sk-ant-oatname"]),
    Kind::new(
        "anthropic-session-key",
        "Anthropic session key",
        "https://docs.anthropic.com/en/api/getting-started",
    )
    .pattern("sk-ant-sid[0-9]{2}-[A-Za-z0-9_-]{60,140}", &["sk-ant-sid"])
    .apart()
    .entropy(4.2)
    .examples(&["sk-ant-sid01-{w86}"])
    .look_alikes(&["sk-ant-sidname"]),
    Kind::new(
        "hugging-face-token",
        "Hugging Face user access token",
        "https://huggingface.co/docs/hub/security-tokens",
    )
    .pattern("hf_[A-Za-z0-9]{24,40}", &["hf_"])
    .bounded()
    .entropy(3.9)
    .examples(&["hf_{L34}", "hf_{a34}"])
    .look_alikes(&[
        "hf_transformers_model_for_sequence_classification",
        "hf_hub_download",
    ]),
    Kind::new(
        "hugging-face-organization-token",
        "Hugging Face API token of an organization",
        "https://huggingface.co/docs/hub/security-tokens",
    )
    .pattern("api_org_[A-Za-z0-9]{32,40}", &["api_org_"])
    .bounded()
    .entropy(3.8)
    .examples(&["api_org_{L34}"])
    .look_alikes(&["api_org_name"]),
    Kind::new(
        "groq-api-key",
        "Groq API key",
        "https://console.groq.com/docs/api-reference",
    )
    .pattern("gsk_[A-Za-z0-9]{44,60}", &["gsk_"])
    .bounded()
    .examples(&["gsk_{a52}"])
    .look_alikes(&["gsk_name"]),
    Kind::new(
        "xai-api-key",
        "xAI API key",
        "https://docs.x.ai/docs/overview",
    )
    .pattern("xai-(?:token-)?[A-Za-z0-9]{60,100}", &["xai-"])
    .apart()
    .examples(&["xai-{a80}", "xai-token-{a80}"])
    .look_alikes(&["xai-name"]),
    Kind::new(
        "replicate-api-token",
        "Replicate API token",
        "https://replicate.com/docs/reference/http",
    )
    .pattern("r8_[A-Za-z0-9]{36,40}", &["r8_"])
    .bounded()
    .entropy(3.5)
    .examples(&["r8_{a37}"])
    .look_alikes(&["r8_name"]),
    Kind::new(
        "langsmith-api-key",
        "LangSmith API key",
        "https://docs.langchain.com/langsmith/create-account-api-key",
    )
    .pattern("lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}", &["lsv2_"])
    .bounded()
    .examples(&["lsv2_pt_{h32}_{h10}", "lsv2_sk_{h32}_{h10}"])
    .look_alikes(&["lsv2_name"]),
    Kind::new(
        "langsmith-old-api-key",
        "LangSmith API key of the first version",
        "https://docs.langchain.com/langsmith/create-account-api-key",
    )
    .pattern("ls__[a-f0-9]{32}", &["ls__"])
    .bounded()
    .examples(&["ls__{h32}"])
    .look_alikes(&["ls__name"]),
    Kind::new(
        "langfuse-secret-key",
        "Langfuse secret key",
        "https://langfuse.com/docs/api-and-data-platform/features/public-api",
    )
    .pattern(
        "sk-lf-[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}",
        &["sk-lf-"],
    )
    .apart()
    .examples(&["sk-lf-{U}"])
    .look_alikes(&["sk-lf-name"]),
    Kind::new(
        "langfuse-public-key",
        "Langfuse public key",
        "https://langfuse.com/docs/api-and-data-platform/features/public-api",
    )
    .pattern(
        "pk-lf-[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}",
        &["pk-lf-"],
    )
    .apart()
    .examples(&["pk-lf-{U}"])
    .look_alikes(&["pk-lf-name"]),
    Kind::new(
        "pinecone-api-key",
        "Pinecone API key",
        "https://docs.pinecone.io/guides/projects/manage-api-keys",
    )
    .pattern("pcsk_[A-Za-z0-9_]{50,90}", &["pcsk_"])
    .bounded()
    .examples(&["pcsk_{a6}_{a63}"])
    .look_alikes(&["pcsk_name"]),
    Kind::new(
        "nvidia-api-key",
        "NVIDIA API key",
        "https://docs.nvidia.com/nim/large-language-models/latest/getting-started.html",
    )
    .pattern("nvapi-[A-Za-z0-9_-]{50,90}", &["nvapi-"])
    .apart()
    .entropy(4.0)
    .examples(&["nvapi-{w64}", "nvapi-stg-{w64}"])
    .look_alikes(&["nvapi-name"]),
    Kind::new(
        "perplexity-api-key",
        "Perplexity API key",
        "https://docs.perplexity.ai/getting-started/quickstart",
    )
    .pattern("pplx-[A-Za-z0-9]{40,64}", &["pplx-"])
    .apart()
    .examples(&["pplx-{a48}"])
    .look_alikes(&["pplx-name"]),
    Kind::new(
        "openrouter-api-key",
        "OpenRouter API key",
        "https://openrouter.ai/docs/api-reference/authentication",
    )
    .pattern("sk-or-v[0-9]-[A-Za-z0-9]{48,80}", &["sk-or-"])
    .apart()
    .examples(&["sk-or-v1-{h64}"])
    .look_alikes(&["sk-or-name"]),
    Kind::new(
        "fireworks-api-key",
        "Fireworks AI API key",
        "https://docs.fireworks.ai/api-reference/introduction",
    )
    .pattern("fw_[A-Za-z0-9]{20,48}", &["fw_"])
    .apart()
    .entropy(3.5)
    .examples(&["fw_{a24}", "fw_{a32}"])
    .look_alikes(&["fw_update_checker"]),
    Kind::new(
        "elevenlabs-api-key",
        "ElevenLabs API key",
        "https://elevenlabs.io/docs/api-reference/authentication",
    )
    .pattern("sk_[a-f0-9]{48}", &["sk_"])
    .apart()
    .entropy(3.0)
    .examples(&["sk_{h48}"])
    .look_alikes(&["sk_name"]),
];
