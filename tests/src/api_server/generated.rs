//! Lists whose items are written when a page is requested.

use super::model::Resource;
use super::request::Request;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use std::fmt::{self, Formatter};

/// A list whose items are written when a page is requested, so that a list of any length needs no
/// memory. Watches, logs and requests for single objects know nothing of its objects.
pub struct GeneratedList {
    /// Number of items.
    pub count: usize,
    /// Returns the JSON of the item at an index.
    pub item: Box<dyn Fn(usize) -> String + Send + Sync>,
}

impl fmt::Debug for GeneratedList {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("GeneratedList");
        shown.field("count", &self.count).finish_non_exhaustive()
    }
}

impl GeneratedList {
    /// Returns the page that a request asks for. Selectors are ignored.
    pub(super) fn page(&self, request: &Request, resource: Resource, revision: u64) -> Response {
        let number = |name: &str| usize::try_from(request.number(name).unwrap_or_default());
        let start = number("continue").unwrap();
        let end = match number("limit").unwrap() {
            0 => self.count,
            limit => self.count.min(start + limit),
        };
        let items: Vec<String> = (start..end).map(|index| (self.item)(index)).collect();
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if end < self.count {
            metadata["remainingItemCount"] = (self.count - end).into();
            metadata["continue"] = end.to_string().into();
        }
        let (version, kind) = resource.kind();
        let list = format!(
            r#"{{"apiVersion":"{version}","kind":"{kind}List","metadata":{metadata},"items":[{}]}}"#,
            items.join(",")
        );
        ([(CONTENT_TYPE, "application/json")], list).into_response()
    }
}
