//! The text exposition format 0.0.4, written straight into one buffer, or through one small buffer
//! into a compressor: the whole text of a large host never stands in memory. Pure.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

/// A value as it appears in a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A whole number.
    Whole(u64),
    /// A whole number that can be negative.
    Signed(i64),
    /// Microseconds, shown as seconds.
    Micros(u64),
}

/// What a metric counts like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The format's own words.
pub enum Kind {
    Counter,
    Gauge,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// How much text is gathered before the compressor gets it.
const CHUNK_BYTES: usize = 32 * 1024;

/// Text under construction.
#[derive(Debug)]
pub struct Exposition {
    text: Vec<u8>,
    compressor: Option<GzEncoder<Vec<u8>>>,
    /// The metric that the next sample begins.
    announced: Option<(&'static str, Kind, &'static str)>,
}

impl Exposition {
    /// An empty text; the capacity, in bytes, is a guess at the size of the result.
    pub fn plain(capacity: usize) -> Self {
        Self {
            text: Vec::with_capacity(capacity),
            compressor: None,
            announced: None,
        }
    }

    /// As [`Exposition::plain`], compressed with gzip.
    pub fn gzip(capacity: usize) -> Self {
        let output = Vec::with_capacity(capacity);
        Self {
            text: Vec::with_capacity(CHUNK_BYTES * 2),
            // The fastest level: the text repeats itself so much that it shrinks fourteenfold.
            compressor: Some(GzEncoder::new(output, Compression::fast())),
            announced: None,
        }
    }

    /// Begins a metric. Its samples must follow before the next one begins; without any, it does
    /// not appear.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) {
        self.announced = Some((name, kind, help));
    }

    /// One sample. The labels are written as they are: `first` is made by [`label`], each of
    /// `more` begins with a comma or continues the one before.
    pub fn sample(&mut self, name: &str, first: &str, more: &[&str], value: Value) {
        if let Some((name, kind, help)) = self.announced.take() {
            let kind = kind.word();
            self.push(&["# HELP ", name, " ", help, "\n"]);
            self.push(&["# TYPE ", name, " ", kind, "\n"]);
        }
        self.text.extend_from_slice(name.as_bytes());
        if !first.is_empty() {
            self.push(&["{", first]);
            self.push(more);
            self.text.push(b'}');
        }
        self.text.push(b' ');
        self.value(value);
        self.text.push(b'\n');
        if self.text.len() >= CHUNK_BYTES {
            self.pass_on();
        }
    }

    fn pass_on(&mut self) {
        if let Some(compressor) = &mut self.compressor {
            compressor
                .write_all(&self.text)
                .expect("a Vec takes every write");
            self.text.clear();
        }
    }

    /// The finished text.
    ///
    /// # Errors
    /// The compressor failed.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        self.pass_on();
        match self.compressor {
            Some(compressor) => compressor.finish(),
            None => Ok(self.text),
        }
    }

    /// For an encoder that appends samples of its own.
    pub fn writer(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.text.extend_from_slice(part.as_bytes());
        }
    }

    fn value(&mut self, value: Value) {
        match value {
            Value::Whole(number) => self.number(number),
            Value::Signed(number) => self.number(number),
            Value::Micros(micros) => self.seconds(micros),
        }
    }

    fn number(&mut self, number: impl itoa::Integer) {
        let mut digits = itoa::Buffer::new();
        self.text
            .extend_from_slice(digits.format(number).as_bytes());
    }

    /// Whole seconds without a fraction, others with six digits of it.
    fn seconds(&mut self, micros: u64) {
        const MICROS: u64 = 1_000_000;
        self.number(micros / MICROS);
        let fraction = micros % MICROS;
        if fraction > 0 {
            // A leading one holds the place of leading zeros, and gives way to the point.
            let point = self.text.len();
            self.number(fraction + MICROS);
            self.text[point] = b'.';
        }
    }
}

/// `name="value"`, with the value escaped.
pub fn label(name: &str, value: &str) -> String {
    let mut text = String::with_capacity(name.len() + value.len() + 3);
    text.push_str(name);
    text.push_str("=\"");
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_prometheus_reads() {
        let mut text = Exposition::plain(0);
        text.family("empty_total", Kind::Counter, "Nothing has it.");
        text.family("a_seconds_total", Kind::Counter, "Time.");
        let unit = label("unit", "a\\x2d\"b\n.service");
        text.sample(
            "a_seconds_total",
            &unit,
            &[",mode=\"user\""],
            Value::Micros(1_500_000),
        );
        text.sample("a_seconds_total", "", &[], Value::Micros(2_000_000));
        text.sample("a_seconds_total", "", &[], Value::Micros(7));
        text.sample("a_seconds_total", "", &[], Value::Signed(-1));
        assert_eq!(
            String::from_utf8(text.finish().unwrap()).unwrap(),
            "# HELP a_seconds_total Time.\n\
             # TYPE a_seconds_total counter\n\
             a_seconds_total{unit=\"a\\\\x2d\\\"b\\n.service\",mode=\"user\"} 1.500000\n\
             a_seconds_total 2\n\
             a_seconds_total 0.000007\n\
             a_seconds_total -1\n"
        );
    }

    #[test]
    fn compressed_text_is_the_same_text() {
        let write = |mut text: Exposition| {
            for number in 0..5_000 {
                text.sample("a_total", "unit=\"x\"", &[], Value::Whole(number));
            }
            text.finish().unwrap()
        };
        let (plain, packed) = (write(Exposition::plain(0)), write(Exposition::gzip(0)));
        let mut unpacked = Vec::new();
        let mut reader = flate2::read::GzDecoder::new(packed.as_slice());
        io::Read::read_to_end(&mut reader, &mut unpacked).unwrap();
        assert!(plain.len() > 2 * CHUNK_BYTES);
        assert_eq!(unpacked, plain);
    }
}
