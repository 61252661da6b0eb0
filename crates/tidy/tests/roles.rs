//! Ansible roles whose documented variables are the ones that they have.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tidy::{files, read, root};

fn yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn keys(value: &Value) -> BTreeSet<String> {
    value
        .as_object()
        .map(|map| map.keys().cloned().collect())
        .unwrap_or_default()
}

/// The documented options and the defaults of each role, by its folder.
fn roles() -> Vec<(PathBuf, Value, Value)> {
    let found: Vec<_> = files("ansible/roles")
        .into_iter()
        .filter(|specs| specs.ends_with("meta/argument_specs.yml"))
        .map(|specs| {
            let role = specs.ancestors().nth(2).expect("specs lie in ROLE/meta");
            let options = yaml(&specs)["argument_specs"]["main"]["options"].clone();
            let defaults = role.join("defaults/main.yml");
            let defaults = if root().join(&defaults).exists() {
                yaml(&defaults)
            } else {
                Value::Null
            };
            (role.to_owned(), options, defaults)
        })
        .collect();
    assert!(!found.is_empty());
    found
}

#[test]
fn defaults_and_argument_specs_agree() {
    for (role, options, defaults) in roles() {
        let optional: BTreeSet<String> = keys(&options)
            .into_iter()
            .filter(|name| options[name]["required"].as_bool() != Some(true))
            .collect();
        assert_eq!(optional, keys(&defaults), "{}", role.display());
    }
}

#[test]
fn defaults_are_of_the_type_that_is_documented() {
    for (role, options, defaults) in roles() {
        for name in keys(&defaults) {
            let (option, default) = (&options[&name], &defaults[&name]);
            // What a template becomes is known only when it is deployed.
            if default.as_str().is_some_and(|text| text.contains("{{")) {
                continue;
            }
            let fits = match option["type"].as_str() {
                Some("str" | "path") => default.is_string(),
                Some("int") => default.is_i64(),
                Some("float") => default.is_number(),
                Some("bool") => default.is_boolean(),
                Some("list") => default.is_array(),
                Some("dict") => default.is_object(),
                _ => false,
            };
            assert!(fits, "{}: {name}: {default}", role.display());
            let choices = option["choices"].as_array();
            assert!(
                choices.is_none_or(|choices| choices.contains(default)),
                "{}: {name}: {default} is not among its choices",
                role.display()
            );
        }
    }
}

#[test]
fn every_variable_says_what_it_means() {
    for (role, options, _) in roles() {
        for name in keys(&options) {
            let said = options[&name]["description"].as_str().unwrap_or_default();
            assert!(said.ends_with('.'), "{}: {name}", role.display());
        }
    }
}
