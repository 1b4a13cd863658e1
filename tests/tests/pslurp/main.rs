//! `pslurp` on real servers: what it brings, where it puts it, what it says, and what no host can make it do.

mod changing;
mod fetch;
mod hostile;
mod sftp;
mod shells;
mod world;
