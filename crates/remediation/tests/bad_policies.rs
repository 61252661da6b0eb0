//! One policy for each mistake, and what is said about it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use remediation::{Policy, PolicyErrors};

#[test]
fn every_mistake_is_named_with_its_file_line_and_key() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-policies");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut told = String::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = PathBuf::from(file.file_name().unwrap());
        let errors = Policy::parse(&[(name.clone(), text)])
            .expect_err(&format!("{} is accepted", name.display()));
        writeln!(told, "{errors}\n").unwrap();
    }
    insta::assert_snapshot!(told);
}

fn parse(files: &[(&str, &str)]) -> Result<Policy, PolicyErrors> {
    let files: Vec<_> = files
        .iter()
        .map(|(file, text)| ((*file).into(), (*text).into()))
        .collect();
    Policy::parse(&files)
}

const RULE: &str =
    "[[rule]]\nname = \"a\"\nmatch = ['alertname=\"A\"']\nladder = [{ action = \"restart\" }]\n";

#[test]
fn drop_ins_add_rules_and_mistakes_keep_their_file() {
    let other = RULE.replace("\"a\"", "\"b\"");
    let policy = parse(&[("policy.toml", RULE), ("policy.d/b.toml", &other)]).unwrap();
    let names: Vec<_> = policy
        .rules()
        .iter()
        .map(|rule| rule.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(policy.rules()[1].place.to_string(), "policy.d/b.toml:1");

    let twice = parse(&[("policy.toml", RULE), ("policy.d/b.toml", RULE)]).unwrap_err();
    assert_eq!(
        twice.to_string(),
        "policy.d/b.toml:2: rule.name: another rule is called a already"
    );
}

#[test]
fn the_host_s_limits_stand_in_one_file() {
    let host = "[host]\nmax_in_flight = 2\n";
    let policy = parse(&[("policy.toml", RULE), ("policy.d/host.toml", host)]).unwrap();
    assert_eq!(policy.host().max_in_flight, 2);
    let twice = parse(&[("policy.toml", host), ("policy.d/host.toml", host)]).unwrap_err();
    assert_eq!(
        twice.to_string(),
        "policy.d/host.toml:1: host: stands in an earlier file already; keep one of them"
    );
}

#[test]
fn the_hash_tells_one_text_from_another() {
    let hash = |files: &[(&str, &str)]| parse(files).unwrap().hash().to_string();
    let one = hash(&[("policy.toml", RULE)]);
    assert_eq!(one, hash(&[("elsewhere.toml", RULE)]));
    assert_ne!(one, hash(&[("policy.toml", &format!("{RULE}\n"))]));
    // Text that moves from one file to the next is another policy.
    let (first, second) = (format!("{RULE}# a"), "# b");
    let (longer, shorter) = (format!("{RULE}# a# b"), "");
    assert_ne!(
        hash(&[("1.toml", &first), ("2.toml", second)]),
        hash(&[("1.toml", &longer), ("2.toml", shorter)])
    );
}

#[test]
fn a_policy_without_rules_is_valid_and_does_nothing() {
    let policy = parse(&[("policy.toml", "")]).unwrap();
    assert!(policy.rules().is_empty());
    assert!(remediation::granted(&policy).is_empty());
}
