//! The rolling sum that finds candidates: two sums of 16 bits each that a window of bytes can be moved under.
//!
//! With the bytes `x[0] .. x[n-1]` as **signed** numbers: `s1` is the sum of `x[i]`, `s2` the sum of `(n - i) * x[i]`,
//! both modulo 2^16, and the value is `s1 | s2 << 16`.
//!
//! Knows nothing but bytes.

/// The sum of a window. Kept modulo 2^32, which 2^16 divides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weak {
    s1: u32,
    s2: u32,
}

/// Bytes that are summed in one go: their sums fit into `i32` for certain, and the compiler makes vectors of them.
const LANE: usize = 64;

impl Weak {
    /// The sum of a whole window.
    pub(super) fn of(window: &[u8]) -> Self {
        let mut sum = Self::default();
        let (lanes, rest) = window.as_chunks::<LANE>();
        for lane in lanes {
            let mut plain = 0i32;
            let mut weighed = 0i32;
            for (i, &byte) in lane.iter().enumerate() {
                let x = i32::from(byte.cast_signed());
                plain += x;
                weighed += (LANE - i) as i32 * x;
            }
            sum.s2 = sum.s2.wrapping_add(sum.s1.wrapping_mul(LANE as u32)).wrapping_add(weighed.cast_unsigned());
            sum.s1 = sum.s1.wrapping_add(plain.cast_unsigned());
        }
        for &byte in rest {
            sum.s1 = sum.s1.wrapping_add(signed(byte));
            sum.s2 = sum.s2.wrapping_add(sum.s1);
        }
        sum
    }

    /// Moves the window of `len` bytes on by one: `out` leaves it, `into` enters.
    #[inline]
    pub(super) fn roll(&mut self, len: usize, out: u8, into: u8) {
        let out = signed(out);
        self.s1 = self.s1.wrapping_sub(out).wrapping_add(signed(into));
        self.s2 = self.s2.wrapping_sub(out.wrapping_mul(len as u32)).wrapping_add(self.s1);
    }

    /// The sum as it is on the wire.
    #[inline]
    pub(super) fn value(self) -> u32 {
        (self.s1 & 0xffff) | (self.s2 << 16)
    }
}

#[inline]
fn signed(byte: u8) -> u32 {
    i32::from(byte.cast_signed()).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, written down as it is.
    fn slow(window: &[u8]) -> u32 {
        let (mut s1, mut s2) = (0i64, 0i64);
        for (i, &byte) in window.iter().enumerate() {
            s1 += i64::from(byte as i8);
            s2 += (window.len() - i) as i64 * i64::from(byte as i8);
        }
        (s1.rem_euclid(1 << 16) | (s2.rem_euclid(1 << 16) << 16)) as u32
    }

    fn content(len: usize) -> Vec<u8> {
        (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    #[test]
    fn sums_are_those_of_signed_bytes() {
        for len in [0, 1, 2, 63, 64, 65, 700, 1000, 131_072] {
            assert_eq!(Weak::of(&content(len)).value(), slow(&content(len)), "{len} bytes");
        }
        assert_eq!(Weak::of(&[0xff]).value(), 0xffff_ffff);
        assert_eq!(Weak::of(&vec![0x80; 131_072]).value(), slow(&vec![0x80; 131_072]));
    }

    #[test]
    fn rolling_gives_what_a_new_sum_would() {
        let content = content(5000);
        for len in [1, 64, 700] {
            let mut sum = Weak::of(&content[..len]);
            for start in 1..content.len() - len {
                sum.roll(len, content[start - 1], content[start - 1 + len]);
                assert_eq!(sum.value(), Weak::of(&content[start..start + len]).value(), "{len} bytes from {start}");
            }
        }
    }
}
