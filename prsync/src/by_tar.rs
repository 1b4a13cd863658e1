//! A host without rsync: asked what it has, sent what differs as one stream, then told what no stream can say.
//!
//! Must not know what is compared, nor why the host comes here.

use fleet_core::fanout::HostContext;
use fleet_core::outcome::{FailureClass, HostError, Outcome, Stage};
use fleet_ssh::Session;
use fleet_ssh::remote::Token;
use fleet_transfer::push::{Answer, Ask, Delivery, Ended, Share, ended, incomplete};
use fleet_transfer::sync::{Settling, SyncEnd, TarError, TarPlan};

use crate::release::Target;
use crate::task::{Bring, Purpose};

/// The most that a host may list, in bytes: some five million entries.
const LIST_BYTES: usize = 512 << 20;
/// The most that is heard of a script that has little to say.
const SAID_BYTES: usize = 64 << 10;

impl Bring {
    /// Brings a host to the state of the sources.
    pub(crate) async fn by_tar(
        &self,
        target: &Target,
        session: &Session,
        host: &HostContext,
    ) -> Result<SyncEnd, Outcome> {
        let unkept = self.tar.unkept();
        if !unkept.is_empty() {
            let message = format!("needs rsync on the host: {}", unkept.join(", "));
            return Err(Outcome::Failed(copy_error(message).with_hint("install rsync there, or leave these out")));
        }
        let folder = &target.folder[..];
        let mark = Token::random();
        let text = self.tar.list(folder, &mark).map_err(|error| local(&error))?;
        let listed = self.ask(text, LIST_BYTES, &mark, session, host).await?;
        let plan = self.tar.planned(folder.to_vec(), listed, mark).await.map_err(|error| failed(&error))?;
        if let Some(most) = self.most_deleted {
            self.may_delete(most, &plan.end, host).await?;
        }
        if self.purpose == Purpose::Change {
            self.carry_out(&plan, folder, session, host).await?;
        }
        self.tell_changes(&plan.end, host).await;
        Ok(plan.end)
    }

    async fn carry_out(
        &self,
        plan: &TarPlan,
        folder: &[u8],
        session: &Session,
        host: &HostContext,
    ) -> Result<(), Outcome> {
        if let Some(before) = &plan.before {
            self.settle(before, folder, session, host).await?;
        }
        if let Some(share) = &plan.share {
            self.send(share, folder, session, host).await?;
        }
        if let Some(after) = &plan.after {
            self.settle(after, folder, session, host).await?;
        }
        Ok(())
    }

    async fn send(&self, share: &Share, folder: &[u8], session: &Session, host: &HostContext) -> Result<(), Outcome> {
        let push = self.tar.push(share).await.map_err(|error| failed(&error))?;
        let delivery = Delivery {
            push,
            copy: self.tar.copy_in(folder),
            session,
            cancel: host.cancel(),
            limits: &self.access.limits,
            sudo: self.access.sudo.as_ref(),
            beside: &self.access.reporter(host),
        };
        let (ended, sent) = delivery.send(share).await;
        match ended {
            Ended::Done if sent.failures.is_empty() => Ok(()),
            Ended::Done => {
                let totals = push.manifest().totals(&share.selection);
                let kept = (totals.files + totals.symlinks).saturating_sub(sent.failures.len() as u64);
                Err(Outcome::Failed(incomplete(&sent.failures, kept)))
            }
            Ended::Failed(outcome) | Ended::NoDigest(outcome) => Err(outcome),
            Ended::NotRun(error) => Err(Outcome::Failed(error)),
        }
    }

    async fn settle(
        &self,
        what: &Settling,
        folder: &[u8],
        session: &Session,
        host: &HostContext,
    ) -> Result<(), Outcome> {
        let mark = Token::random();
        let text = self.tar.settle(folder, what, &mark).map_err(|error| local(&error))?;
        self.ask(text, SAID_BYTES, &mark, session, host).await.map(drop)
    }

    /// What a script of ours says on standard output.
    async fn ask(
        &self,
        text: Vec<u8>,
        limit: usize,
        mark: &Token,
        session: &Session,
        host: &HostContext,
    ) -> Result<Vec<u8>, Outcome> {
        let ask = Ask {
            text,
            limit,
            session,
            cancel: host.cancel(),
            limits: &self.access.limits,
            sudo: self.access.sudo.as_ref(),
            beside: &self.access.reporter(host),
        };
        let Answer { outcome, stdout, stderr } = ask.run(mark).await.map_err(Outcome::Failed)?;
        if outcome == Outcome::Exited(0) {
            return Ok(stdout);
        }
        Err(match ended(outcome, &stderr, mark) {
            Ended::Failed(outcome) | Ended::NoDigest(outcome) => outcome,
            Ended::NotRun(error) => Outcome::Failed(error),
            Ended::Done => Outcome::Failed(copy_error("the host says that it is done, and failed".to_owned())),
        })
    }
}

fn copy_error(message: String) -> HostError {
    HostError::new(Stage::Command, FailureClass::Copy, message)
}

fn failed(error: &TarError) -> Outcome {
    Outcome::Failed(copy_error(error.to_string()))
}

fn local(error: &impl ToString) -> Outcome {
    Outcome::Failed(HostError::local(error.to_string()))
}
