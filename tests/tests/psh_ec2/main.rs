//! `psh` on hosts of EC2: the real tool, the provider `fleet-ec2` with the real SDK, and real sshd, on two doubles of EC2.
//!
//! One binary, because all of it needs what `cargo build -p fleet-ec2` builds.

mod cache;
mod failures;
mod moto;
mod names;
mod scale;
mod settings;
mod world;
