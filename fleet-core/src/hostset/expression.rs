//! Expressions: terms and slices joined by set operators, read from text and evaluated over whoever knows the hosts.
//!
//! Must not know which groups and hosts there are: a [`Universe`] does.

use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::Hash;

use super::HostSetError;
use super::slice::Slice;
use super::term::Term;
use crate::quick_hash::QuickMap;

/// What a text such as `@web,db[1-3]!tag:State=broken&%25` asks for.
///
/// ```text
/// expression = operand { operator operand }        from left to right, no operator binds tighter than another
/// operator   = "," or blanks (union) | "!" (difference) | "&" (intersection) | "^" (symmetric difference)
/// operand    = term [ "[" places "]" ]             a name with ranges, a pattern, a @group, a query
///            | slice                               only right of "!", "&", "^": that part of what stands left of it
/// ```
///
/// Displays as an expression that means the same, with the seeds that were drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    pub(super) first: Operand,
    pub(super) rest: Vec<(Operator, Operand)>,
    pub(super) drawn: Vec<Slice>,
}

/// How what stands left and right of it make one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `,` or blanks: what is in either.
    Union,
    /// `!`: what is left but not right.
    Difference,
    /// `&`: what is in both.
    Intersection,
    /// `^`: what is in one of them only.
    SymmetricDifference,
}

/// One side of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// The union of terms (several where a group or a query has a range), less what the slices leave out.
    Terms {
        /// As typed, without the slices.
        written: String,
        terms: Vec<Term>,
        slices: Vec<Slice>,
    },
    /// A part of what stands left.
    Slice(Slice),
}

/// Why a text is not an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// Something else was expected here.
    #[error("found {found} at character {at}; expected {expected}")]
    Unexpected {
        /// What stands there: a quoted text, or "the end".
        found: String,
        /// Its first character, counted from 1.
        at: usize,
        /// What may stand there.
        expected: String,
    },
    /// A quote without its partner.
    #[error("the quote {quote} at character {at} is not closed; expected another {quote} behind it")]
    Quote {
        /// `"` or `'`.
        quote: char,
        /// Its place, counted from 1.
        at: usize,
    },
    /// A range or its brackets are malformed, or nothing is there.
    #[error(transparent)]
    HostSet(#[from] HostSetError),
}

/// Whoever knows the hosts that terms stand for.
pub trait Universe {
    /// A host, or what stands for one: hosts are the same when these are equal.
    type Item: Clone + Eq + Hash;
    /// Why a term stands for nothing.
    type Error;

    /// The hosts that `term` asks for, in their order; repeated ones count once.
    ///
    /// # Errors
    /// Whatever the universe refuses.
    fn resolve(&mut self, term: &Term) -> Result<Vec<Self::Item>, Self::Error>;
}

impl Expression {
    /// The terms in the order in which [`evaluate`](Self::evaluate) asks for them. Groups and queries with ranges are
    /// expanded, so that `@rack[1-2]` is two terms; names are not.
    pub fn terms(&self) -> impl Iterator<Item = &Term> {
        std::iter::once(&self.first).chain(self.rest.iter().map(|(_, operand)| operand)).flat_map(Operand::terms)
    }

    /// The terms that may bring in hosts: not those right of `!` or `&`, which only leave out some that are there.
    pub fn sought(&self) -> impl Iterator<Item = &Term> {
        let leaves_out = |operator: &Operator| matches!(operator, Operator::Difference | Operator::Intersection);
        let rest = self.rest.iter().filter(move |(operator, operand)| !leaves_out(operator) || operand.asks_by_name());
        std::iter::once(&self.first).chain(rest.map(|(_, operand)| operand)).flat_map(Operand::terms)
    }

    /// The random slices that were given no seed, with the seeds drawn for them: to be shown to the user.
    #[must_use]
    pub fn drawn(&self) -> &[Slice] {
        &self.drawn
    }

    /// The hosts asked for, each once, in the order of first mention.
    ///
    /// # Errors
    /// The first error of `universe`.
    pub fn evaluate<U: Universe>(&self, universe: &mut U) -> Result<Vec<U::Item>, U::Error> {
        let mut left = self.first.evaluate(&Members::default(), universe)?;
        for (operator, operand) in &self.rest {
            let right = operand.evaluate(&left, universe)?;
            match operator {
                Operator::Union => left.add(right.into_vec()),
                Operator::Difference => left.remove(&right.into_vec()),
                Operator::Intersection => left.retain(&right),
                Operator::SymmetricDifference => left.toggle(right.into_vec()),
            }
        }
        Ok(left.into_vec())
    }
}

impl Operand {
    /// Whether a term asks for a group or hosts by name, which must be known even if only to leave them out.
    fn asks_by_name(&self) -> bool {
        self.terms().iter().any(|term| !matches!(term, Term::Tag { .. } | Term::Fact { .. }))
    }

    fn terms(&self) -> &[Term] {
        match self {
            Self::Terms { terms, .. } => terms,
            Self::Slice(_) => &[],
        }
    }

    /// The items of this side, where `left` is the other.
    fn evaluate<U: Universe>(&self, left: &Members<U::Item>, universe: &mut U) -> Result<Members<U::Item>, U::Error> {
        match self {
            Self::Slice(slice) => Ok(left.part(slice)),
            Self::Terms { terms, slices, .. } => {
                let mut union = Members::default();
                for term in terms {
                    union.add(universe.resolve(term)?);
                }
                Ok(slices.iter().fold(union, |items, slice| items.part(slice)))
            }
        }
    }
}

/// An ordered set in which each change costs as much as what is changed.
struct Members<T> {
    /// In the order added; empty where an item was removed.
    items: Vec<Option<T>>,
    places: QuickMap<T, usize>,
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self { items: Vec::new(), places: QuickMap::default() }
    }
}

impl<T: Clone + Eq + Hash> Members<T> {
    fn add(&mut self, items: Vec<T>) {
        self.places.reserve(items.len());
        self.items.reserve(items.len());
        for item in items {
            if let Entry::Vacant(place) = self.places.entry(item) {
                self.items.push(Some(place.key().clone()));
                place.insert(self.items.len() - 1);
            }
        }
    }

    /// The items at the places of a slice.
    fn part(&self, slice: &Slice) -> Self {
        let items = self.to_vec();
        let mut part = Self::default();
        part.add(slice.places(items.len()).into_iter().map(|place| items[place].clone()).collect());
        part
    }

    fn remove(&mut self, items: &[T]) {
        for item in items {
            if let Some(place) = self.places.remove(item) {
                self.items[place] = None;
            }
        }
    }

    fn retain(&mut self, kept: &Self) {
        let mut gone = self.to_vec();
        gone.retain(|item| !kept.places.contains_key(item));
        self.remove(&gone);
    }

    /// Takes out those that are in, and adds those that are not.
    fn toggle(&mut self, items: Vec<T>) {
        let (common, new): (Vec<T>, Vec<T>) = items.into_iter().partition(|item| self.places.contains_key(item));
        self.remove(&common);
        self.add(new);
    }

    fn to_vec(&self) -> Vec<T> {
        self.items.iter().flatten().cloned().collect()
    }

    fn into_vec(self) -> Vec<T> {
        self.items.into_iter().flatten().collect()
    }
}

impl Operator {
    /// The operator that a character is; blanks are none by themselves.
    pub(super) fn of(character: char) -> Option<Self> {
        let all = [Self::Union, Self::Difference, Self::Intersection, Self::SymmetricDifference];
        all.into_iter().find(|operator| operator.symbol() == character)
    }

    fn symbol(self) -> char {
        match self {
            Self::Union => ',',
            Self::Difference => '!',
            Self::Intersection => '&',
            Self::SymmetricDifference => '^',
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.symbol())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slice(slice) => write!(f, "{slice}"),
            Self::Terms { written, slices, .. } => {
                f.write_str(written)?;
                slices.iter().try_for_each(|slice| write!(f, "{slice}"))
            }
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.rest.iter().try_for_each(|(operator, operand)| write!(f, "{operator}{operand}"))
    }
}

#[cfg(test)]
mod tests;
