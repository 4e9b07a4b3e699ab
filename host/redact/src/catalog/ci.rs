//! Continuous integration, delivery and the quality of code.

use super::Kind;

const CIRCLECI: &str = "https://circleci.com/docs/managing-api-tokens/";
const BUILDKITE: &str = "https://buildkite.com/docs/platform/security/tokens";
const HARNESS: &str =
    "https://developer.harness.io/docs/platform/automation/api/add-and-manage-api-keys/";
const SONAR: &str = "https://docs.sonarsource.com/sonarqube-server/user-guide/managing-tokens/";
const PREFECT: &str = "https://docs.prefect.io/v3/how-to-guides/cloud/manage-users/api-keys";
const SNYK: &str = "https://docs.snyk.io/developer-tools/snyk-api/authentication-for-api";
const AIKIDO: &str = "https://apidocs.aikido.dev/reference/authorization";
const VERACODE: &str = "https://docs.veracode.com/r/c_api_credentials3";

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new("circleci-personal-token", "CircleCI personal API token", CIRCLECI)
        .pattern("CCIPAT_[A-Za-z0-9]{18,26}_[A-Za-z0-9]{40}", &["ccipat_"])
        .examples(&["CCIPAT_{a22}_{h40}"])
        .look_alikes(&["CCIPAT_token"]),
    Kind::new("circleci-project-token", "CircleCI project API token", CIRCLECI)
        .pattern("CCIPRJ_[A-Za-z0-9]{18,26}_[A-Za-z0-9]{40}", &["cciprj_"])
        .examples(&["CCIPRJ_{a22}_{h40}"])
        .look_alikes(&["CCIPRJ_token"]),
    Kind::new("buildkite-user-token", "Buildkite user API token", BUILDKITE)
        .pattern("bkua_[A-Za-z0-9]{40,53}", &["bkua_"])
        .entropy(2.5)
        .examples(&["bkua_{h40}", "bkua_{l53}"])
        .look_alikes(&["bkua_short"]),
    Kind::new("buildkite-service-token", "Buildkite agent, cluster, job, portal or package token", BUILDKITE)
        .pattern(
            "bk(?:aa|aj|ar|at|ct|pt|pat|ps)_[A-Za-z0-9_-]{30,400}",
            &["bkaa_", "bkaj_", "bkar_", "bkat_", "bkct_", "bkpt_", "bkpat_", "bkps_"],
        )
        .apart()
        .entropy(3.0)
        .examples(&["bkct_{w73}", "bkaj_{w333}", "bkpat_{w54}"])
        .look_alikes(&["bkct_short"]),
    Kind::new("harness-personal-token", "Harness personal access token", HARNESS)
        .pattern(r"pat\.[A-Za-z0-9_-]{22}\.[0-9a-f]{24}\.[A-Za-z0-9]{20}", &["pat."])
        .examples(&["pat.{a22}.{h24}.{a20}", "pat.{w22}.{h24}.{a20}"])
        .look_alikes(&["pat.example.com"]),
    Kind::new("harness-service-token", "Harness service account token", HARNESS)
        .pattern(r"sat\.[A-Za-z0-9_-]{22}\.[0-9a-f]{24}\.[A-Za-z0-9]{20}", &["sat."])
        .examples(&["sat.{a22}.{h24}.{a20}"])
        .look_alikes(&["sat.example.com"]),
    Kind::new("octopus-api-key", "Octopus Deploy API key", "https://octopus.com/docs/octopus-rest-api/how-to-create-an-api-key")
        .pattern("API-[A-Z0-9]{25,29}", &["api-"])
        .bounded()
        .entropy(3.0)
        .examples(&["API-{u26}", "API-{u25}"])
        .look_alikes(&["API-GATEWAY", "API-XXXXXXXXXXXXXXXXXXXXXXXXXX"]),
    // The prefix is a header of JSON with the type `TCV2`.
    Kind::new("teamcity-access-token", "TeamCity access token", "https://www.jetbrains.com/help/teamcity/managing-your-user-account.html")
        .pattern(
            r"eyJ0eXAiOiAiVENWMiJ9\.[A-Za-z0-9_-]{30,60}\.[A-Za-z0-9_-]{40,80}",
            &["eyj0exaioiaivenwmij9"],
        )
        .examples(&["eyJ0eXAiOiAiVENWMiJ9.{w36}.{w48}"])
        .look_alikes(&["eyJ0eXAiOiAiVENWMiJ9"]),
    Kind::new("jenkins-api-token", "Jenkins API token", "https://www.jenkins.io/doc/book/system-administration/authenticating-scripted-clients/")
        .pattern("11[0-9a-f]{32}", &[])
        .bounded()
        .entropy(3.0)
        .examples(&["11{h32}"])
        .look_alikes(&["1111111111111111111111111111111111"]),
    Kind::new("sonar-user-token", "SonarQube user token", SONAR)
        .pattern("squ_[a-f0-9]{40}", &["squ_"])
        .entropy(2.5)
        .examples(&["squ_{h40}"])
        .look_alikes(&["squ_id"]),
    Kind::new("sonar-global-token", "SonarQube global analysis token", SONAR)
        .pattern("sqa_[a-f0-9]{40}", &["sqa_"])
        .entropy(2.5)
        .examples(&["sqa_{h40}"])
        .look_alikes(&["sqa_id"]),
    Kind::new("sonar-project-token", "SonarQube project analysis or badge token", SONAR)
        .pattern("sq[pb]_[a-f0-9]{40}", &["sqp_", "sqb_"])
        .entropy(2.5)
        .examples(&["sqp_{h40}", "sqb_{h40}"])
        .look_alikes(&["sqp_id"]),
    Kind::new("snyk-token", "Snyk personal or service account token", SNYK)
        .pattern(r"snyk_[us]at\.[A-Za-z0-9]{6,16}(?:\.[A-Za-z0-9_-]{10,900}){1,4}", &["snyk_uat.", "snyk_sat."])
        .examples(&["snyk_uat.{h8}.eyJ{w120}.{w86}", "snyk_sat.{h8}.eyJ{w120}.{w86}"])
        .look_alikes(&["snyk_uat.txt"]),
    Kind::new("prefect-user-key", "Prefect user API key", PREFECT)
        .pattern("pnu_[A-Za-z0-9]{36,40}", &["pnu_"])
        .bounded()
        .entropy(3.5)
        .examples(&["pnu_{a36}"])
        .look_alikes(&["pnu_short"]),
    Kind::new("prefect-service-key", "Prefect service account API key", PREFECT)
        .pattern("pnb_[A-Za-z0-9]{36,40}", &["pnb_"])
        .bounded()
        .entropy(3.5)
        .examples(&["pnb_{a36}"])
        .look_alikes(&["pnb_short"]),
    Kind::new("codefresh-api-key", "Codefresh API key", "https://codefresh.io/docs/docs/integrations/codefresh-api/")
        .pattern(r"[0-9a-f]{24}\.[0-9a-f]{32}", &[])
        .bounded()
        .entropy(3.0)
        .examples(&["{h24}.{h32}"])
        .look_alikes(&["0123456789abcdef01234567.tar"]),
    Kind::new("depot-token", "Depot API token", "https://depot.dev/docs/cli/authentication")
        .pattern("depot_(?:project|org|user|api)_[A-Za-z0-9]{40,80}", &["depot_"])
        .entropy(2.5)
        .examples(&["depot_project_{h64}", "depot_org_{h64}"])
        .look_alikes(&["depot_project_id"]),
    Kind::new("socket-security-token", "Socket API token", "https://docs.socket.dev/reference/creating-and-managing-api-tokens")
        .pattern("sktsec_[A-Za-z0-9_-]{30,60}", &["sktsec_"])
        .entropy(3.5)
        .examples(&["sktsec_{a43}_api"])
        .look_alikes(&["sktsec_token"]),
    Kind::new("aikido-ci-token", "Aikido token for continuous integration", AIKIDO)
        .pattern("AIK_CI_[A-Za-z0-9]{20,64}", &["aik_ci_"])
        .entropy(3.0)
        .examples(&["AIK_CI_{a40}"])
        .look_alikes(&["AIK_CI_TOKEN"]),
    Kind::new("aikido-client-secret", "Aikido client secret", AIKIDO)
        .pattern("AIK_SECRET_[A-Za-z0-9]{48,80}", &["aik_secret_"])
        .entropy(3.5)
        .examples(&["AIK_SECRET_{a64}"])
        .look_alikes(&["AIK_SECRET_KEY"]),
    Kind::new("endor-labs-key", "Endor Labs API key or secret", "https://docs.endorlabs.com/administration/api-keys/")
        .pattern(r"endr\+[A-Za-z0-9-]{16,24}", &["endr+"])
        .entropy(3.0)
        .examples(&["endr+{a16}"])
        .look_alikes(&["endr+short"]),
    Kind::new("infracost-api-key", "Infracost API key", "https://www.infracost.io/docs/features/environment_variables/")
        .pattern("ico-[A-Za-z0-9]{32}", &["ico-"])
        .bounded()
        .entropy(3.5)
        .examples(&["ico-{a32}"])
        .look_alikes(&["ico-moon-free-icons"]),
    Kind::new("stackhawk-api-key", "StackHawk API key", "https://docs.stackhawk.com/apidocs.html")
        .pattern(r"hawk\.[A-Za-z0-9_-]{16,24}\.[A-Za-z0-9_-]{16,24}", &["hawk."])
        .bounded()
        .entropy(3.8)
        .examples(&["hawk.{a20}.{a20}"])
        .look_alikes(&["hawk.example.com"]),
    Kind::new("veracode-api-id", "Veracode API id", VERACODE)
        .pattern("vera01[a-z]{2}-[0-9a-f]{32}", &["vera01"])
        .bounded()
        .entropy(2.5)
        .examples(&["vera01ei-{h32}"])
        .look_alikes(&["vera01ei-short"]),
    Kind::new("veracode-api-secret", "Veracode API secret key", VERACODE)
        .pattern("vera01[a-z]{2}-[0-9a-f]{128}", &["vera01"])
        .bounded()
        .entropy(2.5)
        .examples(&["vera01es-{h128}"])
        .look_alikes(&["vera01es-short"]),
    Kind::new("percy-token", "Percy project token", "https://www.browserstack.com/docs/percy/get-started/percy-token")
        .pattern("(?:web|app|auto|ss|vmw|res)_[0-9a-f]{64}", &["web_", "app_", "auto_", "vmw_"])
        .bounded()
        .entropy(2.5)
        .examples(&["web_{h64}", "app_{h64}"])
        .look_alikes(&["web_server"]),
    Kind::new("chromatic-token", "Chromatic project token", "https://www.chromatic.com/docs/setup/")
        .pattern("chpt_[a-z0-9]{10,24}", &["chpt_"])
        .bounded()
        .entropy(2.5)
        .examples(&["chpt_{h15}"])
        .look_alikes(&["chpt_aaaaaaaaaaaaa"]),
    Kind::new("mergify-key", "Mergify application key", "https://docs.mergify.com/api/usage/")
        .pattern("mergify_application_key_[A-Za-z0-9_-]{32,200}", &["mergify_application_key_"])
        .entropy(3.5)
        .examples(&["mergify_application_key_{w64}"])
        .look_alikes(&["mergify_application_key_name"]),
    Kind::new("lambdatest-access-key", "LambdaTest access key", "https://www.lambdatest.com/support/docs/using-environment-variables-for-authentication-credentials/")
        .pattern("LT_[A-Za-z0-9]{40,60}", &["lt_"])
        .bounded()
        .entropy(4.2)
        .examples(&["LT_{a50}"])
        .look_alikes(&["LT_CONFIGURATION"]),
];
