//! Amazon Web Services.

use super::Kind;

const KEYS: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html";
const BEDROCK: &str = "https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html";
const STS: &str = "https://docs.aws.amazon.com/STS/latest/APIReference/API_Credentials.html";

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new("aws-access-key-id", "AWS access key id", KEYS)
        .pattern("AKIA[A-Z0-9]{16}", &["akia"])
        .bounded()
        .entropy(2.8)
        .examples(&["AKIA{t16}"])
        .look_alikes(&["AKIA", "AKIAIOSFODNN7EXAMPL"]),
    Kind::new(
        "aws-temporary-access-key-id",
        "AWS temporary access key id",
        KEYS,
    )
    .pattern("ASIA[A-Z0-9]{16}", &["asia"])
    .bounded()
    .entropy(2.8)
    .allow(&["example", "asiapac", "pacific", "europe"])
    .examples(&["ASIA{t16}"])
    .look_alikes(&[
        "ASIAPACIFICREGION2026DATA",
        "ASIAPACIFICSINGAPORE",
        "ASIA_PACIFIC",
    ]),
    Kind::new(
        "aws-other-key-id",
        "AWS bearer token id or context-specific credential id",
        KEYS,
    )
    .pattern(
        "(?:ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}",
        &["abia", "acca", "a3t"],
    )
    .bounded()
    .entropy(3.0)
    .allow(&["example"])
    .examples(&["ABIA{t16}", "ACCA{t16}", "A3T{u1}{t16}"])
    .look_alikes(&["ABIA", "ACCA"]),
    Kind::new("aws-session-token", "AWS session token", STS)
        .pattern(
            "(?:IQoJb3JpZ2lu|FwoGZXIvYXdz|FQoGZXIvYXdz)[A-Za-z0-9+/]{80,2000}={0,2}",
            &["iqojb3jpz2lu", "fwogzxivyxdz", "fqogzxivyxdz"],
        )
        .outside_base64()
        .examples(&["IQoJb3JpZ2lu{b400}", "FwoGZXIvYXdz{b300}="])
        .look_alikes(&["IQoJb3JpZ2lu"]),
    // `QmVkcm9ja0FQSUtleS` is `BedrockAPIKey-` in base64.
    Kind::new(
        "aws-bedrock-key",
        "Amazon Bedrock long-term API key",
        BEDROCK,
    )
    .pattern("ABSK[A-Za-z0-9+/]{100,280}={0,2}", &["absk"])
    .outside_base64()
    .entropy(3.5)
    .examples(&["ABSKQmVkcm9ja0FQSUtleS{b110}=", "ABSK{b128}"])
    .look_alikes(&["ABSK"]),
    // The prefix is followed by the beginning of a presigned URL in base64.
    Kind::new(
        "aws-short-term-model-key",
        "Amazon Bedrock short-term API key",
        BEDROCK,
    )
    .pattern(
        "bedrock-api-key-[A-Za-z0-9+/=]{60,4000}",
        &["bedrock-api-key-"],
    )
    .apart()
    .entropy(3.5)
    .examples(&["bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t{b400}"])
    .look_alikes(&["bedrock-api-key-rotation"]),
    Kind::new(
        "aws-mws-token",
        "Amazon MWS authorization token",
        "https://docs.developer.amazonservices.com/en_US/dev_guide/DG_Registering.html",
    )
    .pattern(
        r"amzn\.mws\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        &["amzn.mws."],
    )
    .examples(&["amzn.mws.{U}"])
    .look_alikes(&["amzn.mws.example"]),
    Kind::new(
        "aws-appsync-key",
        "AWS AppSync API key",
        "https://docs.aws.amazon.com/appsync/latest/devguide/security-authz.html",
    )
    .pattern("da2-[a-z0-9]{26}", &["da2-"])
    .apart()
    .entropy(3.2)
    .examples(&["da2-{l26}"])
    .look_alikes(&[
        "9f86d081-884c-4da2-a0c5-5ad015a3bf4f",
        "da2-aaaaaaaaaaaaaaaaaaaaaaaaaa",
    ]),
    Kind::new(
        "amazon-login-client-secret",
        "Login with Amazon client secret",
        "https://developer.amazon.com/docs/login-with-amazon/documentation-overview.html",
    )
    .pattern(r"amzn1\.oa2-cs\.v1\.[0-9a-f]{64}", &["amzn1.oa2-cs.v1."])
    .examples(&["amzn1.oa2-cs.v1.{h64}"])
    .look_alikes(&["amzn1.oa2-cs.v1.example"]),
    Kind::new(
        "amazon-login-token",
        "Login with Amazon access or refresh token",
        "https://developer.amazon.com/docs/login-with-amazon/documentation-overview.html",
    )
    .pattern(r"Atz[ar]\|[A-Za-z0-9_+/=-]{60,2000}", &["atza|", "atzr|"])
    .bounded()
    .examples(&["Atza|{w300}", "Atzr|{w300}"])
    .look_alikes(&["Atza|short"]),
    // `eyJwYXlsb2FkIjoi` is `{"payload":"` in base64.
    Kind::new(
        "aws-ecr-password",
        "Password of Amazon ECR, from get-login-password",
        "https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html",
    )
    .pattern(
        "eyJwYXlsb2FkIjoi[A-Za-z0-9+/]{200,4000}={0,2}",
        &["eyjwyxlsb2fkijoi"],
    )
    .outside_base64()
    .examples(&["eyJwYXlsb2FkIjoi{b1200}=="])
    .look_alikes(&["eyJwYXlsb2FkIjoi"]),
];
