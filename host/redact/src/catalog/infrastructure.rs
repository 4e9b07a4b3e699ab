//! Clusters, machines and the tools that manage them.

use super::Kind;

const DATABRICKS: &str = "https://docs.databricks.com/dev-tools/auth/pat";
const RANCHER: &str =
    "https://ranchermanager.docs.rancher.com/reference-guides/user-settings/api-keys";
const K3S: &str = "https://docs.k3s.io/cli/token";
const SWARM: &str = "https://docs.docker.com/engine/swarm/swarm-mode/";
const WIREGUARD: &str = "https://www.wireguard.com/quickstart/";

/// The kinds.
pub(super) const KINDS: &[Kind] = &[
    Kind::new("openshift-token", "OpenShift OAuth token", "https://docs.openshift.com/container-platform/latest/authentication/configuring-internal-oauth.html")
        .pattern("sha256~[A-Za-z0-9_-]{40,48}", &["sha256~"])
        .bounded()
        .entropy(3.5)
        .examples(&["sha256~{w43}"])
        .look_alikes(&["sha256~abc", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]),
    Kind::new("docker-swarm-join-token", "Docker Swarm join token", SWARM)
        .pattern("SWMTKN-1-[a-z0-9]{45,60}-[a-z0-9]{20,30}", &["swmtkn-1-"])
        .examples(&["SWMTKN-1-{l50}-{l25}", "SWMTKN-1-{l49}-{l25}"])
        .look_alikes(&["SWMTKN-1-token"]),
    Kind::new("docker-swarm-unlock-key", "Docker Swarm unlock key", SWARM)
        .pattern("SWMKEY-1-[A-Za-z0-9+/]{40,50}={0,2}", &["swmkey-1-"])
        .examples(&["SWMKEY-1-{b43}"])
        .look_alikes(&["SWMKEY-1-key"]),
    Kind::new("k3s-node-token", "K3s or RKE2 token with the hash of its authority", K3S)
        .pattern("K10[a-f0-9]{64}::[A-Za-z0-9_.:-]{8,128}", &["k10"])
        .bounded()
        .examples(&["K10{h64}::server:{h32}", "K10{h64}::node:{h32}", "K10{h64}::{l6}.{l16}"])
        .look_alikes(&["K10"]),
    Kind::new("kubernetes-bootstrap-token", "Kubernetes bootstrap token of kubeadm join", "https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/")
        .pattern(
            r#"(?:--token|--discovery-token|--tls-bootstrap-token|token:)[ =]{1,4}["']?(?P<secret>[a-z0-9]{6}\.[a-z0-9]{16})"#,
            &["--token", "--discovery-token", "--tls-bootstrap-token", "token: "],
        )
        .entropy(3.0)
        .examples(&["--token {l6}.{l16}", "--discovery-token={l6}.{l16}", "token: {l6}.{l16}"])
        .look_alikes(&["--token abcdef.txt"]),
    Kind::new("rancher-api-token", "Rancher API token", RANCHER)
        .pattern("token-[a-z0-9]{5}:[a-z0-9]{48,60}", &["token-"])
        .apart()
        .entropy(3.3)
        .examples(&["token-{l5}:{l54}"])
        .look_alikes(&["token-abcde:short"]),
    Kind::new("rancher-user-token", "Rancher token in a kubeconfig", RANCHER)
        .pattern("kubeconfig-(?:u-|user-)?[a-z0-9]{5,12}(?:[.-][a-z0-9:-]{1,20})?:[a-z0-9]{48,60}", &["kubeconfig-"])
        .apart()
        .entropy(3.3)
        .examples(&["kubeconfig-u-{l10}:{l54}", "kubeconfig-user-{l5}:{l54}"])
        .look_alikes(&["kubeconfig-user-abcde:short"]),
    Kind::new("databricks-token", "Databricks personal access token", DATABRICKS)
        .pattern("dapi[a-f0-9]{32}(?:-[0-9]{1,2})?", &["dapi"])
        .bounded()
        .entropy(2.5)
        .examples(&["dapi{h32}", "dapi{h32}-2"])
        .look_alikes(&["dapi"]),
    Kind::new("databricks-secret", "Databricks OAuth secret, key or federated token", DATABRICKS)
        .pattern("(?:dose|dkea|dsapi|ddbi|doau|dkor)[a-f0-9]{32}(?:-[0-9]{1,2})?", &["dose", "dkea", "dsapi", "ddbi", "doau", "dkor"])
        .bounded()
        .entropy(2.5)
        .examples(&["dose{h32}", "dkea{h32}"])
        .look_alikes(&["dose"]),
    Kind::new("portainer-access-token", "Portainer access token", "https://docs.portainer.io/api/access")
        .pattern("ptr_[A-Za-z0-9+/]{40,48}={0,2}", &["ptr_"])
        .bounded()
        .entropy(3.8)
        .examples(&["ptr_{b43}="])
        .look_alikes(&["ptr_to_member"]),
    Kind::new("proxmox-api-token", "Proxmox VE API token", "https://pve.proxmox.com/wiki/Proxmox_VE_API")
        .pattern(
            r"PVEAPIToken[= ][A-Za-z0-9_.-]{1,64}@[a-z0-9-]{2,32}![A-Za-z0-9_.-]{1,64}=(?P<secret>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})",
            &["pveapitoken"],
        )
        .examples(&["PVEAPIToken=root@pam!ci={U}"])
        .look_alikes(&["PVEAPIToken=USER@REALM!TOKENID=UUID"]),
    Kind::new("wireguard-key", "WireGuard private or preshared key", WIREGUARD)
        .pattern(
            "(?:PrivateKey|PresharedKey) {0,8}= {0,8}(?P<secret>[A-Za-z0-9+/]{42,43}=)",
            &["privatekey", "presharedkey"],
        )
        .examples(&["PrivateKey = {b43}=", "PresharedKey={b43}="])
        .look_alikes(&["PrivateKey = /etc/wireguard/private.key"]),
    Kind::new("netbird-token", "NetBird personal access token", "https://docs.netbird.io/how-to/access-netbird-public-api")
        .pattern("nbp_[A-Za-z0-9]{36,40}", &["nbp_"])
        .bounded()
        .entropy(3.3)
        .examples(&["nbp_{a36}"])
        .look_alikes(&["nbp_short"]),
    Kind::new("git-url-token", "Token in the URL of a Git remote", "https://git-scm.com/docs/gitcredentials")
        .pattern("x-(?:access|oauth)-token:(?P<secret>[A-Za-z0-9_.-]{16,1000})@", &["x-access-token:", "x-oauth-token:"])
        .examples(&["x-access-token:{a40}@"])
        .look_alikes(&["x-access-token:$TOKEN@github.com"]),
];
