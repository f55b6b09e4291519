//! Holds the table in docs/quiche-api.md to quiche's source: a method that a new release adds has to be looked at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const TABLE: &str = include_str!("../docs/quiche-api.md");

#[test]
fn the_table_lists_every_public_method_of_quiche() {
    let source = std::fs::read_to_string(quiche_source()).expect("quiche's source is where cargo has put it");
    for (section, name) in [("## `Config`", "Config"), ("## `Connection`", "Connection")] {
        assert_eq!(listed(section), methods(&source, name), "{name}");
    }
    let mut functions = functions(&source);
    functions.insert("Header::from_slice".into());
    assert_eq!(listed("## Functions"), functions);
}

/// The first column of a section's table.
fn listed(section: &str) -> BTreeSet<String> {
    let (_, rest) = TABLE.split_once(section).expect("the section is there");
    let table = rest.split("\n## ").next().expect("split gives one at least");
    table
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Public methods in the `impl` blocks of a type.
fn methods(source: &str, name: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut found = BTreeSet::new();
    for line in source.lines() {
        if line.starts_with("impl") {
            inside =
                line.split_whitespace().any(|word| word.split('<').next() == Some(name)) && !line.contains(" for ");
        }
        if inside && let Some(rest) = line.strip_prefix("    pub fn ") {
            found.insert(identifier(rest));
        }
    }
    found
}

/// Public functions outside of types.
fn functions(source: &str) -> BTreeSet<String> {
    source
        .lines()
        .filter_map(|line| line.strip_prefix("pub fn "))
        .map(identifier)
        .collect()
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect()
}

/// quiche's lib.rs, where cargo has put it.
fn quiche_source() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .expect("cargo runs this test");
    let metadata = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let manifest = metadata
        .split('"')
        .find(|text| text.ends_with("Cargo.toml") && text.contains("quiche-0.30"))
        .unwrap_or_else(|| {
            panic!(
                "quiche 0.30 is a dependency: {}",
                String::from_utf8_lossy(&output.stderr)
            )
        });
    Path::new(&manifest.replace("\\\\", "\\"))
        .with_file_name("src")
        .join("lib.rs")
}
