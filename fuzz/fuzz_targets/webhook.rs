//! The body of a webhook, from whoever has the token: understood or refused, never a crash.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The module alone: the whole daemon would bring SQLite and D-Bus along.
#[allow(dead_code)]
#[path = "../../daemons/alert-bot/src/webhook.rs"]
mod webhook;

/// More would never reach the parser: the daemon's own limit on bodies is 1 MiB.
const MAX_VALUE_BYTES: usize = 16 * 1024;

fuzz_target!(|body: &[u8]| {
    let Ok(webhook) = webhook::Webhook::parse(body) else {
        return;
    };
    for alert in webhook.alerts {
        assert!(!alert.name().is_empty());
        assert!(!alert.fingerprint.is_empty());
        let mut values = alert.labels.values().chain(alert.annotations.values());
        assert!(values.all(|value| value.len() <= MAX_VALUE_BYTES));
        // The ledger keeps alerts as JSON and must get back what it stored.
        let stored = serde_json::to_string(&alert).expect("an alert has a text");
        let read: remediation::Alert = serde_json::from_str(&stored).expect("and is read again");
        assert_eq!(read, alert);
    }
});
