//! The text of a policy file: every mistake has a place, and no text grants what none may have.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use remediation::{Policy, UnitFiles, granted, is_protected, polkit_rules};
use units::{UnitName, UnitPattern};

const FILE: &str = "policy.toml";

fuzz_target!(|text: &str| {
    match Policy::parse(&[(FILE.into(), text.into())]) {
        Ok(policy) => {
            for (pattern, _) in granted(&policy) {
                assert!(!names_a_protected_unit(&pattern), "{pattern} is granted");
            }
            assert!(polkit_rules(&policy).contains("polkit.addRule"));
            let no_files = UnitFiles::new();
            let _ = (policy.unreachable(), policy.unknown_units(&no_files));
            let _ = policy.doubts(&no_files);
            let _ = policy.history_window();
        }
        Err(errors) => {
            assert!(errors.iter().count() > 0);
            for error in errors.iter() {
                assert_eq!(error.place.file, Path::new(FILE), "{error}");
                // What is missing at the end of the text is missing on the line after the last.
                assert!(error.place.line <= text.lines().count() + 1, "{error}");
            }
        }
    }
});

fn names_a_protected_unit(pattern: &UnitPattern) -> bool {
    pattern
        .to_string()
        .parse::<UnitName>()
        .is_ok_and(|unit| is_protected(&unit))
}
