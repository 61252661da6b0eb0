//! An Alertmanager that remembers what it was told, and says what it was told to say.

#![allow(dead_code)] // Each file of tests uses its part.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(crate) struct Told {
    pub(crate) url: String,
    alerts: Arc<Mutex<Vec<Value>>>,
    known: Arc<Mutex<Known>>,
}

/// What it says when it is asked.
struct Known {
    firing: Vec<Value>,
    silences: Vec<Value>,
    up_since: Timestamp,
}

impl Told {
    pub(crate) fn listen() -> Self {
        Self::answer_all("http", |stream, remember, say| {
            answer(stream, remember, say)
        })
    }

    /// The same over TLS.
    pub(crate) fn listen_over(tls: Arc<ServerConfig>) -> Self {
        Self::answer_all("https", move |stream, remember, say| {
            let session = ServerConnection::new(tls.clone()).unwrap();
            answer(StreamOwned::new(session, stream), remember, say)
        })
    }

    fn answer_all<F>(scheme: &str, answer: F) -> Self
    where
        F: Fn(TcpStream, &Mutex<Vec<Value>>, &Mutex<Known>) -> std::io::Result<()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let alerts = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::new(Mutex::new(Known {
            firing: Vec::new(),
            silences: Vec::new(),
            up_since: Timestamp::now(),
        }));
        let (remember, say) = (alerts.clone(), known.clone());
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client may leave early.
                drop(answer(stream, &remember, &say));
            }
        });
        Self { url, alerts, known }
    }

    /// From now on this alert, which is as a webhook has it, fires.
    pub(crate) fn fires(&self, alert: &Value) {
        let mut listed = alert.clone();
        listed["status"] = json!({"state": "active", "silencedBy": [], "inhibitedBy": []});
        listed["receivers"] = json!([{"name": "alert-bot"}]);
        self.known.lock().unwrap().firing.push(listed);
    }

    /// It has run for so long that it knows of everything that fires; at first it has only just
    /// started.
    pub(crate) fn has_run_for_long(&self) {
        self.known.lock().unwrap().up_since = Timestamp::UNIX_EPOCH;
    }

    /// From now on a silence covers every alert of this unit; the last one counts.
    pub(crate) fn silences(&self, unit: &str, state: &str) {
        let matcher = json!({"name": "unit", "value": unit, "isRegex": false, "isEqual": true});
        let silence = json!({"status": {"state": state}, "matchers": [matcher]});
        self.known.lock().unwrap().silences = vec![silence];
    }

    pub(crate) fn forget(&self) {
        self.alerts.lock().unwrap().clear();
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.alerts
            .lock()
            .unwrap()
            .iter()
            .any(|a| a["labels"]["alertname"] == name)
    }

    /// The last that was told of it.
    pub(crate) fn last(&self, name: &str) -> Option<Value> {
        let alerts = self.alerts.lock().unwrap();
        let of_name = |alert: &&Value| alert["labels"]["alertname"] == name;
        alerts.iter().rfind(of_name).cloned()
    }

    /// Whether the last that was told of it is that it has ended.
    pub(crate) fn is_over(&self, name: &str) -> bool {
        let last = self.last(name);
        let ends = last.and_then(|a| a["endsAt"].as_str()?.parse::<Timestamp>().ok());
        ends.is_some_and(|ends| ends <= Timestamp::now())
    }
}

fn answer(
    mut stream: impl Read + Write,
    remember: &Mutex<Vec<Value>>,
    known: &Mutex<Known>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(&mut stream);
    let mut length = 0;
    let mut is_post = false;
    let mut path = String::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        is_post |= line.starts_with("post ");
        if let Some(asked) = line.strip_prefix("get ") {
            path = asked.split([' ', '?']).next().unwrap_or_default().into();
        }
        if let Some(bytes) = line.strip_prefix("content-length: ") {
            length = bytes.parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if is_post {
        let told: Vec<Value> = serde_json::from_slice(&body).unwrap();
        remember.lock().unwrap().extend(told);
    }
    let known = known.lock().unwrap();
    let body = match path.as_str() {
        "/api/v2/silences" => Value::from(known.silences.clone()),
        "/api/v2/status" => json!({"uptime": known.up_since.to_string()}),
        _ => Value::from(known.firing.clone()),
    };
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )?;
    stream.flush()
}
