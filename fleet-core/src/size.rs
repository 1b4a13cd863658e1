//! Numbers of bytes in words. Must not know what the bytes are.

/// A number of bytes, in three digits and powers of 1000: `1.2 GB`.
#[must_use]
pub fn shown(bytes: u64) -> String {
    let mut unit = "B";
    let mut amount = bytes as f64;
    for larger in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if amount < 999.5 {
            break;
        }
        (amount, unit) = (amount / 1000.0, larger);
    }
    if unit == "B" || amount >= 99.5 { format!("{amount:.0} {unit}") } else { format!("{amount:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_shown() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (99_400, "99.4 kB"),
            (99_600, "100 kB"),
            (999_400, "999 kB"),
            (999_600, "1.0 MB"),
            (1_234_567_890, "1.2 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(shown(bytes), expected);
        }
    }
}
