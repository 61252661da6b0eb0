//! What clients of the API send: the query of a listing, a cursor, the body of a transaction.

#![no_main]

use libfuzzer_sys::fuzz_target;
use transactions::{Amount, Cursor};

// The module alone: the daemon's others serve HTTP.
#[allow(dead_code)]
#[path = "../../daemons/transactions-api/src/wire.rs"]
mod wire;

fuzz_target!(|text: &str| {
    query(text);
    cursor(text);
    body(text);
});

fn query(text: &str) {
    let Ok(uri) = format!("/transactions?{text}").parse() else {
        return;
    };
    if let Ok(page) = wire::parse_list(&uri) {
        assert!((1..=500).contains(&page.limit));
    }
}

fn cursor(text: &str) {
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
}

fn body(text: &str) {
    if let Ok(new) = wire::parse_create(text.as_bytes()) {
        let printed = new.amount.to_string();
        assert_eq!(
            Amount::try_parse(&printed, new.amount.currency()),
            Ok(new.amount)
        );
    }
}
