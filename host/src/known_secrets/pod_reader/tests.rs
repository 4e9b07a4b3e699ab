use super::*;
use crate::known_secrets::{SecretRef, SecretRefs, value_engine};
use crate::redact::{RedactionCounts, ScanLimits};
use std::sync::atomic::Ordering;
use zeroize::Zeroizing;

/// Version and value of a Secret, or the error of reading it.
type StoredSecret = Result<(u64, String), SecretReadError>;

/// A cluster in memory: values of the key `key` by name of the Secret.
#[derive(Debug, Default)]
struct Cluster {
    /// Version and value, or the error.
    secrets: Locked<HashMap<String, StoredSecret>>,
    /// Requests, each as verb and name.
    requests: Locked<Vec<String>>,
}

impl Cluster {
    fn set(&self, name: &str, secret: Result<(u64, &str), SecretReadError>) {
        let secret = secret.map(|(version, value)| (version, value.to_owned()));
        self.secrets.lock().insert(name.to_owned(), secret);
    }

    fn ask(&self, verb: &str, name: &str) -> Result<(SecretId, String), SecretReadError> {
        self.requests.lock().push(format!("{verb} {name}"));
        let secrets = self.secrets.lock();
        let secret = secrets.get(name).cloned();
        let (version, value) = secret.unwrap_or(Err(SecretReadError::Missing))?;
        let id = SecretId {
            uid: name.into(),
            resource_version: version.to_string().into(),
        };
        Ok((id, value))
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock())
    }
}

impl SecretReader for Cluster {
    fn version<'a>(
        &'a self,
        _: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<SecretId, SecretReadError>> {
        let answer = self.ask("version", name).map(|(id, _)| id);
        Box::pin(std::future::ready(answer))
    }

    fn read<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<SecretObject, SecretReadError>> {
        let answer = self.ask("read", name).map(|(id, value)| SecretObject {
            id,
            name: format!("{namespace}/{name}"),
            kind: "Opaque".to_owned(),
            data: [("key".to_owned(), Zeroizing::new(value.into_bytes()))].into(),
        });
        Box::pin(std::future::ready(answer))
    }
}

fn reader(cluster: &Arc<Cluster>) -> PodSecretsReader {
    let config = PodSecretsConfig {
        namespaces: vec!["ci".to_owned()],
        ..PodSecretsConfig::default()
    };
    PodSecretsReader::new(&config, Some(cluster.clone()))
}

fn pod(names: &[&str]) -> PodSecrets {
    let secret = |name: &&str| SecretRef {
        name: name.trim_end_matches('?').into(),
        is_optional: name.ends_with('?'),
    };
    PodSecrets::new(SecretRefs {
        namespace: "ci".into(),
        pod_uid: names.concat().into(),
        secrets: names.iter().map(secret).collect(),
        further: 0,
        public_names: vec!["image-name".into()],
    })
}

async fn read(reader: &PodSecretsReader, pod: &PodSecrets, moment: ReadMoment) {
    reader
        .read(pod, moment, &KnownSecretsMetrics::default())
        .await;
}

fn is_known(pod: &PodSecrets, value: &str) -> bool {
    let limits = ScanLimits {
        growth: 1 << 20,
        deadline: Instant::now() + Duration::from_secs(60),
    };
    let text = format!("<{value}>");
    value_engine(&pod.values()).is_some_and(|engine| {
        let masked = engine.mask(&text, &mut RedactionCounts::default(), limits);
        !masked.unwrap().contains(value)
    })
}

#[tokio::test]
async fn both_values_of_a_secret_that_changes_are_known_until_the_pod_is_dropped() {
    let cluster = Arc::new(Cluster::default());
    let reader = reader(&cluster);
    cluster.set("a", Ok((1, "value-one-1")));
    let first = pod(&["a"]);
    assert_eq!(first.unread(), 1);
    read(&reader, &first, ReadMoment::First).await;
    assert_eq!(
        (first.unread(), cluster.taken()),
        (0, vec!["read a".to_owned()])
    );
    // The Secret is requested again only at the end of a step.
    read(&reader, &first, ReadMoment::First).await;
    assert!(cluster.taken().is_empty());
    read(&reader, &first, ReadMoment::StepEnd).await;
    assert_eq!(cluster.taken(), ["version a"]);
    cluster.set("a", Ok((2, "value-two-2")));
    read(&reader, &first, ReadMoment::StepEnd).await;
    assert_eq!(cluster.taken(), ["version a", "read a"]);
    assert!(is_known(&first, "value-one-1") && is_known(&first, "value-two-2"));
    // Another Pod shares the current version, and does not know the earlier one.
    let second = pod(&["a"]);
    read(&reader, &second, ReadMoment::First).await;
    assert_eq!(cluster.taken(), ["version a"]);
    assert!(!is_known(&second, "value-one-1") && is_known(&second, "value-two-2"));
    // All values of a Secret that was read and then deleted are known.
    cluster.set("a", Err(SecretReadError::Missing));
    read(&reader, &second, ReadMoment::StepEnd).await;
    assert_eq!(second.unread(), 0);
    assert_eq!(reader.total_bytes().load(Ordering::Relaxed), 22);
    drop(first);
    assert_eq!(reader.total_bytes().load(Ordering::Relaxed), 11);
    drop(second);
    assert_eq!(reader.total_bytes().load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_cannot_be_read_is_counted_and_what_is_forbidden_is_asked_for_once() {
    let cluster = Arc::new(Cluster::default());
    let reader = reader(&cluster);
    cluster.set("good", Ok((1, "good-value-1")));
    cluster.set("closed", Err(SecretReadError::Forbidden));
    cluster.set("broken", Err(SecretReadError::Failed("500".to_owned())));
    let all = pod(&["good", "closed", "broken", "missing", "absent?"]);
    let metrics = KnownSecretsMetrics::default();
    reader.read(&all, ReadMoment::First, &metrics).await;
    assert_eq!(all.unread(), 3);
    assert!(is_known(&all, "good-value-1"));
    cluster.taken();
    for _ in 0..3 {
        reader.read(&all, ReadMoment::StepEnd, &metrics).await;
        let other = pod(&["closed"]);
        reader.read(&other, ReadMoment::First, &metrics).await;
        assert_eq!(other.unread(), 1);
    }
    assert!(
        !cluster
            .taken()
            .iter()
            .any(|request| request.ends_with("closed"))
    );
    assert!(reader.state.lock().turns.is_empty());
    // What works again is known.
    cluster.set("broken", Ok((1, "late-value-1")));
    cluster.set("missing", Ok((1, "other-value-1")));
    reader.read(&all, ReadMoment::StepEnd, &metrics).await;
    assert_eq!(all.unread(), 1);
    assert!(is_known(&all, "late-value-1") && is_known(&all, "other-value-1"));
}

#[tokio::test]
async fn values_beyond_the_bounds_count_as_unread() {
    let cluster = Arc::new(Cluster::default());
    let reader = reader(&cluster);
    let large = |letter: char| format!("{letter}-{}", "0123456789\n".repeat(130 * 1024 / 11));
    for letter in ['a', 'b'] {
        cluster.set(&letter.to_string(), Ok((1, &large(letter))));
    }
    cluster.set("small", Ok((1, "small-value-1")));
    let both = pod(&["a", "b", "small"]);
    read(&reader, &both, ReadMoment::First).await;
    assert_eq!(both.unread(), 1, "256 KiB of a pod");
    assert!(is_known(&both, "small-value-1"));
    drop(both);
    let before = reader
        .total_bytes()
        .fetch_add(16 * 1024 * 1024, Ordering::Relaxed);
    assert_eq!(before, 0);
    let full = pod(&["small"]);
    read(&reader, &full, ReadMoment::First).await;
    assert_eq!(full.unread(), 1, "16 MiB of all pods");
    reader
        .total_bytes()
        .fetch_sub(16 * 1024 * 1024, Ordering::Relaxed);
    read(&reader, &full, ReadMoment::StepEnd).await;
    assert_eq!(full.unread(), 0);
}

#[tokio::test]
async fn a_value_that_is_a_public_name_of_the_pod_is_not_masked() {
    let cluster = Arc::new(Cluster::default());
    let reader = reader(&cluster);
    cluster.set("a", Ok((1, "image-name\n")));
    let first = pod(&["a"]);
    read(&reader, &first, ReadMoment::First).await;
    assert_eq!(first.unread(), 0);
    assert!(!is_known(&first, "image-name"));
}

#[tokio::test]
async fn without_a_cluster_every_secret_is_unread() {
    let config = PodSecretsConfig {
        namespaces: vec!["ci".to_owned()],
        ..PodSecretsConfig::default()
    };
    let reader = PodSecretsReader::new(&config, None);
    let first = pod(&["a", "b"]);
    read(&reader, &first, ReadMoment::First).await;
    assert_eq!(first.unread(), 2);
    assert!(reader.covers("ci") && !reader.covers("other"));
}

#[tokio::test]
async fn pods_are_found_by_their_uid_while_they_exist() {
    let cluster = Arc::new(Cluster::default());
    let reader = reader(&cluster);
    let first = pod(&["a"]);
    reader.register(&first);
    assert!(reader.find("a").is_some() && reader.find("b").is_none());
    drop(first);
    assert!(reader.find("a").is_none());
    for number in 0..1000 {
        reader.register(&pod(&[&format!("s-{number}")]));
    }
    assert!(reader.state.lock().pods.len() < 200);
}

#[tokio::test]
async fn debug_output_shows_no_value() {
    let cluster = Arc::new(Cluster::default());
    let reader = PodSecretsReader {
        reader: None,
        ..reader(&cluster)
    };
    cluster.set("a", Ok((1, "s3cr3t-value-1")));
    let first = pod(&["a"]);
    let full = self::reader(&cluster);
    read(&full, &first, ReadMoment::First).await;
    assert_eq!(first.unread(), 0);
    let shown = format!("{first:?} {:?} {reader:?}", full.state.lock());
    assert!(!shown.contains("s3cr3t"), "{shown}");
}
