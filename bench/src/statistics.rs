//! Median and range of a few runs.
//!
//! Must not know what the numbers are.

/// Smallest, middle and largest of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of these numbers, `None` if there is none. The median of an even count is the mean of the middle two.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let upper = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[upper - 1], sorted[upper])
        } else {
            sorted[upper]
        };
        Some(Self { min, median, max })
    }

    /// The same spread in another unit.
    pub(crate) fn scaled(self, factor: f64) -> Self {
        Self { min: self.min * factor, median: self.median * factor, max: self.max * factor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_does_not_depend_on_the_order() {
        let cases = [
            (vec![2.0], [2.0, 2.0, 2.0]),
            (vec![3.0, 1.0, 2.0], [1.0, 2.0, 3.0]),
            (vec![10.0, 9.0, 100.0, 1.0, 2.0], [1.0, 9.0, 100.0]),
            (vec![4.0, 1.0, 2.0, 3.0], [1.0, 2.5, 4.0]),
        ];
        for (numbers, [min, median, max]) in cases {
            assert_eq!(Spread::of(numbers.clone()), Some(Spread { min, median, max }), "{numbers:?}");
        }
    }

    #[test]
    fn nothing_has_no_spread() {
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn scaling_keeps_the_order() {
        let spread = Spread { min: 1.0, median: 2.0, max: 4.0 };
        assert_eq!(spread.scaled(0.5), Spread { min: 0.5, median: 1.0, max: 2.0 });
    }
}
