//! Follows the stream of an observer, and connects again when it breaks off.

use super::client::ObserverClient;
use super::error::ObserverError;
use super::messages::{Change, Snapshot};
use super::server_sent::{MAX_MESSAGE_BYTES, MessageTooLarge, ServerSentMessage, ServerSentParser};
use super::status::ObserverStatus;
use crate::http::HttpResponse;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Time without any byte after which a stream counts as broken. A status comes every 2 s.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(45);
/// Pauses before further attempts to connect; the last one repeats.
const PAUSES_MS: [u64; 6] = [500, 1_000, 2_000, 4_000, 8_000, 10_000];
/// Bounds of the pause that an observer may ask for.
const PAUSE_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What comes from an observer. It ends after an error.
pub type ObserverStream = BoxStream<'static, Result<StreamItem, ObserverError>>;

/// An item of the stream.
#[derive(Debug)]
pub enum StreamItem {
    /// The whole table.
    Snapshot(Snapshot),
    /// What changed in it.
    Change(Change),
    /// The state of the observer.
    Status(Box<ObserverStatus>),
    /// The connection is lost. It is made again after a pause.
    Reconnecting {
        /// Why.
        problem: String,
        /// Pause before the next attempt.
        pause: Duration,
    },
}

/// Returns the stream of an observer.
pub(super) fn stream(client: ObserverClient) -> ObserverStream {
    let follower = Follower {
        client,
        connection: None,
        last_id: None,
        has_connected: false,
        failures: 0,
        pause: None,
    };
    let items = stream::unfold(Some(follower), async |follower| {
        let mut follower = follower?;
        match follower.next().await {
            Ok(item) => Some((Ok(item), Some(follower))),
            Err(error) => Some((Err(error), None)),
        }
    });
    items.boxed()
}

/// Returns the pause after a number of failures in a row.
fn pause_after(failures: usize, asked: Option<Duration>) -> Duration {
    let (least, most) = PAUSE_BOUNDS;
    let own = PAUSES_MS.get(failures).or(PAUSES_MS.last());
    match asked {
        Some(asked) => asked.clamp(least, most),
        None => Duration::from_millis(own.copied().unwrap_or_default()),
    }
}

struct Follower {
    client: ObserverClient,
    connection: Option<Connection>,
    last_id: Option<String>,
    has_connected: bool,
    /// Attempts in a row that gave no message.
    failures: usize,
    /// Pause before the next attempt.
    pause: Option<Duration>,
}

struct Connection {
    response: HttpResponse,
    parser: ServerSentParser,
}

impl Follower {
    async fn next(&mut self) -> Result<StreamItem, ObserverError> {
        loop {
            let read = match &mut self.connection {
                None => {
                    if let Some(pause) = self.pause.take() {
                        sleep(pause).await;
                    }
                    match self
                        .client
                        .open_stream(self.last_id.as_deref(), !self.has_connected)
                        .await
                    {
                        Ok(response) => {
                            self.has_connected = true;
                            self.connection = Some(Connection {
                                response,
                                parser: ServerSentParser::default(),
                            });
                            continue;
                        }
                        Err(ObserverError::Temporary {
                            problem,
                            retry_after,
                            ..
                        }) => Err((problem, retry_after)),
                        Err(error) => return Err(error),
                    }
                }
                Some(connection) => match connection.parser.next() {
                    Some(message) => {
                        self.failures = 0;
                        if let Some(item) = self.item(message)? {
                            return Ok(item);
                        }
                        continue;
                    }
                    None => connection.read().await,
                },
            };
            match read {
                Ok(Ok(())) => {}
                Ok(Err(MessageTooLarge)) => return Err(self.client.too_large(MAX_MESSAGE_BYTES)),
                Err((problem, asked)) => {
                    self.connection = None;
                    let pause = pause_after(self.failures, asked);
                    self.failures = self.failures.saturating_add(1);
                    self.pause = Some(pause);
                    return Ok(StreamItem::Reconnecting { problem, pause });
                }
            }
        }
    }

    /// Reads a message. `None` if this version does not know its kind.
    fn item(&mut self, message: ServerSentMessage) -> Result<Option<StreamItem>, ObserverError> {
        let item = match &*message.event {
            "snapshot" => StreamItem::Snapshot(self.parse(&message.data)?),
            "change" => StreamItem::Change(self.parse(&message.data)?),
            "status" => StreamItem::Status(Box::new(self.parse(&message.data)?)),
            _ => return Ok(None),
        };
        self.last_id = message.id.or(self.last_id.take());
        Ok(Some(item))
    }

    fn parse<T: DeserializeOwned>(&self, data: &str) -> Result<T, ObserverError> {
        serde_json::from_str(data).map_err(|error| self.client.unreadable(&error))
    }
}

impl Connection {
    /// Reads the next piece. An error is the reason why the connection is lost.
    async fn read(&mut self) -> Result<Result<(), MessageTooLarge>, (String, Option<Duration>)> {
        match timeout(SILENCE_TIMEOUT, self.response.chunk()).await {
            Ok(Ok(Some(piece))) => Ok(self.parser.push(&piece)),
            Ok(Ok(None)) => Err(("the observer has closed the connection".to_owned(), None)),
            Ok(Err(problem)) => Err((problem, None)),
            Err(_) => {
                let seconds = SILENCE_TIMEOUT.as_secs();
                Err((format!("nothing came for {seconds} s"), None))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_ten_seconds_and_a_requested_one_is_bounded() {
        let pauses = (0..8).map(|failures| pause_after(failures, None).as_millis());
        assert_eq!(
            pauses.collect::<Vec<_>>(),
            [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000]
        );
        let asked = |seconds| pause_after(3, Some(Duration::from_secs(seconds))).as_secs();
        assert_eq!([asked(0), asked(5), asked(86_400)], [1, 5, 60]);
    }
}
