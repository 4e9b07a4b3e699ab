//! When a sink fails for everybody, one tries for all. Pure.

use std::collections::HashSet;
use std::time::Duration;
use step_observer_core::Backoff;

/// Failures in a row after which nobody but one tries.
const FAILURES: u32 = 5;
/// As long as things have failed of fewer namespaces than this, another may try on its own while it is open: a sink on which what one
/// of them sends fails is not down.
const NAMESPACES: usize = 4;

/// The state of one sink. Times are spans since any fixed moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Breaker {
    failures: u32,
    /// The next try, while it is open.
    probe_at: Option<Duration>,
    /// Somebody tries for all.
    probing: bool,
    /// Namespaces of which something failed since the sink last took anything.
    failed: HashSet<u32>,
    /// The sink said itself that it is gone.
    suspended: bool,
    /// One tries for all, of whatever namespace: the sink has asked for a pause and taken nothing since.
    alone: bool,
}

impl Breaker {
    /// May somebody try now? If not, when to ask again. While it is open, who may try is the one who
    /// tries for all: the others ask again a moment after the try can be over. One of a namespace of which nothing
    /// has failed yet may try as well: a sink may fail on what one namespace sends, and take all else.
    pub(super) fn ask(
        &mut self,
        now: Duration,
        attempt: Duration,
        namespace: u32,
    ) -> Result<(), Duration> {
        match self.probe_at {
            Some(at) if now < at => match self.failed.len() < NAMESPACES
                && !self.suspended
                && !self.alone
                && self.failed.insert(namespace)
            {
                true => Ok(()),
                false => Err(at - now),
            },
            Some(_) => {
                self.probing = true;
                self.probe_at = Some(now + attempt);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The sink took something. Was it open?
    pub(super) fn succeeded(&mut self) -> bool {
        std::mem::take(self).probe_at.is_some()
    }

    /// The sink failed. Is it open from now on? `at_once`: one failure is enough for that, and no other namespace may
    /// try.
    pub(super) fn failed(
        &mut self,
        now: Duration,
        backoff: Backoff,
        jitter: f64,
        namespace: u32,
        at_once: bool,
    ) -> bool {
        if self.failed.len() < NAMESPACES {
            self.failed.insert(namespace);
        }
        let was_open = self.probe_at.is_some();
        if was_open && !std::mem::take(&mut self.probing) {
            // It began before that was known, such as all events of a batch: it says nothing new.
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        if at_once {
            self.failures = self.failures.max(FAILURES);
            self.alone = true;
        }
        if self.failures >= FAILURES {
            self.probe_at = Some(now + backoff.delay(self.failures - FAILURES + 1, jitter));
        }
        !was_open && self.probe_at.is_some()
    }

    /// Nothing is sent for so long; then one tries for all.
    pub(super) fn suspend(&mut self, now: Duration, length: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.suspended = true;
        self.probe_at = Some(now + length);
    }

    /// The sink asks for a pause, so it answers. That it is gone for good is not withdrawn by that: the request may be
    /// an older one.
    pub(super) fn paused(&mut self) {
        if !self.suspended {
            *self = Self::default();
        }
    }

    /// The sink refused one event, but it answers.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        initial: Duration::from_secs(1),
        max: Duration::from_secs(30),
    };
    const ATTEMPT: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn after_failures_in_a_row_one_probe_at_a_time_is_sent_until_it_succeeds() {
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES {
            assert_eq!(breaker.ask(at(0), ATTEMPT, 0), Ok(()));
            assert!(!breaker.failed(at(0), BACKOFF, 1.0, 0, false));
        }
        assert!(breaker.failed(at(0), BACKOFF, 1.0, 0, false), "opens");
        let wait = breaker.ask(at(0), ATTEMPT, 0).unwrap_err();
        assert!(wait <= at(1), "{wait:?}");
        assert_eq!(breaker.ask(at(1), ATTEMPT, 0), Ok(()), "the one who tries");
        assert_eq!(breaker.ask(at(1), ATTEMPT, 0), Err(ATTEMPT), "all others");
        assert!(
            !breaker.failed(at(2), BACKOFF, 1.0, 0, false),
            "it was open before"
        );
        assert!(breaker.ask(at(2), ATTEMPT, 0).is_err());
        assert_eq!(breaker.ask(at(40), ATTEMPT, 0), Ok(()));
        assert!(breaker.succeeded());
        assert_eq!(breaker, Breaker::default());
        assert_eq!(breaker.ask(at(40), ATTEMPT, 0), Ok(()));
        assert_eq!(breaker.ask(at(40), ATTEMPT, 0), Ok(()));
    }

    #[test]
    fn failures_of_earlier_requests_do_not_lengthen_the_wait() {
        let mut breaker = Breaker::default();
        let opened = (0..100).filter(|_| breaker.failed(at(0), BACKOFF, 1.0, 0, false));
        assert_eq!(opened.count(), 1);
        let wait = breaker.ask(at(0), ATTEMPT, 0).unwrap_err();
        assert!(wait <= BACKOFF.initial, "{wait:?}");
        // The one who tries for all makes it longer.
        assert_eq!(breaker.ask(at(1), ATTEMPT, 0), Ok(()));
        assert!(!breaker.failed(at(1), BACKOFF, 1.0, 0, false));
        let longer = breaker.ask(at(1), ATTEMPT, 0).unwrap_err();
        assert!(longer > wait, "{longer:?}");
    }

    #[test]
    fn a_threshold_of_one_opens_after_one_failure() {
        let mut breaker = Breaker::default();
        assert!(breaker.failed(at(0), BACKOFF, 1.0, 0, true));
        for namespace in 0..3 {
            assert!(breaker.ask(at(0), ATTEMPT, namespace).is_err());
        }
        assert_eq!(breaker.ask(at(1), ATTEMPT, 0), Ok(()));
        assert!(!breaker.failed(at(2), BACKOFF, 1.0, 0, true));
        assert_eq!(breaker.ask(at(3), ATTEMPT, 0), Err(at(1)), "twice as long");
    }

    #[test]
    fn a_suspended_sink_gets_nothing_until_a_probe() {
        let mut breaker = Breaker::default();
        breaker.suspend(at(0), at(600));
        assert_eq!(breaker.ask(at(1), ATTEMPT, 0), Err(at(599)));
        assert_eq!(breaker.ask(at(600), ATTEMPT, 0), Ok(()));
        assert_eq!(breaker.ask(at(600), ATTEMPT, 0), Err(ATTEMPT));
    }

    #[test]
    fn failures_of_one_namespace_stop_no_other() {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            breaker.failed(at(0), BACKOFF, 1.0, 0, false);
        }
        assert!(breaker.ask(at(0), ATTEMPT, 0).is_err());
        assert_eq!(
            breaker.ask(at(0), ATTEMPT, 1),
            Ok(()),
            "nothing of it failed"
        );
        assert!(breaker.ask(at(0), ATTEMPT, 1).is_err(), "only one tries");
        assert!(
            !breaker.failed(at(0), BACKOFF, 1.0, 1, false),
            "it was open before"
        );
        assert!(breaker.ask(at(0), ATTEMPT, 1).is_err());
        assert_eq!(breaker.ask(at(0), ATTEMPT, 2), Ok(()));
        assert!(breaker.succeeded());
        assert_eq!(breaker.ask(at(0), ATTEMPT, 0), Ok(()));
    }

    #[test]
    fn failures_that_are_not_in_a_row_do_not_open_it() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            for _ in 1..FAILURES {
                assert!(!breaker.failed(at(0), BACKOFF, 1.0, 0, false));
            }
            assert!(!breaker.succeeded());
        }
    }
}
