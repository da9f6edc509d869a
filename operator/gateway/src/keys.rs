//! API keys: who a client is, and what it may do.
//!
//! A Secret is mounted as a folder, one file for each client: the file's name is the client's, its content the key, or
//! `sha256:` and its digest in hexadecimal. Only digests are kept; each is compared in constant time, and all of them are.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use deepseek_core::gateway::{Client, PriorityClass};
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use crate::rate::Rate;

/// Longest file that is read.
const LONGEST: u64 = 4096;

/// Everybody who has a key.
#[derive(Debug, Default)]
pub struct Keys(Vec<([u8; 32], Arc<Holder>)>);

/// Somebody who has a key.
#[derive(Debug)]
pub struct Holder {
    /// Its name.
    pub name: String,
    /// The most urgent class that its requests may have.
    pub priority: PriorityClass,
    /// Requests per minute.
    pub requests: Option<Rate>,
    /// Tokens per minute.
    pub tokens: Option<Rate>,
    client: Client,
}

impl Holder {
    fn new(name: &str, client: &Client) -> Self {
        Self {
            name: name.to_owned(),
            client: client.clone(),
            priority: client.priority.unwrap_or(PriorityClass::High),
            requests: client.requests_per_minute.map(Rate::per_minute),
            tokens: client.tokens_per_minute.map(Rate::per_minute),
        }
    }

    fn is(&self, name: &str, client: &Client) -> bool {
        self.name == name && self.client == *client
    }
}

/// Equal when the same holders have the same keys.
impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        let same = |((a, one), (b, another)): (&(_, Arc<Holder>), &(_, Arc<Holder>))| {
            a == b && one.is(&another.name, &another.client)
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

impl Keys {
    /// Reads a folder. Holders whose key and limits have not changed keep what they have used.
    ///
    /// # Errors
    /// Which file cannot be read, and why; never what is in it.
    pub fn read(folder: &Path, clients: &BTreeMap<String, Client>, before: &Self) -> Result<Self, String> {
        let mut keys: Vec<([u8; 32], Arc<Holder>)> = Vec::new();
        let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let entry = entry.map_err(|error| format!("{}: {error}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // a mounted Secret has folders and links of its own, all with two dots in front
            if name.starts_with("..") {
                continue;
            }
            let digest = read_key(&entry.path()).map_err(|error| format!("{}: {error}", entry.path().display()))?;
            let client = clients.get(&name).cloned().unwrap_or_default();
            let known = before.0.iter().find(|(known, holder)| *known == digest && holder.is(&name, &client));
            keys.push((
                digest,
                known.map_or_else(|| Arc::new(Holder::new(&name, &client)), |(_, holder)| holder.clone()),
            ));
        }
        // folders are listed in any order
        keys.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
        Ok(Self(keys))
    }

    /// The same keys under other limits.
    #[must_use]
    pub fn under(&self, clients: &BTreeMap<String, Client>) -> Self {
        let limited = |holder: &Arc<Holder>| {
            let client = clients.get(&holder.name).cloned().unwrap_or_default();
            if holder.client == client { holder.clone() } else { Arc::new(Holder::new(&holder.name, &client)) }
        };
        Self(self.0.iter().map(|(digest, holder)| (*digest, limited(holder))).collect())
    }

    /// Whose key this is.
    pub fn holder(&self, key: &str) -> Option<&Arc<Holder>> {
        let presented = hash(key.as_bytes());
        let mut found = None;
        for (digest, holder) in &self.0 {
            if bool::from(digest.ct_eq(&presented)) {
                found = Some(holder);
            }
        }
        found
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn read_key(path: &Path) -> Result<[u8; 32], String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > LONGEST {
        return Err(format!("{length} bytes are no API key; at most {LONGEST} are read"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    match text.trim() {
        "" => Err("the file is empty".to_owned()),
        text => match text.strip_prefix("sha256:") {
            Some(hex) => digest_of(hex).ok_or_else(|| "sha256: is followed by 64 hexadecimal digits".to_owned()),
            None => Ok(hash(text.as_bytes())),
        },
    }
}

fn hash(key: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, key).as_ref());
    bytes
}

fn digest_of(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_key_tells_its_holder() {
        let bob = "36c76b48bb2ee1d9d37140550e9d7ed7d395cf56f41050dc2a72e5291c0011f0"; // of sk-bob
        let folder = folder(&[("alice", "sk-alice\n"), ("bob", &format!("sha256:{bob}")), ("..data", "no key")]);
        let limits = BTreeMap::from([("bob".to_owned(), Client { requests_per_minute: Some(3), ..Client::default() })]);
        let keys = Keys::read(folder.path(), &limits, &Keys::default()).unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys.holder("sk-alice").unwrap().name, "alice");
        assert!(keys.holder("sk-bob").unwrap().requests.is_some());
        for wrong in ["", "sk-alic", "sk-alice\n", "no key", &format!("sha256:{bob}")] {
            assert!(keys.holder(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn who_stays_keeps_what_was_used() {
        let folder = folder(&[("alice", "sk-alice")]);
        let first = Keys::read(folder.path(), &BTreeMap::new(), &Keys::default()).unwrap();
        let again = Keys::read(folder.path(), &BTreeMap::new(), &first).unwrap();
        assert!(Arc::ptr_eq(first.holder("sk-alice").unwrap(), again.holder("sk-alice").unwrap()));
        let limits = BTreeMap::from([("alice".to_owned(), Client { tokens_per_minute: Some(9), ..Client::default() })]);
        let limited = Keys::read(folder.path(), &limits, &again).unwrap();
        assert!(limited.holder("sk-alice").unwrap().tokens.is_some());
        assert!(again.under(&limits) == limited && limited.under(&limits) == limited);
    }

    #[test]
    fn a_bad_file_is_named_and_not_shown() {
        for bad in ["", "sha256:12", &"x".repeat(5000)] {
            let folder = folder(&[("carol", bad)]);
            let error = Keys::read(folder.path(), &BTreeMap::new(), &Keys::default()).unwrap_err();
            assert!(error.contains("carol") && !error.contains("xxx"), "{error}");
        }
    }
}
