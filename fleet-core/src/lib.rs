//! The engine that all fleet tools share: find hosts, run bounded sessions on them, report what happened on each.

pub mod broadcast;
pub mod descriptors;
pub mod endpoint;
pub mod event;
pub mod fanout;
pub mod host;
pub mod hostset;
pub mod inventory;
pub mod outcome;
pub mod pace;
pub mod provider;
mod quick_hash;
pub mod record;
pub mod render;
pub mod sanitize;
pub mod select;
pub mod settings;
pub mod size;
pub mod template;
pub mod wildcard;
