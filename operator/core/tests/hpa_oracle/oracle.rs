//! The controller, as a program that answers line by line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;

use crate::scenario::{Pass, Scenario};

pub struct Oracle {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Passes(Vec<Pass>),
    Failed { error: String },
}

impl Oracle {
    pub fn start(program: &str) -> Self {
        let piped = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut child = piped.unwrap_or_else(|why| panic!("{program}: {why}"));
        let questions = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, questions, answers }
    }

    /// Its passes, or why there are none.
    pub fn play(&mut self, scenario: &Scenario) -> Result<Vec<Pass>, String> {
        let line = serde_json::to_string(scenario).unwrap();
        let asked = writeln!(self.questions, "{line}").and_then(|()| self.questions.flush());
        let mut answer = String::new();
        let read = self.answers.read_line(&mut answer);
        let said = serde_json::from_str(&answer);
        match (asked, read, said) {
            (Ok(()), Ok(_), Ok(Answer::Passes(passes))) => Ok(passes),
            (_, _, Ok(Answer::Failed { error })) => Err(format!("the oracle refuses: {error}")),
            (asked, read, _) => Err(format!("the oracle does not answer: {asked:?} {read:?} {answer:?}")),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
