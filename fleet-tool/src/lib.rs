//! What every tool is made of, around what it does on a host: its flags, and the run in which hosts, sessions, fan-out and
//! reports meet, with what each task tells of its host.

pub mod cli;
pub mod on_host;
pub mod places;
pub mod reporter;
pub mod run;
