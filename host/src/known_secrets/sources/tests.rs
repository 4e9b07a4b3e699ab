use super::*;
use crate::known_secrets::value_engine;
use crate::redact::{RedactionCounts, ScanLimits};
use std::path::Path;

/// Returns a configuration of one file and one folder.
fn config(file: &Path, folder: &Path) -> KnownSecretsConfig {
    KnownSecretsConfig {
        files: vec![file.to_owned()],
        folders: vec![folder.to_owned()],
        ..KnownSecretsConfig::default()
    }
}

fn open(config: &KnownSecretsConfig) -> Result<ConfiguredSources, KnownSecretsError> {
    let opened = ConfiguredSources::open(config, None, &KnownSecretsMetrics::default());
    opened.map(Option::unwrap)
}

/// Masks a text with the values that the sources know now.
fn masked(sources: &ConfiguredSources, text: &str) -> String {
    let engine = value_engine(&[sources.0.lock().values.clone()]).unwrap();
    let limits = ScanLimits {
        growth: 1 << 20,
        deadline: Instant::now() + Duration::from_secs(60),
    };
    let masked = engine.mask(text, &mut RedactionCounts::default(), limits);
    masked.unwrap().into_owned()
}

/// Looks for changes, as if `seconds` had passed since the start.
fn look(sources: &ConfiguredSources, seconds: u64) {
    let mut state = sources.0.lock();
    let now = state.checked_at + Duration::from_secs(seconds);
    state.refresh(now, &KnownSecretsMetrics::default());
}

fn is_known(sources: &ConfiguredSources, value: &str) -> bool {
    !masked(sources, &format!("<{value}>")).contains(value)
}

/// Mounts a Secret as a kubelet does: each key is a link into `..data`, which is a link to a folder.
fn mount(folder: &Path, version: &str, keys: &[(&str, &str)]) {
    use std::os::unix::fs::symlink;
    let content = folder.join(format!("..{version}"));
    std::fs::create_dir(&content).unwrap();
    for (key, value) in keys {
        std::fs::write(content.join(key), value).unwrap();
        let link = folder.join(key);
        if !link.is_symlink() {
            symlink(format!("..data/{key}"), link).unwrap();
        }
    }
    symlink(format!("..{version}"), folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

#[test]
fn a_file_that_changes_in_any_way_is_read_again_and_its_old_value_stays_known_for_a_day() {
    let temp = tempfile::tempdir().unwrap();
    let (file, folder) = (temp.path().join("token"), temp.path().join("empty"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(&file, "first-value-1\n").unwrap();
    let sources = open(&config(&file, &folder)).unwrap();
    assert!(is_known(&sources, "first-value-1") && !is_known(&sources, "other-value-2"));

    // The same length and perhaps the same time stamp.
    std::fs::write(&file, "other-value-2\n").unwrap();
    look(&sources, 1);
    assert!(is_known(&sources, "first-value-1") && is_known(&sources, "other-value-2"));

    let next = temp.path().join("next");
    std::fs::write(&next, "third-value-3").unwrap();
    std::fs::rename(&next, &file).unwrap();
    look(&sources, 1);
    for value in ["first-value-1", "other-value-2", "third-value-3"] {
        assert!(is_known(&sources, value), "{value}");
    }
    look(&sources, OLD_VALUE_TIME.as_secs());
    assert!(!is_known(&sources, "first-value-1") && !is_known(&sources, "other-value-2"));
    assert!(is_known(&sources, "third-value-3"));
}

#[test]
fn a_mounted_secret_is_read_with_all_its_keys_and_again_when_it_is_swapped() {
    let temp = tempfile::tempdir().unwrap();
    let (file, folder) = (temp.path().join("token"), temp.path().join("mounted"));
    std::fs::write(&file, "unchanged-value").unwrap();
    std::fs::create_dir(&folder).unwrap();
    mount(
        &folder,
        "2026_1",
        &[("password", "pass-word-1"), ("pin", "90210471")],
    );
    // A volume can hold keys in folders.
    std::fs::create_dir(folder.join("deep")).unwrap();
    std::fs::write(folder.join("deep/key"), "deep-value-1").unwrap();
    let sources = open(&config(&file, &folder)).unwrap();
    for value in ["pass-word-1", "90210471", "deep-value-1", "unchanged-value"] {
        assert!(is_known(&sources, value), "{value}");
    }
    // Each value was read only once, and not a second time through `..data`.
    assert_eq!(sources.0.lock().current().count(), 4);

    mount(
        &folder,
        "2026_2",
        &[("password", "pass-word-2"), ("pin", "90210472")],
    );
    look(&sources, 1);
    for value in ["pass-word-1", "pass-word-2", "90210471", "90210472"] {
        assert!(is_known(&sources, value), "{value}");
    }
    // The other keys have not changed.
    assert_eq!(sources.0.lock().old.len(), 2);
}

#[test]
fn the_last_values_stay_known_while_a_source_cannot_be_read() {
    let temp = tempfile::tempdir().unwrap();
    let (file, folder) = (temp.path().join("token"), temp.path().join("folder"));
    std::fs::write(&file, "file-value-1").unwrap();
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("key"), "folder-value-1").unwrap();
    let metrics = KnownSecretsMetrics::default();
    let sources = open(&config(&file, &folder)).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::write(folder.join("large"), vec![b'x'; 256 * 1024 + 1]).unwrap();
    let look = |seconds| {
        let mut state = sources.0.lock();
        let now = state.checked_at + Duration::from_secs(seconds);
        state.refresh(now, &metrics);
    };
    look(3 * OLD_VALUE_TIME.as_secs());
    assert_eq!(metrics.failing_sources.get(), 2);
    assert!(is_known(&sources, "file-value-1") && is_known(&sources, "folder-value-1"));

    std::fs::write(&file, "file-value-2").unwrap();
    std::fs::remove_file(folder.join("large")).unwrap();
    look(1);
    assert_eq!(metrics.failing_sources.get(), 0);
    assert!(is_known(&sources, "file-value-1") && is_known(&sources, "file-value-2"));
}

#[test]
fn a_source_that_cannot_be_read_is_an_error_with_its_field_and_without_its_content() {
    let temp = tempfile::tempdir().unwrap();
    let large = temp.path().join("large");
    std::fs::write(&large, "s3cr3t".repeat(50_000)).unwrap();
    let missing = temp.path().join("missing");
    for (config, field, problem) in [
        (
            KnownSecretsConfig {
                files: vec![missing.clone()],
                ..KnownSecretsConfig::default()
            },
            "files[0]",
            "is it mounted, and may the observer read it?",
        ),
        (
            KnownSecretsConfig {
                folders: vec![temp.path().to_owned(), missing],
                ..KnownSecretsConfig::default()
            },
            "folders[0]",
            "is larger than 256 KiB: a file holds one secret",
        ),
        (
            KnownSecretsConfig {
                files: vec![temp.path().to_owned()],
                ..KnownSecretsConfig::default()
            },
            "files[0]",
            "is not a regular file",
        ),
        (
            KnownSecretsConfig {
                environment: vec!["PATH".to_owned(), "NO_SUCH_VARIABLE_HERE".to_owned()],
                ..KnownSecretsConfig::default()
            },
            "environment[1]",
            "NO_SUCH_VARIABLE_HERE is not set: set it",
        ),
    ] {
        let error = open(&config).unwrap_err();
        assert_eq!(error.field, field);
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("knownSecrets.{field}: ")),
            "{text}"
        );
        assert!(text.contains(problem) && !text.contains("s3cr3t"), "{text}");
        assert_eq!(unreadable(&config)[0].0, field);
    }
}

#[test]
fn values_that_would_hide_ordinary_text_are_refused_by_the_name_of_their_source() {
    let temp = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("short", "abc12"),
        ("word", "latest\n"),
        ("good", "a-b-c-1-2-3"),
    ] {
        std::fs::write(temp.path().join(name), value).unwrap();
    }
    let config = KnownSecretsConfig {
        folders: vec![temp.path().to_owned()],
        ..KnownSecretsConfig::default()
    };
    let sources = open(&config).unwrap();
    assert_eq!(masked(&sources, "latest abc12"), "latest abc12");
    assert!(is_known(&sources, "a-b-c-1-2-3"));
    let state = sources.0.lock();
    let mut refused: Vec<&str> = state.refused.iter().map(String::as_str).collect();
    refused.sort_unstable();
    let named = |name: &str| format!("file {}", temp.path().join(name).display());
    assert_eq!(refused, [named("short"), named("word")]);
}

#[test]
fn values_of_the_configuration_before_stay_known() {
    let temp = tempfile::tempdir().unwrap();
    let (one, two) = (temp.path().join("one"), temp.path().join("two"));
    std::fs::write(&one, "value-of-one").unwrap();
    std::fs::write(&two, "value-of-two").unwrap();
    let of = |file: &Path| KnownSecretsConfig {
        files: vec![file.to_owned()],
        ..KnownSecretsConfig::default()
    };
    let metrics = KnownSecretsMetrics::default();
    let first = open(&of(&one)).unwrap();
    let next = ConfiguredSources::open(&of(&two), Some(&first), &metrics);
    let next = next.unwrap().unwrap();
    assert!(is_known(&next, "value-of-one") && is_known(&next, "value-of-two"));
    assert_eq!(metrics.values.get(), 2);
    let none = KnownSecretsConfig::default();
    let last = ConfiguredSources::open(&none, Some(&next), &metrics);
    let last = last.unwrap().unwrap();
    assert!(is_known(&last, "value-of-one") && is_known(&last, "value-of-two"));
    assert!(
        ConfiguredSources::open(&none, None, &metrics)
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_source_that_grows_too_large_keeps_its_last_values() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("key"), "folder-value-1").unwrap();
    let config = KnownSecretsConfig {
        folders: vec![temp.path().to_owned()],
        ..KnownSecretsConfig::default()
    };
    let sources = open(&config).unwrap();
    for number in 0..17 {
        let content = format!("{number:06}-").repeat(256 * 1024 / 7);
        std::fs::write(temp.path().join(number.to_string()), content).unwrap();
    }
    look(&sources, 1);
    let state = sources.0.lock();
    assert!(state.sources[0].is_failing);
    assert_eq!(state.current().count(), 1);
    drop(state);
    let error = open(&config).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("more than 2048 values and 4 MiB"),
        "{error}"
    );
}

#[test]
fn too_many_old_values_give_way_the_oldest_first() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("token");
    let value = |number: usize| format!("{number:06}-").repeat(200 * 1024 / 7);
    std::fs::write(&file, "current-value").unwrap();
    let config = KnownSecretsConfig {
        files: vec![file],
        ..KnownSecretsConfig::default()
    };
    let sources = open(&config).unwrap();
    {
        // Only the list of values matters here: compiling them would take long.
        let mut state = sources.0.lock();
        let until = Instant::now() + OLD_VALUE_TIME;
        for number in 1..30 {
            let old = SecretValue::new(value(number).as_bytes());
            state.old.push((until, old));
        }
        state.drop_oldest();
        let (_, bytes) = size(
            state
                .current()
                .chain(state.old.iter().map(|(_, value)| value)),
        );
        assert!(
            bytes <= MAX_BYTES && bytes > MAX_BYTES - 256 * 1024,
            "{bytes}"
        );
        let newest = state.old.last().map(|(_, value)| value.clone());
        assert_eq!(newest, Some(SecretValue::new(value(29).as_bytes())));
    }
}

#[test]
fn debug_output_shows_no_value() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("key"), "s3cr3t-value-1").unwrap();
    let config = KnownSecretsConfig {
        folders: vec![temp.path().to_owned()],
        ..KnownSecretsConfig::default()
    };
    let sources = open(&config).unwrap();
    let state = sources.0.lock();
    let shown = format!("{:?} {:?}", state.sources, state.old);
    assert!(!shown.contains("s3cr3t"), "{shown}");
}
