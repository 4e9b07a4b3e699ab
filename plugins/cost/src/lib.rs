//! Estimates what a step cost: its requests of resources in the Task, multiplied by its duration and by prices of the operator. Requests that
//! Kubernetes adds later, by a LimitRange, are not in the event. A tenant writes the requests: a quantity that cannot be read is left out.

mod quantity;
mod time;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use step_observer_guest::{Event, EventExt, Plugin, Verdict, export_plugin};

/// The configuration.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cost {
    /// Price of a resource for an hour: of a core (`cpu`), of a GiB (`memory`, `ephemeral-storage`), or of one of any other resource.
    prices: BTreeMap<String, f64>,
    /// Currency of the prices, such as `EUR`.
    currency: String,
}

/// Member of the data with the result.
const MEMBER: &str = "/cost";

/// Highest price and amount. Above it, the six decimal places of an amount are not exact.
const MAX_AMOUNT: f64 = 1e9;

/// Bytes of a GiB.
const GIB: f64 = 1_073_741_824.0;

/// Most resources with a price, and most bytes of a name.
const MAX_PRICES: usize = 32;
const MAX_NAME: usize = 64;

impl Plugin for Cost {
    type Config = Self;

    fn configure(config: Self) -> Result<Self, String> {
        let is_code = |code: &str| code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase());
        if !is_code(&config.currency) {
            return Err("currency: it is no code of three capital letters, such as EUR".to_owned());
        }
        if config.prices.is_empty() || config.prices.len() > MAX_PRICES {
            return Err(format!(
                "prices: 1 to {MAX_PRICES} resources need one, such as `cpu: 0.03`"
            ));
        }
        for (name, price) in &config.prices {
            if name.is_empty() || name.len() > MAX_NAME {
                return Err(format!(
                    "prices: a name of a resource has 1 to {MAX_NAME} bytes"
                ));
            }
            if !(0.0..=MAX_AMOUNT).contains(price) {
                return Err(format!("prices.{name}: it is not from 0 to {MAX_AMOUNT}"));
            }
        }
        Ok(config)
    }

    fn process(&self, event: &dyn Event) -> Result<Verdict, String> {
        let step = event.step();
        let (Some(from), Some(to)) = (step.started_at, step.finished_at) else {
            return Ok(Verdict::Keep);
        };
        let Some(seconds) = time::seconds_between(&from, &to) else {
            return Ok(Verdict::Keep);
        };
        let requests = self.requests(event);
        let hours = seconds / 3600.0;
        let amounts = requests.iter().filter_map(|(name, units)| {
            let price = self.prices.get(name)?;
            Some(units * hours * price)
        });
        let amount: f64 = amounts.sum();
        if requests.is_empty() || amount > MAX_AMOUNT {
            return Ok(Verdict::Keep);
        }
        let amount = format!("{amount:.6}");
        event.set_attribute("cost", Some(&amount))?;
        event.set_attribute("costcurrency", Some(&self.currency))?;
        let requests: Map<String, Value> = requests
            .into_iter()
            .map(|(name, units)| (name, json!(units)))
            .collect();
        event.set(
            MEMBER,
            &json!({
                "amount": amount,
                "currency": self.currency,
                "seconds": seconds,
                "requests": requests,
            }),
        )?;
        Ok(Verdict::Keep)
    }
}

impl Cost {
    /// Returns the requests of the step that have a price, in cores, GiB or pieces. A limit without request is also the request (Kubernetes:
    /// "Resource Management for Pods and Containers").
    fn requests(&self, event: &dyn Event) -> BTreeMap<String, f64> {
        let object = |pointer: &str| event.get::<Map<String, Value>>(pointer).unwrap_or_default();
        let (requests, limits) = (
            object("/step/resources/requests"),
            object("/step/resources/limits"),
        );
        let names = self.prices.keys().filter_map(|name| {
            let quantity = match requests.get(name).or_else(|| limits.get(name))? {
                Value::String(text) => quantity::read(text)?,
                Value::Number(number) => quantity::read(&number.to_string())?,
                _ => return None,
            };
            let units = match name.as_str() {
                "memory" | "ephemeral-storage" => quantity / GIB,
                _ => quantity,
            };
            Some((name.clone(), units))
        });
        names.collect()
    }
}

export_plugin!(Cost, config_schema = "../config.schema.json");

#[cfg(test)]
mod tests {
    use super::Cost;
    use serde_json::json;
    use step_observer_guest::testing::process;

    #[test]
    fn a_wrong_configuration_is_refused_with_its_place() {
        for (config, expected) in [
            (json!(null), "it needs one"),
            (json!({"prices": {"cpu": 1}}), "missing field `currency`"),
            (json!({"prices": {}, "currency": "EUR"}), "prices: 1 to 32"),
            (
                json!({"prices": {"cpu": -1}, "currency": "EUR"}),
                "prices.cpu: it is not from 0",
            ),
            (
                json!({"prices": {"cpu": 1e300}, "currency": "EUR"}),
                "prices.cpu: it is not from 0",
            ),
            (
                json!({"prices": {"": 1}, "currency": "EUR"}),
                "prices: a name",
            ),
            (
                json!({"prices": {"cpu": 1}, "currency": "euro"}),
                "currency: it is no code",
            ),
            (
                json!({"price": {}, "currency": "EUR"}),
                "unknown field `price`",
            ),
        ] {
            let refused = process::<Cost>(&config.to_string(), &json!({})).unwrap_err();
            assert!(refused.contains(expected), "{config}: {refused}");
        }
    }

    #[test]
    fn cases() {
        step_observer_guest::testing::check_cases::<Cost>("cases");
    }

    #[test]
    fn the_schema_is_that_of_the_configuration() {
        step_observer_guest::testing::check_schema::<Cost>(include_str!("../config.schema.json"));
    }
}
