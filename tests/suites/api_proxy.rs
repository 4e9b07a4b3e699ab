//! The API server behind a proxy of the kubeconfig or the environment.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::path::Path;
use std::process::{Output, Stdio};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::finished_run;
use step_observer_tests::forward_proxy::ForwardProxy;
use step_observer_tests::program::{Program, send_signal, wait_for_line};
use step_observer_tests::sink::{HttpSink, PATIENCE};
use step_observer_tests::tls::Authority;

/// A name that only the proxy can resolve.
const NAME: &str = "api.cluster.example";
const TARGET: &str = "api.cluster.example:6443";
const PASSWORD: &str = "s3cr%3At-of-the-proxy";
/// Events of one run of [`finished_run`].
const PER_RUN: usize = 2;
/// Variables that name another proxy.
const ALL: [&str; 8] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// A cluster behind a proxy.
struct Scene {
    server: ApiServer,
    authority: Authority,
    sink: HttpSink,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let authority = Authority::default();
        let server = ApiServer::start_tls(authority.server_named(NAME)).await;
        for event in finished_run(1) {
            server.play(&event);
        }
        Self {
            server,
            authority,
            sink: HttpSink::start(vec![]).await,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn lead(&self, proxy: &ForwardProxy) {
        let address = self.server.url.strip_prefix("https://").unwrap();
        proxy.lead(TARGET, address);
    }

    /// Returns an observer with this `proxy-url` in its kubeconfig and these variables in its
    /// environment.
    fn observer(&self, proxy_url: Option<&str>, variables: &[(&str, &str)]) -> Program {
        let cluster = json!({
            "server": format!("https://{TARGET}"), "proxy-url": proxy_url,
            "certificate-authority-data": STANDARD.encode(self.authority.pem()),
        });
        observer(self.folder.path(), &cluster, &self.sink, variables)
    }

    /// Starts the observer, waits for the events of the run, and returns its log.
    async fn told(&self, mut observer: Program) -> String {
        let before = self.sink.requests().len();
        let child = observer.spawn().unwrap();
        self.sink.wait_for(before + PER_RUN).await;
        log(&stopped(child).await)
    }
}

fn observer(
    folder: &Path,
    cluster: &serde_json::Value,
    sink: &HttpSink,
    variables: &[(&str, &str)],
) -> Program {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "other", "cluster": {"server": "https://127.0.0.1:1", "proxy-url": "socks5://nowhere"}},
                     {"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    });
    let (file, config) = (folder.join("kubeconfig"), folder.join("config.yaml"));
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    std::fs::write(&config, "lookBack: 1000000h\nshutdownGrace: 5s\n").unwrap();
    let mut command = Program::new();
    for variable in ALL {
        command.env_remove(variable);
    }
    command
        .args(["run", "--log", "debug", "--to", &sink.url, "--config"])
        .arg(config)
        .env("KUBECONFIG", file)
        .envs(variables.iter().copied())
        .stderr(Stdio::piped());
    command
}

async fn stopped(child: tokio::process::Child) -> Output {
    send_signal("TERM", child.id().unwrap());
    ended(child).await
}

async fn ended(child: tokio::process::Child) -> Output {
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    ended.expect("it does not end").unwrap()
}

/// Returns the log, after a check that it never holds the password, at any level.
fn log(output: &Output) -> String {
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    for form in [
        PASSWORD,
        "s3cr:t",
        &STANDARD.encode("me:s3cr:t-of-the-proxy"),
    ] {
        assert!(!log.contains(form), "{log}");
    }
    log
}

/// Returns the URL of a proxy with credentials.
fn with_credentials(proxy: &ForwardProxy) -> String {
    proxy.url.replacen("://", &format!("://me:{PASSWORD}@"), 1)
}

#[tokio::test]
async fn the_proxy_of_the_kubeconfig_leads_to_the_api_server() {
    let scene = Scene::new().await;
    let (proxy, other) = (ForwardProxy::start().await, ForwardProxy::start().await);
    scene.lead(&proxy);
    // The kubeconfig's proxy has precedence over the environment.
    let variables = [("HTTPS_PROXY", other.url.as_str()), ("NO_PROXY", "*")];
    let url = with_credentials(&proxy);
    let log = scene.told(scene.observer(Some(&url), &variables)).await;
    assert!(
        log.contains("the API server is reached through a proxy"),
        "{log}"
    );
    let seen = proxy.seen();
    assert!(!seen.is_empty());
    let shown = STANDARD.encode("me:s3cr:t-of-the-proxy");
    for head in seen {
        assert!(
            head.starts_with(&format!("CONNECT {TARGET} HTTP/1.1\r\n")),
            "{head}"
        );
        assert!(
            head.contains(&format!("Proxy-Authorization: Basic {shown}\r\n")),
            "{head}"
        );
    }
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn the_proxy_of_the_environment_leads_to_the_api_server_unless_it_is_excepted() {
    let scene = Scene::new().await;
    let proxy = ForwardProxy::start().await;
    scene.lead(&proxy);
    let place = proxy.url.strip_prefix("http://").unwrap();
    for (name, value) in [("HTTPS_PROXY", proxy.url.as_str()), ("https_proxy", place)] {
        let before = proxy.seen().len();
        // The sink is on this machine.
        let variables = [(name, value), ("NO_PROXY", "127.0.0.1,.other.example")];
        let log = scene.told(scene.observer(None, &variables)).await;
        assert!(
            log.contains("the API server is reached through a proxy"),
            "{log}"
        );
        assert!(proxy.seen().len() > before, "{name}");
    }
    // Without the proxy the name cannot be resolved.
    let before = proxy.seen().len();
    let variables = [
        ("HTTPS_PROXY", proxy.url.as_str()),
        ("no_proxy", ".cluster.example:6443"),
    ];
    let mut child = scene.observer(None, &variables).spawn().unwrap();
    let found = wait_for_line(&mut child, "watch failed").await;
    assert!(found.contains("dns error"), "{found}");
    assert_eq!(proxy.seen().len(), before);
}

#[tokio::test]
async fn a_proxy_may_use_tls() {
    let scene = Scene::new().await;
    let authority = Authority::default();
    let proxy = ForwardProxy::start_tls(authority.server_until(4096)).await;
    scene.lead(&proxy);
    let ca = scene.folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let variables = [("SSL_CERT_FILE", ca.to_str().unwrap())];
    scene
        .told(scene.observer(Some(&proxy.url), &variables))
        .await;
    assert!(proxy.seen().iter().all(|head| head.starts_with("CONNECT ")));
    assert!(!proxy.seen().is_empty());
}

/// No TLS, as with `kubectl proxy` and in tests.
#[tokio::test]
async fn an_api_server_without_tls_is_reached_through_a_tunnel_too() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    for event in finished_run(1) {
        server.play(&event);
    }
    let (proxy, folder) = (ForwardProxy::start().await, tempfile::tempdir().unwrap());
    proxy.lead(
        "api.cluster.example:80",
        server.url.strip_prefix("http://").unwrap(),
    );
    let cluster = json!({"server": "http://api.cluster.example"});
    let variables = [
        ("HTTP_PROXY", proxy.url.as_str()),
        ("NO_PROXY", "localhost,127.0.0.1"),
    ];
    let mut observer = observer(folder.path(), &cluster, &sink, &variables);
    let child = observer.spawn().unwrap();
    sink.wait_for(PER_RUN).await;
    log(&stopped(child).await);
    assert!(proxy.seen()[0].starts_with("CONNECT api.cluster.example:80 "));
}

#[tokio::test]
async fn a_proxy_that_cannot_be_used_is_refused_with_a_remedy_and_without_its_password() {
    let scene = Scene::new().await;
    let socks = format!("socks5://me:{PASSWORD}@proxy.example:1080");
    let broken = format!("http://me:{PASSWORD}@");
    for (proxy_url, variables, expected) in [
        (
            Some(socks.as_str()),
            vec![],
            ["the kubeconfig (proxy-url)", "`socks5`"],
        ),
        (
            None,
            vec![("HTTPS_PROXY", socks.as_str())],
            ["HTTPS_PROXY", "name the API server in NO_PROXY"],
        ),
        (
            None,
            vec![("HTTPS_PROXY", broken.as_str())],
            ["HTTPS_PROXY", "is not the URL of a proxy"],
        ),
        (
            Some(broken.as_str()),
            vec![],
            ["the kubeconfig (proxy-url)", "is not the URL of a proxy"],
        ),
    ] {
        let child = scene.observer(proxy_url, &variables).spawn().unwrap();
        let output = ended(child).await;
        let log = log(&output);
        assert!(!output.status.success(), "{log}");
        assert!(expected.iter().all(|part| log.contains(part)), "{log}");
    }
    assert!(scene.sink.requests().is_empty());
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named() {
    let scene = Scene::new().await;
    let proxy = ForwardProxy::start().await;
    let place = proxy.url.strip_prefix("http://").unwrap().to_owned();
    for (status, expected) in [
        (
            "407 Proxy Authentication Required",
            "proxy authorization required",
        ),
        ("403 Forbidden", "unsuccessful"),
    ] {
        proxy.refuse(status);
        let url = with_credentials(&proxy);
        let mut child = scene.observer(Some(&url), &[]).spawn().unwrap();
        let line = wait_for_line(&mut child, "watch failed").await;
        assert!(line.contains(expected), "{line}");
        assert!(
            line.contains(&format!("through the proxy {place}")),
            "{line}"
        );
        assert!(!line.contains(PASSWORD), "{line}");
    }
}
