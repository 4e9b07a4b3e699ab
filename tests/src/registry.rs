//! Registries of OCI artifacts: a real one, and one that answers as a test says.

use crate::peer::Missing;
use crate::receivers;
use crate::sink::PATIENCE;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// User and password of [`RegistryServer::with_password`].
pub const USER: &str = "ci";
/// The password.
pub const PASSWORD: &str = "open-sesame-42";
/// What htpasswd makes of it.
const HASH: &str = "$2b$04$jCO37uukucIBvWm4qa5ENO6rcPiaAluzCXXGSyAXJAaguH5vYOILe";

/// Debian's docker-registry on a free port, with plain HTTP. It ends when this value is dropped.
#[derive(Debug)]
pub struct RegistryServer {
    /// Host and port.
    pub address: String,
    _folder: TempDir,
    _child: Child,
    _log: JoinSet<()>,
}

impl RegistryServer {
    /// Starts one that everybody may use.
    pub async fn start() -> Result<Self, Missing> {
        Self::spawn("").await
    }

    /// Starts one that asks for a password.
    pub async fn with_password() -> Result<Self, Missing> {
        Self::spawn("auth: {htpasswd: {realm: tests, path: htpasswd}}").await
    }

    async fn spawn(settings: &str) -> Result<Self, Missing> {
        let program = receivers::installed("registry/usr/bin/docker-registry")?;
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        write("htpasswd", format!("{USER}:{HASH}\n"));
        write(
            "config.yml",
            format!(
                "version: 0.1\nstorage: {{filesystem: {{rootdirectory: blobs}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n{settings}\n"
            ),
        );
        let mut child = Command::new(program)
            .args(["serve", "config.yml"])
            .current_dir(folder.path())
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, rest)) = line.split_once("listening on ") {
                    let end = rest.find(|c: char| !(c.is_ascii_digit() || ".:".contains(c)));
                    return rest[..end.unwrap_or(rest.len())].to_owned();
                }
            }
            panic!("docker-registry ended");
        };
        let address = timeout(PATIENCE, listening).await.unwrap();
        // Drains the log, so that the server never blocks on it.
        let mut log = JoinSet::new();
        log.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self {
            address,
            _folder: folder,
            _child: child,
            _log: log,
        })
    }
}

/// Runs skopeo, which must succeed. Returns what it prints.
pub async fn skopeo(arguments: &[&str]) -> Result<String, Missing> {
    let root = receivers::installed("registry")?;
    let libraries = ["usr/lib", "lib"].map(|folder| {
        let folder = root.join(folder);
        folder.join("x86_64-linux-gnu").display().to_string()
    });
    let output = Command::new(root.join("usr/bin/skopeo"))
        .arg("--insecure-policy")
        .args(arguments)
        .env("LD_LIBRARY_PATH", libraries.join(":"))
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    Ok(String::from_utf8(output.stdout).unwrap())
}

/// Runs lines of Python with the library `oras`, whose client is `client`, in a folder.
pub async fn oras(folder: &Path, lines: &str) -> Result<(), Missing> {
    let python: PathBuf = receivers::program("python")?;
    let head = "import oras.client\nclient = oras.client.OrasClient(insecure=True)\n";
    let output = Command::new(python)
        .args(["-c", &format!("{head}{lines}")])
        .current_dir(folder)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{lines}: {output:?}");
    Ok(())
}

/// Writes Docker's `config.json` with a password for a registry. Returns its path.
#[must_use]
pub fn docker_config(folder: &Path, registry: &str, password: &str) -> PathBuf {
    let path = folder.join("config.json");
    let entry = serde_json::json!({"username": USER, "password": password});
    let config = serde_json::json!({"auths": {registry: entry}});
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// A request to a [`ScriptedRegistry`].
#[derive(Clone, Debug)]
pub struct Asked {
    /// Path and query.
    pub path: String,
    /// Headers.
    pub headers: HeaderMap,
}

/// A server that answers as a function says. It ends when this value is dropped.
#[derive(Debug)]
pub struct ScriptedRegistry {
    /// Host and port.
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _server: JoinSet<()>,
}

impl ScriptedRegistry {
    /// Starts one.
    pub async fn start(answer: impl Fn(&Asked) -> Response<Body> + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (kept, answer) = (asked.clone(), Arc::new(answer));
        let router = Router::new().fallback(move |request: Request| {
            let (kept, answer) = (kept.clone(), answer.clone());
            async move {
                let asked = Asked {
                    path: request.uri().to_string(),
                    headers: request.headers().clone(),
                };
                kept.lock().unwrap().push(asked.clone());
                answer(&asked)
            }
        });
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            asked,
            _server: server,
        }
    }

    /// Returns all requests.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}
