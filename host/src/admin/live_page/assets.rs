//! The files of the live page. They are parts of the program.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;

/// A file of the page.
struct Asset {
    name: &'static str,
    text: &'static str,
    tag: HeaderValue,
}

macro_rules! assets {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../page/", $name)))),+]
    };
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let files = assets![
        "index.html",
        "page.css",
        "page.js",
        "text.js",
        "stream.js",
        "model.js",
        "filter.js",
        "timeline.js",
        "detail.js",
        "event.js",
        "history.js",
        "body.js",
        "health.js",
        "dom.js",
    ];
    let assets = files.into_iter().map(|(name, text)| Asset {
        name,
        text,
        tag: tag(text),
    });
    assets.collect()
});

/// Returns the `ETag` of a text: the beginning of its digest.
fn tag(text: &str) -> HeaderValue {
    let digest = format!("{:x}", Sha256::digest(text));
    let tag = format!("\"{}\"", digest.get(..32).unwrap_or_default());
    HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"page\""))
}

/// Returns the media type of a file that a client may get. A browser refuses another one (`nosniff`).
fn media_type(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "html" => Some("text/html; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        _ => None,
    }
}

/// Answers with `index.html`.
pub(super) fn index(request: &HeaderMap) -> Response {
    answer("index.html", request)
}

/// Answers with a style or a script; 404 for every other name.
pub(super) fn file(name: &str, request: &HeaderMap) -> Response {
    match name {
        "index.html" => not_found(),
        name => answer(name, request),
    }
}

fn answer(name: &str, request: &HeaderMap) -> Response {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    let Some((asset, media_type)) = asset.zip(media_type(name)) else {
        return not_found();
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, asset.tag.clone()),
    ];
    let known = request.get_all(header::IF_NONE_MATCH).iter();
    let mut known = known.filter_map(|value| value.to_str().ok());
    let is_known = known.any(|tags| tags.split(',').any(|tag| *tag.trim() == asset.tag));
    match is_known {
        true => (StatusCode::NOT_MODIFIED, headers).into_response(),
        false => (headers, Body::from(asset.text)).into_response(),
    }
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "the page has no such file\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin/page");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "README.md")
            .collect();
        files.sort();
        let mut served: Vec<&str> = ASSETS.iter().map(|asset| asset.name).collect();
        served.sort_unstable();
        assert_eq!(served, files);
        assert!(served.iter().all(|name| media_type(name).is_some()));
    }

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let mut headers = HeaderMap::new();
        let answer = file("page.js", &headers);
        assert_eq!(answer.status(), StatusCode::OK);
        let tag = answer.headers().get(header::ETAG).unwrap().clone();
        headers.insert(header::IF_NONE_MATCH, tag);
        assert_eq!(file("page.js", &headers).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(file("page.css", &headers).status(), StatusCode::OK);
        for name in ["index.html", "README.md", "", "../page/page.js", "PAGE.JS"] {
            assert_eq!(
                file(name, &headers).status(),
                StatusCode::NOT_FOUND,
                "{name}"
            );
        }
    }
}
