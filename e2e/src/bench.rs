//! What benchmarks share: numbers and how they are told, the machine, the commit.

pub mod machine;
pub mod summary;

use std::path::Path;

use anyhow::{Context, Result};

use crate::command::output;

/// The commit that is measured, with a plus behind it if the tree has other changes.
pub async fn commit() -> String {
    let at = output("git", &["describe", "--always", "--abbrev=12", "--exclude=*"], &[]).await;
    let changes = output("git", &["status", "--porcelain", "--untracked-files=no", "operator", "crds"], &[]).await;
    let plus = if changes.is_ok_and(|text| text.is_empty()) { "" } else { "+" };
    format!("{}{plus}", at.unwrap_or_else(|_| "unknown".to_owned()))
}

/// Puts a table between the marks of a document: `<!-- NAME -->` and `<!-- /NAME -->`.
///
/// # Errors
/// When the document has no such marks.
pub fn renew(document: &Path, name: &str, table: &str) -> Result<()> {
    let (from, to) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let text = std::fs::read_to_string(document).with_context(|| document.display().to_string())?;
    let (before, rest) = text.split_once(&from).with_context(|| format!("no {from}"))?;
    let (_, after) = rest.split_once(&to).with_context(|| format!("no {to}"))?;
    std::fs::write(document, format!("{before}{from}\n{table}{to}{after}"))?;
    Ok(())
}
