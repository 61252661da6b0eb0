//! What an Alertmanager has on its list, and what of it the bot missed while it was away. Pure.
//!
//! [`alertmanagers`](crate::alertmanagers) → **listing** → [`catch_up`](crate::catch_up)

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
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

/// The largest alert on a list, in bytes: what a whole webhook may have. Each piece that arrives is
/// read together with what there is of its alert so far.
const MAX_ENTRY_BYTES: usize = 1024 * 1024;

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

/// One alert on an Alertmanager's list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// It may be held back, or told to others only.
    pub(crate) fingerprint: String,
    /// The alert, if this bot is told of it.
    pub(crate) ours: Option<Alert>,
}

/// What can be said of a list that was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    /// What is not on it does not fire.
    Complete,
    /// Its Alertmanager was only just started, and may not have heard of all that fires.
    Young,
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
    /// Reads the answer to `GET /api/v2/status`; the list was asked for at `asked_at`.
    ///
    /// # Errors
    /// Says what cannot be understood.
    pub(crate) fn of(status: &[u8], asked_at: Timestamp) -> Result<Self, String> {
        let status: Status = serde_json::from_slice(status)
            .map_err(|error| format!("its status cannot be read: {error}"))?;
        let age = Duration::try_from(asked_at.duration_since(status.uptime)).unwrap_or_default();
        Ok(if age >= KNOWS_ALL_AFTER {
            Self::Complete
        } else {
            Self::Young
        })
    }
}

/// Reads the answer to `GET /api/v2/alerts`, a JSON array, as it arrives: in a storm it is far
/// larger than any one alert, and than what the bot should ever hold.
pub(crate) struct ListReader<'a> {
    addressee: &'a Addressee,
    /// What has arrived and is not understood yet.
    text: Vec<u8>,
    position: Position,
    /// How many entries were read.
    count: usize,
}

/// Where in the array a reader is.
#[derive(Clone, Copy)]
enum Position {
    Before,
    BeforeFirst,
    BetweenEntries,
    After,
}

impl<'a> ListReader<'a> {
    pub(crate) fn new(addressee: &'a Addressee) -> Self {
        Self {
            addressee,
            text: Vec::new(),
            position: Position::Before,
            count: 0,
        }
    }

    /// Takes the next piece of the answer.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        self.text.extend_from_slice(piece);
    }

    /// The next entry; `None` until more of the answer has arrived.
    ///
    /// # Errors
    /// Says what cannot be understood.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, String> {
        use Position::{After, Before, BeforeFirst, BetweenEntries};
        loop {
            let text = self.text.trim_ascii_start();
            let Some((&mark, rest)) = text.split_first() else {
                return Ok(None);
            };
            let json = match (self.position, mark) {
                (Before, b'[') => {
                    self.go_on(BeforeFirst, rest.len());
                    continue;
                }
                (BeforeFirst | BetweenEntries, b']') => {
                    self.go_on(After, rest.len());
                    continue;
                }
                (BeforeFirst, _) => text,
                (BetweenEntries, b',') => rest,
                (Before | BetweenEntries | After, _) => {
                    return Err(self.unreadable(format!("{:?} is out of place", char::from(mark))));
                }
            };
            let mut values = serde_json::Deserializer::from_slice(json).into_iter::<ListedAlert>();
            let listed = match values.next() {
                Some(Ok(listed)) => listed,
                Some(Err(error)) if !error.is_eof() => return Err(self.unreadable(error)),
                Some(Err(_)) | None if json.len() > MAX_ENTRY_BYTES => {
                    let problem = format!("one has more than {MAX_ENTRY_BYTES} bytes");
                    return Err(self.unreadable(problem));
                }
                Some(Err(_)) | None => return Ok(None),
            };
            let left = json.len() - values.byte_offset();
            let fingerprint = listed.fingerprint.clone();
            let ours = (self.addressee.hears_of(&listed)).then(|| listed.into_alert(self.count));
            let ours = ours.transpose().map_err(|error| self.unreadable(error))?;
            self.count += 1;
            self.go_on(BetweenEntries, left);
            return Ok(Some(Entry { fingerprint, ours }));
        }
    }

    /// Says whether that was all.
    ///
    /// # Errors
    /// Where the list broke off.
    pub(crate) fn end(self) -> Result<(), String> {
        match self.position {
            Position::After => Ok(()),
            _ => Err(self.unreadable("it breaks off")),
        }
    }

    /// Forgets all but the last `left` bytes.
    fn go_on(&mut self, position: Position, left: usize) {
        self.position = position;
        self.text.drain(..self.text.len() - left);
    }

    fn unreadable(&self, why: impl fmt::Display) -> String {
        let count = self.count;
        format!("its list cannot be read after {count} alerts: {why}")
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

/// What the ledger takes for firing, held against what the Alertmanagers list, again and again.
#[derive(Default)]
pub(crate) struct Comparison {
    held: BTreeMap<String, Held>,
    /// Hashes of what was returned as missed. Alertmanager's fingerprints are such themselves.
    returned: HashSet<u64>,
}

/// The alerts of one fingerprint that the ledger takes for firing.
#[derive(Default)]
struct Held {
    alerts: BTreeMap<Timestamp, AlertId>,
    is_listed: bool,
}

impl Comparison {
    /// Begins anew with the lists, and with what the ledger holds now.
    pub(crate) fn begin(&mut self, held: Vec<HeldAlert>) {
        self.held.clear();
        for alert in held {
            let same = self.held.entry(alert.fingerprint).or_default();
            same.alerts.insert(alert.starts_at, alert.id);
        }
    }

    /// Takes note of what is listed. Returns the alert if it fires for this bot and nothing in the
    /// ledger hangs on it, once.
    pub(crate) fn take(&mut self, entry: Entry) -> Option<Alert> {
        let held = self.held.get_mut(&entry.fingerprint);
        let is_held = held.is_some_and(|held| {
            held.is_listed = true;
            let ours = entry.ours.as_ref();
            ours.is_some_and(|alert| held.alerts.contains_key(&alert.starts_at))
        });
        let missed = entry.ours.filter(|_| !is_held)?;
        self.returned.insert(hash_of(&missed)).then_some(missed)
    }

    /// What was returned was lost on its way, and has to be returned again.
    pub(crate) fn forget_returned(&mut self) {
        self.returned.clear();
    }

    /// The alerts that the ledger holds as firing, and that are over.
    ///
    /// Prometheus tells every Alertmanager of everything, so one whose list is complete is enough to
    /// say that an alert is over, as long as no other one lists it. Where it ended and began again
    /// meanwhile, what hangs on it goes on.
    pub(crate) fn ended(&self, listings: &[Listing]) -> Vec<AlertId> {
        if !listings.contains(&Listing::Complete) {
            return Vec::new();
        }
        let over = self.held.values().filter(|held| !held.is_listed);
        over.flat_map(|held| held.alerts.values().copied())
            .collect()
    }
}

fn hash_of(alert: &Alert) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&alert.fingerprint, alert.starts_at).hash(&mut hasher);
    hasher.finish()
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

    /// What is read of an answer that arrives in pieces of this many bytes.
    fn read_in(pieces: usize, answer: &str) -> Result<Vec<Entry>, String> {
        let addressee = addressee();
        let mut list = ListReader::new(&addressee);
        let mut entries = Vec::new();
        for piece in answer.as_bytes().chunks(pieces) {
            list.feed(piece);
            while let Some(entry) = list.next_entry()? {
                entries.push(entry);
            }
        }
        list.end().map(|()| entries)
    }

    fn read(alert: &Value) -> Result<Entry, String> {
        let mut entries = read_in(usize::MAX, &json!([alert]).to_string())?;
        assert_eq!(entries.len(), 1);
        Ok(entries.remove(0))
    }

    fn up_since(start: &str) -> Result<Listing, String> {
        let status = json!({"uptime": start, "cluster": {"status": "ready"}}).to_string();
        Listing::of(status.as_bytes(), NOW.parse().unwrap())
    }

    #[test]
    fn a_listed_alert_is_the_one_that_the_webhook_tells() {
        let ours = read(&real()).unwrap().ours;
        let told = json!({"version": "4", "alerts": [{
            "status": "firing", "fingerprint": "2d1a9f3c5b7e8f60",
            "labels": real()["labels"], "annotations": real()["annotations"],
            // Senders may be this precise; lists are not.
            "startsAt": "2026-11-22T15:00:00.123456789Z", "endsAt": null,
        }]});
        let told = webhook::Webhook::parse(told.to_string().as_bytes());
        assert_eq!(ours.as_slice(), told.unwrap().alerts);
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
            let entry = read(&alert).unwrap();
            assert_eq!(entry.ours.is_some(), is_ours, "{alert}");
            assert_eq!(entry.fingerprint, "2d1a9f3c5b7e8f60", "listed in any case");
        }
    }

    #[test]
    fn a_list_is_complete_once_prometheus_has_had_time_to_tell_everything() {
        for (start, listing) in [
            ("2026-11-22T15:07:00Z", Listing::Complete),
            ("2026-11-22T15:07:01Z", Listing::Young),
            // Its clock is ahead.
            ("2026-11-22T16:00:00Z", Listing::Young),
        ] {
            assert_eq!(up_since(start), Ok(listing), "{start}");
        }
    }

    #[test]
    fn however_a_list_arrives_the_same_is_read() {
        let lists = [
            json!([]).to_string(),
            " [\n] ".into(),
            json!([real()]).to_string(),
            serde_json::to_string_pretty(&json!([real(), real(), real()])).unwrap() + "\n",
        ];
        for list in lists {
            let count = list.matches("fingerprint").count();
            for pieces in 1..=list.len() {
                let entries = read_in(pieces, &list).unwrap();
                let expected = vec![read(&real()).unwrap(); count];
                assert_eq!(entries, expected, "{pieces} bytes at once");
            }
        }
    }

    #[test]
    fn an_alert_without_end_is_not_waited_for() {
        let mut alert = real();
        alert["annotations"]["summary"] = "x".repeat(2 * MAX_ENTRY_BYTES).into();
        let error = read_in(MAX_ENTRY_BYTES / 4, &json!([real(), alert]).to_string()).unwrap_err();
        let problem = "its list cannot be read after 1 alerts: one has more than 1048576 bytes";
        assert_eq!(error, problem);
    }

    #[test]
    fn what_is_no_list_is_said() {
        let nameless = json!({"labels": {}, "fingerprint": "", "startsAt": NOW,
            "status": {"state": "active"}, "receivers": [{"name": "alert-bot"}]});
        let entry = real().to_string();
        for (list, problem) in [
            (String::new(), "0 alerts: it breaks off"),
            ("null".into(), "0 alerts: 'n' is out of place"),
            ("{}".into(), "0 alerts: '{' is out of place"),
            ("[".into(), "0 alerts: it breaks off"),
            ("[7]".into(), "0 alerts: invalid type: integer `7`"),
            ("[{}]".into(), "0 alerts: missing field"),
            (format!("[{nameless}]"), "0 alerts: alerts[0].fingerprint"),
            (format!("[{entry}"), "1 alerts: it breaks off"),
            (format!("[{entry},"), "1 alerts: it breaks off"),
            (format!("[{entry}{entry}]"), "1 alerts: '{' is out of place"),
            (format!("[{entry},]"), "1 alerts: expected value"),
            (format!("[{entry}]]"), "1 alerts: ']' is out of place"),
            (format!("[{entry}, {{}}]"), "1 alerts: missing field"),
        ] {
            let error = read_in(usize::MAX, &list).unwrap_err();
            let start = format!("its list cannot be read after {problem}");
            assert!(error.starts_with(&start), "{list}: {error}");
        }
        let error = up_since("soon").unwrap_err();
        assert!(error.starts_with("its status cannot be read: "), "{error}");
    }

    fn alert(number: usize) -> Alert {
        let mut alert = read(&real()).unwrap().ours.unwrap();
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

    fn entry(alert: &Alert) -> Entry {
        Entry {
            fingerprint: alert.fingerprint.clone(),
            ours: Some(alert.clone()),
        }
    }

    /// What is missed if these lists are read.
    fn missed(held: &[HeldAlert], lists: &[(Vec<Entry>, Listing)]) -> (Vec<Alert>, Vec<AlertId>) {
        let mut comparison = Comparison::default();
        comparison.begin(held.to_vec());
        let entries = lists.iter().flat_map(|(entries, _)| entries).cloned();
        let firing = entries.filter_map(|entry| comparison.take(entry)).collect();
        let listings: Vec<Listing> = lists.iter().map(|(_, listing)| *listing).collect();
        (firing, comparison.ended(&listings))
    }

    /// Every way in which one Alertmanager may answer about three alerts; `None` where it does not.
    fn answers() -> Vec<Option<(Vec<Entry>, Listing)>> {
        let some = (0..16).map(|which| {
            let listing = [Listing::Young, Listing::Complete][which % 2];
            let listed = picked_of((0..3).map(alert), which / 2);
            Some((listed.map(|alert| entry(&alert)).collect(), listing))
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
                let lists: Vec<_> = [one, other].into_iter().flatten().cloned().collect();
                let (firing, ended) = missed(held, &lists);
                for number in 0..3 {
                    let alert = alert(number);
                    let held = held.iter().find(|h| h.fingerprint == alert.fingerprint);
                    let is_listed = lists.iter().any(|(l, _)| l.contains(&entry(&alert)));
                    let can_tell = lists.iter().any(|(_, l)| *l == Listing::Complete);
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
        let list = (vec![entry(&again)], Listing::Complete);
        assert_eq!(missed(&held, &[list]), (vec![again], vec![]));
    }

    #[test]
    fn what_was_returned_is_returned_again_only_if_it_was_lost() {
        let mut comparison = Comparison::default();
        let mut take = |is_lost: bool| {
            if is_lost {
                comparison.forget_returned();
            }
            comparison.begin(Vec::new());
            comparison.take(entry(&alert(0))).is_some()
        };
        assert_eq!([take(false), take(false), take(true)], [true, false, true]);
    }

    #[test]
    fn a_silence_ends_nothing() {
        let held = held(1);
        let mut silenced = real();
        silenced["fingerprint"] = "0".into();
        silenced["status"]["state"] = "suppressed".into();
        let list = (vec![read(&silenced).unwrap()], Listing::Complete);
        assert_eq!(missed(&held, &[list]), (vec![], vec![]));
    }
}
