//! From points, each with one number per axis, to the blocks that hold them.
//!
//! Two blocks that are equal on all axes but one become one block. Sets of numbers are compared by their indices, so that
//! ten thousand unlike points cost no more than ten thousand like ones. Must not know names.

use std::cmp::Ordering;
use std::collections::HashMap;

#[cfg(test)]
use super::number::COMPARISONS;
use super::number::Number;

/// The numbers on each axis of a block, which holds all their combinations: sorted, never empty.
pub(super) type Axes = Vec<Vec<Number>>;

/// Points with the same axes.
pub(super) struct Points {
    /// The numbers that occur on each axis, sorted.
    numbers: Vec<Vec<Number>>,
    /// For each point and axis, the place of its number in `numbers`.
    points: Vec<Block>,
}

/// For each axis the index of a set in [`Sets`].
type Block = Vec<usize>;

impl Points {
    /// The points given, each once: `dimensions` numbers each.
    pub(super) fn new(mut points: Vec<Vec<Number>>, dimensions: usize) -> Self {
        points.sort_unstable();
        points.dedup();
        let numbers: Vec<Vec<Number>> = (0..dimensions).map(|axis| sorted_once(&points, axis)).collect();
        let place = |(number, numbers): (&Number, &Vec<Number>)| numbers.partition_point(|other| other < number);
        let points = points.iter().map(|point| point.iter().zip(&numbers).map(place).collect()).collect();
        Self { numbers, points }
    }

    pub(super) fn len(&self) -> usize {
        self.points.len()
    }

    /// The blocks that merging along one axis after the other makes, in the order of their numbers.
    pub(super) fn merged(&self, order: impl Iterator<Item = usize>) -> Vec<Axes> {
        let mut sets: Vec<Sets> = self.numbers.iter().map(|numbers| Sets::singles(numbers.len())).collect();
        let blocks = order.fold(self.points.clone(), |blocks, axis| merge_axis(blocks, axis, &mut sets[axis]));
        let numbers = |block: Block| -> Axes {
            let axes = block.iter().zip(&sets).zip(&self.numbers);
            axes.map(|((&set, sets), numbers)| sets.places[set].iter().map(|&place| numbers[place]).collect()).collect()
        };
        let mut blocks: Vec<Axes> = blocks.into_iter().map(numbers).collect();
        blocks.sort_unstable();
        blocks
    }
}

fn sorted_once(points: &[Vec<Number>], axis: usize) -> Vec<Number> {
    let mut numbers: Vec<Number> = points.iter().map(|point| point[axis]).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Merges the blocks that differ on `axis` only.
fn merge_axis(mut blocks: Vec<Block>, axis: usize, sets: &mut Sets) -> Vec<Block> {
    blocks.sort_unstable_by(|a, b| compare_others(a, b, axis));
    let groups = blocks.chunk_by(|a, b| compare_others(a, b, axis).is_eq());
    let merge = |group: &[Block]| {
        let mut block = group[0].clone();
        if group.len() > 1 {
            block[axis] = sets.union(group.iter().map(|block| block[axis]));
        }
        block
    };
    groups.map(merge).collect()
}

/// Compares blocks on all axes but one.
fn compare_others(a: &Block, b: &Block, axis: usize) -> Ordering {
    #[cfg(test)]
    COMPARISONS.set(COMPARISONS.get() + 1);
    (&a[..axis], &a[axis + 1..]).cmp(&(&b[..axis], &b[axis + 1..]))
}

/// The sets of numbers on one axis, each of which has one index.
struct Sets {
    /// The places of the numbers of each set, sorted.
    places: Vec<Vec<usize>>,
    /// The indices of the sets that were made of others.
    unions: HashMap<Vec<usize>, usize>,
}

impl Sets {
    /// A set for each place alone, which is its index.
    fn singles(count: usize) -> Self {
        Self { places: (0..count).map(|place| vec![place]).collect(), unions: HashMap::new() }
    }

    /// The set of what is in several others.
    fn union(&mut self, sets: impl Iterator<Item = usize>) -> usize {
        let mut union: Vec<usize> = sets.flat_map(|set| &self.places[set]).copied().collect();
        union.sort_unstable();
        let next = self.places.len();
        let index = *self.unions.entry(union.clone()).or_insert(next);
        if index == next {
            self.places.push(union);
        }
        index
    }
}
