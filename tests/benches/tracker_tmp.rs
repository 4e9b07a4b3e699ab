use step_observer::observe::{Tracker, play, Speed};
use step_observer_core::Ledger;
use step_observer_tests::recording::watch_events;
fn rss() -> f64 { let s=std::fs::read_to_string("/proc/self/status").unwrap(); s.lines().find(|l| l.starts_with("VmRSS")).unwrap().split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()/1024.0 }
fn main() {
    let events = watch_events("a-success");
    let middle = events.iter().position(|e| e.to_string().matches("\"exitCode\":0").count() > 2).unwrap();
    let last = |kind: &str| events.iter().take(middle+1).rfind(|event| event["object"]["kind"] == kind).unwrap().to_string();
    let (run, pod) = (last("TaskRun"), last("Pod"));
    drop(events);
    let before = rss();
    let mut t = Tracker::new(Ledger::from_the_start());
    let mut n=0;
    for number in 0..10000 {
        for object in [&run, &pod] {
            let renamed = object.replace("a-success", &format!("run-{number:05}")).replace("e3615a1c-2196", &format!("e3615a1c-{number:04x}")).replace("967295fd-18d8", &format!("967295fd-{number:04x}"));
            play("x", renamed.as_bytes(), Speed::Max, || None, |seen| { n += t.apply(seen.change, seen.at).len(); true }).unwrap();
        }
    }
    println!("{n} findings, {} runs, {:.1} -> {:.1} MiB", t.runs(), before, rss());
}
