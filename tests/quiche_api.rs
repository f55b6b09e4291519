//! Holds the table in docs/quiche-api.md to quiche's source: a method that a new release adds has to be looked at.

use std::collections::BTreeSet;
use std::path::Path;

const TABLE: &str = include_str!("../docs/quiche-api.md");

#[test]
fn the_table_lists_every_public_method_of_quiche() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".setup/quiche/src/lib.rs");
    let source = std::fs::read_to_string(path).expect("we build on that folder");
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
