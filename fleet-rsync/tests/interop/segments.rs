//! Literal data in several segments: what a receiver makes of streams that rsync's own sender would not write.

use std::fs;
use std::path::Path;

use fleet_rsync::codec::Codec;
use fleet_rsync::wire::greeting::{Compression, WireClass};

use crate::push::Push;
use crate::tree::{Naming, differences};
use crate::{Place, as_class};

/// Lines that compress well and never repeat.
fn text(len: usize, salt: usize) -> Vec<u8> {
    let line = |n: usize| format!("{salt} line {n} {:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).into_bytes();
    (0..).flat_map(line).take(len).collect()
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x1234_5678_9abc_def1u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Files whose new content is longer than a segment, between and around blocks of the old one.
fn fill(source: &Path, destination: &Path, segment_len: usize) {
    let old = [text(1_500_000, 1), noise(500_000)].concat();
    let more = text(segment_len * 5 / 2, 2);
    fs::write(source.join("new"), [&more[..], &noise(segment_len)].concat()).unwrap();
    fs::write(source.join("exactly"), &more[..segment_len]).unwrap();
    fs::write(source.join("one byte more"), &more[..=segment_len]).unwrap();
    fs::write(source.join("between"), [&old[..700_000], &more, &old[700_000..]].concat()).unwrap();
    let half = more.len() / 2;
    fs::write(source.join("around"), [&more[..half], &old[700_000..900_000], &more[half..]].concat()).unwrap();
    // The window of `zlib` has seen blocks, then text that is in them.
    fs::write(source.join("alike"), [&old, &old[1000..900_001], &old].concat()).unwrap();
    for name in ["between", "around", "alike"] {
        fs::write(destination.join(name), &old).unwrap();
    }
}

#[test]
fn segments_arrive_with_every_codec() {
    let cases = [
        (WireClass::A, Codec::Plain),
        (WireClass::A, Codec::Zstd),
        (WireClass::B, Codec::Zlibx),
        (WireClass::C, Codec::Zlib),
        (WireClass::D, Codec::Zlib),
    ];
    for (class, codec) in cases {
        let place = Place::new();
        let (source, destination) = (place.source(), place.destination());
        fill(&source, &destination, codec.segment_len());
        let mut push = Push::new(&source, &destination);
        (push.arguments.capabilities, push.server) = as_class(class);
        push.arguments.compression = match codec {
            Codec::Plain => Compression::Off,
            codec => Compression::Fixed(codec),
        };
        let pushed = push.run();
        assert!(pushed.status.success(), "{class:?} {codec:?}: {}", pushed.standard_error);
        assert_eq!(pushed.agreed.unwrap().codec, codec, "{class:?}");
        assert_eq!(pushed.wanted.len(), 6, "nothing is asked for twice: {class:?} {codec:?} {:?}", pushed.wanted);
        assert_eq!(differences(&source, Naming::Contents, &destination), "", "{class:?} {codec:?}");
    }
}
