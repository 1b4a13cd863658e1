//! What every tool is made of, around what it does on a host: its flags, and the run in which hosts, sessions, fan-out and
//! reports meet.

pub mod cli;
pub mod run;
