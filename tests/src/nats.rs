//! A real NATS server with JetStream, on a free port and in a new folder.

use crate::peer::Missing;
use crate::program::send_signal;
use crate::receivers;
use crate::sink::PATIENCE;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{Config, Stream};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A running server. It ends when this value is dropped.
#[derive(Debug)]
pub struct NatsServer {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    child: Child,
    _log: JoinSet<()>,
}

impl NatsServer {
    /// Starts one with further settings.
    pub async fn start(settings: &str) -> Result<Self, Missing> {
        let program = receivers::program("nats-server")?;
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let text = format!(
            "jetstream {{ store_dir: '{}' }}\n{settings}\n",
            store.display()
        );
        std::fs::write(folder.path().join("nats.conf"), text).unwrap();
        let (child, port, log) = spawn(&program, &folder, -1).await;
        Ok(Self {
            program,
            folder,
            port,
            child,
            _log: log,
        })
    }

    /// Kills it, as a crash would.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends a signal. `STOP` freezes the server: connections stay open without answers; `CONT`
    /// undoes it.
    pub fn signal(&self, signal: &str) {
        send_signal(signal, self.child.id().unwrap());
    }

    /// Starts the server again on the same port and folder.
    pub async fn start_again(&mut self) {
        let again = spawn(&self.program, &self.folder, self.port.into()).await;
        (self.child, self.port, self._log) = again;
    }

    /// Returns its host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Connects a client.
    pub async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.address()).await.unwrap()
    }

    /// Creates a stream for the subject `steps`.
    pub async fn make_stream(&self, client: &async_nats::Client, config: Config) -> Stream {
        let jetstream = async_nats::jetstream::new(client.clone());
        let config = Config {
            name: "STEPS".to_owned(),
            subjects: vec!["steps".to_owned()],
            ..config
        };
        jetstream.create_stream(config).await.unwrap()
    }
}

/// Starts the process, and returns the port once the server listens.
async fn spawn(program: &PathBuf, folder: &TempDir, port: i32) -> (Child, u16, JoinSet<()>) {
    let mut child = Command::new(program)
        .arg("--config")
        .arg(folder.path().join("nats.conf"))
        .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut port = None;
    let mut said = String::new();
    let ready = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, address)) = line.split_once("client connections on ") {
                port = address.rsplit(':').next().unwrap().parse().ok();
            }
            said.push_str(&line);
            said.push('\n');
            if line.contains("Server is ready") {
                return true;
            }
        }
        false
    };
    let ready = timeout(PATIENCE, ready).await;
    assert!(ready == Ok(true), "{said}");
    // Drains the log, so that the server never blocks on it.
    let mut log = JoinSet::new();
    log.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, port.unwrap(), log)
}

/// An operator with an account and its users, as `nsc` creates them.
#[derive(Debug)]
pub struct Operator {
    key: nkeys::KeyPair,
    account: nkeys::KeyPair,
}

impl Default for Operator {
    fn default() -> Self {
        Self {
            key: nkeys::KeyPair::new_operator(),
            account: nkeys::KeyPair::new_account(),
        }
    }
}

impl Operator {
    /// Returns the settings for a server.
    #[must_use]
    pub fn settings(&self) -> String {
        let operator = jwt(&self.key, &self.key, json!({"type": "operator"}));
        // The system account cannot use JetStream.
        let account = |storage: i64| {
            let limits = json!({
                "subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1,
                "exports": -1, "wildcards": true, "mem_storage": storage, "disk_storage": storage,
            });
            json!({"type": "account", "limits": limits})
        };
        let system = nkeys::KeyPair::new_account();
        let preload = [(&self.account, -1), (&system, 0)].map(|(key, storage)| {
            let jwt = jwt(&self.key, key, account(storage));
            format!("{}: {jwt}", key.public_key())
        });
        format!(
            "operator: {operator}\nresolver: MEMORY\nresolver_preload: {{ {} }}\nsystem_account: {}",
            preload.join(", "),
            system.public_key()
        )
    }

    /// Returns the credentials of a user.
    #[must_use]
    pub fn credentials(&self) -> String {
        let user = nkeys::KeyPair::new_user();
        let claims = json!({"type": "user", "subs": -1, "data": -1, "payload": -1});
        format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            jwt(&self.account, &user, claims),
            user.seed().unwrap()
        )
    }
}

/// Signs the claims of `issuer` about `subject`.
fn jwt(issuer: &nkeys::KeyPair, subject: &nkeys::KeyPair, mut claims: Value) -> String {
    claims["version"] = json!(2);
    let claims = json!({
        "jti": subject.public_key(), "iat": 1_700_000_000, "name": "test",
        "iss": issuer.public_key(), "sub": subject.public_key(), "nats": claims,
    });
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let text = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let text = text.join(".");
    let signature = issuer.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Returns all messages of a stream.
pub async fn messages(stream: &Stream) -> Vec<StreamMessage> {
    let last = stream.get_info().await.unwrap().state.last_sequence;
    let mut messages = Vec::new();
    for sequence in 1..=last {
        messages.push(stream.get_raw_message(sequence).await.unwrap());
    }
    messages
}
