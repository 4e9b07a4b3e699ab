//! A thousand changes of plugins while events flow, through the real program, a real watch and a
//! real sink.
use std::collections::BTreeSet;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::{finished_run, plugin_config_map};
use step_observer_tests::observer::Observer;
use step_observer_tests::plugins::stamp;
use step_observer_tests::recording::{changes, event_id, track};
use step_observer_tests::sink::HttpSink;
use tokio::sync::watch;

const SWAPS: usize = 1000;
/// Number of swaps after which the program has reached its final size.
const WARM: usize = 200;
/// Runs per swap.
const RUNS: usize = 4;
/// Maximum number of events in flight.
const AHEAD: usize = 64;

/// Returns the resources of a process: resident memory in KiB, mappings, open files.
fn holds(pid: u32) -> (u64, usize, usize) {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    let status = read("status");
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().split(' ').next()?.parse().ok());
    let files = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count();
    (resident.unwrap(), read("maps").lines().count(), files)
}

/// Two plugins in a chain write the numbers of their versions. They are replaced one at a time, so
/// the two numbers always differ by 1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_swaps_lose_and_double_nothing_and_leave_nothing_behind() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let (first, second) = (stamp("first"), stamp("second"));
    let swap = |number: usize| {
        let (name, module) = match number % 2 {
            0 => ("a", &first),
            _ => ("b", &second),
        };
        let settings = format!("config: \"{number}\"\n");
        server.put(plugin_config_map(
            name,
            &[
                ("plugin.wat", module.as_bytes()),
                ("plugin.yaml", settings.as_bytes()),
            ],
        ));
    };
    swap(0);
    swap(1);
    let observer = Observer::start(&server, &sink, &["--plugin-namespace", "observers"]);
    let pid = observer.child.id().unwrap();
    let mut log = tokio::task::JoinSet::new();
    log.spawn(observer.drain_log());

    let (swapping, mut swapped) = watch::channel(0);
    let flow = async {
        let mut expected = BTreeSet::new();
        let mut number = 0;
        while number < SWAPS * RUNS {
            swapped
                .wait_for(|swaps| number <= swaps * RUNS)
                .await
                .unwrap();
            let run = finished_run(number);
            expected.extend(track(changes(&run)).iter().map(event_id));
            for event in run {
                server.play(&event);
            }
            number += 1;
            sink.wait_for(expected.len().saturating_sub(AHEAD)).await;
            // Deletes runs that were delivered long ago: memory that they still use at the end
            // would be a leak.
            if let Some(old) = number.checked_sub(AHEAD) {
                for event in finished_run(old) {
                    server.delete(event["object"].clone());
                }
            }
            tokio::task::yield_now().await;
        }
        sink.wait_for(expected.len()).await;
        expected
    };
    let swaps = async {
        let mut warm = None;
        server.wait_for_notes(2).await;
        for number in 2..SWAPS {
            swap(number);
            // An Event on the ConfigMap reports that the plugin is live.
            server.wait_for_notes(number + 1).await;
            swapping.send_replace(number);
            if number == WARM {
                warm = Some(holds(pid));
            }
        }
        swapping.send_replace(SWAPS);
        (warm.unwrap(), holds(pid))
    };
    let (expected, (warm, end)) = tokio::join!(flow, swaps);

    let requests = sink.requests();
    let ids: BTreeSet<String> = requests
        .iter()
        .map(|request| request.header("ce-id").to_owned())
        .collect();
    assert_eq!(ids, expected, "lost");
    assert_eq!(requests.len(), expected.len(), "told twice");
    let mut pairs = BTreeSet::new();
    for request in &requests {
        let number = |name: &str| -> usize { request.header(name).parse().unwrap() };
        let (a, b) = (number("ce-first"), number("ce-second"));
        assert!(a.abs_diff(b) == 1, "{a} and {b} were never in one chain");
        pairs.insert((a, b));
    }
    assert!(
        pairs.len() > SWAPS / 4,
        "only {} of the chains saw an event: this proves little",
        pairs.len()
    );
    assert!(
        end.0 < warm.0 + warm.0 / 4 + 8 * 1024,
        "resident memory grew from {} to {} KiB",
        warm.0,
        end.0
    );
    assert!(end.1 < warm.1 + 40, "mappings: {} -> {}", warm.1, end.1);
    assert!(end.2 < warm.2 + 10, "open files: {} -> {}", warm.2, end.2);
}
