//! Hosting of source code.

use super::{Checksum, Kind};

const GITHUB: &str = "https://docs.github.com/authentication/keeping-your-account-and-data-secure/about-authentication-to-github";
const GITLAB: &str = "https://docs.gitlab.com/security/tokens/";
const ATLASSIAN: &str = "https://support.atlassian.com/bitbucket-cloud/docs/api-tokens/";
const SOURCEGRAPH: &str = "https://sourcegraph.com/docs/cli/how-tos/creating_an_access_token";

/// The kinds. Their minimum lengths are below those of today's tokens, so that most of a truncated
/// token is masked, too.
pub(super) const KINDS: &[Kind] = &[
    Kind::new("github-app-user-token", "GitHub App user access token", GITHUB)
        .pattern("ghu_[A-Za-z0-9]{20,255}", &["ghu_"])
        .entropy(3.0)
        .checksum(Checksum::Crc32Base62)
        .examples(&["ghu_{a36}"])
        .look_alikes(&["ghu_short"]),
    // Newer tokens of installations carry the number of the App and a JSON Web Token.
    Kind::new("github-app-installation-token", "GitHub App installation access token, GITHUB_TOKEN of Actions", GITHUB)
        .pattern(
            r"ghs_(?:[0-9]{1,12}_eyJ[A-Za-z0-9_-]{10,500}\.[A-Za-z0-9_-]{10,1000}\.[A-Za-z0-9_-]{20,700}|[A-Za-z0-9]{20,255})",
            &["ghs_"],
        )
        .entropy(3.0)
        .checksum(Checksum::Crc32Base62)
        .examples(&["ghs_{a36}", "ghs_{a80}", "ghs_{d7}_eyJ{w60}.{w200}.{w86}"])
        .look_alikes(&["ghs_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]),
    Kind::new("github-personal-access-token", "GitHub personal access token (classic)", GITHUB)
        .pattern("ghp_[A-Za-z0-9]{20,255}", &["ghp_"])
        .entropy(3.0)
        .checksum(Checksum::Crc32Base62)
        .examples(&["ghp_{a36}"])
        .look_alikes(&["ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "ghp_short"]),
    Kind::new("github-oauth-token", "GitHub OAuth access token", GITHUB)
        .pattern("gho_[A-Za-z0-9]{20,255}", &["gho_"])
        .entropy(3.0)
        .checksum(Checksum::Crc32Base62)
        .examples(&["gho_{a36}"])
        .look_alikes(&["gho_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]),
    Kind::new("github-refresh-token", "GitHub App refresh token", GITHUB)
        .pattern("ghr_[A-Za-z0-9]{20,255}", &["ghr_"])
        .entropy(3.0)
        .checksum(Checksum::Crc32Base62)
        .examples(&["ghr_{a36}", "ghr_{a76}"])
        .look_alikes(&["ghr_short"]),
    Kind::new("github-fine-grained-token", "GitHub fine-grained personal access token", GITHUB)
        .pattern("github_pat_[A-Za-z0-9_]{20,255}", &["github_pat_"])
        .entropy(3.0)
        .examples(&["github_pat_{a22}_{a59}"])
        .look_alikes(&["github_pat_token_for_releases"]),
    Kind::new("gitlab-personal-access-token", "GitLab personal, project or group access token", GITLAB)
        .pattern(
            r"glpat-[A-Za-z0-9_-]{16,300}(?:\.[0-9a-z]{2}\.[0-9a-z]{7,12}|\.[0-9a-z]{7,12})?",
            &["glpat-"],
        )
        .apart()
        .entropy(3.0)
        .examples(&["glpat-{w20}", "glpat-{a27}.01.{l9}", "glpat-{w27}.{l9}"])
        .look_alikes(&["glpat-xxxxxxxxxxxxxxxxxxxx", "glpat-short"]),
    Kind::new("gitlab-deploy-token", "GitLab deploy token", GITLAB)
        .pattern(r"gldt-[A-Za-z0-9_-]{16,300}(?:\.[0-9a-z]{2}\.[0-9a-z]{7,12})?", &["gldt-"])
        .apart()
        .entropy(3.0)
        .examples(&["gldt-{w20}"])
        .look_alikes(&["gldt-short"]),
    Kind::new("gitlab-runner-token", "GitLab runner authentication token", GITLAB)
        .pattern(
            r"glrtr?-(?:t[0-9]_)?[A-Za-z0-9_-]{20,300}(?:\.[0-9a-z]{2}\.[0-9a-z]{7,12}|\.[0-9a-z]{7,12})?",
            &["glrt-", "glrtr-"],
        )
        .apart()
        .entropy(3.0)
        .examples(&["glrt-{w20}", "glrtr-{w20}", "glrt-t1_{a27}.01.{l9}"])
        .look_alikes(&["glrt-short"]),
    Kind::new("gitlab-runner-registration-token", "GitLab runner registration token", GITLAB)
        .pattern("GR1348941[A-Za-z0-9_-]{20,40}", &["gr1348941"])
        .examples(&["GR1348941{w20}"])
        .look_alikes(&["GR1348941"]),
    Kind::new("gitlab-job-token", "GitLab CI/CD job token", GITLAB)
        .pattern(
            r"glcbt-[A-Za-z0-9]{1,5}_[A-Za-z0-9_-]{20,300}(?:\.[0-9a-z]{2}\.[0-9a-z]{7,12})?",
            &["glcbt-"],
        )
        .apart()
        .examples(&["glcbt-{a2}_{w20}", "glcbt-{h5}_{w20}"])
        .look_alikes(&["glcbt-short"]),
    Kind::new("gitlab-trigger-token", "GitLab pipeline trigger token", GITLAB)
        .pattern("glptt-[A-Za-z0-9_-]{16,64}", &["glptt-"])
        .apart()
        .entropy(2.5)
        .examples(&["glptt-{h40}", "glptt-{w20}"])
        .look_alikes(&["glptt-short"]),
    Kind::new("gitlab-feed-token", "GitLab feed token", GITLAB)
        .pattern("glft-[A-Za-z0-9_-]{16,64}", &["glft-"])
        .apart()
        .entropy(3.0)
        .examples(&["glft-{w20}", "glft-{h64}"])
        .look_alikes(&["glft-short"]),
    Kind::new("gitlab-incoming-mail-token", "GitLab incoming mail token", GITLAB)
        .pattern("glimt-[A-Za-z0-9_-]{16,64}", &["glimt-"])
        .apart()
        .entropy(3.0)
        .examples(&["glimt-{w25}", "glimt-{l25}"])
        .look_alikes(&["glimt-short"]),
    Kind::new("gitlab-agent-token", "GitLab agent for Kubernetes token", GITLAB)
        .pattern(r"glagent-[A-Za-z0-9_-]{16,300}(?:\.[0-9a-z]{2}\.[0-9a-z]{7,12})?", &["glagent-"])
        .apart()
        .entropy(3.0)
        .examples(&["glagent-{w50}"])
        .look_alikes(&["glagent-for-kubernetes"]),
    Kind::new("gitlab-workspace-token", "GitLab workspace token", GITLAB)
        .pattern("glwt-[A-Za-z0-9_-]{20,64}", &["glwt-"])
        .apart()
        .entropy(3.0)
        .examples(&["glwt-{w20}"])
        .look_alikes(&["glwt-short"]),
    Kind::new("gitlab-scim-token", "GitLab SCIM token", GITLAB)
        .pattern("glsoat-[A-Za-z0-9_-]{16,64}", &["glsoat-"])
        .apart()
        .entropy(3.0)
        .examples(&["glsoat-{w20}"])
        .look_alikes(&["glsoat-short"]),
    Kind::new("gitlab-feature-flags-token", "GitLab feature flags client token", GITLAB)
        .pattern("glffct-[A-Za-z0-9_-]{20,64}", &["glffct-"])
        .apart()
        .entropy(3.0)
        .examples(&["glffct-{w20}"])
        .look_alikes(&["glffct-short"]),
    Kind::new("gitlab-oauth-secret", "GitLab OAuth application secret", GITLAB)
        .pattern("gloas-[A-Za-z0-9_-]{16,80}", &["gloas-"])
        .apart()
        .entropy(3.0)
        .examples(&["gloas-{h64}", "gloas-{w64}"])
        .look_alikes(&["gloas-short"]),
    Kind::new("gitlab-session-cookie", "GitLab session cookie", GITLAB)
        .pattern("_gitlab_session=(?P<secret>[0-9a-z]{24,64})", &["_gitlab_session="])
        .entropy(2.5)
        .examples(&["_gitlab_session={l32}", "_gitlab_session={h32}"])
        .look_alikes(&["_gitlab_session=deleted;"]),
    Kind::new("bitbucket-app-password", "Bitbucket app password", ATLASSIAN)
        .pattern("ATBB[A-Za-z0-9]{24,40}", &["atbb"])
        .bounded()
        .entropy(3.5)
        .examples(&["ATBB{a28}{h8}", "ATBB{a24}{H8}"])
        .look_alikes(&["ATBBxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]),
    Kind::new("bitbucket-access-token", "Bitbucket repository, project or workspace access token", ATLASSIAN)
        .pattern("ATCTT3xFfGN0[A-Za-z0-9_=-]{60,300}", &["atctt3xffgn0"])
        .examples(&["ATCTT3xFfGN0{w160}={H8}"])
        .look_alikes(&["ATCTT3xFfGN0"]),
    Kind::new("bitbucket-data-center-token", "Bitbucket Data Center access token", "https://confluence.atlassian.com/bitbucketserver/http-access-tokens-939515499.html")
        .pattern("BBDC-[A-Za-z0-9+/]{32,64}={0,2}", &["bbdc-"])
        .bounded()
        .entropy(3.5)
        .examples(&["BBDC-{b44}"])
        .look_alikes(&["BBDC-short"]),
    Kind::new("atlassian-api-token", "Atlassian API token", "https://support.atlassian.com/atlassian-account/docs/manage-api-tokens-for-your-atlassian-account/")
        .pattern("ATATT3[A-Za-z0-9_-]{60,300}(?:(?:=|%3D)[A-Fa-f0-9]{8})?", &["atatt3"])
        .apart()
        .entropy(3.5)
        .examples(&["ATATT3xFfGF0{w176}={H8}"])
        .look_alikes(&["ATATT3xFfGF0"]),
    Kind::new("azure-devops-token", "Azure DevOps personal access token", "https://learn.microsoft.com/azure/devops/organizations/accounts/use-personal-access-tokens-to-authenticate")
        .pattern("[A-Za-z0-9]{75,76}AZDO[A-Za-z0-9]{4,5}", &["azdo"])
        .lead(75, 76)
        .bounded()
        .examples(&["{a76}AZDO{a4}", "{l52}JQQJ99{u2}AC{a14}AZDO{a4}"])
        .look_alikes(&["https://dev.example.com/AZDO/project"]),
    Kind::new("gitea-oauth-secret", "Gitea or Forgejo OAuth client secret", "https://docs.gitea.com/development/oauth2-provider")
        .pattern("gto_[a-z2-7]{48,56}", &["gto_"])
        .bounded()
        .entropy(3.0)
        .examples(&["gto_{i52}"])
        .look_alikes(&["gto_orbitals_per_atom"]),
    Kind::new("sourcegraph-access-token", "Sourcegraph access token", SOURCEGRAPH)
        .pattern("sg[a-z]{1,2}_(?:(?:[a-f0-9]{16}|local)_)?[a-f0-9]{40}", &["sgp_", "sgs_", "sgd_", "sgph_"])
        .bounded()
        .entropy(2.5)
        .examples(&["sgp_{h40}", "sgp_{h16}_{h40}", "sgp_local_{h40}"])
        .look_alikes(&["sgp_local_branch"]),
    Kind::new("sourcegraph-license-key", "Sourcegraph licence access token", SOURCEGRAPH)
        .pattern("slk_[a-f0-9]{64}", &["slk_"])
        .bounded()
        .examples(&["slk_{h64}"])
        .look_alikes(&["slk_buffer"]),
    Kind::new("phabricator-token", "Phabricator Conduit token", "https://secure.phabricator.com/book/phabricator/article/conduit/")
        .pattern("(?:api|cli)-[a-z0-9]{28}", &["api-", "cli-"])
        .bounded()
        .entropy(3.7)
        .allow(&["controller", "service", "server", "client"])
        .examples(&["api-{l28}", "cli-{l28}"])
        .look_alikes(&["api-gateway", "cli-aaaaaaaaaaaaaaaaaaaaaaaaaaaa"]),
    Kind::new("codesandbox-token", "CodeSandbox API token", "https://codesandbox.io/docs/sdk")
        .pattern("csb_v1_[A-Za-z0-9_-]{30,80}", &["csb_v1_"])
        .entropy(3.5)
        .examples(&["csb_v1_{w43}"])
        .look_alikes(&["csb_v1_short"]),
];
