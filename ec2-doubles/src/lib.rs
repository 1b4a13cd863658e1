//! Stand-ins for EC2 in tests: a fake in this process, an instance's metadata, and the emulator moto.
//!
//! [`FakeEc2`] speaks EC2's Query protocol on loopback: it filters, gives pages, fails as it is told, and remembers every
//! call. [`FakeMetadata`] is the metadata service of an instance. [`FakeStore`] is S3. [`Moto`] is an emulator by others, as a second opinion
//! on the fake; what it is wrong about is written where its instances are described.
//!
//! Depends on nothing of AWS, so that the tests of every crate can use it. Must not know who asks.

mod calls;
mod ec2;
mod http;
mod instance;
mod metadata;
mod moto;
mod store;

pub use calls::Call;
pub use ec2::{ACCOUNT, FakeEc2, Fault};
pub use instance::Instance;
pub use metadata::FakeMetadata;
pub use moto::{Launch, Moto};
pub use store::{FakeStore, StoreFault};
