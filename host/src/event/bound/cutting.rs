//! Data that is too large: what goes first, and how it is marked.

use super::{cost, escaped, quoted};
use crate::event::data::LeftOut;
use crate::event::encode::EncodeError;
use crate::truncate::{self, MARKER_ROOM};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;
use step_observer_event_model::field::{self, OnOversize};
use step_observer_event_model::pointer;

/// What stays of a log before anything else is left out, in bytes of JSON.
const LOG_FLOOR: usize = 1024;
/// What a log takes beside its text: `"log":"",`.
const LOG_COST: usize = 9;
/// Most entries that name one member each. Further members are counted together, for the object that they were in.
const MAX_NAMED: usize = 16;
/// Members of fewer bytes, and those with longer names, are counted together, too: an entry would take as much.
const SMALL: usize = 128;
/// What says who and how is shorter. Of longer members only those stay without which the data is none.
const LONG: usize = 1024;

/// Where the results are.
const RESULTS: &str = "/stepState/terminated/message";

/// Members of a JSON object, as they are written.
pub(super) type Members = BTreeMap<String, Box<RawValue>>;

/// Data of which something is left out.
pub(super) struct Cutting {
    members: Members,
    left_out: Vec<LeftOut>,
    /// What it may take.
    room: usize,
}

impl Cutting {
    /// Nothing if the data is no JSON object.
    pub(super) fn new(data: &[u8], room: usize) -> Option<Self> {
        let mut members: Members = serde_json::from_slice(data).ok()?;
        let left_out = members.remove("leftOut");
        let left_out = left_out.and_then(|left_out| serde_json::from_str(left_out.get()).ok());
        Some(Self {
            members,
            left_out: left_out.unwrap_or_default(),
            room,
        })
    }

    pub(super) fn cut(mut self) -> Result<Members, EncodeError> {
        let log = self.take_log();
        let floor = log
            .as_deref()
            .map_or(0, |log| LOG_COST + escaped(log).min(LOG_FLOOR));
        let room = self.room;
        self.room = room.saturating_sub(floor);
        self.cut_step(|_| ["script", "args"].map(str::to_owned).into())?;
        self.cut_results()?;
        self.cut_step(|step| largest(step, |name, _| !is_known("/step", name)))?;
        self.cut_data(|name, _| !is_known("", name));
        self.cut_labels()?;
        self.cut_step(|step| largest(step, |_, value| is_long(value)))?;
        self.cut_state()?;
        self.cut_data(|name, value| is_long(value) && !is_needed("", name));
        self.room = room;
        if let Some(log) = log {
            self.put_log(&log)?;
        }
        if !self.left_out.is_empty() {
            self.put("leftOut", &self.left_out.clone())?;
        }
        Ok(self.members)
    }

    fn size(&self) -> usize {
        let members = self.members.iter();
        let members: usize = members.map(|(name, value)| member_size(name, value)).sum();
        members + "{}".len() + self.noted()
    }

    /// Bytes that are too many.
    fn excess(&self) -> usize {
        self.size().saturating_sub(self.room)
    }

    /// What the marks take that are not written yet.
    fn noted(&self) -> usize {
        let entries = serde_json::to_string(&self.left_out).unwrap_or_default();
        match self.left_out.is_empty() {
            true => 0,
            false => quoted("leftOut") + entries.len() + ":,".len(),
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

    /// Leaves members out of an object in this order, until `excess` bytes are gone.
    fn leave_out(
        &mut self,
        members: &mut Members,
        order: Vec<String>,
        parent: &str,
        mut excess: usize,
    ) {
        for name in order {
            if excess == 0 {
                return;
            }
            if let Some(value) = members.remove(&name) {
                let noted = self.noted();
                self.note(parent, &name, None, &value);
                let freed = member_size(&name, &value);
                excess = (excess + self.noted()).saturating_sub(noted + freed);
            }
        }
    }

    fn note(&mut self, parent: &str, name: &str, result: Option<&str>, value: &RawValue) {
        let bytes = text(value).map_or(value.get().len(), |text| text.len());
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let is_short = result.unwrap_or(name).len() <= SMALL;
        if is_short && value.get().len() >= SMALL && self.left_out.len() < MAX_NAMED {
            let path = match result {
                None => pointer::member(parent, name),
                Some(_) => parent.to_owned(),
            };
            let result = result.map(str::to_owned);
            self.left_out.push(LeftOut {
                bytes,
                path,
                result,
            });
            return;
        }
        let known = |entry: &&mut LeftOut| entry.path == parent && entry.result.is_none();
        match self.left_out.iter_mut().find(known) {
            Some(entry) => entry.bytes = entry.bytes.saturating_add(bytes),
            None => self.left_out.push(LeftOut {
                bytes,
                path: parent.to_owned(),
                result: None,
            }),
        }
    }

    /// Leaves out the largest of these members of the data itself.
    fn cut_data(&mut self, may_go: impl Fn(&str, &RawValue) -> bool) {
        let excess = self.excess();
        let mut members = std::mem::take(&mut self.members);
        let order = largest(&members, may_go);
        self.leave_out(&mut members, order, "", excess);
        self.members = members;
    }

    fn cut_labels(&mut self) -> Result<(), EncodeError> {
        let excess = self.excess();
        let Some(mut labels) = self.object("labels").filter(|_| excess > 0) else {
            return Ok(());
        };
        let order = largest(&labels, |_, _| true);
        self.leave_out(&mut labels, order, "/labels", excess);
        self.put("labels", &labels)
    }

    fn cut_step(&mut self, order: impl Fn(&Members) -> Vec<String>) -> Result<(), EncodeError> {
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
        self.leave_out(&mut step, order, "/step", excess);
        self.put("step", &step)
    }

    /// Leaves out results, the largest first; or the whole text if it is no list of them.
    fn cut_results(&mut self) -> Result<(), EncodeError> {
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
            self.note("/stepState/terminated", "message", None, &message);
        }
        for at in order {
            let Some(entry) = kept.remove(&at) else {
                continue;
            };
            if excess == 0 {
                kept.insert(at, entry);
                break;
            }
            let noted = self.noted();
            let result: TaskResult<'_> = serde_json::from_str(entry.get()).unwrap_or_default();
            let value = result.value.unwrap_or(entry);
            self.note(RESULTS, "", Some(&result.key), value);
            let freed = escaped(entry.get()) + ",".len();
            excess = (excess + self.noted()).saturating_sub(noted + freed);
        }
        if !kept.is_empty() {
            let kept: Vec<&RawValue> = kept.into_values().collect();
            let message = to_raw_value(&serde_json::to_string(&kept)?)?;
            ended.insert("message".to_owned(), message);
        }
        state.insert("terminated".to_owned(), to_raw_value(&ended)?);
        self.put("stepState", &state)
    }

    /// Leaves out what plugins have added to the step's state, and what they have made of its members that are short.
    fn cut_state(&mut self) -> Result<(), EncodeError> {
        let excess = self.excess();
        let Some(mut state) = self.object("stepState").filter(|_| excess > 0) else {
            return Ok(());
        };
        if let Some(mut ended) = state.get("terminated").and_then(|ended| object(ended)) {
            let order = largest(&ended, |name, value| {
                may_go("/stepState/terminated", name, value)
            });
            self.leave_out(&mut ended, order, "/stepState/terminated", excess);
            state.insert("terminated".to_owned(), to_raw_value(&ended)?);
            self.put("stepState", &state)?;
        }
        let excess = self.excess();
        let order = largest(&state, |name, value| may_go("/stepState", name, value));
        self.leave_out(&mut state, order, "/stepState", excess);
        self.put("stepState", &state)
    }

    fn take_log(&mut self) -> Option<String> {
        let log = text(self.members.get("log")?)?;
        self.members.remove("log");
        Some(log)
    }

    /// Puts the log back, as much of it as there is room for.
    fn put_log(&mut self, log: &str) -> Result<(), EncodeError> {
        let free = |cutting: &Self| cutting.room.saturating_sub(cutting.size() + LOG_COST);
        if escaped(log) <= free(self) {
            return self.put("log", &log);
        }
        if let Some(mut info) = self.object("logInfo") {
            info.insert("truncated".to_owned(), to_raw_value(&true)?);
            self.put("logInfo", &info)?;
        }
        self.left_out.push(LeftOut {
            bytes: u64::try_from(log.len()).unwrap_or(u64::MAX),
            path: "/log".to_owned(),
            result: None,
        });
        match free(self) {
            room if room < MARKER_ROOM => Ok(()),
            room => self.put("log", &truncate::omit_middle(log, room, cost)),
        }
    }
}

/// A result of a step, as Tekton's entrypoint writes it.
#[derive(Default, Deserialize)]
struct TaskResult<'a> {
    #[serde(default)]
    key: String,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// Returns whether a member is part of every event's data, and not added by a plugin.
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
    value.get().len() > LONG
}

fn object(value: &RawValue) -> Option<Members> {
    serde_json::from_str(value.get()).ok()
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// Gives the names of these members, that of the largest first.
fn largest(members: &Members, may_go: impl Fn(&str, &RawValue) -> bool) -> Vec<String> {
    let those = members.iter().filter(|(name, value)| may_go(name, value));
    let mut those: Vec<_> = those
        .map(|(name, value)| (member_size(name, value), name.clone()))
        .collect();
    those.sort_by(|one, other| other.cmp(one));
    those.into_iter().map(|(_, name)| name).collect()
}

/// What a member takes in JSON, with a comma.
fn member_size(name: &str, value: &RawValue) -> usize {
    quoted(name) + value.get().len() + ":,".len()
}
