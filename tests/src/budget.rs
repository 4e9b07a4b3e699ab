//! The bounds of the benchmarks, in `benches/budgets.yaml`.

use crate::path;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// The bounds of one benchmark, and the results of its checks.
#[derive(Debug)]
pub struct Budget {
    bounds: BTreeMap<String, Bound>,
    is_broken: bool,
}

/// A bound of one figure.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Bound {
    /// A miss fails the benchmark. Other figures depend on the machine.
    #[serde(default)]
    pub required: bool,
    /// The largest permitted value.
    pub at_most: Option<f64>,
    /// The smallest permitted value.
    pub at_least: Option<f64>,
}

impl Budget {
    /// Reads the bounds of all benchmarks.
    #[must_use]
    pub fn all() -> BTreeMap<String, BTreeMap<String, Bound>> {
        let text = std::fs::read_to_string(path("benches/budgets.yaml")).unwrap();
        serde_saphyr::from_str(&text).unwrap()
    }

    /// Reads the bounds of the benchmark with this name.
    #[must_use]
    pub fn of(benchmark: &str) -> Self {
        let bounds = Self::all().remove(benchmark);
        Self {
            bounds: bounds.unwrap_or_else(|| panic!("budgets.yaml has no {benchmark}")),
            is_broken: false,
        }
    }

    /// Compares a figure with its bound, prints the result, and returns whether it holds.
    #[expect(clippy::print_stdout, reason = "the result of a benchmark")]
    pub fn check(&mut self, figure: &str, value: f64) -> bool {
        let bound = self.bounds.remove(figure);
        let bound = bound.unwrap_or_else(|| panic!("budgets.yaml has no unchecked `{figure}`"));
        let holds = bound.at_most.is_none_or(|most| value <= most)
            && bound.at_least.is_none_or(|least| value >= least);
        self.is_broken |= bound.required && !holds;
        println!("{figure}: {value:.2}, {}", bound.verdict(holds));
        holds
    }

    /// Returns the exit code of the benchmark: failure if a required bound is missed.
    #[must_use]
    pub fn finish(self) -> ExitCode {
        let unchecked: Vec<&String> = self.bounds.keys().collect();
        assert!(unchecked.is_empty(), "not measured: {unchecked:?}");
        ExitCode::from(u8::from(self.is_broken))
    }
}

impl Bound {
    fn verdict(self, holds: bool) -> String {
        let most = self.at_most.map(|most| format!("at most {most}"));
        let least = self.at_least.map(|least| format!("at least {least}"));
        let result = match (holds, self.required) {
            (true, _) => "holds",
            (false, true) => "BROKEN",
            (false, false) => "missed (only reported: it depends on the machine)",
        };
        let bounds: Vec<String> = [most, least].into_iter().flatten().collect();
        format!("{}: {result}", bounds.join(", "))
    }
}
