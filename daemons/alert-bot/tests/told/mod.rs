//! An Alertmanager that remembers what it was told, and says what it was told to say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) struct Told {
    pub(crate) url: String,
    alerts: Arc<Mutex<Vec<Value>>>,
    known: Arc<Mutex<Known>>,
}

/// What it says when it is asked.
#[derive(Default)]
struct Known {
    firing: Vec<Value>,
    silences: Vec<Value>,
}

impl Told {
    pub(crate) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let alerts = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::new(Mutex::new(Known::default()));
        let (remember, say) = (alerts.clone(), known.clone());
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client may leave early.
                drop(answer(&stream, &remember, &say));
            }
        });
        Self { url, alerts, known }
    }

    /// From now on the alert of this fingerprint fires.
    pub(crate) fn fires(&self, fingerprint: &Value) {
        let status = json!({"state": "active", "silencedBy": [], "inhibitedBy": []});
        let alert = json!({"fingerprint": fingerprint, "status": status});
        self.known.lock().unwrap().firing.push(alert);
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
    stream: &TcpStream,
    remember: &Mutex<Vec<Value>>,
    known: &Mutex<Known>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut is_post = false;
    let mut asks_for_silences = false;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        is_post |= line.starts_with("post ");
        asks_for_silences |= line.starts_with("get /api/v2/silences ");
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
    let mut stream = stream;
    let known = known.lock().unwrap();
    let said = if asks_for_silences {
        &known.silences
    } else {
        &known.firing
    };
    let body = Value::from(said.clone()).to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}
