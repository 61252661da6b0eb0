//! Idempotency keys.

use std::fmt;

/// The longest key accepted, in bytes. Keys are indexed, so their size is paid twice; a UUID or a
/// hash in hex fits thrice over.
const KEY_MAX_BYTES: usize = 200;

/// A client's name for one request, under which a repeat finds the first one's transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Checks that the key is 1 to 200 visible ASCII characters.
    ///
    /// # Errors
    /// Where it is not.
    pub fn try_new(text: impl Into<String>) -> Result<Self, IdempotencyKeyError> {
        let text = text.into();
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if (1..=KEY_MAX_BYTES).contains(&text.len()) && visible {
            Ok(Self(text))
        } else {
            Err(IdempotencyKeyError)
        }
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("idempotency_key must be 1 to {KEY_MAX_BYTES} visible ASCII characters")]
pub struct IdempotencyKeyError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_visible_ascii_of_bounded_length_is_a_key() {
        assert!(IdempotencyKey::try_new("order-17/retry").is_ok());
        assert!(IdempotencyKey::try_new("k".repeat(KEY_MAX_BYTES)).is_ok());
        for bad in ["", "a b", "naïve", "line\nbreak", "nul\0"] {
            assert_eq!(
                IdempotencyKey::try_new(bad),
                Err(IdempotencyKeyError),
                "{bad:?}"
            );
        }
        let long = "k".repeat(KEY_MAX_BYTES + 1);
        assert_eq!(IdempotencyKey::try_new(long), Err(IdempotencyKeyError));
    }
}
