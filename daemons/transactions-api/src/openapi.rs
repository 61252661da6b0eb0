//! `/openapi.json`: the API's contract, written by hand and served as it is.

use daemon_kit::reply::{self, Reply};
use http::StatusCode;

/// The document; the process tests hold it against the running server.
const DOCUMENT: &str = include_str!("../openapi.json");

/// Answers with the document.
pub(crate) fn document() -> Reply {
    reply::with_type(StatusCode::OK, "application/json", DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use transactions::{Amount, Currency};

    /// Three kinds of currency, each with its codes and an example of an amount.
    #[test]
    fn the_document_names_every_currency_with_its_decimals() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let kinds = document["components"]["schemas"]["NewTransaction"]["oneOf"].as_array();
        let mut named = BTreeSet::new();
        for kind in kinds.unwrap() {
            let example = kind["properties"]["amount"]["example"].as_str().unwrap();
            let decimals = example
                .split_once('.')
                .map_or(0, |(_, decimals)| decimals.len());
            for code in kind["properties"]["currency"]["enum"].as_array().unwrap() {
                let currency: Currency = code.as_str().unwrap().parse().unwrap();
                assert_eq!(currency.exponent() as usize, decimals, "{currency}");
                assert!(Amount::try_parse(example, currency).is_ok());
                named.insert(currency.code());
            }
        }
        assert_eq!(named, Currency::all().map(Currency::code).collect());
    }
}
