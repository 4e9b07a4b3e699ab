//! Table of the fields of an event's data, with one row per field. The host and the SDK use it to
//! decide how to treat a field.
//!
//! Every new field of the event needs a row here: a test of the host compares this table with the
//! JSON Schema of the data.

use crate::pointer;
use serde_json::{Map, Value};

/// The member that holds the log.
pub const LOG: &str = "/log";

/// Whether a plugin may change a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginAccess {
    /// `set` may change and remove it.
    Write,
    /// No plugin may change the field, because receivers rely on its value.
    Read,
    /// The host writes the field after the last plugin. `set` is accepted and has no effect:
    /// plugins of 0.1.0 do not know the field and may use its name.
    Ignore,
    /// `set` cannot change the field; the contract has separate functions for it.
    OwnFunctions,
}

/// Treatment of a field after a redacting plugin has failed on the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStrip {
    /// The field stays completely, because it cannot contain a secret.
    Keep,
    /// The field stays, but only with those members that have their own row in `FIELDS` and are
    /// kept by this row.
    KeepMembers,
    /// The field is removed.
    Remove,
}

/// Treatment of a field in an event that is larger than `event.maxBytes`. Members without a row in
/// this table are omitted before all fields that have a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOversize {
    /// It stays.
    Keep,
    /// The field is omitted if it is long. Some fields, such as the log, have a rule of their own
    /// instead.
    Omit,
}

/// A field of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// JSON Pointer of the field.
    pub pointer: &'static str,
    /// Whether a plugin may change it.
    pub plugin: PluginAccess,
    /// Action of `onError: strip` on the field.
    pub strip: OnStrip,
    /// What `event.maxBytes` does with it.
    pub oversize: OnOversize,
}

/// All fields of the data. Members of `labels`, of `step` and of data that plugins add have a row
/// only if they need their own treatment.
pub const FIELDS: [Field; 37] = {
    use OnOversize::{Keep as Fixed, Omit};
    use OnStrip::{Keep, KeepMembers, Remove};
    use PluginAccess::{Ignore, OwnFunctions, Read, Write};
    [
        row("/attempt", Read, Keep, Fixed),
        row("/cause", Write, Keep, Omit),
        row("/exitCode", Read, Keep, Fixed),
        row("/labels", Write, Remove, Fixed),
        row("/leftOut", Read, Remove, Fixed),
        row("/log", OwnFunctions, Remove, Omit),
        row("/logInfo", Read, Keep, Fixed),
        row("/pipelineRun", Write, Keep, Omit),
        row("/pipelineRunUID", Read, Keep, Fixed),
        row("/pipelineTask", Write, Keep, Omit),
        row("/podRef", Read, Keep, Fixed),
        row("/podUID", Read, Keep, Fixed),
        row("/reason", Read, Keep, Fixed),
        row("/redaction", Ignore, Keep, Omit),
        row("/startedAt", Write, Keep, Omit),
        row("/startedAtSource", Write, Keep, Omit),
        row("/step", Write, KeepMembers, Fixed),
        row("/step/image", Write, Keep, Omit),
        row("/step/name", Write, Keep, Omit),
        row("/step/resources", Write, Remove, Omit),
        row("/stepIndex", Read, Keep, Fixed),
        row("/stepInfo", Write, Remove, Omit),
        row("/stepState", Write, KeepMembers, Fixed),
        row("/stepState/name", Read, Keep, Fixed),
        row("/stepState/container", Read, Keep, Fixed),
        row("/stepState/imageID", Write, Keep, Omit),
        row("/stepState/running", Write, Keep, Omit),
        row("/stepState/terminated", Write, KeepMembers, Omit),
        row("/stepState/terminated/containerID", Write, Keep, Omit),
        row("/stepState/terminated/exitCode", Write, Keep, Fixed),
        row("/stepState/terminated/finishedAt", Write, Keep, Fixed),
        row("/stepState/terminated/message", Write, Remove, Omit),
        row("/stepState/terminated/reason", Write, Keep, Fixed),
        row("/stepState/terminated/signal", Write, Keep, Omit),
        row("/stepState/terminated/startedAt", Write, Keep, Omit),
        row("/taskRun", Read, Keep, Fixed),
        row("/unreadSecrets", Read, Keep, Fixed),
    ]
};

const fn row(
    pointer: &'static str,
    plugin: PluginAccess,
    strip: OnStrip,
    oversize: OnOversize,
) -> Field {
    Field {
        pointer,
        plugin,
        strip,
        oversize,
    }
}

// === impl PluginAccess ===

impl PluginAccess {
    /// Returns whether a field keeps its content, even if a plugin requests a change.
    #[must_use]
    pub fn is_restored(self) -> bool {
        matches!(self, Self::Read | Self::Ignore)
    }
}

// === impl Field ===

impl Field {
    /// Returns the name of the field in its object.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.pointer.rsplit('/').next().unwrap_or_default()
    }

    /// Returns the pointer to the object that the field is in.
    #[must_use]
    pub fn parent(&self) -> &'static str {
        let parent = self.pointer.rsplit_once('/');
        parent.map_or("", |(parent, _)| parent)
    }
}

/// Returns the entry of [`FIELDS`] for the member `name` of the object at `parent`, or `None` if
/// there is no entry.
#[must_use]
pub fn find(parent: &str, name: &str) -> Option<&'static Field> {
    let mut fields = FIELDS.iter();
    fields.find(|field| field.name() == name && field.parent() == parent)
}

/// Returns a field that forbids `set` at this place, or `None` if `set` may change the place. Such
/// a field is read-only for `set`, and is at the place, contains it, or lies inside it.
#[must_use]
pub fn forbids_set(place: &str) -> Option<&'static Field> {
    let is_it = |field: &&Field| match field.plugin {
        PluginAccess::Write | PluginAccess::Ignore => false,
        PluginAccess::Read | PluginAccess::OwnFunctions => {
            pointer::is_within(place, field.pointer) || pointer::is_within(field.pointer, place)
        }
    };
    FIELDS.iter().find(is_it)
}

/// Puts back what no plugin may change.
#[must_use]
pub fn restore(mut data: Value, original: &Value) -> Value {
    let protected = FIELDS.iter().filter(|field| field.plugin.is_restored());
    for Field { pointer: place, .. } in protected {
        pointer::set(&mut data, place, original.pointer(place).cloned());
    }
    data
}

/// Keeps the fields that survive `onError: strip`.
#[must_use]
pub fn strip(data: &Map<String, Value>) -> Map<String, Value> {
    strip_members(data, "")
}

fn strip_members(members: &Map<String, Value>, parent: &str) -> Map<String, Value> {
    let kept = members.iter().filter_map(|(name, value)| {
        let field = find(parent, name)?;
        let value = match field.strip {
            OnStrip::Keep => value.clone(),
            OnStrip::KeepMembers => strip_members(value.as_object()?, field.pointer).into(),
            OnStrip::Remove => return None,
        };
        Some((name.clone(), value))
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_place_in_or_around_a_protected_field_cannot_be_set() {
        for (place, expected) in [
            ("/podRef", Some("/podRef")),
            ("/podRef/name", Some("/podRef")),
            ("/stepState", Some("/stepState/name")),
            ("/stepState/container/x", Some("/stepState/container")),
            ("/log", Some("/log")),
            ("/log/x", Some("/log")),
            ("/redaction", None),
            ("/logs", None),
            ("/stepState/imageID", None),
            ("/stepState/terminated", None),
            ("/labels/team", None),
            ("/new", None),
        ] {
            let found = forbids_set(place).map(|field| field.pointer);
            assert_eq!(found, expected, "{place}");
        }
    }

    #[test]
    fn strip_keeps_names_and_numbers_but_no_free_text() {
        let data = json!({
            "attempt": 0,
            "labels": {"team": "shop"},
            "log": "hello",
            "new": "x",
            "step": {"args": ["x"], "image": "i", "name": "n"},
            "stepState": {
                "name": "n",
                "new": "x",
                "terminated": {"exitCode": 1, "message": "[]", "new": "x"},
            },
        });
        let stripped = data.as_object().map(strip).map(Value::Object);
        assert_eq!(
            stripped,
            Some(json!({
                "attempt": 0,
                "step": {"image": "i", "name": "n"},
                "stepState": {"name": "n", "terminated": {"exitCode": 1}},
            }))
        );
    }

    #[test]
    fn what_is_protected_is_put_back() {
        let original = json!({"attempt": 0, "taskRun": {"name": "a"}, "step": {"name": "n"}});
        let changed =
            json!({"attempt": 1, "reason": "x", "redaction": {"values": 9}, "step": {"name": "m"}});
        assert_eq!(
            restore(changed, &original),
            json!({"attempt": 0, "taskRun": {"name": "a"}, "step": {"name": "m"}})
        );
    }
}
