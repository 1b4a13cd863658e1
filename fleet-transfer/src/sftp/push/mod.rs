//! Files written to a host that offers only SFTP: whole or not at all, as with the tar stream.
//!
//! What is there is looked at first, as what is in the way is to be known before anything is sent. Then all is written into
//! a folder beside its targets, each file under a number, its length verified, and its attributes set; and only when
//! all of it is there, renamed over the targets. What is missing on the host is renamed as a whole folder. No digest can be
//! asked for over SFTP: who wants to be sure has it read back. Must not know how the host is reached.

mod commit;
mod explain;
mod plan;
mod read_back;
mod upload;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use fleet_ssh::remote::{Attributes, CopyRefusal, Landing, MissingFolder, Replaced, Token};
use tokio_util::sync::CancellationToken;

use self::plan::Plan;
use self::upload::Upload;
use super::client::Client;
use crate::manifest::{Manifest, Selection};
use crate::source_cache::{SourceCache, SourceError};

/// What is written to one host, where to, and how.
#[derive(Clone, Copy, Debug)]
pub struct Push<'a> {
    /// What all hosts get.
    pub manifest: &'a Manifest,
    /// What of it this host gets.
    pub selection: &'a Selection,
    /// Where its contents are read, as pieces that are not compressed; what stands around the contents is left out.
    pub source: &'a SourceCache,
    /// Where it goes.
    pub landing: Landing<'a>,
    /// What is done when the folder of the landing is missing.
    pub missing: MissingFolder,
    /// The room that it takes; `None` when it is not known.
    pub needed_kib: Option<u64>,
    /// What is kept beside names and contents.
    pub attributes: Attributes,
    /// Whose it is then.
    pub owner: Option<Owner>,
    /// What becomes of files that it replaces.
    pub replaced: Replaced,
    /// How it is verified.
    pub verified: Verified,
    /// Names the folder for the time of the copy. No other copy has it, but a further attempt at this one may.
    pub mark: &'a Token,
}

/// How files are verified on the host before they replace others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verified {
    /// They have the length that they should have.
    #[default]
    ByLength,
    /// Also, all that was written is read back, and is what was sent.
    ByReading,
}

/// Whose files are to be, by numbers: SFTP knows no names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The number of the user.
    pub user: Option<u32>,
    /// The number of the group.
    pub group: Option<u32>,
}

/// Why a text is no [`Owner`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {found:?}; expected numbers as in 1000:1000, as SFTP knows no names of users")]
pub struct OwnerError {
    /// As written.
    pub found: String,
}

/// As `chown` takes it: `1000`, `1000:1000` or `:1000`.
impl std::str::FromStr for Owner {
    type Err = OwnerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || OwnerError { found: text.to_owned() };
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        let number = |text: &str| match text {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| refused()),
        };
        let owner = Self { user: number(user)?, group: number(group)? };
        if owner == Self::default() { Err(refused()) } else { Ok(owner) }
    }
}

/// Hears how far a copy has come, and says how fast it may go.
pub trait Flow: Sync {
    /// Waits until so many bytes may leave.
    fn before(&self, bytes: u64) -> impl Future<Output = ()> + Send {
        let _ = bytes;
        async {}
    }

    /// The server has written so many bytes.
    fn sent(&self, bytes: u64) {
        let _ = bytes;
    }
}

/// As fast as it goes.
#[derive(Clone, Copy, Debug)]
pub struct Unwatched;

impl Flow for Unwatched {}

/// What was left out of a copy, by the numbers of the entries: files that could not be read on this machine.
pub type LeftOut = BTreeMap<usize, Arc<SourceError>>;

/// Copies files to the host behind `client`. `None` when `stop` was cancelled before the first rename: then nothing was
/// changed. After it, all is renamed.
///
/// # Errors
/// When the host refuses; then nothing was changed, or how much was is said.
pub async fn push(
    client: &Client,
    push: &Push<'_>,
    flow: &impl Flow,
    stop: &CancellationToken,
) -> Option<Result<LeftOut, CopyRefusal>> {
    let mut plan = Plan::default();
    let written = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        written = write(client, push, flow, &mut plan) => Some(written),
    };
    let end = match written {
        None => None,
        Some(Err(refusal)) => Some(Err(refusal)),
        Some(Ok(left_out)) => Some(commit::commit(client, push, &plan, &left_out).await.map(|()| left_out)),
    };
    plan.clean_up(client, matches!(end, Some(Ok(_)))).await;
    end
}

/// All that changes nothing but folders of ours.
async fn write(client: &Client, push: &Push<'_>, flow: &impl Flow, plan: &mut Plan) -> Result<LeftOut, CopyRefusal> {
    plan.survey(client, push).await?;
    let plan = &*plan;
    let upload = Upload { client, push, plan, flow };
    tokio::select! {
        left_out = upload.run() => left_out,
        refusal = plan.keep_alive(client) => Err(refusal),
    }
}
