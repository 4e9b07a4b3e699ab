//! Omits members of data that is too large, in a fixed order, and marks what is missing.

use super::{char_size, escaped_size, quoted_size};
use crate::event::data::OmittedPart;
use crate::event::encode::EncodeError;
use crate::truncate::{self, MARKER_ROOM};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;
use step_observer_event_model::field::{self, OnOversize};
use step_observer_event_model::pointer;

/// Bytes of JSON that are kept for the log: it is shortened to this size before anything else is
/// omitted.
const MIN_LOG_BYTES: usize = 1024;
/// Size of the JSON member of an empty log, in bytes: `"log":"",`.
const LOG_MEMBER_BYTES: usize = 9;
/// Maximum number of marks (entries of `leftOut`) that are for a single member. Members omitted
/// after that share one mark per parent object.
const MAX_NAMED_MARKS: usize = 16;
/// A member shares a mark, too, if its value has fewer bytes than this or its name has more: a mark
/// of its own would take as many bytes as the member.
const MIN_NAMED_BYTES: usize = 128;
/// Members that identify the step and its end have fewer bytes than this. Longer members may be
/// omitted, unless the data would be invalid without them.
const MAX_IDENTITY_BYTES: usize = 1024;

/// Pointer to the results.
const RESULTS: &str = "/stepState/terminated/message";

/// Members of a JSON object, with their JSON texts.
pub(super) type Members = BTreeMap<String, Box<RawValue>>;

/// Data from which members are omitted until it fits.
pub(super) struct Omission {
    members: Members,
    marks: Vec<OmittedPart>,
    /// Maximum size of the data in bytes.
    room: usize,
}

impl Omission {
    /// Parses the data; `None` if it is not a JSON object.
    pub(super) fn new(data: &[u8], room: usize) -> Option<Self> {
        let mut members: Members = serde_json::from_slice(data).ok()?;
        let marks = members.remove("leftOut");
        let marks = marks.and_then(|marks| serde_json::from_str(marks.get()).ok());
        Some(Self {
            members,
            marks: marks.unwrap_or_default(),
            room,
        })
    }

    /// Omits as much as is needed, the least important members first: script and arguments,
    /// results, other members of the step, members that plugins added, labels; then long members.
    pub(super) fn apply(mut self) -> Result<Members, EncodeError> {
        let log = self.take_log();
        let floor = log.as_deref().map_or(0, |log| {
            LOG_MEMBER_BYTES + escaped_size(log).min(MIN_LOG_BYTES)
        });
        let room = self.room;
        self.room = room.saturating_sub(floor);
        self.omit_from_step(|_| ["script", "args"].map(str::to_owned).into())?;
        self.omit_results()?;
        self.omit_from_step(|step| largest(step, |name, _| !is_known("/step", name)))?;
        self.omit_members(|name, _| !is_known("", name));
        self.omit_labels()?;
        self.omit_from_step(|step| largest(step, |_, value| is_long(value)))?;
        self.omit_from_state()?;
        self.omit_members(|name, value| is_long(value) && !is_needed("", name));
        self.room = room;
        if let Some(log) = log {
            self.put_log(&log)?;
        }
        if !self.marks.is_empty() {
            self.put("leftOut", &self.marks.clone())?;
        }
        Ok(self.members)
    }

    fn size(&self) -> usize {
        let members = self.members.iter();
        let members: usize = members.map(|(name, value)| member_size(name, value)).sum();
        members + "{}".len() + self.marks_size()
    }

    /// Returns the bytes above the bound.
    fn excess(&self) -> usize {
        self.size().saturating_sub(self.room)
    }

    /// Returns the bytes of the marks, which are written last.
    fn marks_size(&self) -> usize {
        let entries = serde_json::to_string(&self.marks).unwrap_or_default();
        match self.marks.is_empty() {
            true => 0,
            false => quoted_size("leftOut") + entries.len() + ":,".len(),
        }
    }

    fn object(&self, name: &str) -> Option<Members> {
        object(self.members.get(name)?)
    }

    fn put(&mut self, name: &str, value: &impl Serialize) -> Result<(), EncodeError> {
        let value = to_raw_value(value)?;
        self.members.insert(name.to_owned(), value);
        Ok(())
    }

    /// Omits members of an object in this order, until `excess` bytes are gone.
    fn omit(&mut self, members: &mut Members, order: Vec<String>, parent: &str, mut excess: usize) {
        for name in order {
            if excess == 0 {
                return;
            }
            if let Some(value) = members.remove(&name) {
                let marks = self.marks_size();
                self.mark(parent, &name, None, &value);
                let freed = member_size(&name, &value);
                excess = (excess + self.marks_size()).saturating_sub(marks + freed);
            }
        }
    }

    fn mark(&mut self, parent: &str, name: &str, result: Option<&str>, value: &RawValue) {
        let bytes = text(value).map_or(value.get().len(), |text| text.len());
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let is_short = result.unwrap_or(name).len() <= MIN_NAMED_BYTES;
        if is_short && value.get().len() >= MIN_NAMED_BYTES && self.marks.len() < MAX_NAMED_MARKS {
            let path = match result {
                None => pointer::member(parent, name),
                Some(_) => parent.to_owned(),
            };
            let result = result.map(str::to_owned);
            self.marks.push(OmittedPart {
                bytes,
                path,
                result,
            });
            return;
        }
        let known = |entry: &&mut OmittedPart| entry.path == parent && entry.result.is_none();
        match self.marks.iter_mut().find(known) {
            Some(entry) => entry.bytes = entry.bytes.saturating_add(bytes),
            None => self.marks.push(OmittedPart {
                bytes,
                path: parent.to_owned(),
                result: None,
            }),
        }
    }

    /// Omits members of the data itself that `may_go` permits, the largest first, until the data
    /// fits.
    fn omit_members(&mut self, may_go: impl Fn(&str, &RawValue) -> bool) {
        let excess = self.excess();
        let mut members = std::mem::take(&mut self.members);
        let order = largest(&members, may_go);
        self.omit(&mut members, order, "", excess);
        self.members = members;
    }

    fn omit_labels(&mut self) -> Result<(), EncodeError> {
        let excess = self.excess();
        let Some(mut labels) = self.object("labels").filter(|_| excess > 0) else {
            return Ok(());
        };
        let order = largest(&labels, |_, _| true);
        self.omit(&mut labels, order, "/labels", excess);
        self.put("labels", &labels)
    }

    fn omit_from_step(
        &mut self,
        order: impl Fn(&Members) -> Vec<String>,
    ) -> Result<(), EncodeError> {
        let is_too_large = self.excess() > 0;
        let Some(mut step) = self.object("step").filter(|_| is_too_large) else {
            return Ok(());
        };
        let order = order(&step);
        if !order.iter().any(|name| step.contains_key(name)) {
            return Ok(());
        }
        let mut info = Members::new();
        let bytes = match self.object("stepInfo") {
            Some(mut known) => known.remove("bytes"),
            None => {
                let whole = self.members.get("step").map(|step| step.get().len());
                whole.map(|whole| to_raw_value(&whole)).transpose()?
            }
        };
        info.extend(bytes.map(|bytes| ("bytes".to_owned(), bytes)));
        info.insert("truncated".to_owned(), to_raw_value(&true)?);
        self.put("stepInfo", &info)?;
        let excess = self.excess();
        self.omit(&mut step, order, "/step", excess);
        self.put("step", &step)
    }

    /// Omits results, the largest first; or the whole text if it is not a list of results.
    fn omit_results(&mut self) -> Result<(), EncodeError> {
        let mut excess = self.excess();
        let Some(mut state) = self.object("stepState").filter(|_| excess > 0) else {
            return Ok(());
        };
        let ended = state.get("terminated").and_then(|ended| object(ended));
        let Some(mut ended) = ended else {
            return Ok(());
        };
        let Some(message) = ended.remove("message") else {
            return Ok(());
        };
        let results = text(&message).unwrap_or_default();
        let entries: Vec<&RawValue> = serde_json::from_str(&results).unwrap_or_default();
        let mut kept: BTreeMap<usize, &RawValue> = entries.iter().copied().enumerate().collect();
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by_key(|at| {
            let size = entries.get(*at).map_or(0, |entry| entry.get().len());
            std::cmp::Reverse(size)
        });
        if order.is_empty() {
            self.mark("/stepState/terminated", "message", None, &message);
        }
        for at in order {
            let Some(entry) = kept.remove(&at) else {
                continue;
            };
            if excess == 0 {
                kept.insert(at, entry);
                break;
            }
            let marks = self.marks_size();
            let result: TaskResult<'_> = serde_json::from_str(entry.get()).unwrap_or_default();
            let value = result.value.unwrap_or(entry);
            self.mark(RESULTS, "", Some(&result.key), value);
            let freed = escaped_size(entry.get()) + ",".len();
            excess = (excess + self.marks_size()).saturating_sub(marks + freed);
        }
        if !kept.is_empty() {
            let kept: Vec<&RawValue> = kept.into_values().collect();
            let message = to_raw_value(&serde_json::to_string(&kept)?)?;
            ended.insert("message".to_owned(), message);
        }
        state.insert("terminated".to_owned(), to_raw_value(&ended)?);
        self.put("stepState", &state)
    }

    /// Omits the members of `stepState` that plugins have added, and the members that plugins have
    /// made too long.
    fn omit_from_state(&mut self) -> Result<(), EncodeError> {
        let excess = self.excess();
        let Some(mut state) = self.object("stepState").filter(|_| excess > 0) else {
            return Ok(());
        };
        if let Some(mut ended) = state.get("terminated").and_then(|ended| object(ended)) {
            let order = largest(&ended, |name, value| {
                may_go("/stepState/terminated", name, value)
            });
            self.omit(&mut ended, order, "/stepState/terminated", excess);
            state.insert("terminated".to_owned(), to_raw_value(&ended)?);
            self.put("stepState", &state)?;
        }
        let excess = self.excess();
        let order = largest(&state, |name, value| may_go("/stepState", name, value));
        self.omit(&mut state, order, "/stepState", excess);
        self.put("stepState", &state)
    }

    fn take_log(&mut self) -> Option<String> {
        let log = text(self.members.get("log")?)?;
        self.members.remove("log");
        Some(log)
    }

    /// Puts the log back, without its middle if the whole log does not fit.
    fn put_log(&mut self, log: &str) -> Result<(), EncodeError> {
        let free = |omission: &Self| {
            omission
                .room
                .saturating_sub(omission.size() + LOG_MEMBER_BYTES)
        };
        if escaped_size(log) <= free(self) {
            return self.put("log", &log);
        }
        if let Some(mut info) = self.object("logInfo") {
            info.insert("truncated".to_owned(), to_raw_value(&true)?);
            self.put("logInfo", &info)?;
        }
        self.marks.push(OmittedPart {
            bytes: u64::try_from(log.len()).unwrap_or(u64::MAX),
            path: "/log".to_owned(),
            result: None,
        });
        match free(self) {
            room if room < MARKER_ROOM => Ok(()),
            room => self.put("log", &truncate::omit_middle(log, room, char_size)),
        }
    }
}

/// A result of a step, in the format of Tekton's entrypoint.
#[derive(Default, Deserialize)]
struct TaskResult<'a> {
    #[serde(default)]
    key: String,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// Returns whether a member belongs to the format of the data, and was not added by a plugin.
fn is_known(parent: &str, name: &str) -> bool {
    field::find(parent, name).is_some()
}

/// Returns whether a member stays even if it is long.
fn is_needed(parent: &str, name: &str) -> bool {
    field::find(parent, name).is_some_and(|field| field.oversize == OnOversize::Keep)
}

/// Returns whether a member may be omitted: one that a plugin has added, or made long.
fn may_go(parent: &str, name: &str, value: &RawValue) -> bool {
    !is_known(parent, name) || is_long(value) && !is_needed(parent, name)
}

fn is_long(value: &RawValue) -> bool {
    value.get().len() > MAX_IDENTITY_BYTES
}

fn object(value: &RawValue) -> Option<Members> {
    serde_json::from_str(value.get()).ok()
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// Returns the names of the members that may go, the largest member first.
fn largest(members: &Members, may_go: impl Fn(&str, &RawValue) -> bool) -> Vec<String> {
    let those = members.iter().filter(|(name, value)| may_go(name, value));
    let mut those: Vec<_> = those
        .map(|(name, value)| (member_size(name, value), name.clone()))
        .collect();
    those.sort_by(|one, other| other.cmp(one));
    those.into_iter().map(|(_, name)| name).collect()
}

/// Returns the bytes that a member takes in JSON, with a comma.
fn member_size(name: &str, value: &RawValue) -> usize {
    quoted_size(name) + value.get().len() + ":,".len()
}
