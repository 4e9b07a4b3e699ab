//! Other providers of clouds.

use super::Kind;

const DIGITALOCEAN: &str =
    "https://docs.digitalocean.com/reference/api/create-personal-access-token/";
const YANDEX: &str = "https://yandex.cloud/docs/iam/concepts/authorization/";
const ALIBABA: &str = "https://www.alibabacloud.com/help/ram/user-guide/create-an-accesskey-pair";

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new(
        "alibaba-access-key-id",
        "Alibaba Cloud AccessKey id",
        ALIBABA,
    )
    .pattern("LTAI[A-Za-z0-9]{12,24}", &["ltai"])
    .bounded()
    .entropy(2.8)
    .examples(&["LTAI{a20}", "LTAI5t{a18}", "LTAI{a12}"])
    .look_alikes(&["LTAIxxxxxxxxxxxxxxxx", "DELTAINTERNAL"]),
    Kind::new(
        "alibaba-sts-key-id",
        "Alibaba Cloud temporary AccessKey id",
        ALIBABA,
    )
    .pattern(r"STS\.N[A-Za-z0-9]{20,32}", &["sts.n"])
    .bounded()
    .entropy(3.7)
    .allow(&["exception", "error", "session", "network"])
    .examples(&["STS.N{a24}"])
    .look_alikes(&["STS.NoSuchElementException", "STS.NewSession"]),
    Kind::new(
        "baidu-access-key-id",
        "Baidu AI Cloud access key id",
        "https://cloud.baidu.com/doc/Reference/s/9jwvz2egb",
    )
    .pattern("ALTAK[A-Za-z0-9]{20,26}", &["altak"])
    .bounded()
    .entropy(3.0)
    .examples(&["ALTAK{a21}"])
    .look_alikes(&["ALTAK"]),
    Kind::new(
        "volcengine-access-key-id",
        "Volcengine access key id",
        "https://www.volcengine.com/docs/6291/65568",
    )
    .pattern("AKLT[A-Za-z0-9]{36,60}={0,2}", &["aklt"])
    .bounded()
    .entropy(3.5)
    .examples(&["AKLT{a43}", "AKLT{a38}=="])
    .look_alikes(&["AKLT"]),
    Kind::new(
        "tencent-secret-id",
        "Tencent Cloud SecretId",
        "https://www.tencentcloud.com/document/product/598/34228",
    )
    .pattern("AKID[A-Za-z0-9]{13,40}", &["akid"])
    .bounded()
    .entropy(3.2)
    .examples(&["AKID{a32}"])
    .look_alikes(&["AKIDxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "AKIDENTITY"]),
    Kind::new(
        "jd-cloud-access-key",
        "JD Cloud access key",
        "https://docs.jdcloud.com/en/account-management/accesskey-management",
    )
    .pattern("JDC_[A-Z0-9]{26,32}", &["jdc_"])
    .bounded()
    .entropy(3.0)
    .examples(&["JDC_{u28}"])
    .look_alikes(&["JDC_CONFIG"]),
    Kind::new("yandex-api-key", "Yandex Cloud API key", YANDEX)
        .pattern("AQVN[A-Za-z0-9_-]{34,40}", &["aqvn"])
        .apart()
        .entropy(3.3)
        .examples(&["AQVN{w36}", "AQVN{w35}"])
        .look_alikes(&["AQVN"]),
    Kind::new("yandex-iam-token", "Yandex Cloud IAM token", YANDEX)
        .pattern(
            r"t1\.[A-Za-z0-9_-]{8,800}={0,2}\.[A-Za-z0-9_-]{80,90}={0,2}",
            &["t1."],
        )
        .bounded()
        .entropy(3.8)
        .examples(&["t1.{w200}.{w86}"])
        .look_alikes(&["t1.micro", "t1.example.com"]),
    Kind::new(
        "yandex-oauth-token",
        "Yandex OAuth token",
        "https://yandex.com/dev/id/doc/en/access",
    )
    .pattern("y[0-3]_[A-Za-z0-9_-]{50,62}", &["y0_", "y1_", "y2_", "y3_"])
    .bounded()
    .entropy(3.8)
    .examples(&["y0_{w58}", "y3_{w55}"])
    .look_alikes(&["y0_axis_label"]),
    Kind::new(
        "yandex-static-key-id",
        "Yandex Cloud static access key id",
        YANDEX,
    )
    .pattern("YCA[A-Za-z0-9_-]{22,24}", &["yca"])
    .apart()
    .entropy(3.5)
    .examples(&["YCA{w22}"])
    .look_alikes(&["YCAxxxxxxxxxxxxxxxxxxxxxxxx"]),
    Kind::new(
        "yandex-static-key",
        "Yandex Cloud static secret key",
        YANDEX,
    )
    .pattern("YC[MNOP][A-Za-z0-9_-]{37}", &["ycm", "ycn", "yco", "ycp"])
    .apart()
    .entropy(3.8)
    .examples(&["YCP{w37}", "YCM{w37}"])
    .look_alikes(&["YCPosition"]),
    Kind::new(
        "digitalocean-personal-token",
        "DigitalOcean personal access token",
        DIGITALOCEAN,
    )
    .pattern("dop_v1_[a-f0-9]{40,64}", &["dop_v1_"])
    .entropy(2.5)
    .examples(&["dop_v1_{h64}"])
    .look_alikes(&["dop_v1_token"]),
    Kind::new(
        "digitalocean-oauth-token",
        "DigitalOcean OAuth token",
        DIGITALOCEAN,
    )
    .pattern("doo_v1_[a-f0-9]{64}", &["doo_v1_"])
    .entropy(2.5)
    .examples(&["doo_v1_{h64}"])
    .look_alikes(&["doo_v1_token"]),
    Kind::new(
        "digitalocean-refresh-token",
        "DigitalOcean OAuth refresh token",
        DIGITALOCEAN,
    )
    .pattern("dor_v1_[a-f0-9]{64}", &["dor_v1_"])
    .entropy(2.5)
    .examples(&["dor_v1_{h64}"])
    .look_alikes(&["dor_v1_token"]),
    Kind::new(
        "digitalocean-spaces-key-id",
        "DigitalOcean Spaces access key id",
        DIGITALOCEAN,
    )
    .pattern("DO(?:00|801)[A-Z0-9]{15,20}", &["do00", "do801"])
    .bounded()
    .entropy(2.8)
    .examples(&["DO00{u16}", "DO801{u15}"])
    .look_alikes(&["DO00000000000000000000"]),
    Kind::new(
        "scaleway-access-key",
        "Scaleway access key",
        "https://www.scaleway.com/en/docs/iam/how-to/create-api-keys/",
    )
    .pattern("SCW[A-Z0-9]{17}", &["scw"])
    .bounded()
    .entropy(2.8)
    .examples(&["SCW{u17}"])
    .look_alikes(&["SCWXXXXXXXXXXXXXXXXX", "SCW_ACCESS_KEY"]),
    Kind::new(
        "exoscale-api-key",
        "Exoscale API key",
        "https://community.exoscale.com/product/iam/quick-start/",
    )
    .pattern("EXO[A-Za-z0-9]{24,30}", &["exo"])
    .bounded()
    .entropy(3.3)
    .examples(&["EXO{h24}", "EXO{a28}"])
    .look_alikes(&["EXOxxxxxxxxxxxxxxxxxxxxxxxx", "EXOPLAYER"]),
    Kind::new(
        "backblaze-application-key",
        "Backblaze B2 application key",
        "https://www.backblaze.com/docs/cloud-storage-application-keys",
    )
    .pattern("K00[0-9][A-Za-z0-9/+]{27}", &["k00"])
    .bounded()
    .entropy(4.0)
    .examples(&["K001{b27}", "K005{a27}"])
    .look_alikes(&["K001000000000000000000000000000"]),
    Kind::new(
        "upcloud-token",
        "UpCloud API token",
        "https://upcloud.com/docs/guides/managing-api-tokens/",
    )
    .pattern("ucat_[A-Za-z0-9]{20,48}", &["ucat_"])
    .bounded()
    .entropy(3.0)
    .examples(&["ucat_{u26}"])
    .look_alikes(&["ucat_token"]),
    // `gAAAAAB` holds the version of Fernet and the upper bits of a time before 2038. The small
    // letter after it limits the time to 2017 to 2031.
    Kind::new(
        "openstack-fernet-token",
        "Fernet token, as used by OpenStack Keystone",
        "https://docs.openstack.org/keystone/latest/admin/fernet-token-faq.html",
    )
    .pattern("gAAAAAB[a-z][A-Za-z0-9_-]{80,1500}={0,2}", &["gaaaaab"])
    .apart()
    .entropy(4.0)
    .examples(&["gAAAAABl{w170}", "gAAAAABm{w98}=="])
    .look_alikes(&["gAAAAABeAAAA"]),
];
