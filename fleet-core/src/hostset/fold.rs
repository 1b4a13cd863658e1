//! From names to the host set that stands for them.
//!
//! Names are cut at their numbers; names that differ only in numbers share a shape. Within a shape each name is a
//! point with one number per axis, and the points are merged into blocks. Must not know what is named.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

use super::expand::fixed_prefix;
use super::merge::{Axes, Points};
use super::number::{MAX_DIGITS, Number};

/// How many names of one shape are merged in every order of their axes, for the shortest result.
const THOROUGH_POINTS: usize = 1_000;

/// The shortest host set of `names`, in natural order, each name once; empty for no names.
///
/// [`expand`](super::expand) gives the same set back for every `[user@]name[:port]`. Ranges are written without steps.
#[must_use]
pub fn fold<S: AsRef<str>>(names: &[S]) -> String {
    let items: Vec<String> = blocks(names).iter().map(Block::folded).collect();
    items.join(",")
}

/// As [`fold`], but no longer than about `max_chars`: `web[01-20],db1, … and 300 more`.
#[must_use]
pub fn fold_limited<S: AsRef<str>>(names: &[S], max_chars: usize) -> String {
    let blocks = blocks(names);
    let total: usize = blocks.iter().map(Block::len).sum();
    let mut text = String::new();
    let mut shown = 0;
    for block in &blocks {
        let item = block.folded();
        let separator = if text.is_empty() { "" } else { "," };
        if text.chars().count() + item.chars().count() > max_chars {
            break;
        }
        text = text + separator + &item;
        shown += block.len();
    }
    if let (0, Some(block)) = (shown, blocks.first()) {
        text = block.first_name();
        shown = 1;
    }
    match total - shown {
        0 => text,
        hidden => format!("{text}, … and {hidden} more"),
    }
}

/// Names of one shape that are all combinations of the numbers on its axes.
struct Block<'a> {
    /// The text before the first number, between the numbers, and after the last.
    texts: Rc<[&'a str]>,
    /// The numbers that stand between two texts.
    axes: Axes,
}

fn blocks<S: AsRef<str>>(names: &[S]) -> Vec<Block<'_>> {
    let mut shapes: BTreeMap<Vec<&str>, Vec<Vec<Number>>> = BTreeMap::new();
    for name in names {
        let (texts, numbers) = cut(name.as_ref());
        shapes.entry(texts).or_default().push(numbers);
    }
    shapes.into_iter().flat_map(|(texts, points)| shortest(&texts.into(), points)).collect()
}

/// The blocks with the fewest characters among those that merging the axes in one order or another makes of `points`.
fn shortest<'a>(texts: &Rc<[&'a str]>, points: Vec<Vec<Number>>) -> Vec<Block<'a>> {
    let dimensions = texts.len() - 1;
    let points = Points::new(points, dimensions);
    let merged = |first| -> Vec<Block<'a>> {
        let blocks = points.merged((0..dimensions).rev().cycle().skip(first).take(dimensions));
        blocks.into_iter().map(|axes| Block { texts: Rc::clone(texts), axes }).collect()
    };
    let length = |blocks: &Vec<Block>| blocks.iter().map(|block| block.folded().len() + 1).sum::<usize>();
    let one = merged(0);
    if one.len() == 1 || points.len() > THOROUGH_POINTS {
        return one;
    }
    std::iter::once(one).chain((1..dimensions).map(merged)).min_by_key(length).unwrap_or_default()
}

/// The texts and numbers of a name: always one text more than numbers.
fn cut(name: &str) -> (Vec<&str>, Vec<Number>) {
    let fixed = fixed_prefix(name);
    let mut texts = Vec::new();
    let mut numbers = Vec::new();
    if name[fixed..].matches(':').count() > 1 {
        return (vec![name], numbers);
    }
    let mut start = 0;
    let mut at = fixed;
    while let Some(offset) = name[at..].find(|c: char| c.is_ascii_digit()) {
        let digits = at + offset;
        let end = name[digits..].find(|c: char| !c.is_ascii_digit()).map_or(name.len(), |length| digits + length);
        if let Some(number) = Number::parse(&name[digits..end]) {
            texts.push(&name[start..digits]);
            numbers.push(number);
            start = end;
        } else {
            debug_assert!(end - digits > MAX_DIGITS, "shorter runs of digits are numbers");
        }
        at = end;
    }
    texts.push(&name[start..]);
    (texts, numbers)
}

impl Block<'_> {
    fn len(&self) -> usize {
        self.axes.iter().map(Vec::len).product()
    }

    fn first_name(&self) -> String {
        self.write(|numbers| numbers[0].to_string())
    }

    fn folded(&self) -> String {
        self.write(|numbers| match numbers {
            [number] => number.to_string(),
            several => format!("[{}]", write_runs(several)),
        })
    }

    fn write(&self, axis: impl Fn(&[Number]) -> String) -> String {
        let mut text = self.texts[0].to_owned();
        for (numbers, tail) in self.axes.iter().zip(&self.texts[1..]) {
            text += &axis(numbers);
            text += tail;
        }
        text
    }
}

/// Sorted numbers as `01-03,05`.
fn write_runs(numbers: &[Number]) -> String {
    let mut text = String::new();
    for (first, last) in runs(numbers) {
        let separator = if text.is_empty() { "" } else { "," };
        let last = Number { value: last, width: first.width };
        let written = match last.value - first.value {
            0 => write!(text, "{separator}{first}"),
            _ => write!(text, "{separator}{first}-{last}"),
        };
        debug_assert!(written.is_ok(), "writing to a string does not fail");
    }
    text
}

/// The runs of consecutive numbers that a range can write: (first, value of the last).
fn runs(numbers: &[Number]) -> Vec<(Number, u64)> {
    let mut runs: Vec<(Number, u64)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((first, last)) if *last + 1 == number.value && number.is_written_as(*first) => *last = number.value,
            _ => runs.push((number, number.value)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::expand;
    use super::super::number::COMPARISONS;
    use super::*;

    fn names(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    #[test]
    fn folds_to_the_shortest_form_in_natural_order() {
        for (given, folded) in [
            ("", ""),
            ("web1", "web1"),
            ("web10 web9 web1 web2", "web[1-2,9-10]"),
            ("web01 web02 web03 web05", "web[01-03,05]"),
            ("web08 web09 web10 web11", "web[08-11]"),
            ("web099 web100", "web[099-100]"),
            ("a9 a09-b a10 a1-b", "a[9-10],a[1,09]-b"),
            ("r1-n9 r2-n9 r3-n9 r3-n1 r3-n2", "r[1-3]-n9,r3-n[1-2]"),
            ("r1-n1 r1-n2 r1-n3 r2-n3 r3-n3", "r1-n[1-3],r[2-3]-n3"),
            ("web1 web01 web2 web02", "web[1-2,01-02]"),
            ("web9 web09 web10", "web[9,09-10]"),
            ("web008 web9 web10 web09 web11", "web[9,09-11,008]"),
            ("web98 web99 web100", "web[98-100]"),
            ("web08 web99 web100", "web[08,99-100]"),
            ("web099 web99 web100", "web[99,099-100]"),
            ("web2 web1 web2", "web[1-2]"),
            ("db web1 alpha", "alpha,db,web1"),
            ("r1-n1 r1-n2 r2-n1 r2-n2", "r[1-2]-n[1-2]"),
            ("r1-n1 r1-n2 r2-n1 r2-n2 r3-n1", "r[1-2]-n[1-2],r3-n1"),
            ("10.0.0.1 10.0.0.2 10.0.1.1 10.0.1.2", "10.0.[0-1].[1-2]"),
            ("ip-10-1-2-3 ip-10-1-2-4 ip-10-1-9-4", "ip-10-1-2-[3-4],ip-10-1-9-4"),
            ("u2@web1:22 u2@web2:22 u3@web3:22 web1", "u2@web[1-2]:22,u3@web3:22,web1"),
            ("localhost:2201 localhost:2202", "localhost:[2201-2202]"),
            ("::1 ::2 [::1]:22 [::1]:23", "::1,::2,[::1]:[22-23]"),
            ("x0123456789012345678 x0123456789012345679", "x0123456789012345678,x0123456789012345679"),
            ("1web 2web", "[1-2]web"),
        ] {
            assert_eq!(fold(&names(given)), folded, "{given}");
        }
    }

    #[test]
    fn a_long_set_is_cut_after_a_whole_item() {
        let all = names("a1 a2 a3 b1 c1 c2");
        for (max_chars, folded) in [
            (80, "a[1-3],b1,c[1-2]"),
            (9, "a[1-3],b1, … and 2 more"),
            (6, "a[1-3], … and 3 more"),
            (0, "a1, … and 5 more"),
        ] {
            assert_eq!(fold_limited(&all, max_chars), folded, "{max_chars}");
        }
        assert_eq!(fold_limited::<&str>(&[], 10), "");
    }

    /// `count` names with nothing in common but their shape, or not even that.
    fn irregular(count: u32) -> Vec<String> {
        let scattered = |i: u32| i.wrapping_mul(2_654_435_761).to_be_bytes();
        let name = |i: u32| match (scattered(i), i % 10) {
            ([a, b, c, d], 0) => format!("i-0{a:02x}{b:02x}{c:02x}{d:02x}"),
            ([a, b, c, d], _) => format!("ip-{a}-{b}-{c}-{d}"),
        };
        (0..count).map(name).collect()
    }

    #[test]
    fn ten_thousand_irregular_names_expand_back() {
        let all = irregular(10_000);
        let back: BTreeSet<String> = expand(&fold(&all)).unwrap().into_iter().collect();
        assert_eq!(back, all.into_iter().collect());
    }

    #[test]
    fn twice_the_irregular_names_are_about_twice_the_work() {
        let work = |count: u32| {
            let names = irregular(count);
            let before = COMPARISONS.get();
            let _ = fold(&names);
            COMPARISONS.get() - before
        };
        let (once, twice) = (work(10_000), work(20_000));
        assert!(once < 10_000 * 250, "{once} comparisons for 10,000 names");
        assert!(twice < once * 5 / 2, "{once} comparisons for 10,000 names, {twice} for 20,000");
    }

    #[test]
    fn a_hundred_thousand_names_fold_with_a_few_comparisons_each() {
        for text in ["web[1-100000]", "r[001-100]-n[1-1000]", "10.0.[0-399].[0-249]"] {
            let names = expand(text).unwrap();
            assert_eq!(names.len(), 100_000);
            let before = COMPARISONS.get();
            assert_eq!(fold(&names), text);
            let work = COMPARISONS.get() - before;
            assert!(work < 100_000 * 250, "{text}: {work} comparisons");
        }
    }

    proptest! {
        #[test]
        fn irregular_names_expand_back(
            given in proptest::collection::btree_set(
                "ip(-(0|1|9|10|0?25[0-5])){1,4}|i-0[0-9a-f]{3,20}|(a|b)?[0-9]{0,3}(\\.[0-9]{1,2}){0,3}|[0-9]{17,20}|n[0-9]_[0-9]{1,19}",
                1..60,
            ),
        ) {
            let given: Vec<String> = given.into_iter().filter(|name| !name.is_empty()).collect();
            prop_assume!(!given.is_empty());
            let mut names = expand(&fold(&given)).unwrap();
            names.sort();
            prop_assert_eq!(names, given);
        }

        #[test]
        fn what_is_folded_expands_back(
            given in proptest::collection::btree_set(
                "(u[12]@)?((web|r[01]?[0-2]-n)[0-9]{0,3}(-0?[1-3])?[a-z]?(:[12]?[23])?|\\[(::|a:)[12]\\]:2[12]|::[1-3])",
                1..30,
            ),
        ) {
            let given: Vec<String> = given.into_iter().collect();
            let folded = fold(&given);
            let names = expand(&folded).unwrap();
            prop_assert_eq!(names.len(), given.len(), "{}", folded);
            prop_assert_eq!(names.iter().collect::<BTreeSet<_>>(), given.iter().collect::<BTreeSet<_>>());
            prop_assert_eq!(fold(&names), folded);
        }
    }
}
