//! Sets of hosts as text: `web[01-20],db1` and the names it stands for, `@web!tag:State=broken&%25` and what that asks for.
//!
//! Text in, text out. Must not know which groups and hosts there are, nor what a host is reached by.

mod expand;
mod expression;
mod fold;
mod merge;
mod number;
mod parse;
mod scan;
mod slice;
mod term;

pub use expand::{EXPANSION_LIMIT, expand, items};
pub use expression::{Expression, ExpressionError, Operator, Universe};
pub use fold::{fold, fold_limited};
pub use slice::Slice;
pub use term::{FACTS, Term, Word};

/// Why a text is not a host set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostSetError {
    /// Nothing but blanks.
    #[error("no host name is given; expected names such as web1,web2 or web[01-20]")]
    Empty,
    /// Nothing before, between or after commas.
    #[error("a host name is missing next to a comma in \"{text}\"; expected a name on both sides of each comma")]
    MissingName {
        /// The text around the comma.
        text: String,
    },
    /// A bracket without its partner, or one within another.
    #[error("the brackets in \"{item}\" do not match; expected a range such as web[01-20,25]")]
    Brackets {
        /// The item that holds the bracket.
        item: String,
    },
    /// Something in brackets that is not made of numbers.
    #[error("\"{part}\" in \"{item}\" is no range; expected a number, first-last or first-last/step")]
    NotARange {
        /// The part between commas.
        part: String,
        /// The item that holds the range.
        item: String,
    },
    /// A range whose first number is larger than its last.
    #[error("the range \"{part}\" in \"{item}\" goes down; expected the smaller number first")]
    Backwards {
        /// The range.
        part: String,
        /// The item that holds the range.
        item: String,
    },
    /// A first and a last number of which one is padded, and not to the length of the other.
    #[error(
        "the numbers of \"{part}\" in \"{item}\" are padded differently; expected as many digits in both, as in 001-100"
    )]
    Padding {
        /// The range.
        part: String,
        /// The item that holds the range.
        item: String,
    },
    /// A step of zero.
    #[error("the step of \"{part}\" in \"{item}\" is 0; expected 1 or more")]
    ZeroStep {
        /// The range.
        part: String,
        /// The item that holds the range.
        item: String,
    },
    /// More names than anyone means.
    #[error("\"{item}\" makes more than {EXPANSION_LIMIT} host names; expected a smaller range")]
    TooMany {
        /// The item with which the limit is passed.
        item: String,
    },
    /// `@name` where only host names have a meaning.
    #[error("\"{item}\" names a group; expected a host name")]
    Group {
        /// The item.
        item: String,
    },
}
