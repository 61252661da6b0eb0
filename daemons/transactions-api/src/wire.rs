//! The JSON that clients send and get.

use http::Uri;
use serde::{Deserialize, Serialize};
use transactions::store::{Page, PageRequest};
use transactions::{Amount, Currency, IdempotencyKey, NewTransaction, Transaction};

/// Items of a page that names no limit.
const PAGE_DEFAULT: u16 = 50;

/// Most items of one page: one reply stays under 100 KiB and one query under a millisecond or two.
const PAGE_MAX: u16 = 500;

/// The body of `POST /transactions`. An unknown field is refused: it may be a misspelt
/// `idempotency_key`, and then a repeat would be stored twice.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateBody {
    amount: String,
    currency: String,
    idempotency_key: Option<String>,
}

/// Reads the body of `POST /transactions`.
///
/// # Errors
/// What is wrong with it, in words for the client.
pub(crate) fn parse_create(body: &[u8]) -> Result<NewTransaction, String> {
    let body: CreateBody = serde_json::from_slice(body)
        .map_err(|error| format!("the body is not understood: {error}"))?;
    let currency: Currency = body.currency.parse().map_err(|error| format!("{error}"))?;
    let amount = Amount::try_parse(&body.amount, currency).map_err(|error| error.to_string())?;
    let key = body
        .idempotency_key
        .map(IdempotencyKey::try_new)
        .transpose();
    let key = key.map_err(|error| error.to_string())?;
    Ok(NewTransaction::receive(amount, key))
}

/// Reads the query of `GET /transactions`.
///
/// # Errors
/// Which parameter is wrong, and how. A misspelt one is refused rather than ignored: a filter
/// that silently does not filter is worse than an error.
pub(crate) fn parse_list(uri: &Uri) -> Result<PageRequest, String> {
    let mut request = PageRequest {
        limit: PAGE_DEFAULT,
        cursor: None,
        status: None,
    };
    let pairs = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty());
    for pair in pairs {
        // Every valid value is plain letters and digits, so there is nothing to percent-decode.
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "limit" => {
                let limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=PAGE_MAX).contains(limit));
                request.limit = limit.ok_or(format!("limit must be 1 to {PAGE_MAX}"))?;
            }
            "cursor" => {
                request.cursor = Some(value.parse().map_err(|error| format!("{error}"))?);
            }
            "status" => {
                request.status = Some(value.parse().map_err(|error| format!("{error}"))?);
            }
            _ => return Err("the parameters are limit, cursor and status".to_owned()),
        }
    }
    Ok(request)
}

/// A transaction as clients see it.
#[derive(Debug, Serialize)]
pub(crate) struct TransactionBody {
    id: String,
    amount: String,
    currency: &'static str,
    status: &'static str,
    created_at: jiff::Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    settled_at: Option<jiff::Timestamp>,
}

impl From<&Transaction> for TransactionBody {
    fn from(transaction: &Transaction) -> Self {
        Self {
            id: transaction.id.to_string(),
            amount: transaction.amount.to_string(),
            currency: transaction.amount.currency().code(),
            status: transaction.status.as_str(),
            created_at: transaction.created_at,
            settled_at: transaction.settled_at,
        }
    }
}

/// The reply of `GET /transactions`.
#[derive(Debug, Serialize)]
pub(crate) struct PageBody {
    count: u64,
    query_ms: f64,
    items: Vec<TransactionBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl PageBody {
    /// A page, and how long its query took in milliseconds.
    pub(crate) fn new(page: &Page, query_ms: f64) -> Self {
        Self {
            count: page.count,
            query_ms,
            items: page.items.iter().map(TransactionBody::from).collect(),
            next_cursor: page.next.map(|cursor| cursor.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use transactions::Status;

    fn list(query: &str) -> Result<PageRequest, String> {
        parse_list(&format!("/transactions{query}").parse().unwrap())
    }

    #[test]
    fn a_body_is_read_exactly_or_refused_with_the_reason() {
        let new = parse_create(br#"{"amount":"12.34","currency":"EUR"}"#).unwrap();
        assert_eq!(
            (new.amount.minor_units(), new.idempotency_key),
            (1234, None)
        );

        for (body, reason) in [
            ("", "EOF while parsing"),
            ("[]", "invalid length 0"),
            (r#"{"amount":12.34,"currency":"EUR"}"#, "expected a string"),
            (r#"{"amount":"12.34"}"#, "missing field `currency`"),
            (r#"{"amount":"12.34","currency":"eur"}"#, "currency must be"),
            (
                r#"{"amount":"12.345","currency":"EUR"}"#,
                "more than the 2 decimals of EUR",
            ),
            (
                r#"{"amount":"1","currency":"EUR","idempotency_key":""}"#,
                "idempotency_key must be",
            ),
            (
                r#"{"amount":"1","currency":"EUR","idempotency-key":"k"}"#,
                "unknown field",
            ),
        ] {
            let error = parse_create(body.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{body}: {error}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        let deep = "[".repeat(100_000);
        assert!(parse_create(deep.as_bytes()).is_err());
    }

    #[test]
    fn a_query_is_read_exactly_or_refused() {
        let request = list("").unwrap();
        assert_eq!(
            (request.limit, request.cursor, request.status),
            (PAGE_DEFAULT, None, None)
        );
        let request = list("?limit=500&status=settled").unwrap();
        assert_eq!(
            (request.limit, request.status),
            (500, Some(Status::Settled))
        );
        for bad in [
            "?limit=0",
            "?limit=501",
            "?limit=",
            "?limit",
            "?cursor=x",
            "?status=done",
            "?statu=settled",
        ] {
            assert!(list(bad).is_err(), "{bad}");
        }
    }
}
