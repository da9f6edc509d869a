//! Decisions cannot reach the network: nothing below them brings a client, a runtime or a cipher in.

#![allow(clippy::unwrap_used, reason = "a panic is how a test speaks")]

use std::process::Command;

#[test]
fn neither_decisions_nor_the_contract_depend_on_a_runtime() {
    for package in ["deepseek-core", "deepseek-crds"] {
        let tree = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--locked", "-p", package, "-e", "normal", "--prefix", "none"])
            .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&tree.stderr);
        assert!(tree.status.success(), "cargo tree: {errors}");
        let tree = String::from_utf8(tree.stdout).unwrap();
        assert!(tree.contains(package), "{tree}");
        for banned in ["tokio", "hyper", "rustls", "reqwest", "kube-client", "kube-runtime", "ring"] {
            let found = tree.lines().find(|line| line.split(' ').next() == Some(banned));
            assert_eq!(found, None, "{package} must not depend on {banned}");
        }
    }
}
