//! Where a page of a listing ended.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::TransactionId;

/// The version of the cursor's text. A later scheme takes another letter, so that a client's old
/// cursor is refused rather than misread.
const VERSION: char = 'a';

/// The place after which the next page of a listing begins, opaque to clients.
///
/// A listing runs from the newest id to the oldest; the next page holds ids below this one. New
/// transactions appear above it, so that pages neither repeat nor miss a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(TransactionId);

impl Cursor {
    /// The cursor of the page that follows `last`.
    pub fn after(last: TransactionId) -> Self {
        Self(last)
    }

    /// The id below which the next page begins.
    pub fn below(self) -> TransactionId {
        self.0
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix(VERSION).ok_or(CursorError)?;
        if hex.len() != uuid::fmt::Simple::LENGTH {
            return Err(CursorError);
        }
        let uuid = Uuid::try_parse(hex).map_err(|_| CursorError)?;
        TransactionId::try_from(uuid)
            .map(Self)
            .map_err(|_| CursorError)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}{}", self.0.as_uuid().simple())
    }
}

/// The text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cursor must be the next_cursor of an earlier page")]
pub struct CursorError;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(millis in 0_u64..1 << 48, counter: u128) {
            let bytes = counter.to_be_bytes();
            let tail: [u8; 10] = bytes[6..].try_into().unwrap();
            let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid();
            let cursor = Cursor::after(uuid.try_into().unwrap());
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn strangers_are_refused_without_panic(text in ".{0,40}") {
            prop_assert_eq!(text.parse::<Cursor>(), Err(CursorError));
        }
    }
}
