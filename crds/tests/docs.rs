//! `docs/conditions.md` lists exactly the conditions and reasons that exist, in the words of the code.

use std::fmt::Write;
use std::path::Path;

use deepseek_crds::condition::{ConditionType, Reason};

const INTRODUCTION: &str = "\
# Conditions and their reasons

`kubectl describe dsd NAME` shows them. Types and reasons are stable: scripts and alerts may rely on them, not on messages. `Ready` sums up
the others. `Reconciling` and `Stalled` stand there only while they are true, as `kstatus` expects.

## When several things are true

- `spec.suspend: true` wins over the rest of the spec, and so does `spec.replicas: 0`: no replica runs and no accelerator is held, even
  where the spec is refused or has no place. `Ready`, `Placed` and `Available` then say `Suspended` (or `ScaledToZero`), and `Accepted`
  and `Progressing` say what else is wrong, so that it can be mended before the deployment serves again.
- Otherwise a spec that is refused, or that no node could carry, changes nothing: what was accepted last keeps serving. `Ready` is false with the
  reason of the refusal, and `Available` says whether somebody still answers.
- `Ready` gives the first of these that is wrong: `Accepted`, `Placed`, `WeightsReady`, `Progressing`, `Available`.

This page is written from `crds/src/condition.rs` and `crds/tests/docs.rs` by `make generate`.
";

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n## Conditions\n\n| Type | True means |\n|---|---|\n");
    for condition in ConditionType::KNOWN {
        let _ = writeln!(page, "| `{condition}` | {} |", condition.sentence());
    }
    page.push_str("\n## Reasons\n\n| Reason | Means |\n|---|---|\n");
    for reason in Reason::KNOWN {
        let _ = writeln!(page, "| `{reason}` | {} |", reason.sentence());
    }
    page
}

/// `UPDATE=1` rewrites the page instead of comparing.
#[test]
fn the_page_of_conditions_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conditions.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page(), "docs/conditions.md is stale: run `make generate` and commit it");
}
