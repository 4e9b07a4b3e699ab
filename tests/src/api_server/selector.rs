//! Label and field selectors.

use serde_json::Value;

/// A selector; an empty one selects everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    wanted: Wanted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl Selector {
    /// Parses the parameters `labelSelector` and `fieldSelector`.
    pub(super) fn parse(labels: &str, fields: &str) -> Self {
        Self {
            labels: split(labels).map(requirement).collect(),
            fields: split(fields).map(requirement).collect(),
        }
    }

    /// Returns the name that the field selector requires, if any.
    pub(super) fn name(&self) -> Option<String> {
        let name = self.fields.iter().find(|one| one.key == "metadata.name")?;
        match &name.wanted {
            Wanted::In(names) => names.first().cloned(),
            Wanted::Exists | Wanted::Absent | Wanted::NotIn(_) => None,
        }
    }

    pub(super) fn selects(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str();
        let field = |key: &str| {
            object
                .pointer(&format!("/{}", key.replace('.', "/")))?
                .as_str()
        };
        self.labels.iter().all(|one| one.met(label(&one.key)))
            && self.fields.iter().all(|one| one.met(field(&one.key)))
    }
}

impl Requirement {
    fn met(&self, value: Option<&str>) -> bool {
        let among = |values: &[String]| values.iter().any(|one| Some(one.as_str()) == value);
        match &self.wanted {
            Wanted::Exists => value.is_some(),
            Wanted::Absent => value.is_none(),
            Wanted::In(values) => among(values),
            Wanted::NotIn(values) => !among(values),
        }
    }
}

/// Splits at commas outside of brackets.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    text.split(move |character| {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    })
    .filter(|part| !part.is_empty())
}

fn requirement(text: &str) -> Requirement {
    let of = |key: &str, wanted| Requirement {
        key: key.trim().to_owned(),
        wanted,
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((key, value)) = text.split_once("!=") {
        return of(key, Wanted::NotIn(one(value)));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return of(key, Wanted::In(one(value)));
    }
    let set = |values: &str| {
        let values = values.trim().trim_start_matches('(').trim_end_matches(')');
        values
            .split(',')
            .map(|value| value.trim().to_owned())
            .collect()
    };
    if let Some((key, values)) = text.split_once(" notin ") {
        return of(key, Wanted::NotIn(set(values)));
    }
    if let Some((key, values)) = text.split_once(" in ") {
        return of(key, Wanted::In(set(values)));
    }
    match text.strip_prefix('!') {
        Some(key) => of(key, Wanted::Absent),
        None => of(text, Wanted::Exists),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_select_as_kubernetes_does() {
        let object = json!({"metadata": {"name": "a", "labels": {"team": "shop", "app/tier": "web"}},
                            "status": {"phase": "Running"}});
        for (labels, fields, expected) in [
            ("", "", true),
            ("team", "", true),
            ("!team", "", false),
            ("team=shop,app/tier==web", "", true),
            ("team!=shop", "", false),
            ("other!=shop", "", true),
            ("team in (ops, shop),app/tier", "", true),
            ("team notin (ops,shop)", "", false),
            ("other", "", false),
            ("", "metadata.name=a", true),
            ("", "metadata.name=b", false),
            ("", "status.phase!=Running", false),
            ("team", "metadata.name=a,status.phase=Running", true),
        ] {
            let selector = Selector::parse(labels, fields);
            assert_eq!(selector.selects(&object), expected, "{labels:?} {fields:?}");
        }
        let one = Selector::parse("", "metadata.name=a");
        assert_eq!(one.name().as_deref(), Some("a"));
    }
}
