//! An Alertmanager that only remembers what it was told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::Value;

pub(crate) struct Told {
    pub(crate) url: String,
    alerts: Arc<Mutex<Vec<Value>>>,
}

impl Told {
    pub(crate) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let alerts = Arc::new(Mutex::new(Vec::new()));
        let remember = alerts.clone();
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client may leave early.
                drop(answer(&stream, &remember));
            }
        });
        Self { url, alerts }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.alerts
            .lock()
            .unwrap()
            .iter()
            .any(|a| a["labels"]["alertname"] == name)
    }

    /// Whether the last that was told of it is that it has ended.
    pub(crate) fn is_over(&self, name: &str) -> bool {
        let alerts = self.alerts.lock().unwrap();
        let last = alerts.iter().rfind(|a| a["labels"]["alertname"] == name);
        let ends = last.and_then(|a| a["endsAt"].as_str()?.parse::<Timestamp>().ok());
        ends.is_some_and(|ends| ends <= Timestamp::now())
    }
}

fn answer(stream: &TcpStream, remember: &Mutex<Vec<Value>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut is_post = false;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        is_post |= line.starts_with("post ");
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
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]")
}
