//! Transaction ids.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// A transaction's id: a `UUIDv7`, so that ids sort by the time they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(Uuid);

impl TransactionId {
    /// A fresh id, greater than every earlier one of this process.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The sixteen bytes, in the order in which ids compare.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id as the `uuid` crate's type.
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl TryFrom<Uuid> for TransactionId {
    type Error = TransactionIdError;

    fn try_from(uuid: Uuid) -> Result<Self, Self::Error> {
        if uuid.get_version_num() == 7 {
            Ok(Self(uuid))
        } else {
            Err(TransactionIdError)
        }
    }
}

impl FromStr for TransactionId {
    type Err = TransactionIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The uuid crate also reads braces and urn: forms; one spelling is enough for a path.
        if text.len() != uuid::fmt::Hyphenated::LENGTH {
            return Err(TransactionIdError);
        }
        Uuid::try_parse(text)
            .map_err(|_| TransactionIdError)?
            .try_into()
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The text or bytes are no transaction id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a transaction id is a UUID of version 7 in its hyphenated form")]
pub struct TransactionIdError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_process_only_grow() {
        let ids: Vec<_> = (0..10_000).map(|_| TransactionId::generate()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn one_spelling_of_version_seven_is_read_and_no_other() {
        let id = TransactionId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        let simple = id.as_uuid().simple().to_string();
        let urn = id.as_uuid().urn().to_string();
        let version_four = "936da01f-9abd-4d9d-80c7-02af85c822a8".to_owned();
        for text in [
            simple,
            urn,
            version_four,
            String::new(),
            "../../etc/passwd".to_owned(),
        ] {
            assert_eq!(
                text.parse::<TransactionId>(),
                Err(TransactionIdError),
                "{text:?}"
            );
        }
    }
}
