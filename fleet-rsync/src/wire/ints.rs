//! Numbers and short texts, as rsync writes them from protocol 30 on.
//!
//! | name | form |
//! | --- | --- |
//! | int | 4 bytes, little endian, signed |
//! | short | 2 bytes, little endian |
//! | byte | 1 byte |
//! | varint | a number of 32 bits in 1 to 5 bytes. The leading ones of the first byte say how many more follow; what is left of that byte is the most significant part, the bytes behind it the rest, little endian |
//! | varlong *m* | the same for 64 bits, of which at least *m* bytes are written: *m* - 1 + the leading ones follow the first. Sizes have *m* = 3, times *m* = 4 |
//! | vstring | a text of at most 32767 bytes. Its length is one byte up to 127, above that two: the high part with `0x80`, then the low part |
//! | ndx | the index of a file: see [`Indexes`] |
//!
//! Must not know who reads or writes: it works on slices, and says [`WireError::Incomplete`] where they end too early.

use super::WireError;

/// An index that is none: the end of a phase.
pub const DONE: i32 = -1;

/// An index that is none: how many files were deleted follows, as five varints.
pub const DELETE_STATS: i32 = -3;

/// The longest text that a vstring can hold.
pub const LONGEST_TEXT: usize = 0x7fff;

/// Appends an int.
pub fn put_int(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a short.
pub fn put_short(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a varint. Numbers without sign are given as the signed ones with the same bits.
pub fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_packed(out, u64::from(value.cast_unsigned()), 1);
}

/// Appends a varlong of at least `min_bytes` bytes, which are 3 for sizes and 4 for times.
pub fn put_varlong(out: &mut Vec<u8>, value: i64, min_bytes: usize) {
    put_packed(out, value.cast_unsigned(), min_bytes);
}

/// Both packed forms: as few bytes as the value needs, their number in the first one.
fn put_packed(out: &mut Vec<u8>, value: u64, min_bytes: usize) {
    let mut extra = 0;
    // Behind the leading ones and the zero that ends them, 7 - extra bits of the first byte are free.
    while extra < 9 - min_bytes && u128::from(value) >> (8 * (min_bytes - 1 + extra) + 7 - extra) != 0 {
        extra += 1;
    }
    let low_bytes = min_bytes - 1 + extra;
    let ones = !(0xff_u16 >> extra) as u8;
    let high = if low_bytes < 8 { (value >> (8 * low_bytes)) as u8 } else { 0 };
    out.push(ones | high);
    out.extend_from_slice(&value.to_le_bytes()[..low_bytes]);
}

/// Appends a vstring.
///
/// # Panics
/// If the text has more than [`LONGEST_TEXT`] bytes.
pub fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    let length = u16::try_from(text.len()).ok().filter(|length| usize::from(*length) <= LONGEST_TEXT);
    let [high, low] = length.expect("the caller keeps texts short").to_be_bytes();
    if text.len() > 0x7f {
        out.push(high | 0x80);
    }
    out.push(low);
    out.extend_from_slice(text);
}

/// The bytes that were received and not read yet.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their beginning.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`WireError::Incomplete`] if there are fewer; then none is taken.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(WireError::Incomplete)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(WireError::Incomplete)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A byte.
    ///
    /// # Errors
    /// [`WireError::Incomplete`] at the end of the bytes, as all of these.
    pub fn byte(&mut self) -> Result<u8, WireError> {
        self.array().map(|[byte]| byte)
    }

    /// A short.
    ///
    /// # Errors
    /// As [`byte`](Self::byte).
    pub fn short(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_le_bytes)
    }

    /// An int.
    ///
    /// # Errors
    /// As [`byte`](Self::byte).
    pub fn int(&mut self) -> Result<i32, WireError> {
        self.array().map(i32::from_le_bytes)
    }

    /// A varint.
    ///
    /// # Errors
    /// As [`byte`](Self::byte), and [`WireError::NumberTooLong`] for what does not fit into 32 bits.
    pub fn varint(&mut self) -> Result<i32, WireError> {
        let first = *self.rest.first().ok_or(WireError::Incomplete)?;
        let value = self.packed(1, 32)?;
        let value = u32::try_from(value).map_err(|_| WireError::NumberTooLong { expected: 32, first })?;
        Ok(value.cast_signed())
    }

    /// A varlong of at least `min_bytes` bytes.
    ///
    /// # Errors
    /// As [`byte`](Self::byte), and [`WireError::NumberTooLong`] for what does not fit into 64 bits.
    pub fn varlong(&mut self, min_bytes: usize) -> Result<i64, WireError> {
        self.packed(min_bytes, 64).map(u64::cast_signed)
    }

    fn packed(&mut self, min_bytes: usize, width_bits: u32) -> Result<u64, WireError> {
        let mut ahead = self.clone();
        let first = ahead.byte()?;
        let too_long = WireError::NumberTooLong { expected: width_bits, first };
        let extra = first.leading_ones() as usize;
        let low_bytes = min_bytes - 1 + extra;
        if low_bytes * 8 > width_bits as usize {
            return Err(too_long);
        }
        let mut number = [0; 8];
        number[..low_bytes].copy_from_slice(ahead.bytes(low_bytes)?);
        let high = u64::from(first) & (0x7f_u64 >> extra);
        let value = match low_bytes {
            8 if high != 0 => return Err(too_long),
            8 => u64::from_le_bytes(number),
            _ => u64::from_le_bytes(number) | high << (8 * low_bytes),
        };
        *self = ahead;
        Ok(value)
    }

    /// A vstring.
    ///
    /// # Errors
    /// As [`byte`](Self::byte).
    pub fn text(&mut self) -> Result<&'a [u8], WireError> {
        let mut ahead = self.clone();
        let first = ahead.byte()?;
        let length = match first & 0x80 {
            0 => usize::from(first),
            _ => usize::from(first & 0x7f) << 8 | usize::from(ahead.byte()?),
        };
        let text = ahead.bytes(length)?;
        *self = ahead;
        Ok(text)
    }

    /// The index of a file, [`DONE`] or [`DELETE_STATS`], as a difference to those before.
    ///
    /// # Errors
    /// As [`byte`](Self::byte); then `before` is unchanged.
    pub fn index(&mut self, before: &mut Indexes) -> Result<i32, WireError> {
        let mut ahead = self.clone();
        let mut first = ahead.byte()?;
        if first == 0 {
            *self = ahead;
            return Ok(DONE);
        }
        let negative = first == 0xff;
        if negative {
            first = ahead.byte()?;
        }
        let running = if negative { &mut before.negative } else { &mut before.positive };
        let value = match first {
            0xfe => {
                let [high, low] = ahead.array()?;
                if high & 0x80 == 0 {
                    running.wrapping_add(i32::from(high) << 8 | i32::from(low))
                } else {
                    let [third, fourth] = ahead.array()?;
                    i32::from_le_bytes([low, third, fourth, high & 0x7f])
                }
            }
            step => running.wrapping_add(i32::from(step)),
        };
        *running = value;
        *self = ahead;
        Ok(if negative { value.wrapping_neg() } else { value })
    }
}

/// The indexes that went before in one direction of a connection, to which the next one is a difference.
///
/// | bytes | meaning |
/// | --- | --- |
/// | `00` | [`DONE`]; changes nothing |
/// | `01` to `fd` | that much more than the positive index before, which is -1 at the start |
/// | `fe`, then 2 bytes | big endian: that much more, if the top bit is clear |
/// | `fe`, then 4 bytes | with the top bit of the first set: the index itself, its highest byte first, then from the lowest on |
/// | `ff`, then one of these | a negative index, its absolute value as above, with a value before of its own, which is 1 at the start |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexes {
    positive: i32,
    negative: i32,
}

impl Default for Indexes {
    fn default() -> Self {
        Self { positive: -1, negative: 1 }
    }
}

impl Indexes {
    /// Appends an index, and remembers it.
    pub fn put(&mut self, out: &mut Vec<u8>, index: i32) {
        if index == DONE {
            out.push(0);
            return;
        }
        let (running, value) = if index < 0 {
            out.push(0xff);
            (&mut self.negative, index.wrapping_neg())
        } else {
            (&mut self.positive, index)
        };
        let step = i64::from(value) - i64::from(*running);
        *running = value;
        match u16::try_from(step) {
            Ok(step @ 1..=0xfd) => out.push(step.to_le_bytes()[0]),
            Ok(step @ 0..=0x7fff) => {
                out.push(0xfe);
                out.extend_from_slice(&step.to_be_bytes());
            }
            _ => {
                let [low, third, fourth, high] = value.to_le_bytes();
                out.extend_from_slice(&[0xfe, high | 0x80, low, third, fourth]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
