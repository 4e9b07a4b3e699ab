//! What waits to be written down. Telling wakes the writer only where there is much, or it sleeps: it
//! takes what has gathered every tenth of a second.

use super::fact::Fact;
use super::store::HistoryError;
use crate::locked::{Locked, unpoisoned};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, MutexGuard};
use std::time::Duration;
use tokio::sync::oneshot;

/// Facts that wait at most.
const MOST: usize = 8192;
/// So many are written at once.
const MANY: usize = 1024;
/// How long fewer may wait.
const LONG: Duration = Duration::from_millis(100);
/// Questions that wait at most.
const QUESTIONS: usize = 64;

/// What is asked, and by whom.
#[derive(Debug)]
pub(super) enum Question {
    /// What happened to this event?
    Find(String, oneshot::Sender<Result<Vec<Fact>, HistoryError>>),
    /// Is everything written down?
    Written(oneshot::Sender<()>),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Locked<Waiting>,
    wake: Condvar,
    left_out: AtomicU64,
}

/// What the writer gets.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) facts: Vec<Fact>,
    pub(super) questions: Vec<Question>,
    /// Nobody tells or asks any more.
    pub(super) closed: bool,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.questions.is_empty() && !self.closed
    }

    fn is_urgent(&self) -> bool {
        self.facts.len() >= MANY || !self.questions.is_empty() || self.closed
    }
}

impl Queue {
    pub(super) fn tell(&self, fact: Fact) {
        let mut waiting = self.waiting();
        let slept = waiting.is_empty();
        if waiting.facts.len() >= MOST {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.facts.push(fact);
        if slept || waiting.facts.len() == MANY {
            self.wake.notify_one();
        }
    }

    /// Where too many ask, the answer is that there is none.
    pub(super) fn ask(&self, question: Question) {
        let mut waiting = self.waiting();
        if waiting.questions.len() < QUESTIONS {
            waiting.questions.push(question);
            self.wake.notify_one();
        }
    }

    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.wake.notify_one();
    }

    pub(super) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Waits for something to do.
    pub(super) fn next(&self) -> Waiting {
        let waiting = self.waiting();
        let some = self.wake.wait_while(waiting, |waiting| waiting.is_empty());
        let some = unpoisoned(some);
        let enough = (self.wake).wait_timeout_while(some, LONG, |some| !some.is_urgent());
        let (mut enough, _) = unpoisoned(enough);
        let closed = enough.closed;
        Waiting {
            closed,
            ..std::mem::take(&mut *enough)
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }
}
