//! Ordinary tokens of build logs, in great number: no kind may take one of them for a credential.

use super::example;
use crate::{Engine, Options};
use std::time::{Duration, Instant};

/// Templates of tokens that are random, or look so, and are no secrets.
const TOKENS: &[&str] = &[
    // Hashes, digests and identifiers
    "{h7}",
    "{h32}",
    "{h40}",
    "{h64}",
    "{h128}",
    "{H64}",
    "sha256:{h64}",
    "{U}",
    "urn:uuid:{U}",
    "commit {h40}",
    "index {h10}..{h10} 100644",
    "v0.0.0-20{d12}-{h12}",
    "h1:{b43}=",
    "sha512-{b86}==",
    "sha1-{b27}=",
    "sha384-{b64}",
    "--hash=sha256:{h64}",
    "etag: W/\"{h8}-{a27}\"",
    "trace_id={h32} span_id={h16}",
    "{h24}",
    "{h32}-{d6}",
    "MD5 ({l6}.tar.gz) = {h32}",
    // Base64 of images, certificates and source maps
    "data:image/png;base64,{b400}==",
    "{b76}",
    "{b64}=",
    "{b200}",
    "{w120}",
    "\"mappings\":\";AAAA,{b5},{b4};{b6}\"",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{b43} ci@host",
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC{b360}= ci@host",
    "MIID{b60}",
    // Names with random parts
    "registry.example.com/{i6}/{i8}:v{d1}.{d2}.{d1}",
    "registry.example.com/{i6}@sha256:{h64}",
    "{i8}-{h10}-{l5}",
    "{i6}-{i8}-{l8}",
    "pod/{i6}-{i7}-run-{l5}-{i5}-pod",
    "/tmp/{i4}.{a10}/{i8}.o",
    "target/debug/deps/{i9}-{h16}.rlib",
    "go-build{d10}/b{d3}/_pkg_.a",
    "https://example.com/{i5}/{h40}/{i6}.tgz?expires={d10}",
    "npm/-/{i8}-{d1}.{d2}.{d1}.tgz",
    "https://files.example.org/packages/{h2}/{h2}/{h60}/{i6}-{d1}.{d1}.{d1}-py3-none-any.whl",
    "node-cache-Linux-x64-npm-{h64}",
    "arn:aws:iam::{d12}:role/{i8}-{i4}",
    "i-{h17} vpc-{h8} subnet-{h17} sg-{h17} ami-{h17} vol-{h17}",
    "{d12}.dkr.ecr.eu-west-1.amazonaws.com/{i6}:{h40}",
    "projects/{i6}-{d6}/locations/us-central1",
    "/subscriptions/{U}/resourceGroups/{i8}",
    "ocid1.instance.oc1.iad.{l60}",
    "2026-{d2}-{d2}T{d2}:{d2}:{d2}.{d9}Z",
    "0x{h16} 0x{h8}",
    "{d13} {d10} {d19}",
    "thread-{d5}:{i6}",
    // Names of programs
    "npm_package_{i8}_{i6}",
    "npm_config_{i6}_{i5}=true",
    "pypi-{i6}-{i7}-{i8}",
    "task-sk-{i5}-{i4}-{i6}-{i9}",
    "data.pypi-{i6}-{i5}-{i8}",
    "com.example.{i6}.{i8}.{L24}",
    "test_{i6}_{i9}_{i12}_{i8}",
    "Test{L30}/{i6}_{i8}",
    "api-{i6}-{i8}-{h10}-{l5}",
    "web_{i8}_{i6}",
    "app_{i20}",
    "at_{i10}_{i6}",
    "token-{i5}-{l5}",
    "kubeconfig-{i6}.yaml",
    "ghp_{i8}",
    "AKIA_{u8}",
    "ASIA{i8}",
    "st.{i6}.{i5}",
    "s.{i10}",
    "t1.{i6}",
    "v1.0-{i5}-{d1}",
    "{u12}_{u14}_{u8}={d4}",
    "-D{i8}.{i6}.{i7}={a16}",
    "@{i5}/{i8}@^{d1}.{d2}.{d1}",
    "{L40}",
    "{i60}",
    "{u29}",
];

#[test]
fn no_kind_takes_ordinary_tokens_for_credentials() {
    let engine = Engine::new(&Options {
        forms: false,
        ..Options::default()
    })
    .unwrap();
    let separators = [" ", "\n", "\t", "\"", "=", ",", "/", "\\n"];
    let mut text = String::new();
    for seed in 0_u64.. {
        for (index, template) in TOKENS.iter().enumerate() {
            text.push_str(&example(template, seed));
            text.push_str(separators[(seed as usize + index) % separators.len()]);
        }
        if text.len() > 2 << 20 {
            break;
        }
    }
    // One credential at the end shows that the search reaches it.
    text.push_str(&example("\nghp_{a36}\n", 1));
    let hits = engine
        .hits(&text, Instant::now() + Duration::from_secs(60))
        .unwrap();
    let found: Vec<_> = hits
        .iter()
        .map(|hit| (engine.rule_id(hit.rule), text.get(hit.range.clone())))
        .collect();
    let ids: Vec<_> = found.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, ["github-personal-access-token"], "{found:?}");
}
