//! One entry as a line: the few of its fields that evidence needs.

use std::io::Read;

use jiff::Timestamp;
use ruzstd::decoding::StreamingDecoder;

use crate::file::{Data, JournalFile};
use crate::{Before, Line};

/// `OBJECT_COMPRESSED_ZSTD`; Debian's journald writes no other.
const ZSTD: u8 = 1 << 2;
/// Any compression: XZ, LZ4, ZSTD.
const COMPRESSED: u8 = 0b111;

/// Values of the short fields; longer ones are not what we look for.
const SHORT_VALUE: usize = 96;

/// The longest name of a field that we look for, with its `=`.
const LONGEST_NAME: usize = 24;

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) sequence: u64,
    pub(crate) pid: Option<u32>,
    invocation: Option<String>,
    pub(crate) line: Line,
}

impl Entry {
    /// `None` where it has no message, or makes no sense.
    pub(crate) fn read(file: &JournalFile, offset: u64, line_bytes: usize) -> Option<Self> {
        let raw = file.entry(offset)?;
        let at = Timestamp::from_microsecond(raw.realtime.try_into().ok()?).ok()?;
        let (mut text, mut by, mut priority, mut pid, mut invocation) =
            (None, String::new(), None, None, None);
        for field in raw.fields {
            let data = file.data(field)?;
            let Some((name, value)) = named(file, &data, line_bytes) else {
                continue;
            };
            let short = || String::from_utf8_lossy(&value).into_owned();
            match name {
                "MESSAGE" => text = Some(clean(&value, line_bytes)),
                "SYSLOG_IDENTIFIER" => by = clean(&value, SHORT_VALUE),
                "PRIORITY" => priority = short().parse().ok(),
                "_PID" => pid = short().parse().ok(),
                // The first of the unit's own lines, the second of PID 1's about it.
                "_SYSTEMD_INVOCATION_ID" | "INVOCATION_ID" => {
                    invocation.get_or_insert_with(short);
                }
                _ => {}
            }
        }
        Some(Self {
            sequence: raw.sequence,
            pid,
            invocation,
            line: Line {
                at,
                by,
                priority,
                text: text?,
            },
        })
    }

    pub(crate) fn is_before(&self, before: &Before) -> bool {
        let same_life = before.invocation.is_some() && before.invocation == self.invocation;
        same_life || self.line.at <= before.at
    }
}

const NAMES: [&str; 6] = [
    "MESSAGE",
    "SYSLOG_IDENTIFIER",
    "PRIORITY",
    "_PID",
    "_SYSTEMD_INVOCATION_ID",
    "INVOCATION_ID",
];

/// The field's name and value, if it is one that we look for.
fn named(file: &JournalFile, data: &Data, line_bytes: usize) -> Option<(&'static str, Vec<u8>)> {
    let (offset, length) = data.payload;
    let length = usize::try_from(length).ok()?;
    if data.flags & COMPRESSED != 0 {
        // Only long values are compressed, and the only long one that we want is the message.
        let packed = file.bytes(offset, length.min(MOST_COMPRESSED))?;
        let plain = unpacked(data.flags, &packed, LONGEST_NAME + line_bytes + 1)?;
        return split(&plain);
    }
    let start = file.bytes(offset, length.min(LONGEST_NAME))?;
    let (name, _) = split(&start)?;
    let most = name.len() + 1 + line_bytes.max(SHORT_VALUE) + 1;
    split(&file.bytes(offset, length.min(most))?)
}

/// Of a compressed value at most so much is read: far more than a line's beginning needs.
const MOST_COMPRESSED: usize = 64 * 1024;

fn unpacked(flags: u8, packed: &[u8], most: usize) -> Option<Vec<u8>> {
    if flags & COMPRESSED != ZSTD {
        return None;
    }
    let mut plain = Vec::new();
    let decoder = StreamingDecoder::new(packed).ok()?;
    decoder.take(most as u64).read_to_end(&mut plain).ok()?;
    Some(plain)
}

fn split(field: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let equals = field.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (&field[..equals], &field[equals + 1..]);
    let name = NAMES.into_iter().find(|known| known.as_bytes() == name)?;
    Some((name, value.to_vec()))
}

/// Text that cannot move a terminal's cursor, cut with an ellipsis where it is too long.
fn clean(value: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(value);
    let mut line = String::with_capacity(text.len().min(most));
    for character in text.chars() {
        let shown = match character {
            '\n' | '\t' => ' ',
            other if other.is_control() => char::REPLACEMENT_CHARACTER,
            other => other,
        };
        if line.len() + shown.len_utf8() > most {
            line.push('…');
            break;
        }
        line.push(shown);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_harmless_on_a_terminal_and_no_longer_than_asked() {
        for (value, most, line) in [
            (&b"plain"[..], 10, "plain"),
            (b"a\x1b[2Jb\nc", 20, "a\u{fffd}[2Jb c"),
            (b"0123456789", 10, "0123456789"),
            (b"0123456789x", 10, "0123456789…"),
            (b"\xff\xfe", 10, "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(clean(value, most), line);
        }
    }
}
