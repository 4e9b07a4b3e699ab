//! The mock cluster of librdkafka: two brokers on free ports, and the topic `steps` with four
//! partitions.

use crate::peer::Missing;
use crate::sink::PATIENCE;
use crate::{path, receivers};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// A running cluster. It ends when this value is dropped.
#[derive(Debug)]
pub struct KafkaCluster {
    /// Addresses of its brokers, separated by commas.
    pub brokers: String,
    python: PathBuf,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl KafkaCluster {
    /// Starts a proxy.
    pub async fn start() -> Result<Self, Missing> {
        let python = receivers::program("python")?;
        let mut child = Command::new(&python)
            .arg(path("receivers/kafka_broker.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let brokers = timeout(PATIENCE, answers.next_line()).await;
        Ok(Self {
            brokers: brokers.unwrap().unwrap().expect("it starts"),
            python,
            orders: child.stdin.take().unwrap(),
            answers,
            _child: child,
        })
    }

    /// Sends a command to the script of the cluster, and waits until it is done.
    pub async fn order(&mut self, order: &str) {
        self.orders.write_all(order.as_bytes()).await.unwrap();
        self.orders.write_all(b"\n").await.unwrap();
        let answer = timeout(PATIENCE, self.answers.next_line()).await;
        assert_eq!(answer.unwrap().unwrap().as_deref(), Some("ok"), "{order}");
    }

    /// Returns all records of the topic, in order per partition.
    pub async fn records(&self) -> Vec<Value> {
        let output = Command::new(&self.python)
            .arg(path("receivers/kafka_consume.py"))
            .args([&self.brokers, "steps"])
            .output();
        let output = timeout(PATIENCE, output).await.unwrap().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
