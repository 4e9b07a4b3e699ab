use super::*;
use crate::standby::StandbyConfig;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SECOND: Duration = Duration::from_secs(1);

fn elector(name: &str) -> Elector {
    Elector::new(name.to_owned(), StandbyConfig::default().timing())
}

fn record(version: u64, holder: &str) -> LeaseRecord {
    LeaseRecord {
        version: version.to_string(),
        holder: holder.to_owned(),
        duration: 10 * SECOND,
        ..LeaseRecord::default()
    }
}

/// Answers a request at once.
fn answer(elector: &mut Elector, now: Duration, answer: LeaseAnswer) -> Next {
    elector.answered(now, now, answer);
    elector.next(now)
}

fn active(now: Duration) -> Elector {
    let mut elector = elector("us");
    answer(&mut elector, now, LeaseAnswer::Written(record(1, "us")));
    assert!(elector.may_deliver(now));
    elector
}

#[test]
fn a_lease_is_taken_once_it_has_not_changed_for_its_duration() {
    let mut us = elector("us");
    assert_eq!(us.next(Duration::ZERO), Next::Ask(LeaseRequest::Read));
    let shown = || LeaseAnswer::Shown(Some(record(7, "them")));
    let next = answer(&mut us, SECOND, shown());
    assert_eq!(next, Next::WaitUntil(2 * SECOND));
    // It is read for the last time exactly when it expires.
    let next = answer(&mut us, 10 * SECOND + SECOND / 2, shown());
    assert_eq!(next, Next::WaitUntil(11 * SECOND));
    let next = answer(&mut us, 11 * SECOND, shown());
    assert_eq!(next, Next::Ask(LeaseRequest::Hold(record(7, "them"))));
    assert!(!us.may_deliver(11 * SECOND));
    us.answered(
        11 * SECOND,
        12 * SECOND,
        LeaseAnswer::Written(record(8, "us")),
    );
    assert!(us.may_deliver(12 * SECOND) && !us.may_deliver(17 * SECOND));
}

#[test]
fn a_renewal_of_the_other_begins_the_time_anew() {
    let mut us = elector("us");
    answer(&mut us, SECOND, LeaseAnswer::Shown(Some(record(7, "them"))));
    answer(
        &mut us,
        10 * SECOND,
        LeaseAnswer::Shown(Some(record(8, "them"))),
    );
    let next = answer(
        &mut us,
        19 * SECOND,
        LeaseAnswer::Shown(Some(record(8, "them"))),
    );
    assert_eq!(next, Next::WaitUntil(20 * SECOND));
}

#[test]
fn a_longer_duration_of_the_holder_is_respected() {
    let mut us = elector("us");
    let long = LeaseRecord {
        duration: 60 * SECOND,
        ..record(7, "them")
    };
    answer(&mut us, SECOND, LeaseAnswer::Shown(Some(long.clone())));
    let next = answer(&mut us, 60 * SECOND, LeaseAnswer::Shown(Some(long)));
    assert_eq!(next, Next::WaitUntil(61 * SECOND));
    // But none without a bound.
    let endless = LeaseRecord {
        duration: Duration::MAX,
        ..record(7, "them")
    };
    let mut us = elector("us");
    answer(&mut us, SECOND, LeaseAnswer::Shown(Some(endless.clone())));
    let next = answer(
        &mut us,
        601 * SECOND,
        LeaseAnswer::Shown(Some(endless.clone())),
    );
    assert_eq!(next, Next::Ask(LeaseRequest::Hold(endless)));
}

#[test]
fn a_released_lease_is_taken_at_once_and_a_missing_one_after_its_duration() {
    let mut us = elector("us");
    let next = answer(&mut us, SECOND, LeaseAnswer::Shown(Some(record(7, ""))));
    assert_eq!(next, Next::Ask(LeaseRequest::Hold(record(7, ""))));
    let mut us = elector("us");
    answer(&mut us, SECOND, LeaseAnswer::Shown(None));
    let next = answer(&mut us, 10 * SECOND, LeaseAnswer::Shown(None));
    assert_eq!(next, Next::WaitUntil(11 * SECOND));
    let next = answer(&mut us, 11 * SECOND, LeaseAnswer::Shown(None));
    assert_eq!(next, Next::Ask(LeaseRequest::Create));
}

#[test]
fn the_right_ends_after_the_last_renewal_that_was_sent() {
    let mut us = active(SECOND);
    assert_eq!(us.next(SECOND), Next::WaitUntil(3 * SECOND));
    assert_eq!(
        us.next(3 * SECOND),
        Next::Ask(LeaseRequest::Hold(record(1, "us")))
    );
    // The answer is late. The right counts from the request.
    us.answered(
        3 * SECOND,
        6 * SECOND,
        LeaseAnswer::Written(record(2, "us")),
    );
    assert!(us.may_deliver(9 * SECOND - Duration::from_nanos(1)));
    assert!(!us.may_deliver(9 * SECOND));
    us.answered(5 * SECOND, 7 * SECOND, LeaseAnswer::Failed);
    assert_eq!(us.next(9 * SECOND), Next::End(LostLease::NotRenewed));
    // It never comes back.
    us.answered(
        9 * SECOND,
        9 * SECOND,
        LeaseAnswer::Written(record(3, "us")),
    );
    assert!(!us.may_deliver(9 * SECOND));
}

#[test]
fn an_active_observer_looks_after_a_refused_write() {
    let mut us = active(SECOND);
    us.answered(3 * SECOND, 3 * SECOND, LeaseAnswer::Refused);
    let soon = 3 * SECOND + SECOND / 2;
    assert_eq!(us.next(soon), Next::Ask(LeaseRequest::Read));
    // Somebody has changed an annotation.
    let next = answer(&mut us, soon, LeaseAnswer::Shown(Some(record(5, "us"))));
    assert_eq!(next, Next::Ask(LeaseRequest::Hold(record(5, "us"))));
    // Somebody has deleted it.
    let next = answer(&mut us, soon, LeaseAnswer::Shown(None));
    assert_eq!(next, Next::Ask(LeaseRequest::Create));
    for holder in ["them", ""] {
        let mut us = active(SECOND);
        us.answered(3 * SECOND, 3 * SECOND, LeaseAnswer::Refused);
        let next = answer(&mut us, soon, LeaseAnswer::Shown(Some(record(5, holder))));
        let holder = holder.to_owned();
        assert_eq!(next, Next::End(LostLease::Taken { holder }));
        assert!(!us.may_deliver(soon));
    }
}

#[test]
fn a_release_ends_the_right() {
    let mut us = active(SECOND);
    assert!(us.release() && !us.may_deliver(SECOND) && !us.release());
    assert_eq!(us.next(SECOND), Next::End(LostLease::Released));
}

/// One request on its way.
#[derive(Clone, Copy, Debug)]
struct Fate {
    /// Milliseconds until the API server gets the request, and until its answer is back.
    there: u64,
    back: u64,
    /// The request never arrives; the answer never arrives.
    lost_there: bool,
    lost_back: bool,
}

/// An observer of the simulation.
#[derive(Clone, Debug)]
struct Replica {
    /// Speed of its clock in percent, and what it shows at the beginning, in milliseconds.
    speed: u64,
    offset: u64,
    /// Pauses of the whole process: real milliseconds from and to.
    pauses: Vec<(u64, u64)>,
    fates: Vec<Fate>,
    killed_at: u64,
}

fn fate() -> impl Strategy<Value = Fate> {
    let delay = || prop_oneof![4 => 0_u64..50, 1 => 0_u64..9_000];
    (delay(), delay(), 0_u8..20, 0_u8..20).prop_map(|(there, back, lost_there, lost_back)| Fate {
        there,
        back,
        lost_there: lost_there < 3,
        lost_back: lost_back < 3,
    })
}

fn replica() -> impl Strategy<Value = Replica> {
    let pauses = proptest::collection::vec((0_u64..60_000, 1_u64..20_000), 0..3);
    let fates = proptest::collection::vec(fate(), 1..60);
    (
        90_u64..=110,
        0_u64..1_000_000,
        pauses,
        fates,
        5_000_u64..200_000,
    )
        .prop_map(|(speed, offset, pauses, fates, killed_at)| Replica {
            speed,
            offset,
            pauses: pauses
                .into_iter()
                .map(|(from, length)| (from, from + length))
                .collect(),
            fates,
            killed_at,
        })
}

/// A request that was sent: by whom, its number, and when by the clock of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    by: usize,
    number: u64,
    at: Duration,
}

/// What happens at a time in the simulation.
#[derive(Debug)]
enum Happening {
    Turn(usize),
    Arrives(Sent, LeaseRequest, Fate),
    Answered(Sent, LeaseAnswer),
    TimedOut(Sent),
}

impl Replica {
    fn clock(&self, real: u64) -> Duration {
        Duration::from_millis(self.offset) + Duration::from_micros(real * self.speed * 10)
    }

    /// The first real time at which its clock shows at least this.
    fn real(&self, own: Duration) -> u64 {
        let own = own.saturating_sub(Duration::from_millis(self.offset));
        u64::try_from(own.as_micros())
            .unwrap()
            .div_ceil(self.speed * 10)
    }

    /// The first time at or after `real` at which it is not paused.
    fn awake(&self, real: u64) -> u64 {
        let mut at = real;
        while let Some((_, to)) = self
            .pauses
            .iter()
            .find(|(from, to)| (*from..*to).contains(&at))
        {
            at = *to;
        }
        at
    }
}

/// Simulates observers for two minutes. Returns how often one became active.
fn simulate(replicas: &[Replica]) -> Result<u32, TestCaseError> {
    let mut electors: Vec<Elector> = (0..replicas.len())
        .map(|of| elector(&of.to_string()))
        .collect();
    let mut open: Vec<Option<Sent>> = vec![None; replicas.len()];
    let mut number = 0;
    let mut lease: Option<LeaseRecord> = None;
    let (mut version, mut activations, mut order) = (0_u64, 0, 0_u64);
    let mut agenda: BTreeMap<(u64, u64), Happening> = BTreeMap::new();
    let mut plan = |agenda: &mut BTreeMap<(u64, u64), Happening>, at: u64, what: Happening| {
        order += 1;
        agenda.insert((at, order), what);
    };
    for of in 0..replicas.len() {
        plan(&mut agenda, 0, Happening::Turn(of));
    }
    while let Some(((real, _), happening)) = agenda.pop_first() {
        if real > 120_000 {
            break;
        }
        let of = match &happening {
            Happening::Arrives(sent, request, fate) => {
                let answer = match request {
                    LeaseRequest::Read => LeaseAnswer::Shown(lease.clone()),
                    LeaseRequest::Create if lease.is_some() => LeaseAnswer::Refused,
                    LeaseRequest::Hold(old)
                        if lease
                            .as_ref()
                            .is_none_or(|lease| lease.version != old.version) =>
                    {
                        LeaseAnswer::Refused
                    }
                    LeaseRequest::Create | LeaseRequest::Hold(_) => {
                        version += 1;
                        lease = Some(record(version, &sent.by.to_string()));
                        LeaseAnswer::Written(record(version, &sent.by.to_string()))
                    }
                };
                if !fate.lost_back {
                    plan(
                        &mut agenda,
                        real + fate.back,
                        Happening::Answered(*sent, answer),
                    );
                }
                continue;
            }
            Happening::Turn(of) => *of,
            Happening::Answered(sent, _) | Happening::TimedOut(sent) => sent.by,
        };
        let (replica, elector) = (&replicas[of], &mut electors[of]);
        if real >= replica.killed_at {
            // A killed process delivers nothing.
            elector.release();
            continue;
        }
        let awake = replica.awake(real);
        if awake > real {
            plan(&mut agenda, awake, happening);
            continue;
        }
        let now = replica.clock(real);
        let was_active = elector.may_deliver(now);
        match happening {
            // An answer after the timeout is dropped.
            Happening::Answered(sent, _) | Happening::TimedOut(sent) if open[of] != Some(sent) => {
                continue;
            }
            Happening::Answered(sent, answer) => {
                open[of] = None;
                elector.answered(sent.at, now, answer);
            }
            Happening::TimedOut(sent) => {
                open[of] = None;
                elector.answered(sent.at, now, LeaseAnswer::Failed);
            }
            Happening::Turn(_) | Happening::Arrives(..) => {}
        }
        activations += u32::from(!was_active && elector.may_deliver(now));
        if open[of].is_none() {
            match elector.next(now) {
                Next::End(_) => {}
                Next::WaitUntil(at) => plan(&mut agenda, replica.real(at), Happening::Turn(of)),
                Next::Ask(request) => {
                    number += 1;
                    let sent = Sent {
                        by: of,
                        number,
                        at: now,
                    };
                    open[of] = Some(sent);
                    let fate =
                        replica.fates[usize::try_from(number).unwrap() % replica.fates.len()];
                    if !fate.lost_there {
                        let arrives = Happening::Arrives(sent, request, fate);
                        plan(&mut agenda, real + fate.there, arrives);
                    }
                    let timeout = replica.real(now + 2 * SECOND).max(real + 1);
                    plan(&mut agenda, timeout, Happening::TimedOut(sent));
                }
            }
        }
        let active: Vec<usize> = (0..replicas.len())
            .filter(|of| real < replicas[*of].killed_at)
            .filter(|of| electors[*of].may_deliver(replicas[*of].clock(real)))
            .collect();
        prop_assert!(active.len() < 2, "{active:?} are active at {real} ms");
    }
    Ok(activations)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn two_are_never_active_at_a_time(
        replicas in proptest::collection::vec(replica(), 2..4),
    ) {
        simulate(&replicas)?;
    }
}

#[test]
fn the_other_takes_over_within_fifteen_seconds_when_one_is_killed() {
    let quick = Fate {
        there: 5,
        back: 5,
        lost_there: false,
        lost_back: false,
    };
    let replica = |killed_at| Replica {
        speed: 100,
        offset: 0,
        pauses: Vec::new(),
        fates: vec![quick],
        killed_at,
    };
    // The first one becomes active after 10 s, because the Lease is missing.
    assert_eq!(simulate(&[replica(60_000), replica(72_500)]).unwrap(), 2);
    // Without the kill there is only one.
    assert_eq!(simulate(&[replica(200_000), replica(200_000)]).unwrap(), 1);
}
