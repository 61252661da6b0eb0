//! What an Alertmanager has on its list, and what of it the bot missed while it was away. Pure.
//!
//! [`alertmanagers`](crate::alertmanagers) → **listing** → [`catch_up`](crate::catch_up)

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use ledger::{AlertId, HeldAlert};
use remediation::{Alert, AlertStatus};
use serde::Deserialize;

use crate::webhook::{self, WebhookError};

/// An Alertmanager that has run for less may not have heard of all that fires: Prometheus repeats
/// itself each minute (`--rules.alert.resend-delay`), at its next evaluation, and by default those
/// are a minute apart as well.
const KNOWS_ALL_AFTER: Duration = Duration::from_secs(180);

/// Who the bot is to Alertmanager.
#[derive(Clone, Debug)]
pub(crate) struct Addressee {
    /// The names that its receiver may have.
    pub(crate) receivers: Vec<String>,
    /// This host's `host` label.
    pub(crate) host: String,
    /// The alert that always fires: that it is listed does not show that webhooks arrive.
    pub(crate) heartbeat: String,
}

impl Addressee {
    /// Whether Alertmanager tells this bot of the alert. One that a silence or another alert holds
    /// back is told to nobody.
    fn hears_of(&self, listed: &ListedAlert) -> bool {
        let label = |name| listed.labels.get(name).map_or("", String::as_str);
        let host = label("host");
        let mut receivers = listed.receivers.iter();
        listed.status.state == "active"
            && label("alertname") != self.heartbeat
            && (host.is_empty() || host == self.host)
            && receivers.any(|receiver| self.receivers.contains(&receiver.name))
    }
}

/// What one Alertmanager lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Listing {
    /// The fingerprint of every alert on it, held back or not, whomever it is told to.
    pub(crate) known: BTreeSet<String>,
    /// Those that this bot is told of.
    pub(crate) ours: Vec<Alert>,
    /// Whether what is not on it does not fire.
    pub(crate) is_complete: bool,
}

/// One of `GET /api/v2/alerts`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedAlert {
    fingerprint: String,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: Timestamp,
    status: ListedStatus,
    receivers: Vec<Receiver>,
}

#[derive(Deserialize)]
struct ListedStatus {
    state: String,
}

#[derive(Deserialize)]
struct Receiver {
    name: String,
}

/// The part of `GET /api/v2/status` that matters here.
#[derive(Deserialize)]
struct Status {
    /// Since when, in spite of its name.
    uptime: Timestamp,
}

impl Listing {
    /// Reads the answers to `GET /api/v2/alerts` and `GET /api/v2/status`.
    ///
    /// # Errors
    /// Says what cannot be understood.
    pub(crate) fn parse(
        alerts: &[u8],
        status: &[u8],
        addressee: &Addressee,
        now: Timestamp,
    ) -> Result<Self, String> {
        let listed: Vec<ListedAlert> = from_json(alerts, "list")?;
        let status: Status = from_json(status, "status")?;
        let age = Duration::try_from(now.duration_since(status.uptime)).unwrap_or_default();
        let known = listed.iter().map(|listed| listed.fingerprint.clone());
        Ok(Self {
            known: known.collect(),
            is_complete: age >= KNOWS_ALL_AFTER,
            ours: listed
                .into_iter()
                .enumerate()
                .filter(|(_, listed)| addressee.hears_of(listed))
                .map(|(index, listed)| listed.into_alert(index))
                .collect::<Result<_, _>>()
                .map_err(|error| format!("its list cannot be read: {error}"))?,
        })
    }
}

impl ListedAlert {
    fn into_alert(self, index: usize) -> Result<Alert, WebhookError> {
        let alert = Alert {
            fingerprint: self.fingerprint,
            status: AlertStatus::Firing,
            labels: self.labels,
            annotations: self.annotations,
            starts_at: self.starts_at,
            ends_at: None,
        };
        webhook::checked(alert, index)
    }
}

fn from_json<'a, T: Deserialize<'a>>(body: &'a [u8], what: &str) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("its {what} cannot be read: {error}"))
}

/// What the ledger lacks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Missed {
    /// Alerts that fire and that nothing in the ledger hangs on, each once.
    pub(crate) firing: Vec<Alert>,
    /// Alerts that the ledger holds as firing, and that are over.
    pub(crate) ended: Vec<AlertId>,
}

/// Holds what the ledger takes for firing against what the Alertmanagers list.
///
/// Prometheus tells every Alertmanager of everything, so one whose list is complete is enough to
/// say that an alert is over, as long as no other one lists it.
pub(crate) fn missed(held: &[HeldAlert], listings: &[Listing]) -> Missed {
    let keys: BTreeSet<(&str, Timestamp)> = held
        .iter()
        .map(|held| (held.fingerprint.as_str(), held.starts_at))
        .collect();
    let firing: BTreeMap<(&str, Timestamp), &Alert> = listings
        .iter()
        .flat_map(|listing| &listing.ours)
        .map(|alert| ((alert.fingerprint.as_str(), alert.starts_at), alert))
        .filter(|(key, _)| !keys.contains(key))
        .collect();
    let can_tell = listings.iter().any(|listing| listing.is_complete);
    // Where it ended and began again meanwhile, what hangs on it goes on.
    let is_listed = |held: &HeldAlert| {
        let mut listings = listings.iter();
        listings.any(|listing| listing.known.contains(&held.fingerprint))
    };
    let ended = held.iter().filter(|held| can_tell && !is_listed(held));
    Missed {
        ended: ended.map(|held| held.id).collect(),
        firing: firing.into_values().cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use ledger::{Accepted, Store};
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-11-22T15:10:00Z";

    fn addressee() -> Addressee {
        Addressee {
            receivers: vec!["alert-bot".into(), "alert-bot-demo".into()],
            host: "demo".into(),
            heartbeat: "Watchdog".into(),
        }
    }

    /// As Alertmanager 0.28 lists it.
    fn real() -> Value {
        json!({
            "annotations": {"summary": "The API does not answer"},
            "endsAt": "2026-11-22T15:14:00.123Z", "fingerprint": "2d1a9f3c5b7e8f60",
            "receivers": [{"name": "alert-bot"}, {"name": "people"}],
            "startsAt": "2026-11-22T15:00:00.123Z",
            "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"},
            "updatedAt": "2026-11-22T15:10:00.123Z", "generatorURL": "http://demo:9090/graph",
            "labels": {"alertname": "TransactionsApiDown", "host": "demo", "unit": "a.service"}
        })
    }

    fn parse(alert: &Value, up_since: &str) -> Result<Listing, String> {
        let status = json!({"uptime": up_since, "cluster": {"status": "ready"}}).to_string();
        let alerts = json!([alert]).to_string();
        let now = NOW.parse().unwrap();
        Listing::parse(alerts.as_bytes(), status.as_bytes(), &addressee(), now)
    }

    #[test]
    fn a_listed_alert_is_the_one_that_the_webhook_tells() {
        let listing = parse(&real(), "2026-11-22T14:00:00.5Z").unwrap();
        let told = json!({"version": "4", "alerts": [{
            "status": "firing", "fingerprint": "2d1a9f3c5b7e8f60",
            "labels": real()["labels"], "annotations": real()["annotations"],
            // Senders may be this precise; lists are not.
            "startsAt": "2026-11-22T15:00:00.123456789Z", "endsAt": null,
        }]});
        let told = webhook::Webhook::parse(told.to_string().as_bytes());
        assert_eq!(listing.ours, told.unwrap().alerts);
    }

    #[test]
    fn only_what_would_be_told_to_this_bot_is_its_own() {
        let alert_for = |pointer: &str, value: Value| {
            let mut alert = real();
            *alert.pointer_mut(pointer).unwrap() = value;
            alert
        };
        for (pointer, value, is_ours) in [
            ("/receivers", json!([{"name": "alert-bot-demo"}]), true),
            ("/receivers", json!([{"name": "alert-bot-other"}]), false),
            ("/receivers", json!([{"name": "people"}]), false),
            ("/receivers", json!([]), false),
            ("/status/state", json!("suppressed"), false),
            ("/status/state", json!("unprocessed"), false),
            ("/labels/host", json!(""), true),
            ("/labels/host", json!("other"), false),
            ("/labels/alertname", json!("Watchdog"), false),
        ] {
            let alert = alert_for(pointer, value);
            let listing = parse(&alert, NOW).unwrap();
            assert_eq!(listing.ours.len(), usize::from(is_ours), "{alert}");
            assert_eq!(listing.known.len(), 1, "it is listed in any case");
        }
    }

    #[test]
    fn a_list_is_complete_once_prometheus_has_had_time_to_tell_everything() {
        for (up_since, is_complete) in [
            ("2026-11-22T15:07:00Z", true),
            ("2026-11-22T15:07:01Z", false),
            // Its clock is ahead.
            ("2026-11-22T16:00:00Z", false),
        ] {
            let listing = parse(&real(), up_since).unwrap();
            assert_eq!(listing.is_complete, is_complete, "{up_since}");
        }
    }

    #[test]
    fn what_is_no_list_is_said() {
        let nameless = json!({"labels": {}, "fingerprint": "", "startsAt": NOW,
            "status": {"state": "active"}, "receivers": [{"name": "alert-bot"}]});
        for (alert, up_since, start) in [
            (json!({}), NOW, "its list cannot be read: missing field"),
            (real(), "soon", "its status cannot be read: "),
            (nameless, NOW, "its list cannot be read: alerts[0].finger"),
        ] {
            let error = parse(&alert, up_since).unwrap_err();
            assert!(error.starts_with(start), "{error}");
        }
    }

    fn alert(number: usize) -> Alert {
        let mut alert = parse(&real(), NOW).unwrap().ours.remove(0);
        alert.fingerprint = number.to_string();
        alert
    }

    /// Three alerts, each held or not.
    fn held(picked: usize) -> Vec<HeldAlert> {
        let store = Store::in_memory().unwrap();
        let alerts: Vec<Alert> = (0..3).map(alert).collect();
        let accepted = store.accept(&alerts, false, NOW.parse().unwrap()).unwrap();
        let all = alerts.into_iter().zip(accepted).map(|(alert, accepted)| {
            let (Accepted::New(id) | Accepted::Repeated(id)) = accepted;
            HeldAlert {
                id,
                fingerprint: alert.fingerprint,
                starts_at: alert.starts_at,
            }
        });
        picked_of(all, picked).collect()
    }

    fn picked_of<T>(all: impl Iterator<Item = T>, picked: usize) -> impl Iterator<Item = T> {
        let numbered = all.enumerate();
        numbered.filter_map(move |(number, one)| (picked >> number & 1 == 1).then_some(one))
    }

    /// Every way in which one Alertmanager may answer about three alerts; `None` where it does not.
    fn answers() -> Vec<Option<Listing>> {
        let some = (0..16).map(|which| {
            let ours: Vec<Alert> = picked_of((0..3).map(alert), which / 2).collect();
            Some(Listing {
                known: ours.iter().map(|alert| alert.fingerprint.clone()).collect(),
                ours,
                is_complete: which % 2 == 1,
            })
        });
        some.chain([None]).collect()
    }

    #[test]
    fn whatever_two_alertmanagers_say_nothing_is_missed_twice_or_ended_too_soon() {
        let (all_held, answers): (Vec<_>, _) = ((0..8).map(held).collect(), answers());
        for held in &all_held {
            for (one, other) in answers
                .iter()
                .flat_map(|a| answers.iter().map(move |b| (a, b)))
            {
                let listings: Vec<Listing> = [one, other].into_iter().flatten().cloned().collect();
                let Missed { firing, ended } = missed(held, &listings);
                for number in 0..3 {
                    let alert = alert(number);
                    let held = held.iter().find(|h| h.fingerprint == alert.fingerprint);
                    let is_listed = listings.iter().any(|l| l.ours.contains(&alert));
                    let can_tell = listings.iter().any(|listing| listing.is_complete);
                    let count = firing.iter().filter(|firing| **firing == alert).count();
                    assert_eq!(count, usize::from(is_listed && held.is_none()));
                    let is_ended = held.is_some_and(|held| ended.contains(&held.id));
                    assert_eq!(is_ended, held.is_some() && !is_listed && can_tell);
                }
            }
        }
    }

    #[test]
    fn an_alert_that_ended_and_began_again_is_taken_in_and_ends_nothing() {
        let held = held(1);
        let mut again = alert(0);
        again.starts_at = NOW.parse().unwrap();
        let listing = Listing {
            known: [again.fingerprint.clone()].into(),
            ours: vec![again.clone()],
            is_complete: true,
        };
        let missed = missed(&held, &[listing]);
        assert_eq!((missed.firing, missed.ended), (vec![again], vec![]));
    }

    #[test]
    fn a_silence_ends_nothing() {
        let held = held(1);
        let mut silenced = real();
        silenced["fingerprint"] = "0".into();
        silenced["status"]["state"] = "suppressed".into();
        let listing = parse(&silenced, "2026-11-22T14:00:00Z").unwrap();
        assert!(listing.is_complete);
        assert_eq!(missed(&held, &[listing]), Missed::default());
    }
}
