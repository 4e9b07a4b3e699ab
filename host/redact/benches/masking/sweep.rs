//! Slowdown on texts that repeat each keyword of each kind and form.

use crate::texts::{fill, word};
use crate::{MAX_SLOWDOWN, MIB, median_speed, speed_of};
use std::collections::BTreeMap;
use step_observer_redact::{Engine, REACH, catalog, forms};

/// Size of each text in bytes: three times the reach of a decision.
const SIZE: usize = 3 * REACH;

/// Size of a text that may be too slow, in bytes.
const FULL_SIZE: usize = MIB / 2;

/// Slowdowns that are measured again, with a longer text.
const UNSURE: std::ops::Range<f64> = 6.0..15.0;

/// Prints every text that is too slow, and the worst keywords.
pub(crate) fn sweep(engine: &Engine, ordinary: &str) {
    let base = median_speed(engine, ordinary);
    println!("ordinary log: {base:.0} MiB/s");
    println!("\nmore than {MAX_SLOWDOWN} times slower:\n");
    // The slowest text of each keyword or example.
    let mut slowest: BTreeMap<String, (f64, String)> = BTreeMap::new();
    let (mut count, mut too_slow) = (0, 0);
    for (subject, unit) in units() {
        count += 1;
        let mut slowdown = base / speed_of(engine, &fill(&unit, SIZE));
        if UNSURE.contains(&slowdown) {
            let text = fill(&unit, FULL_SIZE);
            slowdown = base / speed_of(engine, &text).max(speed_of(engine, &text));
        }
        if slowdown > MAX_SLOWDOWN {
            too_slow += 1;
            println!("{slowdown:6.1}  {}", shown(&unit));
        }
        let worst = slowest.entry(subject).or_insert((0.0, String::new()));
        if slowdown > worst.0 {
            *worst = (slowdown, unit);
        }
    }
    let mut worst: Vec<_> = slowest.values().collect();
    worst.sort_by(|one, other| other.0.total_cmp(&one.0));
    println!(
        "\n{too_slow} of {count} texts of {} keywords and examples; the worst ten:\n",
        slowest.len()
    );
    for (slowdown, unit) in worst.into_iter().take(10) {
        println!("{slowdown:6.1}  {}", shown(unit));
    }
}

fn shown(unit: &str) -> String {
    format!("{unit:?}").chars().take(100).collect()
}

/// Returns the texts to repeat, each after its keyword or the id of its kind.
fn units() -> Vec<(String, String)> {
    let kinds = catalog::kinds().flat_map(|kind| kind.keywords.iter().copied());
    let mut keywords: Vec<&str> = kinds.chain(forms::keywords()).collect();
    keywords.sort_unstable();
    keywords.dedup();
    let (short, long) = (word(5, 30), word(6, 300));
    let mut units = Vec::new();
    for keyword in keywords {
        for (before, after) in [
            ("", ""),
            ("", "="),
            ("", "=\""),
            ("", ": "),
            ("", ":"),
            ("", "\n"),
            ("\n", ":\n"),
            ("", " "),
            ("", "/"),
            ("", "-"),
            ("", "."),
            ("", "\""),
            ("", "'"),
            ("", "\\"),
            ("\"", "\":\""),
            ("\"", "\":{"),
            ("{\\\"", "\\\":"),
            ("<", ">"),
            ("--", " "),
            ("- ", ": |\n"),
            ("?", "=a&"),
            ("a@", ":b@"),
            ("", "=aB1,;,;"),
            ("", "=\"a\"\""),
            ("", ": pW3,"),
            ("", " q7W3e9R2 "),
            ("", short.as_str()),
            ("", long.as_str()),
        ] {
            units.push((keyword.to_owned(), format!("{before}{keyword}{after}")));
        }
    }
    for kind in catalog::kinds() {
        for template in kind.examples {
            let example = catalog::example(template, 1);
            let most = |part: usize| {
                let end = example.len() * part / 8;
                &example[..example.floor_char_boundary(end)]
            };
            for unit in [
                example.clone(),
                format!("{example} "),
                format!("{example}-"),
                most(7).to_owned(),
                format!("{} ", most(7)),
                format!("{}-", most(7)),
                format!("{}/", most(4)),
            ] {
                units.push((kind.id.to_owned(), unit));
            }
        }
    }
    for form in forms::forms() {
        for example in form.examples {
            let example = example.replace(['→', '←'], "");
            let half = example.floor_char_boundary(example.len() / 2);
            for unit in [
                format!("{example}\n"),
                example.clone(),
                example[..half].to_owned(),
                example[half..].to_owned(),
            ] {
                units.push((form.id.to_owned(), unit));
            }
        }
    }
    units
}
