//! Names of metrics: the code, the documentation, the alert rules and the dashboard agree.

use std::collections::BTreeSet;
use std::fs;

use hookgate::telemetry::{acme_metrics, exposition, process_metrics, queue_metrics};
use serde_json::Value;

const DOCUMENT: &str = "docs/metrics.md";
const RULES: &str = "deploy/prometheus/alerts.yml";
const DASHBOARD: &str = "deploy/grafana/hookgate.json";

/// How the names of metrics begin.
const PREFIXES: [&str; 2] = ["hookgate_", "process_"];

fn names() -> BTreeSet<String> {
    let all = exposition::names().chain(queue_metrics::names()).chain(process_metrics::names());
    all.chain(acme_metrics::names()).collect()
}

/// Every word of a text that looks like the name of a metric. Suffixes of histograms are removed.
fn mentioned(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics = words.filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix)));
    let base = |word: &str| {
        let ends = ["_bucket", "_sum", "_count"];
        ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
    };
    metrics.map(base).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_metric_is_documented_and_nothing_else_is() {
    let document = read(DOCUMENT);
    assert_eq!(mentioned(&document), names());
    for name in names() {
        assert!(document.contains(&format!("| `{name}` | ")), "{name} has no row in {DOCUMENT}");
    }
}

#[test]
fn rules_and_dashboard_use_metrics_that_there_are() {
    for path in [RULES, DASHBOARD, "deploy/prometheus/alerts_test.yml", "deploy/test-promtool.sh"] {
        let unknown: Vec<_> = mentioned(&read(path)).difference(&names()).cloned().collect();
        assert_eq!(unknown, [""; 0], "{path}");
    }
    let shown = mentioned(&read(DASHBOARD));
    assert_eq!(names().difference(&shown).collect::<Vec<_>>(), [""; 0], "the dashboard shows everything");
}

#[test]
fn every_alert_is_documented_and_tested() {
    let (document, tests) = (read(DOCUMENT), read("deploy/prometheus/alerts_test.yml"));
    let rules = read(RULES);
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 10);
    for alert in alerts {
        assert!(document.contains(&format!("| `{alert}` | ")), "{alert} is not in {DOCUMENT}");
        assert!(tests.contains(alert), "{alert} has no test");
    }
}

/// Grafana needs these keys to load a dashboard and to show each panel.
#[test]
fn the_dashboard_is_one_that_loads() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    assert!(dashboard["id"].is_null(), "an id belongs to one installation");
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36 && dashboard["title"].is_string());
    let variables: Vec<_> = dashboard["templating"]["list"].as_array().unwrap().iter().collect();
    assert!(
        variables.iter().any(|variable| variable["type"] == "datasource" && variable["name"] == "datasource")
    );
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    let mut taken = BTreeSet::new();
    for panel in panels {
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(x < 24 && taken.insert((x, y)), "{} overlaps", panel["title"]);
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{}", panel["title"]);
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty());
        for target in targets {
            let query = target["expr"].as_str().unwrap();
            assert!(query.contains("$job") && query.contains("$instance"), "{query}");
            assert_eq!(target["datasource"]["uid"], "${datasource}");
            assert!(target["refId"].is_string());
        }
    }
}
