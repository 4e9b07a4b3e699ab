//! Stores of secrets, and tools that encrypt them.

use super::Kind;

const VAULT: &str = "https://developer.hashicorp.com/vault/docs/concepts/tokens";
const DOPPLER: &str = "https://docs.doppler.com/reference/auth-token-formats";
const INFISICAL: &str = "https://infisical.com/docs/documentation/platform/token";
const ONEPASSWORD: &str = "https://developer.1password.com/docs/service-accounts/";
const AGE: &str = "https://age-encryption.org/v1";

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new("vault-service-token", "HashiCorp Vault or OpenBao service token", VAULT)
        .pattern(r"hvs\.[A-Za-z0-9_-]{20,400}", &["hvs."])
        .bounded()
        .entropy(3.0)
        .examples(&["hvs.{w90}", "hvs.{a24}"])
        .look_alikes(&["hvs.example.com", "hvs.xxxxxxxxxxxxxxxxxxxxxxxx"]),
    Kind::new("vault-batch-token", "HashiCorp Vault batch token", VAULT)
        .pattern(r"hvb\.[A-Za-z0-9_-]{60,800}", &["hvb."])
        .bounded()
        .entropy(3.0)
        .examples(&["hvb.{w140}", "hvb.{w212}"])
        .look_alikes(&["hvb.example.com"]),
    Kind::new("vault-recovery-token", "HashiCorp Vault recovery token", VAULT)
        .pattern(r"hvr\.[A-Za-z0-9_-]{20,400}", &["hvr."])
        .bounded()
        .entropy(3.0)
        .examples(&["hvr.{a24}", "hvr.{w90}"])
        .look_alikes(&["hvr.example.com"]),
    // Tokens from before version 1.10. Their prefix `s.` is short, so the pattern also requires a
    // character before it.
    Kind::new("vault-legacy-token", "HashiCorp Vault token of an old version", VAULT)
        .pattern(
            r#"[ "'=:`]s\.(?P<secret>[A-Za-z0-9]{24})(?:[^A-Za-z0-9_.(\[\]]|$)"#,
            &[" s.", "\"s.", "'s.", "=s.", ":s.", "`s."],
        )
        .entropy(3.6)
        .allow(&["get", "set", "with", "from", "name", "request", "error", "class"])
        .examples(&[" s.Ab1{a21}", "=s.x9K{a21}"])
        .look_alikes(&[" s.getTransactionIdentifier()", " s.aaaaaaaaaaaaaaaaaaaaaaaa"]),
    Kind::new("vault-unseal-key", "Unseal or recovery key of HashiCorp Vault", "https://developer.hashicorp.com/vault/docs/concepts/seal")
        .pattern(
            "(?:Unseal|Recovery) Key [0-9]{1,2}: {1,4}(?P<secret>[A-Za-z0-9+/]{32,66}={0,2})",
            &["unseal key ", "recovery key "],
        )
        .examples(&["Unseal Key 1: {b44}", "Recovery Key 12: {b43}="])
        .look_alikes(&["Unseal Key (will be hidden): "]),
    Kind::new("terraform-cloud-token", "HCP Terraform or Terraform Enterprise API token", "https://developer.hashicorp.com/terraform/cloud-docs/users-teams-organizations/api-tokens")
        .pattern(r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{56,80}", &[".atlasv1."])
        .lead(14, 14)
        .examples(&["{a14}.atlasv1.{a67}", "{a14}.atlasv1.{w60}"])
        .look_alikes(&["example.atlasv1.short"]),
    Kind::new("boundary-token", "HashiCorp Boundary token", "https://developer.hashicorp.com/boundary/docs/concepts/domain-model")
        .pattern("at_[A-Za-z0-9]{10}_s1[A-Za-z0-9]{30,400}", &["_s1"])
        .lead(13, 13)
        .bounded()
        .entropy(4.0)
        .examples(&["at_{a10}_s1{a60}", "at_{a10}_s1{a156}"])
        .look_alikes(&["at_0123456789_s1"]),
    Kind::new("doppler-token", "Doppler token", DOPPLER)
        .pattern(
            r"dp\.(?:pt|ct|sa|scim|audit|said|id|oauth)\.[A-Za-z0-9]{36,50}",
            &["dp.pt.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit.", "dp.said.", "dp.id.", "dp.oauth."],
        )
        .entropy(3.0)
        .examples(&["dp.pt.{a43}", "dp.ct.{a43}", "dp.sa.{a43}", "dp.scim.{a43}", "dp.audit.{a43}"])
        .look_alikes(&["dp.pt.example"]),
    Kind::new("doppler-service-token", "Doppler service token of a configuration", DOPPLER)
        .pattern(r"dp\.st\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{36,50}", &["dp.st."])
        .entropy(3.0)
        .examples(&["dp.st.{a43}", "dp.st.prd.{a43}", "dp.st.dev_ci.{a40}"])
        .look_alikes(&["dp.st.prd"]),
    Kind::new("pulumi-access-token", "Pulumi access token", "https://www.pulumi.com/docs/pulumi-cloud/access-management/access-tokens/")
        .pattern("pul-[a-f0-9]{40}", &["pul-"])
        .apart()
        .entropy(2.5)
        .examples(&["pul-{h40}"])
        .look_alikes(&["pul-request"]),
    Kind::new("infisical-service-token", "Infisical service token", INFISICAL)
        .pattern(r"st\.[a-f0-9]{24}\.[a-f0-9]{32}\.[a-f0-9]{32}", &["st."])
        .bounded()
        .examples(&["st.{h24}.{h32}.{h32}"])
        .look_alikes(&["st.example.com"]),
    Kind::new("infisical-service-token-v3", "Infisical service token with a key of its own", INFISICAL)
        .pattern(r"st\.[a-f0-9-]{24,36}\.[a-f0-9]{32,64}\.[a-f0-9]{32,64}", &["st."])
        .bounded()
        .examples(&["st.{U}.{h64}.{h32}"])
        .look_alikes(&["st.example.com"]),
    // The rest is JSON in base64.
    Kind::new("onepassword-service-account-token", "1Password service account token", ONEPASSWORD)
        .pattern("ops_eyJ[A-Za-z0-9+/_-]{60,3000}={0,3}", &["ops_eyj"])
        .outside_base64()
        .entropy(3.5)
        .examples(&["ops_eyJ{a600}", "ops_eyJ{a97}"])
        .look_alikes(&["ops_eyJ"]),
    Kind::new("onepassword-secret-key", "1Password secret key", "https://support.1password.com/secret-key/")
        .pattern("A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}", &["a3-"])
        .bounded()
        .entropy(3.3)
        .examples(&["A3-{u6}-{u6}-{u5}-{u5}-{u5}-{u5}", "A3-{u6}-{u11}-{u5}-{u5}-{u5}"])
        .look_alikes(&["A3-SHEET", "A3-XXXXXX-XXXXXX-XXXXX-XXXXX-XXXXX-XXXXX"]),
    // `0.` stands before it.
    Kind::new("bitwarden-access-token", "Bitwarden Secrets Manager access token", "https://bitwarden.com/help/access-tokens/")
        .pattern(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[A-Za-z0-9]{28,32}:[A-Za-z0-9+/]{22}==", &[])
        .bounded()
        .examples(&["{U}.{a30}:{b22}=="])
        .look_alikes(&["550e8400-e29b-41d4-a716-446655440000.tar"]),
    Kind::new("keeper-one-time-token", "Keeper Secrets Manager one-time access token", "https://docs.keeper.io/en/keeperpam/secrets-manager/about/one-time-token")
        .pattern("(?:US|EU|AU|CA|JP|GOV):[A-Za-z0-9_-]{43}", &["us:", "eu:", "au:", "ca:", "jp:", "gov:"])
        .apart()
        .entropy(4.2)
        .examples(&["US:{w43}", "EU:{w43}"])
        .look_alikes(&["US:central", "STATUS:running"]),
    Kind::new("age-secret-key", "age secret key", AGE)
        .pattern("AGE-SECRET-KEY-1[A-Z0-9]{40,64}", &["age-secret-key-1"])
        .examples(&["AGE-SECRET-KEY-1{u58}"])
        .look_alikes(&["AGE-SECRET-KEY-1"]),
    Kind::new("age-post-quantum-secret-key", "age secret key for a post-quantum recipient", AGE)
        .pattern("AGE-SECRET-KEY-PQ-1[A-Z0-9]{50,120}", &["age-secret-key-pq-1"])
        .examples(&["AGE-SECRET-KEY-PQ-1{u58}"])
        .look_alikes(&["AGE-SECRET-KEY-PQ-1"]),
    Kind::new("age-plugin-identity", "Identity of an age plugin", AGE)
        .pattern("AGE-PLUGIN-[A-Z0-9]{2,24}-1[A-Z0-9]{30,400}", &["age-plugin-"])
        .bounded()
        .examples(&["AGE-PLUGIN-YUBIKEY-1{u60}"])
        .look_alikes(&["age-plugin-yubikey 0.5.0"]),
    // The first fields of a secret key in base64: its algorithms and its key derivation function.
    Kind::new("minisign-secret-key", "minisign or signify secret key", "https://jedisct1.github.io/minisign/")
        .pattern("(?:RWRTY0Iy|RWQAAEIy|RWRCSw)[A-Za-z0-9+/]{100,300}={0,2}", &["rwrty0iy", "rwqaaeiy", "rwrcsw"])
        .bounded()
        .examples(&["RWRTY0Iy{b204}", "RWQAAEIy{b204}", "RWRCSw{b132}=="])
        .look_alikes(&["RWRTY0Iy"]),
    Kind::new("ansible-vault", "Ciphertext of Ansible Vault", "https://docs.ansible.com/ansible/latest/vault_guide/index.html")
        .pattern(
            r"\$ANSIBLE_VAULT;1\.[12];AES256(?:;[A-Za-z0-9_.-]{1,64})?(?:[ \t\r\n]|\\{1,4}n){1,40}(?P<secret>[0-9a-f](?:[0-9a-f \t\r\n]|\\{1,4}n){38,1570}[0-9a-f])",
            &["$ansible_vault;"],
        )
        .examples(&["$ANSIBLE_VAULT;1.1;AES256\n{h80}\n{h80}\n{h40}", "$ANSIBLE_VAULT;1.2;AES256;prod\n          {h80}"])
        .look_alikes(&["$ANSIBLE_VAULT;1.1;AES256"]),
    Kind::new("tor-service-key", "Private key of a Tor onion service", "https://spec.torproject.org/control-spec/commands.html")
        .pattern("ED25519-V3:[A-Za-z0-9+/]{80,88}={0,2}", &["ed25519-v3:"])
        .bounded()
        .examples(&["ED25519-V3:{b86}=="])
        .look_alikes(&["ED25519-V3:ADDRESS"]),
];
