// SPDX-License-Identifier: Apache-2.0
//! Medians and spreads.

use std::fmt;

/// What is told of a set of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many there are.
    pub count: usize,
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Summary {
    /// Sums up `values`; `None` if there are none. Those that are not finite do not count.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().filter(|v| v.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let count = values.len();
        let (low, high) = (
            values.get(count.wrapping_sub(1) / 2)?,
            values.get(count / 2)?,
        );
        Some(Self {
            count,
            median: (low + high) / 2.0,
            min: *values.first()?,
            max: *values.last()?,
        })
    }
}

/// `median (min–max)`, each with three significant digits.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            median, min, max, ..
        } = *self;
        if digits(min) == digits(max) {
            return f.write_str(&digits(median));
        }
        write!(f, "{} ({}–{})", digits(median), digits(min), digits(max))
    }
}

/// Returns `value` with three significant digits, and no more behind the point than that takes.
pub fn digits(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 9_999.5 {
        return thousands(value.round() as i64);
    }
    let places = match magnitude {
        0.0 => 0,
        m if m >= 99.95 => 0,
        m if m >= 9.995 => 1,
        m if m >= 0.9995 => 2,
        _ => 3,
    };
    format!("{value:.places$}")
}

/// `1,234,567`
fn thousands(value: i64) -> String {
    let plain = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (index, digit) in plain.chars().enumerate() {
        if index > 0 && (plain.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_odd_and_even() {
        let odd = Summary::of([5.0, 1.0, 9.0]).expect("three values");
        assert_eq!(
            (odd.count, odd.median, odd.min, odd.max),
            (3, 5.0, 1.0, 9.0)
        );
        let even = Summary::of([4.0, 1.0, 2.0, 9.0]).expect("four values");
        assert_eq!(even.median, 3.0);
        assert_eq!(Summary::of([]), None);
        assert_eq!(Summary::of([f64::NAN]), None);
    }

    #[test]
    fn shows_three_digits_and_the_spread() {
        let summary = Summary::of([1234.5, 99.96, 0.05]).expect("three values");
        assert_eq!(summary.to_string(), "100 (0.050–1234)");
        assert_eq!(digits(-1_234_567.0), "-1,234,567");
        assert_eq!(digits(0.0), "0");
        assert_eq!(Summary::of([7.0]).expect("one value").to_string(), "7.00");
    }
}
