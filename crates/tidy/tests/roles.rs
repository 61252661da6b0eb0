//! Ansible roles whose documented variables are the ones that they have.

use std::collections::BTreeSet;
use std::path::Path;

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

#[test]
fn defaults_and_argument_specs_agree() {
    let mut roles = 0;
    for specs in files("ansible/roles") {
        if !specs.ends_with("meta/argument_specs.yml") {
            continue;
        }
        roles += 1;
        let role = specs.ancestors().nth(2).expect("specs lie in ROLE/meta");
        let specified = yaml(&specs);
        let options = &specified["argument_specs"]["main"]["options"];
        let defaults = role.join("defaults/main.yml");
        let defined = if root().join(&defaults).exists() {
            keys(&yaml(&defaults))
        } else {
            BTreeSet::new()
        };
        let optional: BTreeSet<String> = keys(options)
            .into_iter()
            .filter(|name| options[name]["required"].as_bool() != Some(true))
            .collect();
        assert_eq!(optional, defined, "{}", role.display());
    }
    assert!(roles > 0);
}
