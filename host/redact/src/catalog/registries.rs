//! Registries of packages and images.

use super::{Checksum, Kind};

const PYPI: &str = "https://pypi.org/help/#apitoken";
const DOCKER: &str = "https://docs.docker.com/security/access-tokens/";
const JFROG: &str = "https://jfrog.com/help/r/jfrog-platform-administration-documentation/introduction-to-access-tokens";
const PACKAGIST: &str = "https://packagist.com/docs/composer-authentication";
const DENO: &str = "https://docs.deno.com/deploy/";

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    // A random token of this length has more than 4 bits per character; words have less.
    Kind::new(
        "npm-access-token",
        "npm access token",
        "https://docs.npmjs.com/about-access-tokens",
    )
    .pattern("npm_[A-Za-z0-9]{20,100}", &["npm_"])
    .bounded()
    .entropy(3.6)
    .allow(&["package", "version", "config", "lifecycle"])
    .checksum(Checksum::Crc32Base62)
    .examples(&["npm_{a36}"])
    .look_alikes(&[
        "npm_packageversionsandmoreofthem01234567",
        "npm_config_cache_folder",
        "npm_lifecycle_event=build",
    ]),
    Kind::new("pypi-token", "PyPI API token", PYPI)
        .pattern(
            "pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{40,1000}",
            &["pypi-ageichlwas5vcmc"],
        )
        .examples(&["pypi-AgEIcHlwaS5vcmc{w150}", "pypi-AgEIcHlwaS5vcmc{w85}"])
        .look_alikes(&["pypi-publish", "pypi-AgEIcHlwaS5vcmc"]),
    Kind::new("testpypi-token", "TestPyPI API token", PYPI)
        .pattern(
            "pypi-AgENdGVzdC5weXBpLm9yZw[A-Za-z0-9_-]{40,1000}",
            &["pypi-agendgvzdc5wexbplm9yzw"],
        )
        .examples(&["pypi-AgENdGVzdC5weXBpLm9yZw{w150}"])
        .look_alikes(&["pypi-AgENdGVzdC5weXBpLm9yZw"]),
    Kind::new(
        "nuget-api-key",
        "NuGet API key",
        "https://learn.microsoft.com/nuget/nuget-org/scoped-api-keys",
    )
    .pattern("oy2[a-z0-9]{43}", &["oy2"])
    .bounded()
    .entropy(3.5)
    .examples(&["oy2{l43}"])
    .look_alikes(&["oy2short"]),
    Kind::new(
        "ruby-gems-api-key",
        "RubyGems API key",
        "https://guides.rubygems.org/api-key-scopes/",
    )
    .pattern("rubygems_[a-f0-9]{48}", &["rubygems_"])
    .entropy(2.5)
    .examples(&["rubygems_{h48}"])
    .look_alikes(&["rubygems_version"]),
    Kind::new(
        "crates-io-token",
        "crates.io API token",
        "https://doc.rust-lang.org/cargo/reference/publishing.html",
    )
    .pattern("cio[A-Za-z0-9]{32}", &["cio"])
    .bounded()
    .entropy(4.0)
    .examples(&["cio{a32}"])
    .look_alikes(&["cioxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]),
    Kind::new(
        "clojars-deploy-token",
        "Clojars deploy token",
        "https://github.com/clojars/clojars-web/wiki/Deploy-Tokens",
    )
    .pattern("CLOJARS_[A-Za-z0-9]{60}", &["clojars_"])
    .entropy(2.5)
    .examples(&["CLOJARS_{h60}", "CLOJARS_{a60}"])
    .look_alikes(&["CLOJARS_PASSWORD"]),
    Kind::new(
        "docker-personal-access-token",
        "Docker Hub personal access token",
        DOCKER,
    )
    .pattern("dckr_pat_[A-Za-z0-9_-]{16,100}", &["dckr_pat_"])
    .entropy(3.0)
    .examples(&["dckr_pat_{w27}"])
    .look_alikes(&["dckr_pat_short"]),
    Kind::new(
        "docker-organization-access-token",
        "Docker Hub organisation access token",
        DOCKER,
    )
    .pattern("dckr_oat_[A-Za-z0-9_-]{16,100}", &["dckr_oat_"])
    .entropy(3.0)
    .examples(&["dckr_oat_{w32}"])
    .look_alikes(&["dckr_oat_short"]),
    Kind::new("artifactory-api-key", "Artifactory API key", JFROG)
        .pattern("AKCp[A-Za-z0-9]{64,74}", &["akcp"])
        .bounded()
        .entropy(4.0)
        .examples(&["AKCp{a69}"])
        .look_alikes(&["AKCpu"]),
    // `cmVmdGtu` is `reftkn` in base64.
    Kind::new(
        "artifactory-reference-token",
        "Artifactory reference token",
        JFROG,
    )
    .pattern("cmVmdGtu[A-Za-z0-9+/_-]{48,80}={0,2}", &["cmvmdgtu"])
    .bounded()
    .entropy(4.0)
    .examples(&["cmVmdGtu{a56}"])
    .look_alikes(&["cmVmdGtu"]),
    Kind::new(
        "cloudsmith-api-key",
        "Cloudsmith API key",
        "https://docs.cloudsmith.com/accounts-and-teams/api-key",
    )
    .pattern("csa_[A-Za-z0-9]{36}", &["csa_"])
    .bounded()
    .entropy(3.0)
    .examples(&["csa_{h30}{a6}", "csa_{a36}"])
    .look_alikes(&["csa_certificate_file"]),
    Kind::new("composer-token", "Private Packagist token", PACKAGIST)
        .pattern(
            "packagist_(?:ack|acs|uut|out|org|ort|oat)_[A-Za-z0-9]{32,100}",
            &["packagist_"],
        )
        .entropy(2.5)
        .examples(&["packagist_ack_{h64}", "packagist_uut_{a68}"])
        .look_alikes(&["packagist_org_mirror"]),
    Kind::new("deno-deploy-token", "Deno Deploy access token", DENO)
        .pattern("dd[pow]_[A-Za-z0-9]{36,40}", &["ddp_", "ddo_", "ddw_"])
        .bounded()
        .entropy(3.0)
        .examples(&["ddp_{a36}"])
        .look_alikes(&["ddp_short"]),
    Kind::new(
        "open-vsx-token",
        "Open VSX access token",
        "https://github.com/eclipse/openvsx/wiki/Publishing-Extensions",
    )
    .pattern("ovsx(?:at|p)_[A-Za-z0-9-]{32,64}", &["ovsxat_", "ovsxp_"])
    .entropy(2.5)
    .examples(&["ovsxat_{U}", "ovsxp_{U}"])
    .look_alikes(&["ovsxat_token"]),
    Kind::new(
        "nexus-npm-token",
        "Nexus npm or NuGet API token",
        "https://help.sonatype.com/en/npm-security.html",
    )
    .pattern(
        "(?:NpmToken|NuGetApiKey|DockerToken|PypiToken)\\.[0-9a-f-]{32,36}",
        &["npmtoken.", "nugetapikey.", "dockertoken.", "pypitoken."],
    )
    .bounded()
    .entropy(2.5)
    .examples(&["NpmToken.{U}", "DockerToken.{U}"])
    .look_alikes(&["NpmToken.java"]),
    Kind::new(
        "npm-legacy-auth-token",
        "npm token as a UUID in a line of .npmrc",
        "https://docs.npmjs.com/cli/configuring-npm/npmrc",
    )
    .pattern(
        ":_authToken ?= ?\"?(?P<secret>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})",
        &[":_authtoken"],
    )
    .examples(&["//registry.example.com/:_authToken={U}"])
    .look_alikes(&["//registry.example.com/:_authToken=${NPM_TOKEN}"]),
];
