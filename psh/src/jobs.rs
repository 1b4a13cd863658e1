//! The work on one host for jobs that were started before: look after one, take its output, stop it.
//!
//! Must not know other hosts, flags or terminals.

use fleet_core::outcome::{FailureClass, HostError, LastOutput, Outcome, Stage, Stop, StopCause};
use fleet_ssh::remote::{
    JobName, JobState, JobWait, StopVerdict, job_list_command, job_output_command, job_remove_command,
    job_state_command, job_stop_command,
};
use fleet_ssh::{OutputSink, Wrapping};
use fleet_tool::on_host::{Answer, OnHost};

/// What is done about jobs.
#[derive(Clone, Debug)]
pub(crate) enum JobWork {
    /// They are listed.
    List,
    /// The output of one is taken.
    Collect {
        /// Which.
        job: JobName,
        /// Whether its end is waited for.
        wait: JobWait,
        /// What is left of it on a host where it has ended.
        after: Afterwards,
    },
    /// One is stopped.
    Stop(JobName),
}

/// What is done with a job that has ended and was collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// It can be collected again.
    Kept,
    /// Its folder is removed.
    Forgotten,
}

/// The jobs of a host.
pub(crate) struct JobsOn<'a>(pub(crate) OnHost<'a>);

impl JobsOn<'_> {
    /// Does the work; our list and the output of a job go to `sink`.
    pub(crate) async fn work(&self, work: &JobWork, sink: &impl OutputSink) -> Outcome {
        let done = match work {
            JobWork::List => return self.0.run(job_list_command(), Wrapping::Shell, sink).await,
            JobWork::Collect { job, wait, after } => self.collect(job, *wait, *after, sink).await,
            JobWork::Stop(job) => self.stop(job).await,
        };
        done.unwrap_or_else(|outcome| outcome)
    }

    /// `Err` is an end before the work was done.
    async fn collect(
        &self,
        job: &JobName,
        wait: JobWait,
        after: Afterwards,
        sink: &impl OutputSink,
    ) -> Result<Outcome, Outcome> {
        let outcome = match self.state(job, wait).await? {
            JobState::None => return Err(no_such_job()),
            JobState::Running(..) => Outcome::Running,
            JobState::Exited(code) => Outcome::Exited(code),
            JobState::Stopped(signal) => Outcome::Signalled(signal),
            JobState::Died => died(),
        };
        self.succeed(job_output_command(job), sink).await?;
        // Only now that all of its output is here.
        if after == Afterwards::Forgotten && outcome != Outcome::Running {
            self.succeed(job_remove_command(job), sink).await?;
        }
        Ok(outcome)
    }

    async fn stop(&self, job: &JobName) -> Result<Outcome, Outcome> {
        let (process, mark) = match self.state(job, JobWait::Now).await? {
            JobState::None => return Err(no_such_job()),
            JobState::Exited(_) | JobState::Stopped(_) | JobState::Died => return Ok(Outcome::Exited(0)),
            JobState::Running(process, mark) => (process, mark),
        };
        let answer = Answer::default();
        // Nothing has to watch over it, but sudo runs nothing else than what is wrapped.
        let wrapping = if self.0.sudo.is_some() { Wrapping::Shell } else { Wrapping::Raw };
        match self.0.run(job_stop_command(job, &process, &mark, self.0.limits.grace), wrapping, &answer).await {
            Outcome::Exited(_) => {}
            outcome => return Err(outcome),
        }
        let stop = match StopVerdict::find(&answer.bytes(), &mark) {
            Some(StopVerdict::Gone) => return Ok(Outcome::Exited(0)),
            Some(verdict) => Stop::from(verdict),
            None => Stop::Unconfirmed("no verdict from the host".to_owned()),
        };
        Ok(Outcome::Stopped { cause: StopCause::Cancelled, stop, output: LastOutput::Complete })
    }

    async fn state(&self, job: &JobName, wait: JobWait) -> Result<JobState, Outcome> {
        let answer = Answer::default();
        self.succeed(job_state_command(job, wait), &answer).await?;
        JobState::find(&answer.bytes()).ok_or_else(|| {
            let error = HostError::new(Stage::Command, FailureClass::Channel, "no word about the job from the host");
            Outcome::Failed(error)
        })
    }

    async fn succeed(&self, line: Vec<u8>, sink: &impl OutputSink) -> Result<(), Outcome> {
        match self.0.run(line, Wrapping::Shell, sink).await {
            Outcome::Exited(0) => Ok(()),
            outcome => Err(outcome),
        }
    }
}

fn no_such_job() -> Outcome {
    let error = HostError::new(Stage::Command, FailureClass::Channel, "no such job");
    Outcome::Failed(
        error.with_hint(
            "--jobs lists the jobs of a host; each user has their own, and --sudo shows those of the other one",
        ),
    )
}

fn died() -> Outcome {
    let error = HostError::new(Stage::Command, FailureClass::Lost, "the job has died without an exit code");
    let hint = "the host restarted, or all of it was killed by force; what it had printed until then is here";
    Outcome::Failed(error.with_hint(hint))
}
