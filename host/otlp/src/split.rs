//! Splits spans or log records into requests that are within the bounds, in groups by run.

use crate::batch::{EncodeError, Encoding, MAX_BODY_BYTES, MAX_RECORDS, Request};
use crate::message::KeyValue;
use prost::Message;
use serde::Serialize;
use std::collections::HashMap;
use std::io;

/// Bytes that a protobuf message takes within another one beside its own: its tag, and its length as a
/// varint of at most 5 bytes, since no body reaches 32 GiB.
const PROTOBUF_FRAME: usize = 6;
/// Lengths of the messages around the records (`ResourceSpans`, `ScopeSpans`, `Resource`) that grow
/// while records are added.
const PROTOBUF_GROUP_FRAME: usize = 3 * PROTOBUF_FRAME;
/// The comma after an element in JSON.
const JSON_FRAME: usize = 1;
/// `{"resourceSpans":[]}`.
const JSON_BODY_FRAME: usize = 32;

/// Spans or log records of one event.
#[derive(Debug)]
pub(crate) struct Entry<R> {
    /// Position of the event in the batch.
    pub(crate) event: usize,
    /// Entries with the same key are of the same run.
    pub(crate) run_key: String,
    pub(crate) resource: Vec<KeyValue>,
    pub(crate) records: Vec<R>,
}

/// The messages of one signal.
pub(crate) trait Signal {
    type Record: Message + Serialize;
    type Group: Message + Serialize;
    type Body: Message + Serialize;

    /// Makes the group of one run.
    fn group(resource: Vec<KeyValue>, records: Vec<Self::Record>, schema_url: &str) -> Self::Group;

    /// Makes the body of a request.
    fn body(groups: Vec<Self::Group>) -> Self::Body;
}

struct Group<R> {
    resource: Vec<KeyValue>,
    records: Vec<R>,
}

/// A request to which entries are added.
struct Open<R> {
    groups: Vec<Group<R>>,
    by_run: HashMap<String, usize>,
    events: Vec<usize>,
    records: usize,
    /// At least the size of the body.
    bytes: usize,
}

/// Makes requests of the entries, in their order. An entry is never divided.
pub(crate) fn split<S: Signal>(
    entries: Vec<Entry<S::Record>>,
    schema_url: &str,
    encoding: Encoding,
) -> Result<Vec<Request>, EncodeError> {
    let mut requests = Vec::new();
    let mut open = Open::<S::Record>::new();
    for entry in entries {
        let records = records_size(&entry.records, encoding)?;
        let mut bytes = records + open.group_size::<S>(&entry, schema_url, encoding)?;
        let is_full = open.records + entry.records.len() > MAX_RECORDS
            || open.bytes.saturating_add(bytes) > MAX_BODY_BYTES;
        if is_full && !open.events.is_empty() {
            requests.push(open.close::<S>(schema_url, encoding)?);
            open = Open::new();
            bytes = records + open.group_size::<S>(&entry, schema_url, encoding)?;
        }
        open.add(entry, bytes);
    }
    if !open.events.is_empty() {
        requests.push(open.close::<S>(schema_url, encoding)?);
    }
    Ok(requests)
}

impl<R: Message + Serialize> Open<R> {
    fn new() -> Self {
        Self {
            groups: Vec::new(),
            by_run: HashMap::new(),
            events: Vec::new(),
            records: 0,
            bytes: JSON_BODY_FRAME,
        }
    }

    /// Returns by how much the body grows at most, without the records: by a new group, or by
    /// attributes that the group of the run lacks.
    fn group_size<S: Signal<Record = R>>(
        &self,
        entry: &Entry<R>,
        schema_url: &str,
        encoding: Encoding,
    ) -> Result<usize, EncodeError> {
        let group = self.by_run.get(&entry.run_key);
        if let Some(group) = group.and_then(|at| self.groups.get(*at)) {
            let missing = entry.resource.iter().filter(|own| group.lacks(own));
            return missing.map(|attribute| size(attribute, encoding)).sum();
        }
        let group = S::group(entry.resource.clone(), Vec::new(), schema_url);
        Ok(size(&group, encoding)? + PROTOBUF_GROUP_FRAME)
    }

    fn add(&mut self, entry: Entry<R>, bytes: usize) {
        let Entry {
            event,
            run_key,
            resource,
            records,
        } = entry;
        self.events.push(event);
        self.records += records.len();
        self.bytes = self.bytes.saturating_add(bytes);
        let at = *self.by_run.entry(run_key).or_insert(self.groups.len());
        match self.groups.get_mut(at) {
            Some(group) => {
                for attribute in resource {
                    if group.lacks(&attribute) {
                        group.resource.push(attribute);
                    }
                }
                group.records.extend(records);
            }
            None => self.groups.push(Group { resource, records }),
        }
    }

    fn close<S: Signal<Record = R>>(
        self,
        schema_url: &str,
        encoding: Encoding,
    ) -> Result<Request, EncodeError> {
        let groups = self.groups.into_iter();
        let groups = groups.map(|group| S::group(group.resource, group.records, schema_url));
        let body = S::body(groups.collect());
        Ok(Request {
            body: match encoding {
                Encoding::Protobuf => body.encode_to_vec(),
                Encoding::Json => serde_json::to_vec(&body)?,
            },
            events: self.events,
            records: self.records,
        })
    }
}

impl<R> Group<R> {
    fn lacks(&self, attribute: &KeyValue) -> bool {
        self.resource.iter().all(|own| own.key != attribute.key)
    }
}

fn records_size<R: Message + Serialize>(
    records: &[R],
    encoding: Encoding,
) -> Result<usize, EncodeError> {
    records.iter().map(|record| size(record, encoding)).sum()
}

/// Returns the size of a message within another one; at least, in protobuf.
fn size<M: Message + Serialize>(message: &M, encoding: Encoding) -> Result<usize, EncodeError> {
    match encoding {
        Encoding::Protobuf => Ok(message.encoded_len() + PROTOBUF_FRAME),
        Encoding::Json => {
            let mut counter = Counter(JSON_FRAME);
            serde_json::to_writer(&mut counter, message)?;
            Ok(counter.0)
        }
    }
}

/// Counts bytes instead of keeping them.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
