//! Dashboards whose links lead somewhere and whose empty panels say what that means.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;
use tidy::{files_with_extension, read};

/// Every dashboard, by its identity.
fn dashboards() -> BTreeMap<String, Value> {
    let found: BTreeMap<String, Value> = files_with_extension("grafana/dashboards", "json")
        .iter()
        .map(|path| {
            let dashboard: Value = serde_json::from_str(&read(path))
                .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let uid = dashboard["uid"]
                .as_str()
                .expect("a dashboard has a uid")
                .to_owned();
            (uid, dashboard)
        })
        .collect();
    assert!(!found.is_empty());
    found
}

/// Calls `visit` with every object below `node`, itself included.
fn each_object<'a>(node: &'a Value, visit: &mut impl FnMut(&'a Value)) {
    if node.is_object() {
        visit(node);
    }
    let children: Box<dyn Iterator<Item = &Value>> = match node {
        Value::Object(map) => Box::new(map.values()),
        Value::Array(list) => Box::new(list.iter()),
        _ => Box::new(std::iter::empty()),
    };
    children.for_each(|child| each_object(child, visit));
}

#[test]
fn links_lead_to_dashboards_and_set_variables_that_they_have() {
    let dashboards = dashboards();
    let link = Regex::new(r"^/d/([a-z-]+)(?:\?(.*))?$").unwrap();
    let variable = Regex::new(r"var-(\w+)=").unwrap();
    let mut followed = 0;
    for (from, dashboard) in &dashboards {
        each_object(dashboard, &mut |object| {
            let Some(url) = object["url"].as_str().filter(|url| url.starts_with('/')) else {
                return;
            };
            let parts = link
                .captures(url)
                .unwrap_or_else(|| panic!("{from}: {url}"));
            let target = dashboards
                .get(&parts[1])
                .unwrap_or_else(|| panic!("{from}: {url} leads nowhere"));
            let known: BTreeSet<&str> = target["templating"]["list"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|variable| variable["name"].as_str())
                .collect();
            let arguments = parts.get(2).map_or("", |found| found.as_str());
            for set in variable.captures_iter(arguments) {
                let name = set.get(1).expect("the group is not optional").as_str();
                assert!(known.contains(name), "{from}: {url}: no variable {name}");
            }
            followed += 1;
        });
    }
    assert!(followed > 0);
}

#[test]
fn a_panel_without_data_says_what_that_means() {
    let mut silent = Vec::new();
    for (uid, dashboard) in &dashboards() {
        each_object(dashboard, &mut |object| {
            let asks = object["targets"]
                .as_array()
                .is_some_and(|it| !it.is_empty());
            let said = object["fieldConfig"]["defaults"]["noValue"].as_str();
            if asks && said.is_none_or(str::is_empty) {
                silent.push(format!("{uid}: {}", object["title"]));
            }
        });
    }
    assert!(silent.is_empty(), "no text for no data: {silent:?}");
}

#[test]
fn data_sources_that_can_be_chosen_are_provisioned() {
    let provisioning = read("grafana/provisioning/datasources/stack.yml.j2");
    for (uid, dashboard) in &dashboards() {
        let kinds: Vec<&str> = dashboard["templating"]["list"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|variable| variable["type"] == "datasource")
            .filter_map(|variable| variable["query"].as_str())
            .collect();
        assert!(
            !kinds.is_empty(),
            "{uid} asks no data source that can be chosen"
        );
        for kind in kinds {
            let provisioned = provisioning.contains(&format!("type: {kind}\n"));
            assert!(provisioned, "{uid}: no data source of type {kind}");
        }
    }
    // For Grafana's own pages about alerts and silences.
    assert!(provisioning.contains("type: alertmanager\n"));
}
