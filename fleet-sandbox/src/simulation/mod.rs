//! Commands that are answered in this process instead of being run: so that thousands of hosts fit on one machine.
//!
//! The connection, the login and the channels are real SSH. What a command may be is in [`interpreter::COMMANDS`];
//! what is not known is refused. A simulated host has no files (its home is made when a client first asks for SFTP) and
//! no terminals.
//!
//! Must not know the SSH protocol.

mod interpreter;
mod processes;
mod syntax;
mod wrapper;

use std::future::{Future, pending};
use std::sync::Arc;

use bytes::Bytes;
use russh::Sig;
use tokio::sync::OwnedSemaphorePermit;

use self::interpreter::{Input, Interpreter};
use self::processes::{Entry, Processes};
use self::syntax::Variables;
use self::wrapper::{Line, StopWhen, Stopper, Wrapped, WrappedInput};
use crate::channel::{Exit, Output, Stream};
use crate::spool::Spool;

pub use self::interpreter::COMMANDS;
pub(crate) use self::processes::Process;

/// What a shell reports for what it cannot run.
const CANNOT_RUN: u32 = 126;
/// The moment of birth of every process: numbers are never used twice.
const BIRTH: &str = "1";

/// The simulated side of one host.
#[derive(Debug, Default)]
pub(crate) struct Simulation {
    processes: Arc<Processes>,
}

/// A command as a client asks for it.
pub(crate) struct Request {
    pub(crate) line: Vec<u8>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) input: Arc<Spool>,
    pub(crate) output: Output,
    /// Of its session, until it has ended.
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

impl Simulation {
    /// Starts the command: the process, and the work that ends with its channel.
    pub(crate) fn start(&self, request: Request) -> (Arc<Process>, impl Future<Output = ()> + Send + use<>) {
        let entry = self.processes.enter();
        let process = Arc::clone(&entry.process);
        let Request { line, variables, input, output, place } = request;
        let variables = variables.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        let run = Run { processes: Arc::clone(&self.processes), entry, input, variables, place };
        let work = async move {
            tokio::select! {
                () = run.answer(&line, &output) => {}
                () = output.closed() => {}
            }
        };
        (process, work)
    }
}

/// One command on its way, which is a process of the host.
struct Run {
    processes: Arc<Processes>,
    entry: Entry,
    input: Arc<Spool>,
    variables: Variables,
    place: Option<OwnedSemaphorePermit>,
}

impl Run {
    async fn answer(self, line: &[u8], output: &Output) {
        let (exit, held) = match Line::read(line) {
            Ok(Line::Plain(command)) => {
                let input = Input::Channel(Arc::clone(&self.input));
                self.run(&command, input, self.variables.clone(), output).await
            }
            Ok(Line::Wrapped(wrapped)) => self.run_wrapped(wrapped, output).await,
            Ok(Line::Stopper(stopper)) => self.stop(&stopper, output).await,
            Err(error) => {
                output.send(Stream::Stderr, format!("sh: 1: {error}\n").into()).await;
                (Exit::Code(CANNOT_RUN), Bytes::new())
            }
        };
        // Ended for those who stop it, and for those who want a session, before its channel is.
        drop((self.entry, self.place));
        output.finish(exit, held).await;
    }

    async fn run(&self, command: &[u8], input: Input, mut variables: Variables, output: &Output) -> (Exit, Bytes) {
        variables.insert("$".to_owned(), self.entry.process.pid.to_string().into_bytes());
        let mut interpreter = Interpreter { variables, input, output, held: Bytes::new() };
        let exit = tokio::select! {
            status = interpreter.run(command) => Exit::Code(u32::from(status)),
            signal = self.entry.process.signalled() => Exit::Signal { name: signal, is_core_dumped: false },
        };
        (exit, interpreter.held)
    }

    async fn run_wrapped(&self, wrapped: Wrapped, output: &Output) -> (Exit, Bytes) {
        let process = &self.entry.process;
        let (input, keeper) = match wrapped.input {
            WrappedInput::Control => (Input::Nothing, self.processes.number().to_string()),
            WrappedInput::Command => (Input::Channel(Arc::clone(&self.input)), "-".to_owned()),
        };
        let announcement = line_of(&wrapped.token, &format!("{} {BIRTH} {keeper}", process.pid));
        output.send(Stream::Stderr, announcement).await;
        let mut variables = self.variables.clone();
        variables.extend(wrapped.variables);
        let keeping = async {
            if wrapped.input == WrappedInput::Control {
                until_end(&self.input).await;
                process.signal(Sig::TERM);
            }
            pending().await
        };
        tokio::select! {
            ended = self.run(&wrapped.command, input, variables, output) => ended,
            never = keeping => never,
        }
    }

    async fn stop(&self, stopper: &Stopper, output: &Output) -> (Exit, Bytes) {
        if stopper.when == StopWhen::InputEnds {
            until_end(&self.input).await;
        }
        match self.processes.find(stopper.pid) {
            Some(process) => {
                process.signal(Sig::TERM);
                process.ended().await;
            }
            None if stopper.when == StopWhen::InputEnds => return (Exit::Code(0), Bytes::new()),
            None => {}
        }
        output.send(Stream::Stdout, line_of(&stopper.token, "gone")).await;
        (Exit::Code(0), Bytes::new())
    }
}

/// Waits for the end of the input, whatever comes before it.
async fn until_end(input: &Spool) {
    while matches!(input.pop().await, Ok(Some(_))) {}
}

/// A line as the wrapper says it.
fn line_of(token: &[u8], words: &str) -> Bytes {
    [b"\x1efleet ", token, b" ", words.as_bytes(), b"\n"].concat().into()
}
