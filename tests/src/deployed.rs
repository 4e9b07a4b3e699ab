//! The files with which a deployed program starts.

use crate::path;
use crate::tls::Authority;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Writes the configuration of the overlay `redact`, with other addresses and another folder. Returns the
/// file.
#[must_use]
pub fn overlay(folder: &Path) -> PathBuf {
    let text = std::fs::read_to_string(path("../deploy/components/redact/config.yaml")).unwrap();
    let journal = folder.join("journal").display().to_string();
    let replaced = [
        ("0.0.0.0:8081", "127.0.0.1:0"),
        ("0.0.0.0:8080", "127.0.0.1:0"),
        ("127.0.0.1:8082", "127.0.0.1:0"),
        ("/var/lib/step-observer", &journal),
    ];
    let text = replaced.into_iter().fold(text, |text, (of_overlay, here)| {
        assert!(text.contains(of_overlay), "{of_overlay}");
        text.replace(of_overlay, here)
    });
    let file = folder.join("config.yaml");
    std::fs::write(&file, text).unwrap();
    file
}

/// Writes a kubeconfig with a token, for a server whose certificate is from `authority`. Returns the file.
#[must_use]
pub fn kubeconfig(folder: &Path, server: &str, authority: &Authority) -> PathBuf {
    let certificate = STANDARD.encode(authority.pem());
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority-data": certificate}}],
        "users": [{"name": "test", "user": {"token": "of-a-service-account"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    });
    let file = folder.join("kubeconfig");
    std::fs::write(&file, config.to_string()).unwrap();
    file
}
