//! The table `proof` of a rule.

use super::{ANY_DURATION, SOME_DURATION};
use crate::policy::{Probe, Proof, defaults};
use crate::reader::Section;

pub(super) fn read(section: &mut Section<'_>, default: Proof) -> Proof {
    let proof = Proof {
        healthy_for: section.duration("healthy_for", &ANY_DURATION, default.healthy_for),
        deadline: section.duration("deadline", &SOME_DURATION, default.deadline),
        alert_deadline: section.duration("alert_deadline", &ANY_DURATION, default.alert_deadline),
        probe: read_probe(section).or(default.probe),
    };
    if proof.deadline <= proof.healthy_for {
        section.note(
            "deadline",
            "must be longer than healthy_for, or nothing is ever proven",
        );
    }
    proof
}

/// The one probe that the table names, if any, with the key that only this kind of probe has.
fn read_probe(section: &mut Section<'_>) -> Option<Probe> {
    let kinds = ["http", "tcp", "promql"];
    let named: Vec<&str> = kinds.into_iter().filter(|kind| section.has(kind)).collect();
    if let [_, second, ..] = named[..] {
        section.note(second, "only one of http, tcp and promql can be the probe");
    }
    let http = section.text("http").map(str::to_owned);
    let tcp = section.text("tcp").map(str::to_owned);
    let promql = section.text("promql").map(str::to_owned);
    if let Some(url) = http {
        check_url(section, "http", &url);
        let status = section.number("status", 100..=599, defaults::HTTP_STATUS);
        return Some(Probe::Http { url, status });
    }
    if let Some(address) = tcp {
        if address
            .rsplit_once(':')
            .is_none_or(|(_, port)| port.parse::<u16>().is_err())
        {
            section.note("tcp", "must be HOST:PORT");
        }
        return Some(Probe::Tcp { address });
    }
    let query = promql?;
    let url = section.text("prometheus").unwrap_or(defaults::PROMETHEUS);
    let url = url.to_owned();
    check_url(section, "prometheus", &url);
    Some(Probe::PromQl { url, query })
}

fn check_url(section: &mut Section<'_>, key: &str, url: &str) {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        section.note(key, "must begin with http:// or https://");
    }
}
