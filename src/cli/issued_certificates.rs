//! Shell. The certificates of `[tls.acme]` that are in storage, for `hookgate check`.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::config::Config;
use crate::tls::acme::renewal::Plan;
use crate::tls::acme::storage::Storage;

/// A line for each name.
pub(super) fn lines(config: &Config) -> Vec<String> {
    of(config)
        .map(|(name, found)| match found {
            Ok(Some((expires, renewed))) => {
                format!(
                    "certificate for {name}: expires on {}, renewed from {} on",
                    day(expires),
                    day(renewed)
                )
            }
            Ok(None) => format!("certificate for {name}: none yet, the gateway obtains it"),
            Err(error) => format!("certificate for {name}: this user cannot use the file: {error}"),
        })
        .collect()
}

/// A document for each name.
pub(super) fn documents(config: &Config) -> Vec<Value> {
    of(config)
        .map(|(name, found)| match found {
            Ok(Some((expires, renewed))) => {
                json!({ "name": name, "expires": day(expires), "renewed": day(renewed) })
            }
            Ok(None) => json!({ "name": name, "expires": null }),
            Err(error) => json!({ "name": name, "expires": null, "error": error }),
        })
        .collect()
}

/// When the certificate expires, and when it is renewed.
type Times = (SystemTime, SystemTime);

fn of(config: &Config) -> impl Iterator<Item = (&str, Result<Option<Times>, String>)> {
    let acme = config.tls.iter().filter_map(|tls| tls.acme.as_deref());
    acme.flat_map(|acme| {
        let storage = Storage::new(&acme.storage, &acme.directory);
        acme.domains.iter().map(move |name| {
            let found = storage.certificate(name).map_err(|error| error.to_string());
            let times = found.map(|pair| {
                pair.map(|pair| {
                    // Without the record, the gateway renews by its own rule.
                    let record = storage.renewal(name).ok().flatten();
                    let plan = Plan::of_kept(&pair.facts, pair.chain().first(), record, SystemTime::now(), 0);
                    (pair.facts.not_after, plan.due())
                })
            });
            (&**name, times)
        })
    })
}

/// The day of a time, in UTC.
fn day(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|time| time.strftime("%Y-%m-%d").to_string()).unwrap_or_default()
}
