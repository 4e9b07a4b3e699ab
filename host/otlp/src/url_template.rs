//! URLs of runs, say in the Tekton Dashboard, from a template.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt;
use std::str::FromStr;
use url::Url;

/// Longest template in bytes.
const MAX_BYTES: usize = 2048;
/// Longest URL in bytes. A longer one is left out, because one without its end leads elsewhere.
const MAX_URL_BYTES: usize = 4096;
/// All but the unreserved characters (RFC 3986 §2.3): a value can neither end its part of the URL nor
/// leave it.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A value that a template may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placeholder {
    Namespace,
    PipelineRun,
    TaskRun,
    Step,
    Uid,
}

/// Values of the placeholders. A value that is `None` is not known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UrlValues<'a> {
    pub(crate) namespace: Option<&'a str>,
    pub(crate) pipeline_run: Option<&'a str>,
    pub(crate) task_run: Option<&'a str>,
    pub(crate) step: Option<&'a str>,
    pub(crate) uid: Option<&'a str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Value(Placeholder),
}

/// A URL with the placeholders `{namespace}`, `{pipelineRun}`, `{taskRun}`, `{step}` and `{uid}`. The
/// values are percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlTemplate(Vec<Part>);

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is longer than 2,048 bytes.
    #[error("the URL template has more than {MAX_BYTES} bytes")]
    TooLong,
    /// A brace is not closed, or closes nothing.
    #[error("the URL template has a brace without its counterpart")]
    Brace,
    /// A name in braces is not a placeholder.
    #[error(
        "`{{{0}}}` is not a placeholder of URL templates; there are: {{namespace}}, {{pipelineRun}}, {{taskRun}}, {{step}}, {{uid}}"
    )]
    Unknown(String),
    /// With values in place of the placeholders it is not a URL with `http` or `https` and a host.
    #[error("the URL template is not a URL with http or https and a host")]
    NotUrl,
    /// A placeholder stands before the path: a run must not choose the host that links lead to.
    #[error("the URL template has a placeholder before its path")]
    PlaceholderInHost,
    /// It has a user or a password, which every receiver of spans would see.
    #[error("the URL template has credentials")]
    Credentials,
}

// === impl Placeholder ===

impl Placeholder {
    const ALL: [Self; 5] = [
        Self::Namespace,
        Self::PipelineRun,
        Self::TaskRun,
        Self::Step,
        Self::Uid,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::PipelineRun => "pipelineRun",
            Self::TaskRun => "taskRun",
            Self::Step => "step",
            Self::Uid => "uid",
        }
    }
}

// === impl UrlTemplate ===

impl UrlTemplate {
    /// Returns whether the template has one of these placeholders.
    pub(crate) fn has(&self, names: &[Placeholder]) -> bool {
        let is_one = |part: &Part| matches!(part, Part::Value(name) if names.contains(name));
        self.0.iter().any(is_one)
    }

    /// Returns the URL; `None` if a value is not known, or if the URL is too long. A step that is not
    /// known leaves its place empty: the same template serves TaskRuns and steps.
    pub(crate) fn fill(&self, values: &UrlValues<'_>) -> Option<String> {
        let mut url = String::new();
        for part in &self.0 {
            let value = match part {
                Part::Literal(text) => {
                    url.push_str(text);
                    continue;
                }
                Part::Value(Placeholder::Namespace) => values.namespace?,
                Part::Value(Placeholder::PipelineRun) => values.pipeline_run?,
                Part::Value(Placeholder::TaskRun) => values.task_run?,
                Part::Value(Placeholder::Step) => values.step.unwrap_or_default(),
                Part::Value(Placeholder::Uid) => values.uid?,
            };
            url.extend(utf8_percent_encode(value, RESERVED));
        }
        Some(url).filter(|url| url.len() <= MAX_URL_BYTES)
    }

    /// Checks what the template is with values.
    fn check(&self) -> Result<(), TemplateError> {
        let value = Some("x");
        let values = UrlValues {
            namespace: value,
            pipeline_run: value,
            task_run: value,
            step: value,
            uid: value,
        };
        let text = self.fill(&values).unwrap_or_default();
        // `Url` would remove these silently.
        if text
            .chars()
            .any(|char| char.is_control() || char.is_whitespace())
        {
            return Err(TemplateError::NotUrl);
        }
        let url = Url::parse(&text).map_err(|_| TemplateError::NotUrl)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(TemplateError::NotUrl);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TemplateError::Credentials);
        }
        // The authority ends at the first of these after `//` (RFC 3986 §3.2).
        let Some(Part::Literal(head)) = self.0.first() else {
            return Err(TemplateError::PlaceholderInHost);
        };
        let authority = head.split_once("://").map(|(_, authority)| authority);
        match authority {
            Some(authority) if self.0.len() == 1 || authority.contains(['/', '?', '#']) => Ok(()),
            _ => Err(TemplateError::PlaceholderInHost),
        }
    }
}

impl FromStr for UrlTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_BYTES {
            return Err(TemplateError::TooLong);
        }
        let mut parts = Vec::new();
        let literal = |text: &str, parts: &mut Vec<Part>| match text.contains('}') {
            true => Err(TemplateError::Brace),
            false => {
                if !text.is_empty() {
                    parts.push(Part::Literal(text.to_owned()));
                }
                Ok(())
            }
        };
        let mut rest = text;
        while let Some((before, from_name)) = rest.split_once('{') {
            literal(before, &mut parts)?;
            let (name, after) = from_name.split_once('}').ok_or(TemplateError::Brace)?;
            let mut all = Placeholder::ALL.into_iter();
            let placeholder = all.find(|placeholder| placeholder.name() == name);
            let unknown = || TemplateError::Unknown(name.escape_default().to_string());
            parts.push(Part::Value(placeholder.ok_or_else(unknown)?));
            rest = after;
        }
        literal(rest, &mut parts)?;
        let template = Self(parts);
        template.check()?;
        Ok(template)
    }
}

impl fmt::Display for UrlTemplate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Literal(text) => formatter.write_str(text),
            Part::Value(placeholder) => write!(formatter, "{{{}}}", placeholder.name()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DASHBOARD: &str =
        "https://tekton.example/#/namespaces/{namespace}/taskruns/{taskRun}?step={step}";

    #[test]
    fn values_are_percent_encoded() {
        let template: UrlTemplate = DASHBOARD.parse().unwrap();
        assert_eq!(template.to_string(), DASHBOARD);
        let values = UrlValues {
            namespace: Some("a/../b"),
            task_run: Some("c?d=é&"),
            ..UrlValues::default()
        };
        let url = "https://tekton.example/#/namespaces/a%2F..%2Fb/taskruns/c%3Fd%3D%C3%A9%26?step=";
        assert_eq!(template.fill(&values).as_deref(), Some(url));
        assert_eq!(template.fill(&UrlValues::default()), None);
        let long = "x".repeat(MAX_URL_BYTES);
        let values = UrlValues {
            step: Some(&long),
            ..values
        };
        assert_eq!(template.fill(&values), None);
    }

    #[test]
    fn what_is_no_template_is_refused_with_the_reason() {
        let long = format!("https://a.example/{}", "x".repeat(MAX_BYTES));
        for (text, expected) in [
            ("", TemplateError::NotUrl),
            ("tekton.example/{uid}", TemplateError::NotUrl),
            ("javascript://a.example/{uid}", TemplateError::NotUrl),
            ("file:///{uid}", TemplateError::NotUrl),
            ("https://", TemplateError::NotUrl),
            ("https://a.example/ b", TemplateError::NotUrl),
            ("https://a.example/\n", TemplateError::NotUrl),
            ("https://u:p@a.example/", TemplateError::Credentials),
            (
                "https://{namespace}.example/",
                TemplateError::PlaceholderInHost,
            ),
            ("https://a.example{uid}/", TemplateError::PlaceholderInHost),
            ("{uid}://a.example/", TemplateError::NotUrl),
            ("https://a.example/{uid", TemplateError::Brace),
            ("https://a.example/uid}", TemplateError::Brace),
            (
                "https://a.example/{pod}",
                TemplateError::Unknown("pod".to_owned()),
            ),
            (
                "https://a.example/{}",
                TemplateError::Unknown(String::new()),
            ),
            (&long, TemplateError::TooLong),
        ] {
            assert_eq!(text.parse::<UrlTemplate>(), Err(expected), "{text}");
        }
        for text in [
            "https://a.example",
            "http://[::1]:9097/?x={uid}",
            "https://a.example#{uid}",
        ] {
            assert!(text.parse::<UrlTemplate>().is_ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_an_error(text in "\\PC{0,60}", inner in "[a-z{}:/@?#.]{0,20}") {
            text.parse::<UrlTemplate>().ok();
            format!("https://{inner}").parse::<UrlTemplate>().ok();
        }

        #[test]
        fn no_value_changes_another_part_of_the_url(namespace in "\\PC{0,30}", task_run in "\\PC{0,30}", step in "\\PC{0,30}") {
            let template: UrlTemplate = "https://a.example/x/{namespace}/y-{taskRun}?step={step}#{uid}".parse().unwrap();
            let values = UrlValues {
                namespace: Some(&namespace), task_run: Some(&task_run), step: Some(&step), uid: Some("u"),
                pipeline_run: None,
            };
            let text = template.fill(&values).unwrap();
            let url = Url::parse(&text).unwrap();
            prop_assert_eq!(url.host_str(), Some("a.example"));
            prop_assert_eq!(url.fragment(), Some("u"));
            let pair = url.query_pairs().next().unwrap();
            prop_assert_eq!(&*pair.1, &*step);
            prop_assert_eq!(url.query_pairs().count(), 1);
            prop_assert_eq!(text.matches('/').count(), 5);
        }
    }
}
