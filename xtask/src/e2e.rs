//! Runs the cases of the recordings on a real cluster.

use crate::run::{Problem, cargo, run, step};

const HELP: &str = "\
cargo xtask e2e [--kubeconfig FILE] [--step-image IMAGE]

Applies what the recordings were made of to a cluster with Tekton Pipelines, in a namespace of its own, which is
deleted afterwards, and compares the events with those that must come. The observer and its sink run on this
machine. Says of each case whether it passed, failed or was not run, and why.

  --kubeconfig FILE   of a context that may create namespaces and runs; the default is KUBECONFIG
  --step-image IMAGE  with a shell, for the steps; the default is busybox:1.36
";

pub(crate) fn e2e(args: &[String]) -> Result<(), Problem> {
    let mut cases = cargo();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let variable = match arg.as_str() {
            "--kubeconfig" => "KUBECONFIG",
            "--step-image" => "STEP_OBSERVER_E2E_IMAGE",
            _ => return Err(Problem(HELP.to_owned())),
        };
        let value = args.next().ok_or(Problem(HELP.to_owned()))?;
        cases.env(variable, value);
    }
    cases.env("RUST_BACKTRACE", "0");
    crate::build()?;
    step("running the cases on the cluster");
    // The suite runs as a program: its output is the report.
    run(cases
        .args([
            "test",
            "--quiet",
            "--package",
            "step-observer-tests",
            "--test",
            "all",
            "--",
        ])
        .args(["e2e::on_a_cluster", "--exact", "--ignored", "--nocapture"]))
}
