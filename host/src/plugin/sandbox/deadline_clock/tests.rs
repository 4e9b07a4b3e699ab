use super::*;
use proptest::prelude::*;
use wasmtime::{Config, Instance, Module, Store, Trap};

/// A step of one of the threads. Each is one atomic operation.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The caller with this number takes its next step: it begins a call, wakes the clock if it
    /// must, or ends the call.
    Caller(usize),
    /// The thread of the clock returns from its pause: `park` or a tick.
    Clock,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Caller {
    Absent,
    MustWake,
    Runs,
}

/// The threads around a real [`Calls`].
struct Model {
    calls: Calls,
    callers: [Caller; 3],
    /// Whether the clock is in `park`.
    is_parked: bool,
    /// Whether `unpark` was called since the last `park` returned.
    has_token: bool,
}

impl Model {
    fn new() -> Self {
        Self {
            calls: Calls::new(),
            callers: [Caller::Absent; 3],
            is_parked: true,
            has_token: false,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Caller(number) => {
                let caller = &mut self.callers[number];
                *caller = match *caller {
                    Caller::Absent if self.calls.begin() => Caller::MustWake,
                    Caller::Absent => Caller::Runs,
                    Caller::MustWake => {
                        self.has_token = true;
                        Caller::Runs
                    }
                    Caller::Runs => {
                        self.calls.end();
                        Caller::Absent
                    }
                };
            }
            Step::Clock if self.is_parked => {
                if std::mem::take(&mut self.has_token) {
                    self.calls.wake();
                    self.is_parked = false;
                }
            }
            Step::Clock => self.is_parked = self.calls.falls_asleep_after_tick(),
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => (0..3_usize).prop_map(Step::Caller),
        // Steps of the clock are frequent, so that enough ticks follow each other for the clock to
        // fall asleep.
        4 => Just(Step::Clock),
    ];
    prop::collection::vec(step, 0..400)
}

proptest! {
    #[test]
    fn the_clock_never_sleeps_while_a_call_runs(steps in steps()) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
            let runs = model.callers.contains(&Caller::Runs);
            prop_assert!(!runs || !model.is_parked || model.has_token, "after {step:?}");
        }
    }

    #[test]
    fn the_clock_sleeps_again_after_the_last_call(steps in steps()) {
        let mut model = Model::new();
        steps.into_iter().for_each(|step| model.take(step));
        for number in 0..3 {
            while model.callers[number] != Caller::Absent {
                model.take(Step::Caller(number));
            }
        }
        // The clock may find a token of a call that has ended. It then wakes once although no call
        // runs.
        for _ in 0..4 {
            model.take(Step::Clock);
        }
        prop_assert!(model.is_parked && !model.has_token);
        prop_assert_eq!(model.calls.0.load(Ordering::Relaxed), ASLEEP);
    }
}

#[test]
fn an_endless_loop_is_stopped_at_once_and_after_an_idle_time() {
    let mut config = Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config).unwrap();
    let module = Module::new(&engine, r#"(module (func (export "f") (loop (br 0))))"#).unwrap();
    let clock = DeadlineClock::start([&engine, &engine]).unwrap();
    for _ in 0..2 {
        let running = clock.begin();
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(3);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let endless = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
        let stopped = endless.call(&mut store, ()).unwrap_err();
        assert_eq!(stopped.downcast_ref::<Trap>(), Some(&Trap::Interrupt));
        drop(running);
        while clock.shared.calls.0.load(Ordering::Acquire) != ASLEEP {
            std::thread::yield_now();
        }
    }
}

#[test]
fn the_thread_ends_with_the_last_handle() {
    let engine = Engine::default();
    let clock = DeadlineClock::start([&engine, &engine]).unwrap();
    let shared = Arc::downgrade(&clock.shared);
    let running = clock.begin();
    drop(clock);
    assert!(shared.upgrade().is_some());
    drop(running);
    while shared.upgrade().is_some() {
        std::thread::yield_now();
    }
}
