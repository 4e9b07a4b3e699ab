use super::*;

const FULL: &str = "\
cluster:
  namespaces: [ci, release]
lookBack: 1h
plugins:
- name: redact
  from: {bundled: redact-secrets}
  config: {values: []}
  onError: strip
sinks:
- name: audit
  to: {file: {path: /var/lib/audit.jsonl}}
  match: {phases: [failed]}
- name: bus
  to:
    http:
      url: https://bus.example/events
      headers: [{name: Authorization, fromEnv: BUS_TOKEN}]
";

fn error(text: &str) -> String {
    Config::parse("config.yaml", text).unwrap_err().to_string()
}

#[test]
fn a_full_file_is_read_and_written_back() {
    let config = Config::parse("config.yaml", FULL).unwrap();
    assert_eq!(config.sinks.len(), 2);
    let shown = config.to_yaml().unwrap();
    assert_eq!(Config::parse("shown", &shown).unwrap(), config, "{shown}");
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(
        Config::parse("config.yaml", "# nothing\n\n").unwrap(),
        Config::default()
    );
}

#[test]
fn yaml_syntax_around_the_fields_changes_nothing() {
    let comments = "# nothing\n".repeat(1000);
    let indented = "  # nothing\n".repeat(1000);
    for text in [
        format!("{comments}{FULL}"),
        FULL.replacen("cluster:\n", &format!("cluster:\n{indented}"), 1),
        FULL.replace('\n', "\r\n"),
        format!("\u{feff}{FULL}"),
        format!("%YAML 1.2\n---\n{FULL}...\n"),
    ] {
        let config = Config::parse("config.yaml", &text).unwrap();
        assert_eq!(config, Config::parse("config.yaml", FULL).unwrap());
    }
}

#[test]
fn mistakes_are_named_with_line_and_field() {
    for (from, to, expected) in [
        (
            "lookBack: 1h",
            "lookBack: soon",
            "config.yaml:3:11: lookBack: `soon` is not a length of time",
        ),
        (
            "lookBack: 1h",
            "lookback: 1h",
            "config.yaml:3:1: lookback: unknown field",
        ),
        (
            "[failed]",
            "[broken]",
            "config.yaml:12:20: sinks[0].match.phases[0]: ",
        ),
        (
            "https://bus",
            "ftp://bus",
            "config.yaml:16:12: sinks[1].to.http.url: `ftp` URLs are not supported",
        ),
        (
            "https://bus",
            "https://me:pw@bus",
            "sinks[1].to.http.url: a URL must not hold user and password",
        ),
        ("name: bus", "name: audit", "the name `audit` is used twice"),
        (
            "onError: strip",
            "onError: ignore",
            "config.yaml:8:12: plugins[0].onError: ",
        ),
        ("cluster:", "cluster: [", "config.yaml:"),
        (
            "lookBack: 1h",
            "shutdownGrace: 9223372036854775807s",
            "is more than 1000 years",
        ),
        (
            "lookBack: 1h",
            "log: {concurrency: 18446744073709551615}",
            "log.concurrency: 18446744073709551615 is not between 1 and 256",
        ),
        (
            "lookBack: 1h",
            "event: {source: ''}",
            "event.source: write 1 to 200 bytes",
        ),
        (
            "lookBack: 1h",
            "event: {maxBytes: 64}",
            "config.yaml:3:19: event.maxBytes: 64 is not between 4096 and 16777216; off is for no bound",
        ),
        (
            "lookBack: 1h",
            "event: {maxBytes: none}",
            "event.maxBytes: write 4096 to 16777216 bytes, or off",
        ),
        (
            "lookBack: 1h",
            "event: {maxBytes: -1}",
            "event.maxBytes: write 4096 to 16777216 bytes, or off",
        ),
        (
            "onError: strip",
            "limits: {timeMs: 0}",
            "plugins[0].limits.timeMs: 0 is not between 10 and 60000",
        ),
        ("name: redact", "name: 'a, b'", "a name is 1 to 63 letters"),
        (
            "name: bus",
            "retry: {maxMs: 0}\n  name: bus",
            "sinks[1].retry.maxMs: 0 is not between",
        ),
    ] {
        let text = FULL.replacen(from, to, 1);
        assert_ne!(text, FULL);
        let error = error(&text);
        assert!(error.contains(expected), "{error}\n  expected: {expected}");
        assert!(!error.contains("pw"), "{error}");
    }
}

#[test]
fn an_event_may_have_a_bound_or_none() {
    let read = |text: &str| Config::parse("config.yaml", text).unwrap();
    let bound = |text: &str| read(text).event.max_bytes.get();
    assert_eq!(bound(""), Some(65_536));
    assert_eq!(bound("event: {maxBytes: 4096}"), Some(4096));
    for off in ["off", "'off'", "\"off\"", "false"] {
        let config = read(&format!("event: {{maxBytes: {off}}}"));
        assert_eq!(config.event.max_bytes.get(), None);
        let shown = config.to_yaml().unwrap();
        assert_eq!(read(&shown), config, "{shown}");
    }
}
