//! The program `fleet-ec2` as the tools run it: JSON in, JSON out, on the fake of EC2, a fake of instance metadata, and moto.
//!
//! One binary, since each that links the AWS SDK takes a hundred megabytes.

mod access;
mod actions;
mod contract;
mod describe;
mod failures;
mod store;
mod world;
