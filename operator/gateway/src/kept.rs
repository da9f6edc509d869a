//! What was good last, kept on a volume that outlives the container: a gateway that starts again serves at once, whether or not
//! there is an API server.
//!
//! A file is replaced as a whole, so that what is read is old or new and never half of it. It is not forced to the disk: it has to
//! survive the process, and what a power cut leaves of it is read as nothing.

use std::path::{Path, PathBuf};

use crate::scene::Found;

const REPLICAS: &str = "replicas.json";
const CONFIG: &str = "config.json";

/// A folder.
#[derive(Clone, Debug)]
pub struct Kept(PathBuf);

impl Kept {
    /// In this folder, which exists.
    pub fn within(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// The replicas, if they were kept and can be read.
    pub fn replicas(&self) -> Option<Vec<Found>> {
        let text = self.read(REPLICAS)?;
        let replicas = serde_json::from_str(&text);
        replicas.inspect_err(|error| tracing::warn!(%error, "the replicas that were kept cannot be read")).ok()
    }

    /// Keeps the replicas.
    pub fn keep_replicas(&self, replicas: &[Found]) {
        if let Ok(text) = serde_json::to_string(replicas) {
            self.write(REPLICAS, &text);
        }
    }

    /// The configuration, as it was written.
    pub fn config(&self) -> Option<String> {
        self.read(CONFIG)
    }

    /// Keeps the configuration.
    pub fn keep_config(&self, text: &str) {
        self.write(CONFIG, text);
    }

    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.0.join(name)).ok()
    }

    fn write(&self, name: &str, text: &str) {
        let (new, file) = (self.0.join(format!(".{name}.new")), self.0.join(name));
        if let Err(error) = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &file)) {
            tracing::warn!(file = %file.display(), %error, "not kept; a start without the API server would miss it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Vec<Found> {
        vec![Found { name: "chat-0".into(), address: "[fd00::1]:8000".parse().unwrap(), leaving: true }]
    }

    #[test]
    fn what_was_kept_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::within(folder.path());
        assert_eq!((kept.replicas(), kept.config()), (None, None));
        kept.keep_replicas(&found());
        kept.keep_config("{}");
        let again = Kept::within(folder.path());
        assert_eq!((again.replicas(), again.config()), (Some(found()), Some("{}".to_owned())));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left behind");
    }

    #[test]
    fn what_cannot_be_read_or_written_is_as_if_it_were_not_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(REPLICAS), "[{\"name\":").unwrap();
        assert_eq!(Kept::within(folder.path()).replicas(), None);
        let nowhere = Kept::within(&folder.path().join("missing"));
        nowhere.keep_replicas(&found());
        assert_eq!(nowhere.replicas(), None);
    }
}
