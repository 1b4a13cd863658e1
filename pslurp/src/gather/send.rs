//! The steps in which contents come: whole files as an archive, and parts of files.
//!
//! Must not know how it was decided what is fetched.

use std::collections::HashSet;
use std::sync::Arc;

use fleet_core::outcome::Outcome;
use fleet_ssh::remote::{
    Packing, Token, copy_out_after_mark, copy_out_data_mark, copy_out_end_mark, copy_out_parts_command,
    copy_out_send_command,
};
use fleet_transfer::pull::{
    AfterReader, Arrivals, Coding, ListedKind, Matter, PartWanted, PartsArrived, PartsReceiver, Plan, Problem,
    PullError, Received, Receiver, Root, Standing,
};

use super::{Course, blocking, names};
use crate::program::{Progress, Ran, Taker, failed};

impl Course<'_> {
    /// Fetches whole files and symlinks. Returns how many bytes of all are here then.
    pub(super) async fn fetch_whole(
        &mut self,
        asked: Vec<usize>,
        root: Root,
        progress: Progress,
    ) -> Result<(u64, Root), Outcome> {
        if asked.is_empty() {
            return Ok((progress.done, root));
        }
        let mark = Token::random();
        let receiver = Receiver::new(Arc::clone(&self.plan), &asked, root, copy_out_data_mark(&mark), self.coding());
        let taker = Whole { receiver, after: after(&mark, asked.len()) };
        let command = copy_out_send_command(self.gathering.links, self.gathering.packing, &mark);
        let names = names(asked.iter().map(|&item| self.plan.items[item].remote.clone()));
        let Ran { taker, ended } = self.on_host.run(command, Some(names), &mark, (taker, progress)).await;
        let Whole { receiver, after } = taker;
        let done = progress.done + receiver.bytes();
        self.tally.bytes += receiver.bytes();
        let (Arrivals { received, problems, root }, complete) = blocking(move || receiver.finish()).await;
        let told: HashSet<Vec<u8>> = problems.iter().map(|problem| problem.path.clone()).collect();
        self.problems.extend(problems);
        for item in asked {
            self.judge_whole(item, received.get(&item).copied(), &after, &told);
        }
        ended?;
        complete.map_err(|error| Outcome::Failed(failed(error.to_string())))?;
        if after.has_ended() { Ok((done, root)) } else { Err(Outcome::Failed(failed(PullError::Cut.to_string()))) }
    }

    fn judge_whole(&mut self, place: usize, received: Option<Received>, after: &AfterReader, told: &HashSet<Vec<u8>>) {
        let item = &self.plan.items[place];
        let matter = match (received, after.standing(item)) {
            (None, _) if told.contains(&item.remote) => return,
            (None, Standing::Unreadable) => Some(Matter::Unreadable),
            (None, _) => Some(Matter::NotSent),
            (Some(Received::Failed), _) => return,
            (Some(_), Standing::Changed) => Some(Matter::Changed),
            (Some(Received::Grown), _) | (Some(_), Standing::Grown) => Some(Matter::Grew { len: item.seen.len }),
            (Some(Received::Whole), Standing::Same | Standing::Unreadable) => None,
        };
        let is_here = matches!(matter, None | Some(Matter::Grew { .. }));
        if let Some(matter) = matter {
            self.problems.push(Problem { path: item.remote.clone(), matter });
        }
        if is_here {
            match item.seen.kind {
                ListedKind::Symlink => self.tally.symlinks += 1,
                _ => self.tally.files += 1,
            }
            self.here.push(place);
        }
    }

    /// Fetches parts of files. Returns how many bytes of all are here then.
    pub(super) async fn fetch_parts(
        &mut self,
        wanted: Vec<PartWanted>,
        root: Root,
        progress: Progress,
    ) -> Result<u64, Outcome> {
        if wanted.is_empty() {
            return Ok(progress.done);
        }
        let mark = Token::random();
        let asked = |part: &PartWanted| {
            [format!("{} {} ", part.from + 1, part.len).as_bytes(), &self.plan.items[part.item].remote].concat()
        };
        let names = names(wanted.iter().map(asked));
        let after = after(&mark, wanted.len());
        let receiver =
            PartsReceiver::new(Arc::clone(&self.plan), wanted, root, copy_out_data_mark(&mark), self.coding());
        let command = copy_out_parts_command(self.gathering.links, self.gathering.packing, &mark);
        let taker = Parts { receiver, after };
        let Ran { taker, ended } = self.on_host.run(command, Some(names), &mark, (taker, progress)).await;
        let Parts { receiver, after } = taker;
        let done = progress.done + receiver.bytes();
        self.tally.bytes += receiver.bytes();
        let (PartsArrived { parts, mut problems, root }, complete) = blocking(move || receiver.finish()).await;
        self.problems.append(&mut problems);
        if ended.is_ok() && complete.is_ok() && after.has_ended() {
            let plan = Arc::clone(&self.plan);
            let (here, problems) = blocking(move || settle(&plan, &parts, root, &after)).await;
            self.tally.files += here.len() as u64;
            self.here.extend(here);
            self.problems.extend(problems);
            return Ok(done);
        }
        ended?;
        Err(Outcome::Failed(failed(complete.err().unwrap_or(PullError::Cut).to_string())))
    }

    fn coding(&self) -> Coding {
        match self.gathering.packing {
            Packing::Plain => Coding::Plain,
            Packing::Gzip => Coding::Gzip,
        }
    }
}

/// Gives the files their names whose parts have come, unless they were changed meanwhile.
fn settle(plan: &Plan, arrived: &[PartWanted], mut root: Root, after: &AfterReader) -> (Vec<usize>, Vec<Problem>) {
    let (mut here, mut problems) = (Vec::new(), Vec::new());
    for part in arrived {
        let item = &plan.items[part.item];
        let mut note = |matter| problems.push(Problem { path: item.remote.clone(), matter });
        let opened = root.open_part(&item.local);
        let settled = match (opened, after.standing(item)) {
            (Err(matter), _) => Err(matter),
            (Ok(file), Standing::Changed | Standing::Unreadable) => {
                file.discard();
                Err(Matter::Changed)
            }
            (Ok(file), standing) => {
                if standing == Standing::Grown {
                    note(Matter::Grew { len: item.seen.len });
                }
                file.finish(item.seen.len, item.seen.mtime)
            }
        };
        match settled {
            Ok(()) => here.push(part.item),
            Err(matter) => note(matter),
        }
    }
    (here, problems)
}

fn after(mark: &Token, files: usize) -> AfterReader {
    AfterReader::new(copy_out_after_mark(mark), copy_out_end_mark(mark), files)
}

struct Whole {
    receiver: Receiver,
    after: AfterReader,
}

struct Parts {
    receiver: PartsReceiver,
    after: AfterReader,
}

impl Taker for Whole {
    fn take(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        self.receiver.push(bytes)
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        Ok(self.after.push(bytes)?)
    }

    fn bytes(&self) -> u64 {
        self.receiver.bytes()
    }
}

impl Taker for Parts {
    fn take(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        self.receiver.push(bytes)
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        Ok(self.after.push(bytes)?)
    }

    fn bytes(&self) -> u64 {
        self.receiver.bytes()
    }
}
