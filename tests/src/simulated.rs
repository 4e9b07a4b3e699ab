//! Simulated watch streams of Tekton and the kubelet, for steps with any behaviour.
//!
//! The rules are those of Tekton's entrypoint and reconciler. Each step waits for its predecessor.
//! If a container is killed before its turn, the later ones wait until the TaskRun times out. The
//! kubelet's times are whole seconds of another clock.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

const RUN: &str = "aaaaaaaa-0000-4000-8000-000000000000";
const POD: &str = "bbbbbbbb-0000-4000-8000-000000000000";
/// Creation of the pod, in Unix seconds.
const CREATED: i64 = 1_764_000_000;
const TIMEOUT: i64 = 120_000;
const TIMED_OUT: &str = "TaskRunTimeout";

/// Behaviour of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The command ends with this exit code.
    Exits(i32),
    /// The command ends with this exit code under `onError: continue`.
    Continues(i32),
    /// The `when` expressions are false.
    WhenFalse,
    /// The entrypoint is killed while the command runs.
    Killed {
        /// Reported as `OOMKilled`; otherwise without a reason.
        by_memory: bool,
    },
    /// The container cannot be started.
    StartError,
    /// The entrypoint is killed while it waits for its turn.
    KilledEarly {
        /// Reported as `OOMKilled`; otherwise without a reason.
        by_memory: bool,
        /// True: killed after READY, while the first step runs. False: killed before READY. The
        /// first step is always killed before READY.
        after_ready: bool,
    },
}

/// Behaviour of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Steps, each with the duration of its command in milliseconds.
    pub steps: Vec<(Fate, i64)>,
    /// Time between the start of the last container and READY, in milliseconds.
    pub readiness: i64,
    /// Lead of the kubelet's clock, in milliseconds.
    pub skew: i64,
    /// True if the API server shows `managedFields`.
    pub managed_fields: bool,
    /// True if there is a sidecar, which Tekton stops by changing its image once the TaskRun is
    /// done.
    pub sidecar: bool,
}

/// Generates any plan.
pub fn any_plan() -> impl Strategy<Value = Plan> {
    let fate = prop_oneof![
        8 => Just(Fate::Exits(0)),
        2 => proptest::sample::select(vec![1, 2, 137, 255]).prop_map(Fate::Exits),
        2 => Just(Fate::Continues(3)),
        2 => Just(Fate::WhenFalse),
        1 => any::<bool>().prop_map(|by_memory| Fate::Killed { by_memory }),
        1 => Just(Fate::StartError),
        1 => any::<(bool, bool)>().prop_map(|(by_memory, after_ready)| Fate::KilledEarly { by_memory, after_ready }),
    ];
    let steps = proptest::collection::vec((fate, 1_i64..5_000), 1..5);
    let flags = (any::<bool>(), any::<bool>());
    (steps, 1_i64..2_700, -1_500_i64..1_500, flags).prop_map(
        |(steps, readiness, skew, (managed_fields, sidecar))| Plan {
            steps,
            readiness,
            skew,
            managed_fields,
            sidecar,
        },
    )
}

/// History of a container, in milliseconds since the creation of the pod.
#[derive(Clone, Debug, Default)]
struct Container {
    /// `None` if it could not be started.
    started: Option<i64>,
    /// Start of the command, or the time at which the entrypoint skipped the step.
    step_started: Option<i64>,
    ended: Option<i64>,
    exit_code: i32,
    reason: &'static str,
    /// Tekton's internal entries in the termination message; `None` if there is no message.
    message: Option<Vec<(&'static str, String)>>,
}

/// A run that follows a plan.
#[derive(Debug)]
pub struct History {
    containers: Vec<Container>,
    /// Time of READY, if it was set.
    ready: Option<i64>,
    /// Time at which the TaskRun is done.
    done: i64,
    reason: &'static str,
    plan: Plan,
}

impl History {
    /// Simulates a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let count = i64::try_from(plan.steps.len()).unwrap();
        let begins = (0..count).map(|index| 2_000 + 1_100 * index);
        let ready = 2_000 + 1_100 * count + plan.readiness;
        let early = 2_000 + 1_100 * count - 500;
        let mut containers: Vec<Container> = Vec::new();
        for (index, begin) in begins.enumerate() {
            let mut container = Container {
                started: Some(begin),
                ..Container::default()
            };
            match plan.steps[index].0 {
                Fate::StartError => {
                    container.started = None;
                    container.end(begin, 128, "StartError");
                }
                Fate::KilledEarly {
                    by_memory,
                    after_ready,
                } => {
                    let at = match (after_ready && index > 0, by_memory) {
                        (true, _) => ready + 300,
                        // Killed while all containers wait for READY.
                        (false, true) => early,
                        (false, false) => begin,
                    };
                    let reason = if by_memory { "OOMKilled" } else { "Error" };
                    container.end(at, 137, reason);
                }
                _ => {}
            }
            containers.push(container);
        }
        // A TaskRun is done once a step was OOM-killed, or once all steps have ended.
        let first_oom = |containers: &[Container]| {
            let killed = containers
                .iter()
                .filter(|container| container.reason == "OOMKilled");
            killed.filter_map(|container| container.ended).min()
        };
        let none_left = containers
            .iter()
            .all(|container| container.ended.is_some_and(|end| end < ready));
        let over = none_left || first_oom(&containers).is_some_and(|end| end < ready);
        let ready = Some(ready).filter(|_| !over);
        if over {
            // The TaskRun is done before READY. Kills that are planned for later do not happen:
            // their containers wait for READY.
            for container in containers
                .iter_mut()
                .filter(|container| container.ended > Some(early))
            {
                *container = Container {
                    started: container.started,
                    ..Container::default()
                };
            }
        }
        let mut turn = ready.map(|ready| ready + 400);
        let first_turn = turn.unwrap_or_default();
        let mut failed = false;
        for ((fate, duration), container) in plan.steps.iter().zip(&mut containers) {
            if container.ended.is_some() {
                // A container that ended before its turn writes no file, so all later steps wait
                // for ever.
                turn = None;
                continue;
            }
            let Some(start) = turn else { continue };
            container.step_started = Some(start);
            container.message = Some(Vec::new());
            if failed {
                container.end(start, 1, "Error");
                container.add("Reason", "Skipped");
                turn = Some(start + 900);
                continue;
            }
            // The first step takes 2 s longer. Thus a container that is killed during the step ends
            // in an earlier second than the step.
            let end = start + duration + if start == first_turn { 2_000 } else { 0 };
            match *fate {
                Fate::Exits(code) => {
                    container.end(end, code, if code == 0 { "Completed" } else { "Error" });
                    failed = code != 0;
                }
                Fate::Continues(code) => {
                    container.end(end, 0, "Completed");
                    container.add("ExitCode", &code.to_string());
                }
                Fate::WhenFalse => {
                    container.end(
                        if start == first_turn {
                            start + 2_000
                        } else {
                            start
                        },
                        0,
                        "Completed",
                    );
                    container.add("Reason", "Skipped");
                }
                Fate::Killed { by_memory } => {
                    container.end(end, 137, if by_memory { "OOMKilled" } else { "Error" });
                    container.message = None;
                    turn = None;
                    continue;
                }
                Fate::StartError | Fate::KilledEarly { .. } => unreachable!("it has ended"),
            }
            turn = container.ended.map(|end| end + 700);
        }
        let last = containers
            .iter()
            .filter_map(|container| container.ended)
            .max();
        let all_ended = containers.iter().all(|container| container.ended.is_some());
        let well = containers.iter().all(|container| container.exit_code == 0);
        let (done, reason) = match (first_oom(&containers), all_ended) {
            (Some(end), _) => (end + 1_000, "StepOOM"),
            (None, true) if well => (last.unwrap() + 1_000, "Succeeded"),
            (None, true) => (last.unwrap() + 1_000, "Failed"),
            (None, false) => (TIMEOUT, TIMED_OUT),
        };
        if reason == TIMED_OUT {
            // Waiting containers are stopped with the pod.
            for container in &mut containers {
                if container.ended.is_none() {
                    container.end(TIMEOUT + 1_000 + plan.skew.abs(), 2, "Error");
                }
            }
        }
        Self {
            containers,
            ready,
            done,
            reason,
            plan: plan.clone(),
        }
    }

    /// Returns the expected phases of each step: `started`, if it starts, and then its end.
    #[must_use]
    pub fn expected(&self) -> Vec<(String, String)> {
        let mut expected = Vec::new();
        let stuck = self.deletes_pod();
        for (index, container) in self.containers.iter().enumerate() {
            let fate = self.plan.steps[index].0;
            let stopped = stuck && container.exit_code == 2;
            let skipped =
                container.step_started.is_none() && (stopped || container.ended.is_none());
            let reason = container
                .message
                .iter()
                .flatten()
                .find(|(key, _)| *key == "Reason");
            // The TaskRun was done before this container ended, so the container's result is not
            // awaited.
            let too_late = !stuck && container.ended.is_some_and(|end| end > self.done);
            let (started, end) = match fate {
                Fate::KilledEarly { .. } if too_late || skipped => (false, "skipped"),
                Fate::StartError | Fate::KilledEarly { .. } => (false, "failed"),
                _ if skipped || reason.is_some() => (false, "skipped"),
                Fate::Exits(0) => (true, "succeeded"),
                _ => (true, "failed"),
            };
            if started {
                expected.push((format!("s{index}"), "started".to_owned()));
            }
            expected.push((format!("s{index}"), end.to_owned()));
        }
        expected
    }

    /// Returns the watch events in order of time: every change of the pod, and the TaskRun when it
    /// is created and when it is done.
    #[must_use]
    pub fn stream(&self) -> Vec<Value> {
        let mut times: Vec<i64> = vec![0, self.done, self.done + 2_000];
        times.extend(self.ready);
        for container in &self.containers {
            // The kubelet reports a little later.
            times.extend(container.started.map(|at| at + 250));
            times.extend(container.ended.map(|at| at + 250));
        }
        if self.deletes_pod() {
            times.push(TIMEOUT + 5_000);
        }
        times.sort_unstable();
        times.dedup();
        let mut events = vec![event(0, "ADDED", &self.task_run(0))];
        for (index, at) in times.iter().enumerate() {
            let gone = self.deletes_pod() && index + 1 == times.len();
            let kind = if gone {
                "DELETED"
            } else if index == 0 {
                "ADDED"
            } else {
                "MODIFIED"
            };
            events.push(event(*at, kind, &self.pod(*at)));
            if *at == self.done {
                events.push(event(*at, "MODIFIED", &self.task_run(*at)));
            }
        }
        events
    }

    fn deletes_pod(&self) -> bool {
        self.reason == TIMED_OUT
    }

    fn pod(&self, now: i64) -> Value {
        let ready = self.ready.is_some_and(|at| at <= now);
        let mut annotations = json!({"pipeline.tekton.dev/release": "x"});
        if ready {
            annotations["tekton.dev/ready"] = "READY".into();
        }
        let deleted = self.deletes_pod() && TIMEOUT <= now;
        let all_ended = self
            .containers
            .iter()
            .all(|container| container.has_ended(now))
            && (!self.plan.sidecar || self.done + 1_000 < now);
        let all_started = self.containers.iter().all(|container| {
            container.has_ended(now) || container.started.is_some_and(|at| at < now)
        });
        let well = self
            .containers
            .iter()
            .all(|container| container.exit_code == 0);
        let phase = match (all_ended, well, all_started) {
            (true, true, _) => "Succeeded",
            (true, false, _) => "Failed",
            (false, _, true) => "Running",
            (false, _, false) => "Pending",
        };
        let steps = self.containers.iter().enumerate();
        let mut containers: Vec<Value> = steps
            .clone()
            .map(|(index, _)| {
                let wait_file = match index {
                    0 => "/tekton/downward/ready".to_owned(),
                    _ => format!("/tekton/run/{}/out", index - 1),
                };
                let mut args = vec!["-wait_file".to_owned(), wait_file];
                if matches!(self.plan.steps[index].0, Fate::WhenFalse) {
                    args.extend(["--when_expressions".to_owned(), "[]".to_owned()]);
                }
                args.push("--".to_owned());
                json!({"name": format!("step-s{index}"), "image": "i", "args": args})
            })
            .collect();
        let mut statuses: Vec<Value> = steps
            .map(|(index, container)| {
                json!({"name": format!("step-s{index}"), "state": container.state(now, self.plan.skew)})
            })
            .collect();
        if self.plan.sidecar {
            containers.push(json!({"name": "sidecar-s", "image": "i"}));
            let begin = seconds(2_000, self.plan.skew);
            let stopped = seconds(self.done + 1_000, self.plan.skew);
            let state = match now {
                _ if self.done + 1_000 < now => {
                    json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": stopped, "finishedAt": stopped}})
                }
                2_001.. => json!({"running": {"startedAt": begin}}),
                _ => json!({"waiting": {"reason": "PodInitializing"}}),
            };
            statuses.push(json!({"name": "sidecar-s", "state": state}));
        }
        let patch = self
            .ready
            .filter(|_| ready && self.plan.managed_fields)
            .map(|at| {
                let fields = json!({"f:metadata": {"f:annotations": {"f:tekton.dev/ready": {}}}});
                json!({"manager": "controller", "time": seconds(at, 0), "fieldsV1": fields})
            });
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "r-pod", "namespace": "ci", "uid": POD, "creationTimestamp": seconds(0, 0),
                "annotations": annotations, "managedFields": patch.into_iter().collect::<Vec<_>>(),
                "deletionTimestamp": deleted.then(|| seconds(TIMEOUT + 30_000, 0)),
                "deletionGracePeriodSeconds": deleted.then_some(30),
                "ownerReferences": [{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": "r", "uid": RUN, "controller": true}],
            },
            "spec": {"containers": containers},
            "status": {"phase": phase, "containerStatuses": statuses},
        })
    }

    fn task_run(&self, now: i64) -> Value {
        let done = self.done <= now;
        let (status, reason) = match (done, self.reason) {
            (false, _) => ("Unknown", "Running"),
            (true, "Succeeded") => ("True", "Succeeded"),
            (true, reason) => ("False", reason),
        };
        let steps = self.containers.iter().enumerate().map(|(index, container)| {
            let name = format!("s{index}");
            let container_name = format!("step-s{index}");
            let mut step = match container.state(now, self.plan.skew)["terminated"].clone() {
                Value::Null if !self.deletes_pod() => json!({"running": {"startedAt": seconds(2_000, 0)}}),
                Value::Null => json!({
                    "terminated": {"exitCode": 1, "reason": reason, "startedAt": seconds(2_000, 0), "finishedAt": seconds(now, 0)},
                    "terminationReason": reason,
                }),
                mut ended => {
                    let mut step = json!({});
                    if let Some(message) = &container.message {
                        let of = |key: &str| message.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone());
                        ended["startedAt"] = seconds(container.step_started.unwrap(), 0).into();
                        if let Some(code) = of("ExitCode") {
                            ended["exitCode"] = code.parse::<i32>().unwrap().into();
                        }
                        let continued = of("ExitCode").map(|_| "Continued".to_owned());
                        step["terminationReason"] = of("Reason").or(continued).unwrap_or(container.reason.to_owned()).into();
                    }
                    step["terminated"] = ended;
                    step
                }
            };
            step["name"] = name.into();
            step["container"] = container_name.into();
            step
        });
        let steps: Vec<Value> = steps.filter(|_| done).collect();
        json!({
            "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
            "metadata": {"name": "r", "namespace": "ci", "uid": RUN, "creationTimestamp": seconds(0, 0)},
            "status": {
                "podName": "r-pod", "completionTime": done.then(|| seconds(self.done, 0)), "steps": steps,
                "conditions": [{"type": "Succeeded", "status": status, "reason": reason, "message": ""}],
            },
        })
    }
}

impl Container {
    fn end(&mut self, at: i64, exit_code: i32, reason: &'static str) {
        self.ended = Some(at);
        self.exit_code = exit_code;
        self.reason = reason;
    }

    fn add(&mut self, key: &'static str, value: &str) {
        self.message
            .get_or_insert_default()
            .push((key, value.to_owned()));
    }

    fn has_ended(&self, now: i64) -> bool {
        self.ended.is_some_and(|at| at < now)
    }

    fn state(&self, now: i64, skew: i64) -> Value {
        let started = self
            .started
            .map_or_else(|| "1970-01-01T00:00:00Z".to_owned(), |at| seconds(at, skew));
        if self.has_ended(now) {
            let message = match (&self.message, self.step_started) {
                (Some(entries), Some(start)) => {
                    let start = ("StartedAt", at(start + skew).to_string());
                    let entries = std::iter::once(&start).chain(entries);
                    let entries =
                        entries.map(|(key, value)| json!({"key": key, "value": value, "type": 3}));
                    Value::Array(entries.collect()).to_string()
                }
                _ if self.started.is_none() => "failed to create containerd task".to_owned(),
                _ => String::new(),
            };
            return json!({"terminated": {
                "exitCode": self.exit_code, "reason": self.reason, "message": message,
                "startedAt": started, "finishedAt": seconds(self.ended.unwrap(), skew),
            }});
        }
        match self.started {
            Some(at) if at < now => json!({"running": {"startedAt": started}}),
            Some(_) | None => json!({"waiting": {"reason": "PodInitializing"}}),
        }
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_second(CREATED).unwrap() + SignedDuration::from_millis(millis)
}

/// Formats a time in whole seconds of a clock that is ahead by `skew`.
fn seconds(millis: i64, skew: i64) -> String {
    Timestamp::from_second(at(millis + skew).as_second())
        .unwrap()
        .to_string()
}

fn event(millis: i64, kind: &str, object: &Value) -> Value {
    json!({"at": at(millis).to_string(), "type": kind, "object": object})
}
