//! The event that reports a gap: a time in which runs may have come and gone unseen.
//!
//! It is an event of the observer itself: it holds nothing that a tenant wrote, so it passes no plugin.

use super::{BuildError, EventConfig, to_chrono};
use cloudevents::{AttributesWriter as _, Event, EventBuilder, EventBuilderV10};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use url::Url;

/// `type` of the event.
pub const GAP_TYPE: &str = "dev.step-observer.gap.v1";

/// `dataschema` of the event: names `deploy/schema/gap-event.v1.json`.
pub const GAP_SCHEMA_URN: &str = "urn:step-observer:gap-event:v1";

/// Namespaces that the event names. If more are watched, it gives only their number, so that it always fits
/// the smallest bound of `event.maxBytes`.
const MAX_NAMED: usize = 100;

/// Data of the event.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("$id" = "urn:step-observer:gap-event:v1"))]
pub struct GapEventData<'a> {
    /// The last moment at which the observer is known to have watched, RFC 3339.
    pub from: String,
    /// Number of the namespaces that are watched, if only these are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_count: Option<usize>,
    /// The namespaces that are watched, sorted. Absent if all are, or if there are more than 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<&'a str>>,
    /// Length of the gap in seconds.
    pub seconds: f64,
    /// The part of the runs that this observer observes. Absent if it observes all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardRef>,
    /// When the lists that followed were complete, RFC 3339. From then on, the observer has seen every run.
    pub to: String,
}

/// One of several observers that share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ShardRef {
    /// Number of all shards.
    pub of: u32,
    /// Number of the shard, from 0.
    pub shard: u32,
}

/// Makes the event of a gap. The same gap of the same shard always has the same id.
///
/// # Errors
///
/// The `source` in the configuration is not a valid attribute.
pub fn gap_event(
    from: Timestamp,
    to: Timestamp,
    shard: Option<ShardRef>,
    namespaces: &[String],
    config: &EventConfig,
) -> Result<Event, BuildError> {
    let of_shard = shard.map_or(String::new(), |ShardRef { of, shard }| {
        format!("{shard}-of-{of}-")
    });
    let mut named: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    named.sort_unstable();
    named.dedup();
    let count = Some(named.len()).filter(|count| *count > 0);
    let seconds = to.duration_since(from).as_secs_f64();
    let data = GapEventData {
        from: from.to_string(),
        namespace_count: count,
        namespaces: Some(named).filter(|named| (1..=MAX_NAMED).contains(&named.len())),
        // Whole milliseconds, so that the number has few digits.
        seconds: (seconds * 1e3).round() / 1e3,
        shard,
        to: to.to_string(),
    };
    let mut event = EventBuilderV10::new()
        .id(format!("{of_shard}{from}-{to}-{GAP_TYPE}"))
        .source(config.source.as_str())
        .ty(GAP_TYPE)
        .time(to_chrono(to))
        .build()?;
    event.set_datacontenttype(Some("application/json"));
    event.set_dataschema(Url::parse(GAP_SCHEMA_URN).ok());
    event.set_extension("partitionkey", format!("{of_shard}{GAP_TYPE}"));
    event.set_extension("recordedtime", to.to_string());
    event.set_data_unchecked(serde_json::to_value(data)?);
    Ok(event)
}

/// Returns the JSON Schema of the data.
#[must_use]
pub fn gap_json_schema() -> Value {
    schemars::schema_for!(GapEventData<'_>).to_value()
}

#[cfg(test)]
mod tests {
    use super::super::{Encoded, EventMatch, structured};
    use super::*;
    use cloudevents::AttributesReader as _;

    fn event(shard: Option<ShardRef>, namespaces: &[String]) -> Event {
        let (from, to) = ("2026-11-22T13:00:00.1Z", "2026-11-22T13:01:40.35Z");
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        gap_event(from, to, shard, namespaces, &EventConfig::default()).unwrap()
    }

    #[test]
    fn the_event_names_the_time_the_namespaces_and_the_shard() {
        let body = structured(&event(None, &[])).unwrap();
        let expected = r#"{"datacontenttype":"application/json","dataschema":"urn:step-observer:gap-event:v1","id":"2026-11-22T13:00:00.1Z-2026-11-22T13:01:40.35Z-dev.step-observer.gap.v1","partitionkey":"dev.step-observer.gap.v1","recordedtime":"2026-11-22T13:01:40.35Z","source":"github.com/tom24d/step-observe-controller","specversion":"1.0","time":"2026-11-22T13:01:40.350Z","type":"dev.step-observer.gap.v1","data":{"from":"2026-11-22T13:00:00.1Z","seconds":100.25,"to":"2026-11-22T13:01:40.35Z"}}"#;
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
        let shard = ShardRef { of: 3, shard: 2 };
        let named = event(Some(shard), &["b".to_owned(), "a".to_owned()]);
        assert!(named.id().starts_with("2-of-3-2026-"));
        let body = structured(&named).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["data"]["namespaces"], serde_json::json!(["a", "b"]));
        assert_eq!(body["data"]["namespaceCount"], 2);
        assert_eq!(
            body["data"]["shard"],
            serde_json::json!({"of": 3, "shard": 2})
        );
    }

    #[test]
    fn it_is_small_whatever_is_watched() {
        let namespaces = |count: usize| -> Vec<String> {
            let names = (0..count).map(|number| format!("{number:0>63}"));
            names.collect()
        };
        for count in [100, 101, 10_000] {
            let body = structured(&event(None, &namespaces(count))).unwrap();
            assert!(body.len() < 8 * 1024, "{}", body.len());
            let names = body.windows(12).any(|part| part == b"\"namespaces\"");
            assert_eq!(names, count == 100);
            assert!(Encoded::from_structured(body).id().starts_with("2026"));
        }
    }

    #[test]
    fn a_sink_without_conditions_takes_it_and_one_for_steps_or_namespaces_does_not() {
        let event = event(None, &[]);
        assert_eq!(EventMatch::default().matches(&event), Ok(true));
        let phases = EventMatch {
            phases: vec![super::super::Phase::Failed],
            ..EventMatch::default()
        };
        let namespaces = EventMatch {
            namespaces: vec!["team-*".to_owned()],
            ..EventMatch::default()
        };
        for select in [phases, namespaces] {
            assert_eq!(select.matches(&event), Ok(false));
        }
    }
}
