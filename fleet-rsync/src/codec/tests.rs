use super::*;
use flate2::{Decompress, FlushDecompress};
use proptest::prelude::*;
use std::ops::Range;

const CODECS: [Codec; 4] = [Codec::Plain, Codec::Zstd, Codec::Zlibx, Codec::Zlib];

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(Vec<u8>),
    Blocks(Range<u32>),
}

/// A reply with these parts, in segments of at most `segment_len`.
fn encode(codec: Codec, parts: &[Part], segment_len: usize) -> Vec<u8> {
    let mut compressor = Compressor::new(codec, None).unwrap();
    let mut tokens = Tokens::new(codec);
    let mut out = Vec::new();
    for part in parts {
        match part {
            Part::Literal(content) => content.chunks(segment_len).for_each(|content| {
                out.extend_from_slice(tokens.joint());
                out.extend(compressor.segment(content).unwrap());
            }),
            Part::Blocks(run) => tokens.blocks(run.clone(), &mut out),
        }
    }
    tokens.end(&mut out);
    out
}

/// What a receiver understands: the literal runs, and the single blocks.
fn decode(codec: Codec, bytes: &[u8]) -> Vec<Part> {
    let mut input = Input(bytes);
    let parts = if codec == Codec::Plain { decode_plain(&mut input) } else { decode_compressed(codec, &mut input) };
    assert!(input.0.is_empty(), "{} bytes behind the end", input.0.len());
    parts
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn number(&mut self, len: usize) -> u32 {
        self.take(len).iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte))
    }
}

fn decode_plain(input: &mut Input<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    loop {
        match input.number(4) as i32 {
            0 => return parts,
            len if len > 0 => {
                assert!(len <= 32 << 10);
                literal(&mut parts, input.take(len as usize));
            }
            token => block(&mut parts, (-token - 1) as u32),
        }
    }
}

fn decode_compressed(codec: Codec, input: &mut Input<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut inflate = Decompress::new(false);
    let mut data: Vec<u8> = Vec::new();
    let mut last = 0;
    loop {
        let flag = input.number(1);
        if flag & 0xc0 == 0x40 {
            let len = (flag & 0x3f) << 8 | input.number(1);
            data.extend(input.take(len as usize));
            continue;
        }
        if !data.is_empty() {
            let run = std::mem::take(&mut data);
            match codec {
                Codec::Zstd => literal(&mut parts, &zstd::stream::decode_all(&run[..]).unwrap()),
                _ => literal(&mut parts, &inflated(&mut inflate, &run)),
            }
        }
        let first = match flag {
            0 => return parts,
            0x20 | 0x21 => input.number(4),
            _ => last + (flag & 0x3f),
        };
        last = first + if flag == 0x21 || flag & 0xc0 == 0xc0 { input.number(2) } else { 0 };
        (first..=last).for_each(|number| block(&mut parts, number));
    }
}

/// One window through the whole file, as a receiver has it; the end of the flush is put back.
fn inflated(inflate: &mut Decompress, run: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for data in [run, &[0, 0, 0xff, 0xff]] {
        let start = inflate.total_in();
        loop {
            out.reserve(1 << 16);
            let taken = (inflate.total_in() - start) as usize;
            inflate.decompress_vec(&data[taken..], &mut out, FlushDecompress::Sync).unwrap();
            if out.len() < out.capacity() && (inflate.total_in() - start) as usize == data.len() {
                break;
            }
        }
    }
    out
}

fn literal(parts: &mut Vec<Part>, content: &[u8]) {
    match parts.last_mut() {
        Some(Part::Literal(run)) => run.extend(content),
        _ => parts.push(Part::Literal(content.to_vec())),
    }
}

fn block(parts: &mut Vec<Part>, number: u32) {
    match parts.last_mut() {
        Some(Part::Blocks(run)) if run.end == number => run.end += 1,
        _ => parts.push(Part::Blocks(number..number + 1)),
    }
}

fn noise(len: usize) -> Vec<u8> {
    (0..len as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 31) as u8).collect()
}

fn text(len: usize) -> Vec<u8> {
    (0..).flat_map(|line: usize| format!("line {} of some text\n", line * line).into_bytes()).take(len).collect()
}

#[test]
fn tokens_of_blocks_are_as_short_as_they_can_be() {
    type Case = (Vec<(u32, u32)>, &'static [u8]);
    let cases: [Case; 9] = [
        (vec![(0, 1)], &[0x80]),
        (vec![(63, 64)], &[0xbf]),
        (vec![(64, 65)], &[0x20, 64, 0, 0, 0]),
        (vec![(0, 10)], &[0xc0, 9, 0]),
        (vec![(100, 102)], &[0x21, 100, 0, 0, 0, 1, 0]),
        (vec![(0, 10), (11, 12)], &[0xc0, 9, 0, 0x82]),
        (vec![(0, 10), (9, 10)], &[0xc0, 9, 0, 0x80]),
        (vec![(0, 10), (8, 9)], &[0xc0, 9, 0, 0x20, 8, 0, 0, 0]),
        (vec![(0, 65_537)], &[0xc0, 0xff, 0xff, 0x81]),
    ];
    for (runs, expected) in cases {
        let mut tokens = Tokens::new(Codec::Zstd);
        let mut out = Vec::new();
        runs.iter().for_each(|&(first, end)| tokens.blocks(first..end, &mut out));
        assert_eq!(out, expected, "{runs:?}");
    }
    let mut out = Vec::new();
    let mut tokens = Tokens::new(Codec::Plain);
    tokens.blocks(0..2, &mut out);
    tokens.end(&mut out);
    assert_eq!(out, [0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
}

#[test]
fn what_is_encoded_is_decoded_by_every_codec() {
    let parts = [
        Part::Literal(noise(100_000)),
        Part::Blocks(3..5),
        Part::Literal(text(100_000)),
        Part::Blocks(5..70_006),
        Part::Blocks(1..2),
        Part::Literal(vec![7]),
    ];
    for codec in CODECS {
        for segment_len in [1 << 20, 30_000] {
            let bytes = encode(codec, &parts, segment_len);
            assert!(decode(codec, &bytes) == parts, "{codec:?} in segments of {segment_len}");
        }
        assert_eq!(decode(codec, &encode(codec, &[], 1)), []);
    }
}

#[test]
fn a_segment_does_not_depend_on_what_went_before() {
    for codec in CODECS {
        let mut compressor = Compressor::new(codec, None).unwrap();
        let first = compressor.segment(&text(50_000)).unwrap();
        compressor.segment(&noise(50_000)).unwrap();
        assert_eq!(compressor.segment(&text(50_000)).unwrap(), first, "{codec:?}");
        assert_eq!(Compressor::new(codec.segments_of(), None).unwrap().segment(&text(50_000)).unwrap(), first);
        assert!(codec == Codec::Plain || first.len() < 20_000, "{codec:?} made {} bytes", first.len());
    }
}

#[test]
fn levels_matter_up_to_the_highest_there_is() {
    for (codec, highest) in [(Codec::Zlib, 9), (Codec::Zlibx, 9), (Codec::Zstd, 22)] {
        let segment = |level| Compressor::new(codec, level).unwrap().segment(&text(300_000)).unwrap();
        assert_ne!(segment(Some(highest)), segment(Some(1)), "{codec:?}");
        assert_eq!(segment(Some(highest)), segment(Some(i32::MAX)), "{codec:?}");
        assert_eq!(segment(Some(codec.default_level())), segment(None), "{codec:?}");
    }
}

proptest! {
    #[test]
    fn any_parts_are_decoded(
        drawn in proptest::collection::vec((0u32..300, 1u32..100, proptest::collection::vec(0u8..3, 1..200)), 0..8),
        segment_len in 1usize..200,
        codec in 0usize..4,
    ) {
        let mut parts = Vec::new();
        for (first, count, content) in drawn {
            parts.push(Part::Blocks(first..first + count));
            parts.push(Part::Literal(content));
        }
        prop_assert_eq!(decode(CODECS[codec], &encode(CODECS[codec], &parts, segment_len)), parts);
    }
}
