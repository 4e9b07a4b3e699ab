//! The API server of the test kit answers as real ones do, also to requests that the observer does
//! not make.
use serde_json::{Value, json};
use step_observer_tests::admin::get;
use step_observer_tests::api_server::ApiServer;

/// Starts a server with the pods a, b and c.
async fn server() -> (ApiServer, String) {
    let server = ApiServer::start().await;
    for name in ["a", "b", "c"] {
        server.put(pod(name));
    }
    let address = server.url.trim_start_matches("http://").to_owned();
    (server, address)
}

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
           "metadata": {"name": name, "namespace": "ci", "labels": {"team": name}}})
}

async fn ask(address: &str, path: &str) -> (u16, Value) {
    let (status, body) = get(address, path).await;
    (status, serde_json::from_str(&body).unwrap())
}

/// Returns the lines of a watch, to its end.
async fn watched(address: &str, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/pods?watch=true&timeoutSeconds=1&{query}");
    let (status, body) = get(address, &path).await;
    assert_eq!(status, 200, "{body}");
    // Skips the lines with the sizes of chunks.
    let lines = body.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn kinds(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line["type"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_pages_of_a_list_show_one_moment_and_expire() {
    let (server, address) = server().await;
    let (_, first) = ask(&address, "/api/v1/pods?limit=2").await;
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    server.delete(pod("a"));
    let path = format!("/api/v1/pods?limit=2&continue={token}");
    let (_, second) = ask(&address, &path).await;
    assert_eq!(second["items"][0]["metadata"]["name"], "c");
    assert_eq!(
        second["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    server.expire_pages();
    let (status, gone) = ask(&address, &path).await;
    assert_eq!((status, &gone["reason"]), (410, &"Expired".into()));
}

#[tokio::test]
async fn revisions_may_be_any_too_old_or_still_to_come() {
    let (server, address) = server().await;
    let (_, list) = ask(
        &address,
        "/api/v1/namespaces/ci/pods?resourceVersion=0&labelSelector=team!=b",
    )
    .await;
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let revision = list["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned();
    let (status, _) = ask(&address, "/api/v1/pods?resourceVersion=999").await;
    assert_eq!(status, 504);
    assert_eq!(kinds(&watched(&address, "").await), ["ADDED"; 3]);
    let from = format!("allowWatchBookmarks=true&resourceVersion={revision}");
    assert_eq!(kinds(&watched(&address, &from).await), ["BOOKMARK"]);
    server.forget_history();
    let gone = watched(&address, &from).await;
    assert_eq!(
        (kinds(&gone), &gone[0]["object"]["code"]),
        (vec!["ERROR"], &410.into())
    );
    server.forget_history_by_http();
    let (status, _) = ask(&address, &format!("/api/v1/pods?watch=1&{from}")).await;
    assert_eq!(status, 410);
}

#[tokio::test]
async fn a_streaming_list_ends_with_a_bookmark_where_the_server_has_them() {
    let (server, address) = server().await;
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let lines = watched(&address, query).await;
    assert_eq!(kinds(&lines)[..4], ["ADDED", "ADDED", "ADDED", "BOOKMARK"]);
    let annotations = &lines[3]["object"]["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");
    server.without_streaming_lists(422);
    let (status, _) = ask(&address, &format!("/api/v1/pods?watch=true&{query}")).await;
    assert_eq!(status, 422);
}
