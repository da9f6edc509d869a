//! What benchmarks share: numbers and how they are told, the machine, the commit.

pub mod machine;
pub mod rig;
pub mod summary;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::command::output;

/// Where results go: flags that all benchmarks share.
#[derive(Args, Clone, Debug)]
#[allow(clippy::doc_markdown, reason = "the docs of fields are the text of --help, which is no Markdown")]
pub struct Written {
    /// Where results are written.
    #[arg(long, default_value = "target/bench")]
    pub out: PathBuf,
    /// The document whose table is renewed; none by default.
    #[arg(long)]
    pub document: Option<PathBuf>,
}

impl Written {
    /// A file with results.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        std::fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        Ok(self.out.join(name))
    }

    /// Puts a table between the marks of the document, if there is one: `<!-- NAME -->` and `<!-- /NAME -->`.
    ///
    /// # Errors
    /// When the document has no such marks.
    pub fn renew(&self, name: &str, table: &str) -> Result<()> {
        self.document.as_deref().map_or(Ok(()), |document| renew(document, name, table))
    }
}

/// The commit that is measured, with a plus behind it if the tree has other changes.
pub async fn commit() -> String {
    let at = output("git", &["describe", "--always", "--abbrev=12", "--exclude=*"], &[]).await;
    let changes = output("git", &["status", "--porcelain", "--untracked-files=no", "operator", "crds"], &[]).await;
    let plus = if changes.is_ok_and(|text| text.is_empty()) { "" } else { "+" };
    format!("{}{plus}", at.unwrap_or_else(|_| "unknown".to_owned()))
}

fn renew(document: &Path, name: &str, table: &str) -> Result<()> {
    let (from, to) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let text = std::fs::read_to_string(document).with_context(|| document.display().to_string())?;
    let (before, rest) = text.split_once(&from).with_context(|| format!("no {from}"))?;
    let (_, after) = rest.split_once(&to).with_context(|| format!("no {to}"))?;
    std::fs::write(document, format!("{before}{from}\n{table}{to}{after}"))?;
    Ok(())
}
