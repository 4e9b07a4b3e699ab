use super::*;
use crate::{event, known_secrets};
use serde_json::json;

const SECRET: &str = "Tr0ub4dor-3-x";

fn mask() -> EventMask {
    let values = known_secrets::known_values(&[SECRET, "90210471"]);
    EventMask::new(known_secrets::value_engine(&[values]).unwrap())
}

/// Returns an event with data and extension attributes.
fn envelope(data: &Value, extensions: &[(&str, &str)]) -> Envelope {
    let mut event = json!({
        "specversion": "1.0", "id": "i", "source": "s", "type": "t", "subject": format!("ci/run/{SECRET}"),
        "partitionkey": SECRET, "datacontenttype": "application/json", "dataschema": "urn:a", "data": data,
    });
    for (name, value) in extensions {
        event[name] = (*value).into();
    }
    let mut envelope = event::from_json(event).unwrap();
    let annotations = [("note".into(), format!("see {SECRET}").into())];
    envelope.context = Arc::new(EventContext {
        annotations: StringMap::from_iter(annotations),
        ..(*envelope.context).clone()
    });
    envelope
}

#[test]
fn every_string_name_number_attribute_and_annotation_is_masked() {
    let mut event = envelope(
        &json!({
            "log": format!("token={SECRET}\n"),
            "labels": {"a": SECRET, SECRET: "b"},
            "step": {"name": "n", "args": ["-p", SECRET], "env": [{"name": "P", "value": SECRET}]},
            "stepState": {"name": "n", "terminated": {"message": format!("[{{\"value\":\"{SECRET}\"}}]")}},
            "new": {"deep": [[{"x": format!("<{SECRET}>")}], 90210471, true, null]},
        }),
        &[("team", SECRET), ("note", "plain")],
    );
    let counts = mask().mask(&mut event).unwrap();
    assert!(counts.total() > 10, "{counts:?}");
    let shown = String::from_utf8(event::structured(&event.event).unwrap().to_vec()).unwrap();
    let identity = format!("\"partitionkey\":\"{SECRET}\"");
    assert!(shown.contains(&identity), "{shown}");
    let rest = shown.replace(&identity, "");
    assert!(
        !rest.contains("Tr0ub4dor") && !rest.contains("90210471"),
        "{rest}"
    );
    assert!(rest.contains("\"note\":\"plain\""), "{rest}");
    let described = event.event.datacontenttype().zip(event.event.dataschema());
    assert!(described.is_some(), "{rest}");
    let annotations: Vec<_> = event.context.annotations.iter().collect();
    assert_eq!(annotations, [("note", "see [redacted:known-value]")]);
}

#[test]
fn members_that_name_the_run_stay() {
    let data = json!({
        "taskRun": {"name": SECRET, "uid": SECRET},
        "podRef": {"name": SECRET},
        "stepState": {"name": SECRET, "container": SECRET, "imageID": SECRET},
        "reason": SECRET,
        "attempt": 90210471,
    });
    let mut event = envelope(&data, &[]);
    mask().mask(&mut event).unwrap();
    let Some(Data::Json(masked)) = event.event.data() else {
        panic!("no data");
    };
    let mut expected = data;
    expected["stepState"]["imageID"] = "[redacted:known-value]".into();
    assert_eq!(*masked, expected);
}

#[test]
fn an_event_without_known_values_is_unchanged() {
    let data = json!({"log": "a\nb", "labels": {"a": "b"}, "step": {"name": "n"}, "number": 1});
    let mut event = envelope(&data, &[("team", "x")]);
    event.event.set_subject(Some("ci/run/step"));
    let before = event::structured(&event.event).unwrap();
    mask().mask(&mut event).unwrap();
    assert_eq!(event::structured(&event.event).unwrap(), before);
}

#[test]
fn names_with_the_same_mask_stay_apart() {
    let data = json!({"labels": {SECRET: "a", "90210471": "b", "[redacted:known-value]": "c"}});
    let mut event = envelope(&data, &[]);
    mask().mask(&mut event).unwrap();
    let Some(Data::Json(masked)) = event.event.data() else {
        panic!("no data");
    };
    let labels = masked["labels"].as_object().unwrap();
    let mut values: Vec<_> = labels.values().filter_map(Value::as_str).collect();
    values.sort_unstable();
    assert_eq!(values, ["a", "b", "c"]);
    assert!(
        labels
            .keys()
            .all(|name| name.starts_with("[redacted:known-value]"))
    );
}
