//! The incident journal: one structured entry a step, all under one `INCIDENT_ID`.
//!
//! Field names and `MESSAGE_ID`s are an interface: `journalctl INCIDENT_ID=…` selects by the
//! first, `journalctl -x` explains by the second (`systemd-units/catalog/alert-bot.catalog`).

use remediation::Reason;
use uuid::Uuid;

/// What every entry of an incident carries.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) incident: Uuid,
    pub(crate) alertname: String,
    /// The unit, or the template as a whole; empty where there is none.
    pub(crate) target: String,
    /// Empty where no rule matched.
    pub(crate) rule: String,
}

/// The steps and their `MESSAGE_ID`s.
mod id {
    pub(super) const DETECTED: &str = "79f9021d12d944d28adbfb564448e74b";
    pub(super) const DECIDED: &str = "6b303eb8cf2b4effaf42938630697141";
    pub(super) const HELD: &str = "9f488df38494466293d0d7883792ff24";
    pub(super) const REFUSED: &str = "f24103e575e248f88420233b8012b245";
    pub(super) const ACTED: &str = "52232417d4714d94b55bbd5bc681c87b";
    pub(super) const PROVED: &str = "1aefbf5acc724a9c9bf9636e97a7842c";
    pub(super) const ESCALATED: &str = "57cde1e39381458e966ce02c628bf0db";
    pub(super) const CLOSED: &str = "a142f029bc3c49c1906d09805711fb75";
    pub(super) const PAUSED: &str = "89bdd7083f274e849c5cb9ad844ca3b2";
    pub(super) const POLICY_RELOADED: &str = "b5ed7f843877420b89f849ec93200f5e";
    pub(super) const POLICY_REJECTED: &str = "d270a66c814f44bfa7eac8fe8e7c3aa8";
    pub(super) const WATCHDOG_LOST: &str = "3a6f791ac2e04e2cb7d821bacc7606ea";
}

/// One entry: level, `MESSAGE_ID`, step, subject, further fields, sentence.
macro_rules! entry {
    ($level:ident, $id:expr, $step:literal, $subject:expr, [$($field:ident = $value:expr),*], $($sentence:tt)+) => {{
        let subject: &Subject = $subject;
        tracing::$level!(
            message_id = $id,
            incident_id = %subject.incident,
            incident_step = $step,
            alertname = subject.alertname,
            target_unit = subject.target,
            rule = subject.rule,
            $($field = $value,)*
            $($sentence)+
        );
    }};
}

pub(crate) fn detected(subject: &Subject) {
    entry!(
        info,
        id::DETECTED,
        "detected",
        subject,
        [],
        "incident opened for {}: {}",
        subject.target,
        subject.alertname
    );
}

pub(crate) fn decided(subject: &Subject, action: &str, reason: Reason) {
    entry!(
        info,
        id::DECIDED,
        "decided",
        subject,
        [action = action, reason = reason.as_str()],
        "decided: {action} of {}",
        subject.target
    );
}

pub(crate) fn held(subject: &Subject, reason: Reason, until: jiff::Timestamp) {
    entry!(
        info,
        id::HELD,
        "held",
        subject,
        [reason = reason.as_str()],
        "held back until {until:.0}: {}",
        reason.describe()
    );
}

/// Nothing is done and nothing will be.
pub(crate) fn refused(subject: &Subject, reason: Reason) {
    entry!(
        info,
        id::REFUSED,
        "refused",
        subject,
        [reason = reason.as_str()],
        "no action: {}",
        reason.describe()
    );
}

/// A person's answer to a question of the bot.
pub(crate) fn answered(subject: &Subject, answer: &str, by: &str) {
    entry!(
        info,
        id::DECIDED,
        "answered",
        subject,
        [action = answer, by = by],
        "{answer} by {by}"
    );
}

pub(crate) fn acted(subject: &Subject, action: &str, result: &str) {
    entry!(
        info,
        id::ACTED,
        "acted",
        subject,
        [action = action, outcome = result],
        "{action} of {}: {result}",
        subject.target
    );
}

pub(crate) fn proved(
    subject: &Subject,
    action: &str,
    outcome: &str,
    reason: Option<Reason>,
    detail: &str,
) {
    entry!(
        info,
        id::PROVED,
        "proved",
        subject,
        [
            action = action,
            outcome = outcome,
            reason = reason.map(Reason::as_str)
        ],
        "{action} of {} was {outcome}: {detail}",
        subject.target
    );
}

/// ERROR: a person must act.
pub(crate) fn escalated(subject: &Subject, reason: Reason) {
    entry!(
        error,
        id::ESCALATED,
        "escalated",
        subject,
        [reason = reason.as_str()],
        "a person is needed for {}: {}",
        subject.target,
        reason.describe()
    );
}

pub(crate) fn closed(subject: &Subject, outcome: &str) {
    entry!(
        info,
        id::CLOSED,
        "closed",
        subject,
        [outcome = outcome],
        "incident closed for {}: {outcome}",
        subject.target
    );
}

pub(crate) fn paused(target: &str, by: &str, reason: &str, until: jiff::Timestamp) {
    tracing::warn!(
        message_id = id::PAUSED,
        incident_step = "paused",
        target_unit = target,
        by,
        reason,
        "repairs of {target} are paused until {until:.0} by {by}: {reason}"
    );
}

pub(crate) fn resumed(target: &str, by: &str) {
    tracing::info!(
        message_id = id::PAUSED,
        incident_step = "resumed",
        target_unit = target,
        by,
        reason = "resumed",
        "repairs of {target} go on, says {by}"
    );
}

pub(crate) fn policy_reloaded(hash: &str, rules: usize) {
    tracing::info!(
        message_id = id::POLICY_RELOADED,
        policy = hash,
        "a new policy with {rules} rules is in force"
    );
}

pub(crate) fn policy_rejected(reason: &str) {
    tracing::error!(
        message_id = id::POLICY_REJECTED,
        reason,
        "the new policy has a mistake, the old one stays in force: {reason}"
    );
}

pub(crate) fn watchdog_lost(age: std::time::Duration) {
    tracing::error!(
        message_id = id::WATCHDOG_LOST,
        "the alert that always fires has not arrived for {age:.0?}: the chain from Prometheus to the bot is broken"
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn every_message_has_its_text_in_the_catalog_and_every_text_its_message() {
        let catalog = include_str!("../../../systemd-units/catalog/alert-bot.catalog");
        let texts: BTreeSet<&str> = catalog
            .lines()
            .filter_map(|line| line.strip_prefix("-- "))
            .collect();
        let messages: BTreeSet<&str> = include_str!("record.rs")
            .lines()
            .filter(|line| line.trim_start().starts_with("pub(super) const "))
            .filter_map(|line| line.split('"').nth(1))
            .collect();
        assert_eq!(messages, texts);
    }
}
