//! Parses the method, path and query of a request.

use super::authorise::Attributes;
use super::selector::Selector;
use axum::http::{Method, Uri};
use std::collections::HashMap;

pub(super) type Parameters = HashMap<String, String>;

#[derive(Debug)]
pub(super) struct Request {
    pub(super) asked: Attributes,
    pub(super) selector: Selector,
    pub(super) query: Parameters,
}

impl Request {
    /// Returns `None` if the request is for no resource.
    pub(super) fn read(method: &Method, uri: &Uri, query: Parameters) -> Option<Self> {
        let mut path = uri.path().split('/').skip(1);
        let group = match path.next()? {
            "api" => "",
            "apis" => path.next()?,
            _ => return None,
        };
        path.next().filter(|version| !version.is_empty())?;
        let (namespace, plural) = match path.next()? {
            "namespaces" => (Some(path.next()?), path.next()?),
            plural => (None, plural),
        };
        let (name, subresource) = (path.next(), path.next());
        let said = |name: &str| query.get(name).map_or("", String::as_str);
        let selector = Selector::parse(said("labelSelector"), said("fieldSelector"));
        let watching = matches!(said("watch"), "true" | "1");
        let verb = match (method, name) {
            (&Method::GET, Some(_)) => "get",
            (&Method::GET, None) if watching => "watch",
            (&Method::GET, None) => "list",
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) => "patch",
            (&Method::DELETE, _) => "delete",
            _ => return None,
        };
        let asked = Attributes {
            verb,
            group: group.to_owned(),
            resource: match subresource {
                Some(below) => format!("{plural}/{below}"),
                None => plural.to_owned(),
            },
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned).or_else(|| selector.name()),
        };
        Some(Self {
            asked,
            selector,
            query,
        })
    }

    pub(super) fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.parameter(name).parse().ok()
    }

    pub(super) fn is(&self, name: &str) -> bool {
        matches!(self.parameter(name), "true" | "1")
    }

    /// Describes the request in the form that tests look for: `list pods {…}`, `log POD CONTAINER
    /// {…}`.
    pub(super) fn describe(&self) -> String {
        let Attributes {
            verb,
            resource,
            name,
            ..
        } = &self.asked;
        let name = name.as_deref().unwrap_or_default();
        let query = &self.query;
        match (*verb, resource.as_str()) {
            ("get", "pods/log") => format!("log {name} {} {query:?}", self.parameter("container")),
            ("list" | "watch", _) => format!("{verb} {resource} {query:?}"),
            _ => format!("{verb} {resource} {name} {query:?}"),
        }
    }
}
