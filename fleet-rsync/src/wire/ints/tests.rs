use proptest::prelude::*;

use super::*;

fn put(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

#[test]
fn varints_have_the_bytes_that_rsync_writes() {
    for (value, bytes) in [
        (0, &[0][..]),
        (1, &[1]),
        (127, &[0x7f]),
        (128, &[0x80, 0x80]),
        (0x3fff, &[0xbf, 0xff]),
        (0x4000, &[0xc0, 0x00, 0x40]),
        (0x1f_ffff, &[0xdf, 0xff, 0xff]),
        (0x20_0000, &[0xe0, 0x00, 0x00, 0x20]),
        (0x0fff_ffff, &[0xef, 0xff, 0xff, 0xff]),
        (0x1000_0000, &[0xf0, 0x00, 0x00, 0x00, 0x10]),
        (i32::MAX, &[0xf0, 0xff, 0xff, 0xff, 0x7f]),
        (-1, &[0xf0, 0xff, 0xff, 0xff, 0xff]),
        (i32::MIN, &[0xf0, 0x00, 0x00, 0x00, 0x80]),
    ] {
        assert_eq!(put(|out| put_varint(out, value)), bytes, "{value}");
        assert_eq!(Reader::new(bytes).varint(), Ok(value), "{bytes:02x?}");
    }
}

#[test]
fn varlongs_have_the_bytes_that_rsync_writes() {
    for (value, min_bytes, bytes) in [
        (0, 3, &[0, 0, 0][..]),
        (1, 3, &[0, 1, 0]),
        (0x7f_ffff, 3, &[0x7f, 0xff, 0xff]),
        (0x80_0000, 3, &[0x80, 0x00, 0x00, 0x80]),
        (0x3fff_ffff, 3, &[0xbf, 0xff, 0xff, 0xff]),
        (0x4000_0000, 3, &[0xc0, 0x00, 0x00, 0x00, 0x40]),
        (i64::MAX, 3, &[0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        (-1, 3, &[0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        (0x5f5e_0ff0, 4, &[0x5f, 0xf0, 0x0f, 0x5e]),
        (0x7fff_ffff, 4, &[0x7f, 0xff, 0xff, 0xff]),
        (0x8000_0000, 4, &[0x80, 0x00, 0x00, 0x00, 0x80]),
        (-1, 4, &[0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ] {
        assert_eq!(put(|out| put_varlong(out, value, min_bytes)), bytes, "{value}");
        assert_eq!(Reader::new(bytes).varlong(min_bytes), Ok(value), "{bytes:02x?}");
    }
}

#[test]
fn indexes_have_the_bytes_that_rsync_writes() {
    let mut written = Indexes::default();
    let mut read = Indexes::default();
    for (index, bytes) in [
        (0, &[0x01][..]),
        (253, &[0xfd]),
        (507, &[0xfe, 0x00, 0xfe]),
        (507 + 0x7fff, &[0xfe, 0x7f, 0xff]),
        (507 + 0x7fff, &[0xfe, 0x00, 0x00]),
        (DONE, &[0x00]),
        (507 + 0xffff, &[0xfe, 0x80, 0xfa, 0x01, 0x01]),
        (0x0102_0304, &[0xfe, 0x81, 0x04, 0x03, 0x02]),
        (5, &[0xfe, 0x80, 0x05, 0x00, 0x00]),
        (DELETE_STATS, &[0xff, 0x02]),
        (6, &[0x01]),
        (DELETE_STATS, &[0xff, 0xfe, 0x00, 0x00]),
        (-2, &[0xff, 0xfe, 0x80, 0x02, 0x00, 0x00]),
    ] {
        assert_eq!(put(|out| written.put(out, index)), bytes, "{index}");
        assert_eq!(Reader::new(bytes).index(&mut read), Ok(index), "{bytes:02x?}");
    }
}

#[test]
fn texts_tell_their_length_in_one_byte_or_two() {
    for (length, head) in [(0, &[0][..]), (127, &[0x7f]), (128, &[0x80, 0x80]), (LONGEST_TEXT, &[0xff, 0xff])] {
        let text = vec![b'x'; length];
        let bytes = put(|out| put_text(out, &text));
        assert_eq!(bytes, [head, &text].concat());
        assert_eq!(Reader::new(&bytes).text(), Ok(&text[..]));
    }
}

#[test]
fn numbers_of_more_bits_than_their_type_are_refused() {
    let long = |expected, first| Err(WireError::NumberTooLong { expected, first });
    for first in 0xf8..=0xff {
        assert_eq!(Reader::new(&[first; 12]).varint(), long(32, first).map(|()| 0));
    }
    assert_eq!(Reader::new(&[0xf1, 0, 0, 0, 0]).varint(), long(32, 0xf1).map(|()| 0));
    assert_eq!(Reader::new(&[0xfd; 12]).varlong(3), long(64, 0xfd).map(|()| 0));
    assert_eq!(Reader::new(&[0xff; 12]).varlong(4), long(64, 0xff).map(|()| 0));
}

proptest! {
    #[test]
    fn what_ends_too_early_is_incomplete_and_takes_nothing(value: i64, index: i32, text: Vec<u8>) {
        let mut before = Indexes::default();
        let mut whole = put(|out| put_varlong(out, value, 3));
        let ends = [whole.len(), { put_text(&mut whole, &text); whole.len() }];
        before.put(&mut whole, index);
        for length in 0..whole.len() {
            let mut reader = Reader::new(&whole[..length]);
            let mut indexes = Indexes::default();
            let long = reader.varlong(3);
            prop_assert_eq!(long.is_ok(), length >= ends[0]);
            if long.is_ok() {
                let text = reader.text();
                prop_assert_eq!(text.is_ok(), length >= ends[1]);
                if text.is_ok() {
                    let rest = reader.rest();
                    prop_assert_eq!(reader.index(&mut indexes), Err(WireError::Incomplete));
                    prop_assert_eq!(reader.rest(), rest);
                    prop_assert_eq!(indexes, Indexes::default());
                }
            }
        }
    }

    #[test]
    fn indexes_in_any_order_are_read_as_they_were_written(indexes: Vec<i32>) {
        let (mut written, mut read, mut bytes) = (Indexes::default(), Indexes::default(), Vec::new());
        // The smallest number has no absolute value.
        let indexes: Vec<i32> = indexes.into_iter().filter(|index| *index != i32::MIN).collect();
        indexes.iter().for_each(|index| written.put(&mut bytes, *index));
        let mut reader = Reader::new(&bytes);
        for index in indexes {
            prop_assert_eq!(reader.index(&mut read), Ok(index));
        }
        prop_assert!(reader.rest().is_empty());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, min_bytes in 1_usize..5) {
        let mut indexes = Indexes::default();
        let mut reader = Reader::new(&bytes);
        while !reader.rest().is_empty() {
            let before = reader.rest().len();
            let _ = reader.clone().varint();
            let _ = reader.clone().varlong(min_bytes);
            let _ = reader.clone().text();
            if reader.index(&mut indexes).is_err() || reader.rest().len() == before {
                break;
            }
        }
    }
}
