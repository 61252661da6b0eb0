//! The API as a client sees it: the real binary on a free port.

use crate::support::{Api, Client, Place, wait_for};
use nix::sys::signal::Signal;
use serde_json::json;

const GOOD: &str = r#"{"amount":"12.34","currency":"EUR"}"#;

#[test]
fn what_is_created_can_be_shown_and_listed() {
    let place = Place::new();
    let api = place.start();
    let created = api.post(GOOD);
    assert_eq!(created.status, 201, "{created:?}");
    let body = created.json();
    assert_eq!(
        (&body["amount"], &body["currency"]),
        (&json!("12.34"), &json!("EUR"))
    );
    assert_eq!(body["status"], "pending");

    let shown = api.get(created.header("location").unwrap());
    assert_eq!((shown.status, shown.json()), (200, body.clone()));

    let listed = api.get("/transactions?status=pending&limit=1").json();
    assert_eq!((&listed["count"], &listed["items"][0]), (&json!(1), &body));
    assert!(listed["query_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(listed.get("next_cursor"), None);
    assert_eq!(api.get("/transactions?status=settled").json()["count"], 0);
}

#[test]
fn a_key_means_one_transaction() {
    let place = Place::new();
    let api = place.start();
    let with_key = r#"{"amount":"1.00","currency":"EUR","idempotency_key":"order-1"}"#;
    let first = api.post(with_key);
    let repeat = api.post(with_key);
    assert_eq!((first.status, repeat.status), (201, 200));
    assert_eq!(first.json(), repeat.json());
    let other = api.post(r#"{"amount":"2.00","currency":"EUR","idempotency_key":"order-1"}"#);
    assert_eq!(other.status, 409, "{other:?}");
    assert_eq!(api.get("/transactions").json()["count"], 1);
}

#[test]
fn pages_lead_to_each_other() {
    let place = Place::new();
    let api = place.start();
    let mut created: Vec<_> = (0..5)
        .map(|_| api.post(GOOD).json()["id"].clone())
        .collect();
    created.reverse();
    let mut listed = Vec::new();
    let mut path = "/transactions?limit=2".to_owned();
    loop {
        let page = api.get(&path).json();
        listed.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["id"].clone()),
        );
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/transactions?limit=2&cursor={next}");
    }
    assert_eq!(listed, created);
}

#[test]
fn every_refusal_is_a_problem_document() {
    let place = Place::with("[limits]\nmax_body_bytes = 100\n");
    let api = place.start();
    let unknown = "/transactions/01a203c6-5b23-70c4-8b35-fc6252a41872";
    let cases = [
        ("POST", "/transactions", "{", 400),
        (
            "POST",
            "/transactions",
            r#"{"amount":1,"currency":"EUR"}"#,
            400,
        ),
        ("POST", "/transactions", &"x".repeat(101), 413),
        ("GET", "/transactions?limit=0", "", 400),
        ("GET", "/transactions?cursor=..%2F", "", 400),
        ("GET", "/transactions/not-an-id", "", 400),
        ("GET", unknown, "", 404),
        ("GET", "/elsewhere", "", 404),
        ("DELETE", "/transactions", "", 405),
        ("POST", "/health", "", 405),
    ];
    for (method, path, body, status) in cases {
        let answer = api.request(method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(answer.json()["status"], status);
        assert!(!answer.json()["detail"].as_str().unwrap().is_empty());
    }
    assert_eq!(
        api.request("DELETE", "/transactions", "").header("allow"),
        Some("GET, HEAD, POST")
    );
}

/// hyper answers these before there is a request that anybody could be asked about.
#[test]
fn what_never_became_a_request_gets_an_empty_answer_and_a_closed_connection() {
    let place = Place::new();
    let api = place.start();
    let cases = [
        ("no HTTP", "NONSENSE\r\n\r\n".to_owned(), 400),
        (
            "17 KiB",
            format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(17 * 1024)),
            431,
        ),
        (
            "101 headers",
            format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(101)),
            431,
        ),
    ];
    for (what, head, status) in cases {
        let mut client = Client::connect(api.address).unwrap();
        client.send(head.as_bytes()).unwrap();
        let answer = client.receive(false).unwrap();
        assert_eq!(
            (answer.status, answer.header("content-length")),
            (status, Some("0")),
            "{what}: {answer:?}"
        );
        assert!(client.is_closed(), "{what}: the connection stayed open");
    }
    assert_eq!(api.get("/health").status, 200);
}

#[test]
fn health_is_the_store_s_and_comes_back_with_it() {
    let place = Place::new();
    let api = place.start();
    assert_eq!(
        (api.get("/health").status, api.get("/ready").status),
        (200, 200)
    );
    assert_eq!(api.metric("transactions_api_store_up"), Some(1.0));

    // Another process takes the write lock and keeps it.
    let other = place.database();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let failing = wait_for("/health to fail", || {
        let answer = api.get("/health");
        (answer.status == 503).then_some(answer)
    });
    assert!(failing.text.contains("write lock"), "{failing:?}");
    assert_eq!(failing.header("retry-after"), Some("1"));
    let refused = api.post(GOOD);
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(api.get("/transactions").status, 200, "reads go on");

    other.execute_batch("ROLLBACK").unwrap();
    wait_for("/health to recover", || {
        (api.get("/health").status == 200).then_some(())
    });
    assert_eq!(api.post(GOOD).status, 201);
}

#[test]
fn requests_are_measured_by_template_never_by_path() {
    let place = Place::new();
    let api = place.start();
    api.post(GOOD);
    api.get("/transactions/evil\"%0Aname");
    api.get("/%2e%2e/etc/passwd");
    api.request("BREW", "/transactions", "");
    let text = api.get("/metrics").text;
    for line in [
        r#"transactions_api_http_requests_total{code="201",method="POST",route="/transactions"} 1"#,
        r#"transactions_api_http_requests_total{code="400",method="GET",route="/transactions/{id}"} 1"#,
        r#"transactions_api_http_requests_total{code="404",method="GET",route="unknown"} 1"#,
        r#"transactions_api_http_requests_total{code="405",method="other",route="/transactions"} 1"#,
        r#"transactions_api_http_request_duration_seconds_count{method="POST",route="/transactions"} 1"#,
        "transactions_api_http_requests_in_flight 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("evil") && !text.contains("passwd") && !text.contains("BREW"));
    wait_for("the backlog", || {
        (api.metric("transactions_pending") == Some(1.0)).then_some(())
    });
}

/// Waits until another request than the scrape itself is being worked on.
fn wait_until_under_way(api: &Api) {
    wait_for("the request to be under way", || {
        (api.metric("transactions_api_http_requests_in_flight") == Some(2.0)).then_some(())
    });
}

#[test]
fn what_is_over_the_limit_is_shed_and_probes_are_not() {
    let place = Place::with("[overload]\nmax_in_flight = 1\n");
    let api = place.start();
    // Holds the only slot: its head is here, its body is not.
    let mut slow = Client::connect(api.address).unwrap();
    let head = format!(
        "POST /transactions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        GOOD.len()
    );
    slow.send(head.as_bytes()).unwrap();
    wait_until_under_way(&api);
    let shed = api.get("/transactions");
    assert_eq!(shed.status, 503, "{shed:?}");
    assert_eq!(shed.header("retry-after"), Some("1"));
    assert_eq!(
        (api.get("/health").status, api.get("/metrics").status),
        (200, 200)
    );
    assert!(
        api.metric("transactions_api_http_requests_shed_total")
            .unwrap()
            >= 1.0
    );

    slow.send(GOOD.as_bytes()).unwrap();
    assert_eq!(slow.receive(false).unwrap().status, 201);
    assert_eq!(api.get("/transactions").status, 200);
}

#[test]
fn sigterm_answers_what_was_accepted_and_ends_in_success() {
    let place = Place::new();
    let mut api = place.start();
    let mut under_way = Client::connect(api.address).unwrap();
    let head = format!(
        "POST /transactions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        GOOD.len()
    );
    under_way.send(head.as_bytes()).unwrap();
    wait_until_under_way(&api);
    api.signal(Signal::SIGTERM);
    api.await_log("stopping");
    under_way.send(GOOD.as_bytes()).unwrap();
    let answer = under_way.receive(false).unwrap();
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(api.exit_status().success());
    let count: i64 = place
        .database()
        .query_row("SELECT count(*) FROM transactions", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 1);
}

#[test]
fn a_store_that_cannot_be_opened_ends_in_failure_that_a_restart_may_mend() {
    let place = Place::new();
    std::fs::create_dir(place.store()).unwrap();
    let output = crate::support::api()
        .args(["serve", "--config"])
        .arg(place.config())
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains(&place.store().display().to_string()),
        "{message}"
    );
}
