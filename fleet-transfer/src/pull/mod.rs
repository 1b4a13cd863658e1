//! Bringing files from a host: what it lists becomes a plan, what it sends becomes files below one folder of ours.
//!
//! The host is believed nothing: only what was asked for is taken, only under the name that the plan gives it, and only as
//! much as was listed. Must not know how the host is reached.

mod after;
mod listing;
mod merge;
mod part_file;
mod parts;
mod plan;
mod problem;
mod receive;
mod records;
mod resume;
mod root;
mod stream;

pub use after::{AfterReader, Standing};
pub use listing::{Listed, ListedKind, Listing, ListingReader, Seen};
pub use merge::{Before, Merger};
pub use part_file::{PART_PREFIX, PartFile, digest_of};
pub use parts::{PartWanted, PartsArrived, PartsReceiver};
pub use plan::{Extent, Folding, Item, Paths, Plan, PlanError, Wanted};
pub use problem::{Matter, Problem, shown};
pub use receive::{Arrivals, Received, Receiver};
pub use records::{RecordError, RecordReader};
pub use resume::{Beginning, Compared, Digests, DigestsReader, Fetch, Tail, TailsReader};
pub use root::{Here, Root};
pub use stream::{Coding, Incoming, PullError};
