use super::*;
use crate::checksum::{BlockSum, ChecksumKind, SeedOrder};
use proptest::prelude::*;

const SUM: BlockSum = BlockSum { kind: ChecksumKind::Xxh128, seed: 42, order: SeedOrder::First };

/// What a receiver sends of `old`.
fn signature(old: &[u8], block_len: usize, strong_len: usize, sum: BlockSum) -> Signature {
    let fields = [old.len().div_ceil(block_len), block_len, strong_len, old.len() % block_len];
    let head: Vec<u8> = fields.into_iter().flat_map(|field| (field as i32).to_le_bytes()).collect();
    let head = SumHead::decode(head.try_into().unwrap(), usize::MAX).unwrap();
    let record =
        |block: &[u8]| [&weak::Weak::of(block).value().to_le_bytes(), &sum.strong(block)[..strong_len]].concat();
    Signature::new(head, old.chunks(block_len).flat_map(record).collect()).unwrap()
}

/// What a receiver makes of a delta.
fn patch(old: &[u8], new: &[u8], head: SumHead, delta: &Delta) -> Vec<u8> {
    let mut made = Vec::new();
    for segment in &delta.segments {
        match segment {
            Segment::Literal(range) => made.extend_from_slice(&new[range.start as usize..range.end as usize]),
            Segment::Blocks(run) => run.clone().for_each(|block| {
                let start = block as usize * head.full_block_len();
                made.extend_from_slice(&old[start..start + head.block_len(block)]);
            }),
        }
    }
    made
}

fn delta(signature: &Signature, new: &[u8], piece_len: usize, sum: BlockSum) -> Delta {
    let mut search = Search::new(signature, sum);
    new.chunks(piece_len).for_each(|piece| search.push(piece));
    search.finish()
}

/// Bytes that do not repeat.
fn content(len: usize, salt: u32) -> Vec<u8> {
    let mut state = salt.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 11) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn what_the_receiver_has_is_not_sent() {
    let old = content(10_000, 1);
    let joined = |parts: &[&[u8]]| parts.concat();
    let (a, b) = (content(10, 2), content(900, 3));
    let cases = [
        ("the same", old.clone(), vec![Segment::Blocks(0..15)]),
        ("nothing", vec![], vec![]),
        ("appended to", joined(&[&old, &a]), vec![Segment::Blocks(0..14), Segment::Literal(9800..10_010)]),
        ("put before", joined(&[&a, &old]), vec![Segment::Literal(0..10), Segment::Blocks(0..15)]),
        (
            "put into",
            joined(&[&old[..1400], &b, &old[1400..]]),
            vec![Segment::Blocks(0..2), Segment::Literal(1400..2300), Segment::Blocks(2..15)],
        ),
        ("cut", joined(&[&old[..700], &old[1400..]]), vec![Segment::Blocks(0..1), Segment::Blocks(2..15)]),
        (
            "one byte changed",
            joined(&[&old[..800], b"\0", &old[801..]]),
            vec![Segment::Blocks(0..1), Segment::Literal(700..1400), Segment::Blocks(2..15)],
        ),
        ("only the last block", old[9800..].to_vec(), vec![Segment::Blocks(14..15)]),
        (
            "moved",
            joined(&[&old[5600..], &old[..5600]]),
            vec![Segment::Blocks(8..14), Segment::Literal(4200..4400), Segment::Blocks(0..8)],
        ),
        ("other", a.clone(), vec![Segment::Literal(0..10)]),
    ];
    let signature = signature(&old, 700, 2, SUM);
    for (name, new, expected) in cases {
        for piece_len in [1, 699, 701, 100_000] {
            let delta = delta(&signature, &new, piece_len, SUM);
            assert_eq!(delta.segments, expected, "{name}, pieces of {piece_len}");
            assert_eq!(delta.digest, SUM.kind.digest(&new), "{name}");
            assert_eq!(patch(&old, &new, signature.head(), &delta), new, "{name}");
        }
    }
}

#[test]
fn what_settles_early_and_the_rest_are_the_whole_delta() {
    let old = content(100_000, 1);
    let mut new = old.clone();
    (0..new.len()).step_by(9_000).for_each(|at| new[at] ^= 1);
    let sum = BlockSum { kind: ChecksumKind::Xxh128, seed: 7, order: SeedOrder::First };
    let signature = signature(&old, 700, 16, sum);
    let mut search = Search::new(&signature, sum);
    let mut early = Vec::new();
    for piece in new.chunks(3_000) {
        search.push(piece);
        early.extend(search.settled());
    }
    let rest = search.finish();
    let whole = delta(&signature, &new, new.len(), sum);
    assert!(early.len() > 10 && rest.segments.len() < 4, "{} {}", early.len(), rest.segments.len());
    assert_eq!(
        (early.into_iter().chain(rest.segments).collect::<Vec<_>>(), rest.len, rest.digest),
        (whole.segments, whole.len, whole.digest)
    );
}

#[test]
fn without_an_old_copy_all_is_literal() {
    let new = content(5000, 4);
    let none = Signature::new(SumHead::default(), Vec::new()).unwrap();
    let found = delta(&none, &new, 1000, SUM);
    assert_eq!(found, Delta::whole(5000, SUM.kind.digest(&new)));
    assert_eq!(found.literal_bytes(), 5000);
    assert_eq!(delta(&none, &[], 1, SUM), Delta::whole(0, SUM.kind.digest(&[])));
}

#[test]
fn equal_blocks_are_one_run() {
    let old = vec![0; 70_000];
    let signature = signature(&old, 700, 2, SUM);
    assert_eq!(delta(&signature, &old, 1000, SUM).segments, [Segment::Blocks(0..100)]);
    let longer = vec![0; 70_700];
    let delta = delta(&signature, &longer, 1000, SUM);
    assert_eq!(delta.segments, [Segment::Blocks(0..100), Segment::Blocks(0..1)]);
}

#[test]
fn a_weak_sum_alone_is_no_match() {
    // Neighbours moved against each other, so that both sums stay.
    let old = [1, 2, 3, 4, 5, 6].repeat(100);
    let mut new = old.clone();
    (new[0], new[1], new[2], new[3]) = (2, 1, 2, 5);
    assert_eq!(weak::Weak::of(&old), weak::Weak::of(&new), "the case is one of equal weak sums");
    assert_eq!(delta(&signature(&old, 600, 2, SUM), &new, 600, SUM).segments, [Segment::Literal(0..600)]);
}

/// What a receiver with `--inplace` makes of a delta.
fn patch_in_place(old: &[u8], new: &[u8], head: SumHead, delta: &Delta) -> Vec<u8> {
    let (mut file, mut at) = (old.to_vec(), 0);
    let mut write = |file: &mut Vec<u8>, bytes: &[u8]| {
        file.resize(file.len().max(at + bytes.len()), 0);
        file[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    for segment in &delta.segments {
        match segment {
            Segment::Literal(range) => write(&mut file, &new[range.start as usize..range.end as usize]),
            Segment::Blocks(run) => run.clone().for_each(|block| {
                let start = block as usize * head.full_block_len();
                let block = file[start..start + head.block_len(block)].to_vec();
                write(&mut file, &block);
            }),
        }
    }
    file.truncate(delta.len as usize);
    file
}

#[test]
fn in_place_only_what_is_not_yet_overwritten_is_used() {
    let old = content(7300, 1);
    let signature = signature(&old, 700, 2, SUM);
    let (literal, blocks) = (Segment::Literal, Segment::Blocks);
    for (name, new, expected) in [
        ("the same", old.clone(), vec![blocks(0..11)]),
        ("cut at the begin", old[700..].to_vec(), vec![blocks(1..11)]),
        ("put before", [b"x", &old[..]].concat(), vec![literal(0..7301)]),
        ("the last to the front", old[7000..].to_vec(), vec![blocks(10..11)]),
        (
            "moved to both sides",
            [&old[700..1400], &old[..700], &old[1400..]].concat(),
            vec![blocks(1..2), literal(700..1400), blocks(2..11)],
        ),
        ("the last once more", [&old[..], &old[7000..]].concat(), vec![blocks(0..10), literal(7000..7600)]),
    ] {
        let mut search = Search::in_place(&signature, SUM);
        new.chunks(1000).for_each(|piece| search.push(piece));
        let delta = search.finish();
        assert_eq!(delta.segments, expected, "{name}");
        assert_eq!(patch_in_place(&old, &new, signature.head(), &delta), new, "{name}");
    }
}

#[test]
fn sums_that_are_made_up_cost_little() {
    // Each window of zeros has the weak sum of every block, and the strong sum of none.
    let block_len = 1 << 14;
    let liar = signature(&vec![0; block_len * 50], block_len, 16, BlockSum { seed: 7, ..SUM });
    let new = vec![0; 1 << 20];
    let mut search = Search::new(&liar, SUM);
    new.chunks(1 << 18).for_each(|piece| search.push(piece));
    assert!(search.hashed_bytes() < 20 * new.len() as u64, "{} bytes", search.hashed_bytes());
    assert_eq!(search.finish().segments, [Segment::Literal(0..1 << 20)]);
}

proptest! {
    #[test]
    fn patching_the_old_copy_gives_the_new_one(
        old in proptest::collection::vec(0u8..4, 0..3000),
        cuts in proptest::collection::vec((0usize..3000, 0usize..3000, 0u8..6), 0..6),
        block_len in 1usize..300,
        piece_len in 1usize..1000,
        kind in prop_oneof![Just(ChecksumKind::Md5), Just(ChecksumKind::Xxh128)],
    ) {
        let sum = BlockSum { kind, ..SUM };
        let mut new = Vec::new();
        for (from, to, extra) in cuts {
            let (from, to) = (from.min(old.len()), to.min(old.len()));
            new.extend_from_slice(&old[from.min(to)..from.max(to)]);
            new.extend(std::iter::repeat_n(extra, extra as usize));
        }
        let signature = signature(&old, block_len, 16, sum);
        let delta = delta(&signature, &new, piece_len, sum);
        prop_assert_eq!(patch(&old, &new, signature.head(), &delta), &new[..]);
        let mut search = Search::in_place(&signature, sum);
        new.chunks(piece_len).for_each(|piece| search.push(piece));
        let delta = search.finish();
        prop_assert_eq!(patch_in_place(&old, &new, signature.head(), &delta), new);
    }
}
