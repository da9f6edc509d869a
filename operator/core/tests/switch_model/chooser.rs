//! All ways through a piece of code that asks "which?": it is run again and again, each time with the next answers.

/// The answers of one run.
#[derive(Default)]
pub struct Chooser {
    answers: Vec<u8>,
    sizes: Vec<u8>,
    at: usize,
}

impl Chooser {
    /// Gives the answers of an earlier run.
    pub fn replaying(answers: &[u8]) -> Self {
        Self { answers: answers.to_vec(), sizes: vec![0; answers.len()], at: 0 }
    }

    /// Which of so many?
    pub fn choose(&mut self, of: usize) -> usize {
        if of <= 1 {
            return 0;
        }
        if self.at == self.answers.len() {
            self.answers.push(0);
            self.sizes.push(0);
        }
        self.sizes[self.at] = u8::try_from(of).unwrap();
        self.at += 1;
        usize::from(self.answers[self.at - 1])
    }

    /// The answers that were given.
    pub fn answers(&self) -> &[u8] {
        &self.answers
    }

    /// Goes on to the next run; false when all have been.
    pub fn next(&mut self) -> bool {
        self.at = 0;
        while let (Some(answer), Some(size)) = (self.answers.last_mut(), self.sizes.last()) {
            if *answer + 1 < *size {
                *answer += 1;
                return true;
            }
            self.answers.pop();
            self.sizes.pop();
        }
        false
    }
}
