//! How a transaction ends: a pure function of its id.

use transactions::{Outcome, TransactionId};

/// Declines `decline_ratio` of all transactions.
///
/// The verdict hangs on the id alone, so that a transaction that is processed again after a crash
/// ends as it would have the first time.
pub(crate) fn verdict(id: TransactionId, decline_ratio: f64) -> Outcome {
    let [.., a, b, c, d] = *id.as_bytes();
    // The last 32 bits of a UUIDv7 are random; their share of the range is even.
    let place = f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0);
    if place < decline_ratio {
        Outcome::Declined
    } else {
        Outcome::Settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_declined_is_the_ratio() {
        let ids: Vec<_> = (0..20_000).map(|_| TransactionId::generate()).collect();
        let declined = |ratio| {
            ids.iter()
                .filter(|id| verdict(**id, ratio) == Outcome::Declined)
                .count()
        };
        assert_eq!(declined(0.0), 0);
        assert_eq!(declined(1.0), ids.len());
        // 20,000 trials at 0.25: 5,000 ± 61; ten deviations are never reached by chance.
        assert!(
            (4_400..5_600).contains(&declined(0.25)),
            "{}",
            declined(0.25)
        );
    }

    #[test]
    fn a_second_look_gives_the_same_verdict() {
        let id = TransactionId::generate();
        assert_eq!(verdict(id, 0.5), verdict(id, 0.5));
    }
}
