//! Amounts: decimal text outside, minor units inside, never a float.

use std::fmt;

use crate::Currency;

/// The largest sum that is taken in, in minor units: eighteen digits, of which nine add up without
/// leaving an `i64`, and whose bound a client can read off the digits.
const MINOR_UNITS_MAX: i64 = 999_999_999_999_999_999;

/// A positive sum of money, exact in its currency's minor unit.
///
/// ```
/// use transactions::{Amount, Currency};
///
/// let euro: Currency = "EUR".parse().unwrap();
/// let amount = Amount::try_parse("12.3", euro)?;
/// assert_eq!(amount.minor_units(), 1230);
/// assert_eq!(amount.to_string(), "12.30");
/// assert!(Amount::try_parse("12.345", euro).is_err());
/// # Ok::<(), transactions::AmountError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Amount {
    minor_units: i64,
    currency: Currency,
}

impl Amount {
    /// Parses plain decimal text: digits, at most one point, no sign, no exponent, no superfluous
    /// leading zero, no more decimals than the currency has.
    ///
    /// # Errors
    /// Says which of these the text breaks, or that the sum is zero or has more than
    /// eighteen digits.
    pub fn try_parse(text: &str, currency: Currency) -> Result<Self, AmountError> {
        let (whole, decimals) = match text.split_once('.') {
            Some((_, "")) => return Err(AmountError::NotDecimal),
            Some(parts) => parts,
            None => (text, ""),
        };
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(decimals) {
            return Err(AmountError::NotDecimal);
        }
        if whole.len() > 1 && whole.starts_with('0') {
            return Err(AmountError::LeadingZero);
        }
        let exponent = currency.exponent() as usize;
        if decimals.len() > exponent {
            return Err(AmountError::TooPrecise { currency, exponent });
        }
        let padding = std::iter::repeat_n(b'0', exponent - decimals.len());
        let minor_units = whole
            .bytes()
            .chain(decimals.bytes())
            .chain(padding)
            .try_fold(0_i64, |sum, digit| {
                sum.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
            })
            .filter(|sum| *sum <= MINOR_UNITS_MAX)
            .ok_or(AmountError::TooLarge)?;
        Self::try_from_minor_units(minor_units, currency)
    }

    /// An amount from minor units, as the store keeps it.
    ///
    /// # Errors
    /// Where the sum is zero or negative.
    pub fn try_from_minor_units(minor_units: i64, currency: Currency) -> Result<Self, AmountError> {
        if minor_units < 1 {
            return Err(AmountError::NotPositive);
        }
        Ok(Self {
            minor_units,
            currency,
        })
    }

    /// The sum in minor units: cents for `EUR`, yen for `JPY`.
    pub fn minor_units(self) -> i64 {
        self.minor_units
    }

    /// The currency.
    pub fn currency(self) -> Currency {
        self.currency
    }
}

/// The canonical text: exactly as many decimals as the currency has.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = self.currency.exponent();
        let unit = 10_i64.pow(exponent);
        let whole = self.minor_units / unit;
        if exponent == 0 {
            return write!(f, "{whole}");
        }
        let decimals = self.minor_units % unit;
        write!(f, "{whole}.{decimals:0width$}", width = exponent as usize)
    }
}

/// Why a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Something else than digits and one point.
    #[error("amount must be plain decimal text, such as \"12.34\"")]
    NotDecimal,
    /// `007`
    #[error("amount must not start with a superfluous zero")]
    LeadingZero,
    /// More decimals than the currency's minor unit.
    #[error("amount has more than the {exponent} decimals of {currency}")]
    TooPrecise {
        /// The currency.
        currency: Currency,
        /// How many decimals it has.
        exponent: usize,
    },
    /// More than eighteen digits of minor units.
    #[error("amount is too large")]
    TooLarge,
    /// Zero or less.
    #[error("amount must be greater than zero")]
    NotPositive,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_currency() -> impl Strategy<Value = Currency> {
        prop::sample::select(Currency::all().collect::<Vec<_>>())
    }

    #[test]
    fn each_mistake_has_its_own_reason() {
        let euro: Currency = "EUR".parse().unwrap();
        let yen: Currency = "JPY".parse().unwrap();
        let cases = [
            ("", euro, AmountError::NotDecimal),
            (".5", euro, AmountError::NotDecimal),
            ("5.", euro, AmountError::NotDecimal),
            ("1.2.3", euro, AmountError::NotDecimal),
            ("-1", euro, AmountError::NotDecimal),
            ("+1", euro, AmountError::NotDecimal),
            ("1e3", euro, AmountError::NotDecimal),
            (" 1", euro, AmountError::NotDecimal),
            ("1,50", euro, AmountError::NotDecimal),
            ("١", euro, AmountError::NotDecimal),
            ("007", euro, AmountError::LeadingZero),
            ("00.1", euro, AmountError::LeadingZero),
            (
                "1.234",
                euro,
                AmountError::TooPrecise {
                    currency: euro,
                    exponent: 2,
                },
            ),
            (
                "1.0",
                yen,
                AmountError::TooPrecise {
                    currency: yen,
                    exponent: 0,
                },
            ),
            ("0", euro, AmountError::NotPositive),
            ("0.00", euro, AmountError::NotPositive),
            ("10000000000000000", euro, AmountError::TooLarge),
            ("99999999999999999999999999", euro, AmountError::TooLarge),
        ];
        for (text, currency, reason) in cases {
            assert_eq!(Amount::try_parse(text, currency), Err(reason), "{text:?}");
        }
    }

    #[test]
    fn the_largest_amount_is_exact() {
        let euro: Currency = "EUR".parse().unwrap();
        let amount = Amount::try_parse("9999999999999999.99", euro).unwrap();
        assert_eq!(amount.minor_units(), MINOR_UNITS_MAX);
    }

    proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(minor in 1_i64..=MINOR_UNITS_MAX, currency in any_currency()) {
            let amount = Amount::try_from_minor_units(minor, currency).unwrap();
            prop_assert_eq!(Amount::try_parse(&amount.to_string(), currency), Ok(amount));
        }

        #[test]
        fn missing_decimals_are_zeros(whole in 1_i64..1_000_000_000, currency in any_currency()) {
            let amount = Amount::try_parse(&whole.to_string(), currency).unwrap();
            prop_assert_eq!(amount.minor_units(), whole * 10_i64.pow(currency.exponent()));
        }

        #[test]
        fn whatever_parses_is_positive_and_prints_alike(
            text in "[0-9.+e -]{0,22}",
            currency in any_currency(),
        ) {
            if let Ok(amount) = Amount::try_parse(&text, currency) {
                prop_assert!(amount.minor_units() > 0);
                prop_assert!(amount.to_string().starts_with(&text));
            }
        }
    }
}
