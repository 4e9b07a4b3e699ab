//! The sessions of people who signed in on the page. A session stands for a token, which is checked for
//! each request. Pure: the time and the random names are arguments.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Sessions at a time. At the bound, the oldest ends.
const MAX_SESSIONS: usize = 64;
/// Longest time of a session.
const MAX_AGE: Duration = Duration::from_secs(12 * 60 * 60);
/// Refused attempts to sign in, of one address within [`ATTEMPT_WINDOW`].
const MAX_REFUSALS: usize = 10;
const ATTEMPT_WINDOW: Duration = Duration::from_secs(60);
/// Refused attempts of all addresses that are remembered.
const MAX_REMEMBERED_REFUSALS: usize = 1024;

/// The sessions, the oldest first.
#[derive(Default)]
pub(super) struct Sessions {
    open: VecDeque<Session>,
    refused: VecDeque<(IpAddr, Instant)>,
}

struct Session {
    name: String,
    token: Zeroizing<String>,
    since: Instant,
}

/// Does not show names and tokens.
impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}

impl Sessions {
    /// Begins a session with a name that nobody can guess.
    pub(super) fn begin(&mut self, name: String, token: Zeroizing<String>, now: Instant) {
        self.end_old(now);
        while self.open.len() >= MAX_SESSIONS {
            self.open.pop_front();
        }
        let since = now;
        self.open.push_back(Session { name, token, since });
    }

    /// Returns the token of a session.
    pub(super) fn token(&mut self, name: &str, now: Instant) -> Option<Zeroizing<String>> {
        self.end_old(now);
        // How long the comparison takes tells nothing that helps to guess 256 random bits.
        let session = self.open.iter().find(|session| session.name == name);
        session.map(|session| session.token.clone())
    }

    pub(super) fn end(&mut self, name: &str) {
        self.open.retain(|session| session.name != name);
    }

    fn end_old(&mut self, now: Instant) {
        self.open
            .retain(|session| now.saturating_duration_since(session.since) < MAX_AGE);
    }

    /// Returns whether an address may try to sign in now.
    pub(super) fn may_try(&mut self, peer: IpAddr, now: Instant) -> bool {
        self.refused
            .retain(|(_, at)| now.saturating_duration_since(*at) < ATTEMPT_WINDOW);
        let own = self.refused.iter().filter(|(other, _)| *other == peer);
        own.count() < MAX_REFUSALS
    }

    pub(super) fn note_refusal(&mut self, peer: IpAddr, now: Instant) {
        if self.refused.len() >= MAX_REMEMBERED_REFUSALS {
            self.refused.pop_front();
        }
        self.refused.push_back((peer, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[test]
    fn a_session_ends_by_its_age_by_sign_out_and_at_the_bound() {
        let (mut sessions, begin) = (Sessions::default(), Instant::now());
        sessions.begin("first".to_owned(), token("a"), begin);
        assert_eq!(sessions.token("first", begin), Some(token("a")));
        assert_eq!(sessions.token("other", begin), None);
        let last = begin + MAX_AGE - Duration::from_secs(1);
        assert_eq!(sessions.token("first", last), Some(token("a")));
        assert_eq!(sessions.token("first", begin + MAX_AGE), None);
        assert_eq!(sessions.token("first", begin), None);

        for number in 0..=MAX_SESSIONS {
            sessions.begin(number.to_string(), token("b"), begin);
        }
        assert_eq!(sessions.open.len(), MAX_SESSIONS);
        assert_eq!(sessions.token("0", begin), None);
        assert!(sessions.token("1", begin).is_some());
        sessions.end("1");
        assert_eq!(sessions.token("1", begin), None);
        assert!(!format!("{sessions:?}").contains('b'));
    }

    #[test]
    fn refused_attempts_of_an_address_are_bounded() {
        let (mut sessions, begin) = (Sessions::default(), Instant::now());
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for _ in 0..MAX_REFUSALS {
            assert!(sessions.may_try(one, begin));
            sessions.note_refusal(one, begin);
        }
        assert!(!sessions.may_try(one, begin));
        assert!(sessions.may_try(other, begin));
        assert!(sessions.may_try(one, begin + ATTEMPT_WINDOW));
        for number in 0..2 * MAX_REMEMBERED_REFUSALS {
            let peer = IpAddr::from([10, 1, u8::try_from(number / 256).unwrap(), 0]);
            sessions.note_refusal(peer, begin);
        }
        assert_eq!(sessions.refused.len(), MAX_REMEMBERED_REFUSALS);
    }
}
