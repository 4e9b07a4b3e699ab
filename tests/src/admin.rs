//! Requests to the admin server of an observer.

use crate::observer::Observer;
use crate::sink::PATIENCE;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// The arguments for an admin server on a free port.
pub const ADMIN_ARGS: [&str; 2] = ["--admin", "127.0.0.1:0"];

/// Time between two requests of [`get_until`]. It is long, so that the compiler of plugins gets
/// processor time.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Waits until the admin server of an observer listens. Returns its address.
pub async fn admin_address(observer: &mut Observer) -> String {
    let line = observer.wait_for_log("address=").await;
    let (_, address) = line.split_once("address=").unwrap();
    address.trim().to_owned()
}

/// Sends a GET request. Returns status and body.
///
/// # Panics
///
/// If there is no response within [`PATIENCE`].
pub async fn get(address: &str, path: &str) -> (u16, String) {
    let exchange = async {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    };
    let response = timeout(PATIENCE, exchange).await;
    let response = response.unwrap_or_else(|_| panic!("GET {path}: no response in {PATIENCE:?}"));
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// Repeats a GET request until status and body meet a condition, and returns them.
///
/// # Panics
///
/// If the condition is not met within [`PATIENCE`].
pub async fn get_until(
    address: &str,
    path: &str,
    condition: impl Fn(u16, &str) -> bool,
) -> (u16, String) {
    let mut last = (0, String::new());
    let mut interval = tokio::time::interval(POLL_INTERVAL);
    let met = async {
        while !condition(last.0, &last.1) {
            interval.tick().await;
            last = get(address, path).await;
        }
    };
    let is_met = timeout(PATIENCE, met).await.is_ok();
    assert!(
        is_met,
        "GET {path}: not the expected response in {PATIENCE:?}: {last:?}"
    );
    last
}
