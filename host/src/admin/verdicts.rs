//! What the cluster said of tokens, for a short time: a right that is taken away counts within seconds.

use super::auth::Access;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a verdict counts.
const VALID: Duration = Duration::from_secs(10);
/// Most verdicts that are kept.
const MOST: usize = 256;

/// SHA-256 of a path and a token.
pub(super) type Question = [u8; 32];

/// Verdicts by what was asked.
#[derive(Debug, Default)]
pub(super) struct Verdicts(HashMap<Question, (Instant, Access)>);

impl Verdicts {
    /// The verdict, if there is one that still counts.
    pub(super) fn of(&self, question: &Question, now: Instant) -> Option<Access> {
        let (at, access) = self.0.get(question)?;
        (now.duration_since(*at) < VALID).then_some(*access)
    }

    /// Keeps a verdict; the oldest gives way.
    pub(super) fn note(&mut self, question: Question, access: Access, now: Instant) {
        if self.0.len() >= MOST {
            self.0.retain(|_, (at, _)| now.duration_since(*at) < VALID);
        }
        if self.0.len() >= MOST {
            let oldest = self.0.iter().min_by_key(|(_, (at, _))| *at);
            let oldest = oldest.map(|(question, _)| *question);
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        self.0.insert(question, (now, access));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(number: u16) -> Question {
        let mut question = [0; 32];
        question[..2].copy_from_slice(&number.to_be_bytes());
        question
    }

    #[test]
    fn a_verdict_counts_for_a_while() {
        let (mut verdicts, now) = (Verdicts::default(), Instant::now());
        verdicts.note(question(1), Access::Allowed, now);
        let nearly = now + VALID - Duration::from_millis(1);
        assert_eq!(verdicts.of(&question(1), nearly), Some(Access::Allowed));
        assert_eq!(verdicts.of(&question(1), now + VALID), None);
        assert_eq!(verdicts.of(&question(2), now), None);
    }

    #[test]
    fn the_oldest_gives_way() {
        let (mut verdicts, start) = (Verdicts::default(), Instant::now());
        for number in 0..300_u16 {
            let now = start + Duration::from_millis(number.into());
            verdicts.note(question(number), Access::Unknown, now);
            assert!(verdicts.0.len() <= MOST);
        }
        let now = start + Duration::from_secs(1);
        assert_eq!(verdicts.of(&question(0), now), None);
        assert_eq!(verdicts.of(&question(299), now), Some(Access::Unknown));
        // All others are too old by then.
        verdicts.note(question(300), Access::Allowed, start + 2 * VALID);
        assert_eq!(verdicts.0.len(), 1);
    }
}
